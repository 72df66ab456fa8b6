"""The base class of models on a cluster."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Self

from pynamodb import models as _models
from pynamodb.connection.table import TableConnection

from ..errors import ConfigurationError
from ._pynamodb import stock_batch_get
from .async_model import AsyncFace
from .batch import BatchWrite
from .connection import AlternatorConnection
from .counting import count_of
from .instances import loader_if_worthwhile, serializer_of, short_cut
from .model_connection import model_connection
from .pages import batch_get_by_page, by_page
from .vector_index import wait_for_vector_indexes
from .waits import WaitsWhereItRuns

__all__ = ["Model"]


class Model(WaitsWhereItRuns, _models.Model):
    """PynamoDB's `Model` with more settings in `Meta`:

    - `connection_class`: a subclass of PynamoDB's `Connection`; `AlternatorConnection` if it is not given.
    - `cluster`: an alias, a URL, a `Cluster` or a `ClusterConfig`. Without it `Meta.host` is used as a seed URL;
      without both, the cluster with the alias ``"default"``, or the one of ``ALTERNATOR_URL``.
    - `key_route_affinity`: overrides the cluster's for this table.
    - `write_isolation`: the tag that `create_table` gives the table: ``"only_rmw_uses_lwt"``, ``"always"``,
      ``"forbid_rmw"`` or ``"unsafe_rmw"``.
    - `silent_writes`: overrides the cluster's `Retries.silent_writes` for this table's writes.
    - `token_aware`: overrides the cluster's: whether requests go to the replicas of their key first.
    - `canonical_numbers`: overrides the cluster's: which numbers of this model's requests are sent in canonical form.
    - `hedge`: overrides the cluster's `hedge` for this table's reads; False for none.

    `Model.aio` has the methods for an event loop: ``await User.aio.get("alice")``, ``await user.aio.save()``.

    Each class has a connection of its own: a subclass with another table, cluster or host never uses its parent's.

    Methods raise PynamoDB's exceptions, such as `PutError`, whose `cause` is one of ours. A wrong setting raises
    `ConfigurationError` at the first request; `write_isolation` is checked by `create_table`.
    """

    if TYPE_CHECKING:
        # PynamoDB's own type has all settings, as if a model had to give all of them.
        Meta: Any

    aio: AsyncFace = AsyncFace()
    """The methods for an event loop: ``await User.aio.get("alice")``, ``await user.aio.save()``. See `AsyncModel` and
    `AsyncInstance`. Needs the extra ``pynamodb-alternator[async]``."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        return model_connection(cls, AlternatorConnection)

    @classmethod
    @short_cut
    def _instantiate(cls, attribute_values: dict[str, dict[str, Any]]) -> Self:
        load = loader_if_worthwhile(cls)
        if load is None:
            return super()._instantiate(attribute_values)
        made: Self = load(attribute_values)
        return made

    @short_cut
    def _container_serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        serialize = serializer_of(type(self))
        if serialize is None or "get_attributes" in vars(self):
            return super()._container_serialize(null_check)
        return serialize(self, null_check)

    if not TYPE_CHECKING:

        @classmethod
        @wraps(_models.Model.count.__func__)
        def count(cls, *args: Any, **kwargs: Any) -> int:
            return count_of(super().count, cls, *args, **kwargs)

        @classmethod
        @wraps(_models.Model.query.__func__)
        def query(cls, *args: Any, **kwargs: Any) -> Any:
            return by_page(super().query(*args, **kwargs))

        @classmethod
        @wraps(_models.Model.batch_get.__func__)
        def batch_get(cls, *args: Any, **kwargs: Any) -> Any:
            if super().batch_get.__func__ is not stock_batch_get:
                return super().batch_get(*args, **kwargs)
            return batch_get_by_page(cls, *args, **kwargs)

        @classmethod
        @wraps(_models.Model.create_table.__func__)
        def create_table(cls, wait: bool = False, *args: Any, **kwargs: Any) -> Any:
            super().create_table(wait, *args, **kwargs)
            if wait:
                wait_for_vector_indexes(cls)

        @classmethod
        @wraps(_models.Model.scan.__func__)
        def scan(cls, *args: Any, **kwargs: Any) -> Any:
            return by_page(super().scan(*args, **kwargs))

    @classmethod
    def batch_write(cls, auto_commit: bool = True) -> BatchWrite[Self]:
        """A batch writer that keeps the items of a batch that failed: see `BatchWrite`."""
        return BatchWrite(cls, auto_commit=auto_commit)

    @classmethod
    def alternator_write_isolation(cls, new: str | None = None) -> str | None:
        """Which writes of this model's table use a lightweight transaction; with `new`, change it first.

        None if the server does not let us read it. Raises `TableError` if the table cannot be asked or changed, and
        `ConfigurationError` for an unknown isolation or a model that is not on a cluster.
        """
        table = cls._get_connection()
        if not isinstance(table.connection, AlternatorConnection):
            raise ConfigurationError(f"{cls.__qualname__}: its connection_class must be an AlternatorConnection.")
        return table.connection.write_isolation(table.table_name, new)
