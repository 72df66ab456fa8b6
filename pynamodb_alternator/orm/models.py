"""Models that honour `Meta.connection_class`, and the patch that gives the same to plain PynamoDB models."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pynamodb import constants
from pynamodb import models as _pynamodb
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import PynamoDBConnectionError as _PynamoDBConnectionError

from ..errors import ConfigurationError
from .connection import AlternatorConnection, AlternatorTableConnection
from .instances import ItemLoader, item_loader_of

__all__ = ["Model", "install", "uninstall"]

_lock = threading.RLock()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Model(_pynamodb.Model):
    """PynamoDB's `Model` with more settings in `Meta`:

    - `connection_class`: a subclass of PynamoDB's `Connection`; `AlternatorConnection` if it is not given.
    - `cluster`: an alias, a `Cluster` or a `ClusterConfig`; without it `Meta.host` is taken as a seed URL, else the
      cluster is the one under the alias ``"default"``, or that of ``ALTERNATOR_URL``.
    - `key_route_affinity`: overrides the cluster's for this table.
    - `write_isolation`: what `create_table` tags the table with: ``"only_rmw_uses_lwt"``, ``"always"``,
      ``"forbid_rmw"`` or ``"unsafe_rmw"``.
    - `silent_writes`: overrides the cluster's `Retries.silent_writes` for this table's writes.

    Each class has a connection of its own: a subclass with another table, cluster or host never uses its parent's.
    """

    if TYPE_CHECKING:
        # PynamoDB's own type of it lists every setting, as if a model had to give them all.
        Meta: Any

    _item_loader: ItemLoader | None

    @classmethod
    def _get_connection(cls) -> TableConnection:
        return _connection_of(cls, AlternatorConnection)

    @classmethod
    def _instantiate(cls, attribute_values: dict[str, dict[str, Any]]) -> Self:
        loader = cls.__dict__.get("_item_loader", cls)
        if loader is cls:
            loader = cls._item_loader = item_loader_of(cls)
        if loader is None:
            return super()._instantiate(attribute_values)
        made: Self = loader.make(attribute_values)
        return made

    @classmethod
    def batch_write(cls, auto_commit: bool = True) -> BatchWrite[Self]:
        """PynamoDB's own batch writer, which loses no items of a batch that failed: see `BatchWrite`."""
        return BatchWrite(cls, auto_commit=auto_commit)

    @classmethod
    def alternator_write_isolation(cls, new: str | None = None) -> str | None:
        """Which writes of this model's table use a lightweight transaction; with `new`, change it first.

        None if the server does not let us read it. Raises `TableError` if the table cannot be asked or changed, and
        `ConfigurationError` for an unknown isolation or a model that is on no cluster.
        """
        table = cls._get_connection()
        if not isinstance(table.connection, AlternatorConnection):
            raise ConfigurationError(f"{cls.__qualname__}: its connection_class is no AlternatorConnection.")
        return table.connection.write_isolation(table.table_name, new)


_M = TypeVar("_M", bound=_pynamodb.Model)


class BatchWrite(_pynamodb.BatchWrite[_M]):
    """PynamoDB's batch writer, except that a batch that failed stays in `failed_operations`.

    That has the entries as the server takes them: ``{"PutRequest": {"Item": ...}}`` and
    ``{"DeleteRequest": {"Key": ...}}``, of all batches that failed. Where the error's cause is an
    `OutcomeUnknownError`, some, all or none of the last batch's entries were executed.
    """

    def commit(self) -> None:
        """Write all changes that are pending. Raises `PutError`, as PynamoDB does."""
        before, pending = self.failed_operations, self.pending_operations
        try:
            super().commit()
        except _PynamoDBConnectionError:
            if self.failed_operations is before:
                self.failed_operations = [*before, *map(self._entry, pending)]
            else:  # PynamoDB tells itself what the server did not process
                self.failed_operations = [*before, *self.failed_operations]
            raise

    def _entry(self, operation: dict[str, Any]) -> dict[str, Any]:
        """One pending operation as the server takes it."""
        item = operation["item"]
        if operation["action"] == constants.PUT:
            return {constants.PUT_REQUEST: {constants.ITEM: item.serialize()}}
        table = self.model._get_connection().get_meta_table()
        key = {name: {table.get_attribute_type(name): value} for name, value in item._get_keys().items()}
        return {constants.DELETE_REQUEST: {constants.KEY: key}}


def _connection_of(model: type[_pynamodb.Model], default: type[Connection]) -> TableConnection:
    """The model's own connection; a new one if its Meta says something else than when it was made."""
    found = model.__dict__.get("_connection")
    meta: Any = getattr(model, "Meta", None)
    if type(found) is _ModelConnection and found.is_for(meta, default):
        return found
    with _lock:
        found = model.__dict__.get("_connection")
        if not (type(found) is _ModelConnection and found.is_for(meta, default)):
            found = _ModelConnection.of(model, default)
            model._connection = found
        return found


