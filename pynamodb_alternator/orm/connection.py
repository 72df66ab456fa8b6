"""PynamoDB's connection, on a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import botocore.session
from botocore.exceptions import ParamValidationError
from pynamodb.connection.base import BOTOCORE_EXCEPTIONS, Connection, MetaTable
from pynamodb.constants import (
    CREATE_TABLE,
    DELETE_TABLE,
    DESCRIBE_TABLE,
    LIST_TABLES,
    RETURN_CONSUMED_CAPACITY,
    TABLE_NAME,
    TAGS,
    TOTAL,
    UPDATE_TABLE,
    UPDATE_TIME_TO_LIVE,
)
from pynamodb.exceptions import (
    PynamoDBException,
    TableError,
    TransactGetError,
    TransactWriteError,
    VerboseClientError,
)
from pynamodb.signals import post_dynamodb_send, pre_dynamodb_send

from ..cluster import Cluster
from ..core import write_isolation as isolation
from ..core.hand_over import client_of
from ..core.table_description import index_keys_of
from ..core.vector_dialects import IndexDefinition, status_of, with_indexes
from ..core.vector_search import NO_VECTOR_SEARCH, learning, run
from ..errors import ClusterClosedError, ConfigurationError, ServerFailureError
from ..registry import find_cluster, is_replacement, may_change
from ..settings import values, write_isolation
from ..settings.config import ClusterConfig
from ..settings.options import NO_OPTIONS, RequestOptions
from ..settings.values import CanonicalNumbers, Hedge, KeyRouteAffinity
from ..transport.unknown_operations import UNKNOWN
from .connection_settings import LEGACY, UNSET, pool_connections, request_options
from .under_way import RequestUnderWay, request_under_way

__all__ = ["AlternatorConnection"]

_pynamodb_log = logging.getLogger(Connection.__module__)
_stock_dispatch = Connection.dispatch
_stock_pre_callback, _stock_post_callback = Connection.send_pre_boto_callback, Connection.send_post_boto_callback
_stock_capacity_map = Connection.get_consumed_capacity_map
_WITHOUT_CAPACITY = frozenset(
    {DESCRIBE_TABLE, LIST_TABLES, UPDATE_TABLE, UPDATE_TIME_TO_LIVE, DELETE_TABLE, CREATE_TABLE}
)
"""Operations for which PynamoDB does not request the consumed capacity."""
_T = TypeVar("_T")


class AlternatorConnection(Connection):
    """PynamoDB's `Connection` on a cluster: for ``Meta.connection_class``, transactions, and code without models.

    It has the arguments of `Connection`, and `cluster`: an alias, a URL, a `Cluster` or a `ClusterConfig`. Without
    `cluster`, `host` is used as a seed URL; without both, the cluster with the alias ``"default"``, or the one of
    ``ALTERNATOR_URL``. `write_isolation` is the tag that `create_table` gives a table: ``"only_rmw_uses_lwt"``,
    ``"always"``, ``"forbid_rmw"`` or ``"unsafe_rmw"``. `silent_writes` overrides the cluster's `Retries.silent_writes`.
    `key_route_affinity`, `token_aware`, `hedge` (a `Hedge`, or False for none) and `canonical_numbers` override the
    cluster's settings with these names.

    Timeouts, retries, headers and credentials are used for this connection's requests, all on the cluster's one client.
    A value that equals PynamoDB's own default counts as not given: then the cluster's setting is used.

    `retry_configuration`, as in PynamoDB 6.1: ``"LEGACY"``, the default, means that `max_retry_attempts` is used. A
    mapping with ``total_max_attempts`` or ``max_attempts`` (retries) says how often a request may be sent. Without one
    of these, and with ``"UNSET"``, the cluster's `Retries` are used. The only ``mode`` is ``"standard"``.

    The cluster is found at the first use. `ConfigurationError` is raised then, if there is no cluster or a setting is
    wrong; `write_isolation` is checked by `create_table` and by the method of that name. Each request finds its cluster
    once, and stays there. If this cluster is closed before the request was sent, for example because its alias was
    configured again, the request goes to the new cluster.
    """

    def __init__(
        self,
        region: str | None = None,
        host: str | None = None,
        read_timeout_seconds: float | None = None,
        connect_timeout_seconds: float | None = None,
        max_retry_attempts: int | None = None,
        retry_configuration: Any = None,
        max_pool_connections: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        *,
        cluster: str | Cluster | ClusterConfig | None = None,
        key_route_affinity: KeyRouteAffinity | str | None = None,
        write_isolation: str | None = None,
        silent_writes: Literal["raise", "wait", "repeat"] | None = None,
        token_aware: Literal["auto"] | bool | None = None,
        hedge: Hedge | Mapping[str, Any] | Literal[False] | None = None,
        canonical_numbers: CanonicalNumbers | None = None,
    ) -> None:
        super().__init__(
            region=region,
            host=host,
            read_timeout_seconds=read_timeout_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
            max_retry_attempts=max_retry_attempts,
            max_pool_connections=max_pool_connections,
            extra_headers=extra_headers,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
        )
        if retry_configuration is None:
            # The value of PynamoDB's settings. PynamoDB 6.0 always does what 6.1 calls LEGACY.
            retry_configuration = getattr(self, "_retry_configuration", LEGACY)
        # None is PynamoDB's own form of UNSET.
        self._retry_configuration = None if retry_configuration == UNSET else retry_configuration
        self._meant_by = cluster
        self._key_route_affinity = key_route_affinity
        self._write_isolation = write_isolation
        self._silent_writes = silent_writes
        self._token_aware = token_aware
        self._hedge = hedge
        self._canonical_numbers = canonical_numbers
        self._vector_indexes: dict[str, Callable[[], Sequence[IndexDefinition]]] = {}
        self._cluster: Cluster | None = None
        self._may_change = False
        self._options: RequestOptions | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self._cluster!r}>"

    @property
    def cluster(self) -> Cluster:
        """The cluster of this connection; while it makes a request, the cluster of the request."""
        request = request_under_way()
        return (None if request is None else request.cluster_of(self)) or self._find_cluster()

    def _find_cluster(self) -> Cluster:
        """The cluster to which this connection belongs now."""
        cluster = self._cluster
        meant_by = self._meant_by
        # A cluster that came from a source is found again through it, even if it was the last source and is gone.
        came_from_a_source, self._may_change = self._may_change, may_change(meant_by, self.host)
        if cluster is not None and not came_from_a_source and not self._may_change:
            # A cluster that was closed is made again, unless the user passed this `Cluster` object.
            is_given = isinstance(meant_by, Cluster)
            if is_given or not cluster.closed:
                return cluster
        meant = find_cluster(meant_by, self.host, self._who())
        if meant is not cluster:
            self._join(meant)
        return meant

    def _join(self, cluster: Cluster) -> None:
        """Use this cluster for the connection, and register the connection's tables there."""
        # Most models name a region. Requests without settings of their own are the fastest.
        self._options = self._make_options(None if self.region == cluster.config.region else self.region)
        for meta_table in list(self._tables.values()):
            self._register(cluster, meta_table)
        cluster.allow_pool_connections(pool_connections(self._who(), self._max_pool_connections))
        self._cluster = cluster

    def check_settings(self) -> None:
        """Raise `ConfigurationError` for a setting that the first request would refuse.

        The alias of a cluster is not checked, because it may be configured later.
        """
        self._make_options(None)
        self._affinity()
        pool_connections(self._who(), self._max_pool_connections)
        is_alias = isinstance(self._meant_by, str) and "://" not in self._meant_by
        if not is_alias and (self._meant_by is not None or self.host):
            self._find_cluster()

    @property
    def client(self) -> Any:
        """The cluster's one botocore client; in a function that `aio.run` calls, a client of its event loop."""
        return client_of(self.cluster)

    @property
    def session(self) -> botocore.session.Session:
        """The botocore session of the cluster's client. A connection with credentials of its own has a session with
        these, as PynamoDB makes it."""
        if self._aws_access_key_id and self._aws_secret_access_key:
            return super().session
        session: botocore.session.Session = self.cluster.session
        return session

    def add_meta_table(self, meta_table: MetaTable) -> None:
        """Add a table's schema. So the cluster knows the partition key without a look-up."""
        super().add_meta_table(meta_table)
        if self._cluster is not None:
            self._register(self._cluster, meta_table)

    def add_vector_indexes(self, table_name: str, definitions: Callable[[], Sequence[IndexDefinition]]) -> None:
        """Set the vector indexes of a table. `definitions` is called when the table is created."""
        self._vector_indexes[table_name] = definitions

    def create_table(self, table_name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """PynamoDB's method, with the tag for the write isolation, if it is given."""
        if self._write_isolation is None:
            return super().create_table(table_name, *args, **kwargs)
        chosen = write_isolation.check(f"{self._who()}: write_isolation", self._write_isolation)
        kwargs["tags"] = {**(kwargs.get("tags") or {}), isolation.TAG: chosen}
        return super().create_table(table_name, *args, **kwargs)

    def transact_write_items(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """PynamoDB's method. If the server has no transactions, the error's text says what to use instead."""
        try:
            return super().transact_write_items(*args, **kwargs)
        except TransactWriteError as error:
            _say_what_instead(error)
            raise

    def transact_get_items(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """PynamoDB's method, with an error as of `transact_write_items`."""
        try:
            return super().transact_get_items(*args, **kwargs)
        except TransactGetError as error:
            _say_what_instead(error)
            raise

    def write_isolation(self, table_name: str, new: str | None = None) -> str | None:
        """Which writes of the table use a lightweight transaction; with `new`, change it first.

        None if the server does not let us read it. Raises `TableError` as PynamoDB's other table operations do, and
        `ConfigurationError` for an unknown isolation.
        """
        if new is not None:
            new = write_isolation.check(f"{self._who()}: write_isolation", new)
        with self._request() as request:
            try:
                return self._on_open_cluster(request, lambda: self._write_isolation_of(table_name, new))
            except BOTOCORE_EXCEPTIONS as error:
                raise TableError(
                    f"Failed to read or change the write isolation of {table_name}: {error}", error
                ) from error

    def _write_isolation_of(self, table_name: str, new: str | None) -> str | None:
        if new is not None:
            isolation.set_write_isolation(self.client, table_name, new)
        read = isolation.read_write_isolation(self.client, table_name)
        if read is not None:
            self.cluster.learn_write_isolation(table_name, read)
        return read

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Make the request with the settings of this connection."""
        with self._request():
            if operation_name == CREATE_TABLE:
                return self._create(operation_kwargs)
            return self._dispatch(operation_name, operation_kwargs)

    def _create(self, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Make a table, with its vector indexes in the form that the cluster accepts."""
        table_name = operation_kwargs[TABLE_NAME]
        indexes = self._vector_indexes.get(table_name, tuple)()
        if indexes:
            dialect = run(learning(self.cluster.core.questions.vector_dialect), self._dispatch)
            operation_kwargs |= with_indexes(dialect, indexes, operation_kwargs)
        answer = self._dispatch(CREATE_TABLE, operation_kwargs)
        self._learn_from_tags(operation_kwargs)
        missing = [index.name for index in indexes if status_of(answer["TableDescription"], index.name) is None]
        if missing:
            raise TableError(
                f"The table {table_name} was made without its vector index {', '.join(missing)}. {NO_VECTOR_SEARCH}"
            )
        return answer

    def _request(self) -> RequestUnderWay:
        cluster = self._find_cluster()  # first: joining a cluster makes the options
        return RequestUnderWay(self, cluster, self._options or NO_OPTIONS)

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """PynamoDB's method, on the cluster of the request. Its error says if the outcome is unknown."""
        request = request_under_way()
        if request is not None and request.cluster_of(self) is not None:
            return self._call(request, operation_name, operation_kwargs)
        with self._request() as request:  # called directly, and not by `dispatch`
            return self._call(request, operation_name, operation_kwargs)

    def _call(self, request: RequestUnderWay, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            while True:  # like `_on_open_cluster`, without another function call for each request
                try:
                    return super()._make_api_call(operation_name, operation_kwargs)
                except ClusterClosedError as error:
                    request.move_to(self, self._cluster_instead(request, error))
        except VerboseClientError as error:
            _raise_open_outcome(error)
            raise
        except ParamValidationError as error:
            _raise_refusal(error)
            raise

    def _on_open_cluster(self, request: RequestUnderWay, call: Callable[[], _T]) -> _T:
        """The result of `call`. It is called again if the request's cluster was closed before anything was sent, and
        there is another one."""
        while True:
            try:
                return call()
            except ClusterClosedError as error:
                request.move_to(self, self._cluster_instead(request, error))

    def _cluster_instead(self, request: RequestUnderWay, error: ClusterClosedError) -> Cluster:
        """The cluster to which this connection belongs now, if this is another one, and open. Else raises `error`."""
        closed = request.cluster_of(self)
        if closed is None or is_replacement(closed):
            raise error
        try:
            meant = self._find_cluster()
        except ConfigurationError as wrong:
            raise error from wrong  # there is no cluster, for example after `close_all`
        if meant is closed or meant.closed:
            raise error
        return meant

    def _learn_from_tags(self, created: Mapping[str, Any]) -> None:
        """The table was created with these tags, so its cluster need not look up the write isolation."""
        for tag in created.get(TAGS) or ():
            if tag["Key"] == isolation.TAG:
                self.cluster.learn_write_isolation(created[TABLE_NAME], tag["Value"])

    def _dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """PynamoDB's method, without the UUID, signals and log lines that nothing receives."""
        kind = type(self)
        if (
            pre_dynamodb_send.receivers
            or post_dynamodb_send.receivers
            or _pynamodb_log.isEnabledFor(logging.DEBUG)
            or kind.send_pre_boto_callback is not _stock_pre_callback
            or kind.send_post_boto_callback is not _stock_post_callback
            or kind.get_consumed_capacity_map is not _stock_capacity_map
            or Connection.dispatch is not _stock_dispatch
        ):
            return super().dispatch(operation_name, operation_kwargs)
        if operation_name not in _WITHOUT_CAPACITY:
            operation_kwargs.setdefault(RETURN_CONSUMED_CAPACITY, TOTAL)
        return self._make_api_call(operation_name, operation_kwargs)

    def _register(self, cluster: Cluster, meta_table: MetaTable) -> None:
        affinity = self._affinity()
        # Read from its data, because PynamoDB's own look-up of one index goes through all indexes.
        keys = index_keys_of(meta_table.data)
        cluster.register_table(meta_table.table_name, meta_table.hash_keyname, affinity, keys)

    def _affinity(self) -> KeyRouteAffinity | None:
        mode = self._key_route_affinity
        return None if mode is None else values.affinity(f"{self._who()}: key_route_affinity", mode)

    def _who(self) -> str:
        tables = ", ".join(self._tables)
        return f"{type(self).__name__}" + (f" of the table {tables}" if tables else "")

    def _make_options(self, region: str | None) -> RequestOptions:
        """This connection's settings, without those that are PynamoDB's defaults or equal the cluster's."""
        return request_options(
            self._who(),
            connect_timeout_seconds=self._connect_timeout_seconds,
            read_timeout_seconds=self._read_timeout_seconds,
            max_retry_attempts=self._max_retry_attempts_exception,
            retry_configuration=self._retry_configuration,
            silent_writes=self._silent_writes,
            token_aware=self._token_aware,
            hedge=self._hedge,
            canonical_numbers=self._canonical_numbers,
            extra_headers=self._extra_headers,
            aws_access_key_id=self._aws_access_key_id,
            aws_secret_access_key=self._aws_secret_access_key,
            aws_session_token=self._aws_session_token,
            region=region,
        )


def _say_what_instead(error: PynamoDBException) -> None:
    """Add the server's text and our own hint to PynamoDB's error of a transaction, which has neither."""
    if error.cause_response_code == UNKNOWN:
        error.msg = f"{error.msg}: {error.cause_response_message}"
        error.args = (error.msg,)


def _raise_refusal(error: ParamValidationError) -> None:
    """PynamoDB turns botocore's validation off: a value that JSON does not have raises a TypeError, and not a
    `PutError`. The text of the validation is added to this TypeError as a note."""
    if error.__cause__ is not None:
        error.__cause__.add_note(str(error))
        raise error.__cause__ from None


def _raise_open_outcome(error: VerboseClientError) -> None:
    """Raise the cause of PynamoDB's error, if it says that a write's outcome is unknown: PynamoDB's error hides it."""
    if isinstance(error.__cause__, ServerFailureError):
        raise error.__cause__ from None