class _ModelConnection(AlternatorTableConnection):
    """The connection of a model, which knows what it was made from."""

    _made_from: tuple[Any, ...]

    @classmethod
    def of(cls, model: type[_pynamodb.Model], default: type[Connection]) -> _ModelConnection:
        meta: Any = getattr(model, "Meta", None)
        who = f"{model.__module__}.{model.__qualname__}"
        if getattr(meta, "table_name", None) is None:
            # PynamoDB's own method has the error for this.
            _stock_get_connection(model)
        connection_class = getattr(meta, "connection_class", None) or default
        if not (isinstance(connection_class, type) and issubclass(connection_class, Connection)):
            raise ConfigurationError(
                f"{who}: Meta.connection_class must be a subclass of pynamodb.connection.Connection, such as "
                f"AlternatorConnection (got {connection_class!r})."
            )
        settings = {
            name: getattr(meta, name, None)
            for name in (
                "region",
                "host",
                "connect_timeout_seconds",
                "read_timeout_seconds",
                "max_retry_attempts",
                "max_pool_connections",
                "extra_headers",
                "aws_access_key_id",
                "aws_secret_access_key",
                "aws_session_token",
            )
        }
        if issubclass(connection_class, AlternatorConnection):
            settings["cluster"] = getattr(meta, "cluster", None)
            settings["key_route_affinity"] = getattr(meta, "key_route_affinity", None)
            settings["write_isolation"] = getattr(meta, "write_isolation", None)
            settings["silent_writes"] = getattr(meta, "silent_writes", None)
        made = cls(meta.table_name, connection_class(**settings), _meta_table(model))
        made._made_from = _ingredients(meta, default)
        return made

    def is_for(self, meta: Any, default: type[Connection]) -> bool:
        return self._made_from == _ingredients(meta, default)


def _ingredients(meta: Any, default: type[Connection]) -> tuple[Any, ...]:
    """What makes a connection another one."""
    return (
        meta.table_name,
        getattr(meta, "connection_class", None) or default,
        getattr(meta, "cluster", None),
        getattr(meta, "host", None),
    )


def _meta_table(model: type[_pynamodb.Model]) -> MetaTable:
    """The schema as PynamoDB gives it to a connection."""
    schema = model._get_schema()

    def indexes(kind: str) -> list[dict[str, Any]]:
        return [
            {constants.INDEX_NAME: index["index_name"], constants.KEY_SCHEMA: index["key_schema"]}
            for index in schema[kind]  # type: ignore[literal-required]
        ]

    return MetaTable(
        {
            constants.TABLE_NAME: model.Meta.table_name,
            constants.KEY_SCHEMA: schema["key_schema"],
            constants.ATTR_DEFINITIONS: schema["attribute_definitions"],
            constants.GLOBAL_SECONDARY_INDEXES: indexes("global_secondary_indexes"),
            constants.LOCAL_SECONDARY_INDEXES: indexes("local_secondary_indexes"),
        }
    )


# ---- plain PynamoDB models ---------------------------------------------------------------------------------------

_stock_method: Any = _pynamodb.Model.__dict__["_get_connection"]
_default_class: type[Connection] | None = None


def _stock_get_connection(model: type[_pynamodb.Model]) -> TableConnection:
    connection: TableConnection = _stock_method.__func__(model)
    return connection


def _patched(cls: type[_pynamodb.Model]) -> TableConnection:
    meta = getattr(cls, "Meta", None)
    wanted = getattr(meta, "connection_class", None) or _default_class
    if wanted is None or getattr(meta, "table_name", None) is None:
        return _stock_get_connection(cls)
    return _connection_of(cls, wanted)


_patch = classmethod(_patched)


def install(default: type[Connection] | None = None) -> None:
    """Let plain PynamoDB models honour `Meta.connection_class`, without a change to their base class.

    `default`: the class for models that name none; with None these keep PynamoDB's own connection. May be called
    again, with another default. `uninstall` takes it back.
    """
    global _default_class
    if default is not None and not (isinstance(default, type) and issubclass(default, Connection)):
        raise ConfigurationError(
            f"install(): default must be None or a subclass of pynamodb.connection.Connection (got {default!r})."
        )
    with _lock:
        _default_class = default
        _pynamodb.Model._get_connection = _patch  # type: ignore[method-assign,assignment]


def uninstall() -> None:
    """Take `install` back: plain PynamoDB models connect as PynamoDB has it again."""
    global _default_class
    with _lock:
        _default_class = None
        _pynamodb.Model._get_connection = _stock_method  # type: ignore[method-assign]
        for model in _subclasses(_pynamodb.Model):
            # A connection that the patch made would be kept by PynamoDB for as long as the table name stays.
            if not issubclass(model, Model) and type(model.__dict__.get("_connection")) is _ModelConnection:
                model._connection = None


def _subclasses(model: type[_pynamodb.Model]) -> list[type[_pynamodb.Model]]:
    found = []
    for one in model.__subclasses__():
        found += [one, *_subclasses(one)]
    return found
