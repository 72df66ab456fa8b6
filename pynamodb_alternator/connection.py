"""PynamoDB's connection, on a cluster."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import botocore.session
from pynamodb.connection.base import BOTOCORE_EXCEPTIONS, Connection, MetaTable
from pynamodb.connection.table import TableConnection
from pynamodb.constants import (
    CREATE_TABLE,
    DELETE_TABLE,
    DESCRIBE_TABLE,
    LIST_TABLES,
    RETURN_CONSUMED_CAPACITY,
    TOTAL,
    UPDATE_TABLE,
    UPDATE_TIME_TO_LIVE,
)
from pynamodb.exceptions import TableError
from pynamodb.settings import default_settings_dict
from pynamodb.signals import post_dynamodb_send, pre_dynamodb_send

from . import _checks as checks
from . import config, isolation
from .client import Cluster
from .config import ClusterConfig, Credentials, KeyRouteAffinity
from .errors import ConfigurationError
from .options import NO_OPTIONS, RequestOptions, model_options
from .registry import find_cluster, may_change

__all__ = ["AlternatorConnection", "AlternatorTableConnection"]

_pynamodb_log = logging.getLogger(Connection.__module__)
_stock_dispatch = Connection.dispatch
_stock_pre_callback, _stock_post_callback = Connection.send_pre_boto_callback, Connection.send_post_boto_callback
_WITHOUT_CAPACITY = frozenset(
    {DESCRIBE_TABLE, LIST_TABLES, UPDATE_TABLE, UPDATE_TIME_TO_LIVE, DELETE_TABLE, CREATE_TABLE}
)
"""Operations that PynamoDB does not ask for the capacity that they used."""


class AlternatorConnection(Connection):
    """PynamoDB's `Connection` on a cluster: for ``Meta.connection_class``, for transactions, and by itself.

    It takes what `Connection` takes, and `cluster`: an alias, a `Cluster` or a `ClusterConfig`. Without it, `host` is
    taken as a seed URL; else the cluster is the one under the alias ``"default"``, or that of ``ALTERNATOR_URL``.
    `key_route_affinity` overrides the cluster's for the tables of this connection. `write_isolation` is what
    `create_table` tags a table with: ``"only_rmw_uses_lwt"``, ``"always"``, ``"forbid_rmw"`` or ``"unsafe_rmw"``.

    Timeouts, retries, headers and credentials hold for this connection's requests, all on the cluster's one client.
    A value that equals PynamoDB's own default counts as not given: the cluster's setting holds then.

    The cluster is looked up at first use. Raises `ConfigurationError` then, if none is meant.
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
    ) -> None:
        # PynamoDB 6.0 does not know this one yet.
        newer: dict[str, Any] = {} if retry_configuration is None else {"retry_configuration": retry_configuration}
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
            **newer,
        )
        self._wanted_cluster = cluster
        self._key_route_affinity = key_route_affinity
        self._write_isolation = write_isolation
        self._cluster: Cluster | None = None
        self._options: RequestOptions | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self._cluster!r}>"

    @property
    def cluster(self) -> Cluster:
        """The cluster of this connection."""
        cluster = self._cluster
        wanted = self._wanted_cluster
        if cluster is not None and not may_change(wanted, self.host):
            # A cluster that was closed is made anew, unless the user gave this very one.
            is_given = isinstance(wanted, Cluster)
            if is_given or not cluster.closed:
                return cluster
        found = find_cluster(wanted, self.host, self._who())
        if found is not cluster:
            self._join(found)
        return found

    def _join(self, cluster: Cluster) -> None:
        """Make the cluster this connection's, and tell it what it must know of its tables."""
        self._options = self._make_options()
        for meta_table in list(self._tables.values()):
            self._register(cluster, meta_table)
        if self._max_pool_connections != default_settings_dict["max_pool_connections"]:
            cluster.allow_pool_connections(self._max_pool_connections)
        self._cluster = cluster

    @property
    def client(self) -> Any:
        """The cluster's one botocore client."""
        return self.cluster.client

    @property
    def session(self) -> botocore.session.Session:
        """The botocore session of the cluster's client."""
        session: botocore.session.Session = self.cluster.session
        return session

    def add_meta_table(self, meta_table: MetaTable) -> None:
        """Add a table's schema. Its partition key becomes known to the cluster, without asking for it."""
        super().add_meta_table(meta_table)
        if self._cluster is not None:
            self._register(self._cluster, meta_table)

    def create_table(self, table_name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """PynamoDB's own, with the tag for the write isolation, if one is given."""
        if self._write_isolation is None:
            return super().create_table(table_name, *args, **kwargs)
        chosen = isolation.checked(f"{self._who()}: write_isolation", self._write_isolation)
        kwargs["tags"] = {**(kwargs.get("tags") or {}), isolation.TAG: chosen}
        created = super().create_table(table_name, *args, **kwargs)
        self.cluster.learn_write_isolation(table_name, chosen)
        return created

    def write_isolation(self, table_name: str, new: str | None = None) -> str | None:
        """Which writes of the table use a lightweight transaction; with `new`, change it first.

        None if the server does not let us read it. Raises `TableError` as PynamoDB's other table operations do, and
        `ConfigurationError` for an unknown isolation.
        """
        if new is not None:
            new = isolation.checked(f"{self._who()}: write_isolation", new)
        token = model_options.set(self._settings())
        try:
            if new is not None:
                isolation.set_write_isolation(self.client, table_name, new)
            found = isolation.read_write_isolation(self.client, table_name)
        except BOTOCORE_EXCEPTIONS as error:
            raise TableError(f"Failed to read or change the write isolation of {table_name}: {error}", error) from error
        finally:
            model_options.reset(token)
        if found is not None:
            self.cluster.learn_write_isolation(table_name, found)
        return found

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Make the request with the settings of this connection."""
        token = model_options.set(self._settings())
        try:
            return self._dispatch(operation_name, operation_kwargs)
        finally:
            model_options.reset(token)

    def _settings(self) -> tuple[object, RequestOptions]:
        """The settings of this connection, and what stands for the cluster that they are for."""
        owner = self.cluster._owner  # first: who joins a cluster makes the options
        return owner, self._options or NO_OPTIONS

    def _dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """PynamoDB's own, without the UUID, signals and log lines where nobody gets them."""
        if (
            pre_dynamodb_send.receivers
            or post_dynamodb_send.receivers
            or _pynamodb_log.isEnabledFor(logging.DEBUG)
            or type(self).send_pre_boto_callback is not _stock_pre_callback
            or type(self).send_post_boto_callback is not _stock_post_callback
            or Connection.dispatch is not _stock_dispatch
        ):
            return super().dispatch(operation_name, operation_kwargs)
        if operation_name not in _WITHOUT_CAPACITY and RETURN_CONSUMED_CAPACITY not in operation_kwargs:
            operation_kwargs.update(self.get_consumed_capacity_map(TOTAL))
        return self._make_api_call(operation_name, operation_kwargs)

    def _register(self, cluster: Cluster, meta_table: MetaTable) -> None:
        affinity = self._key_route_affinity
        if affinity is not None:
            affinity = config.affinity(f"{self._who()}: key_route_affinity", affinity)
        cluster.register_table(meta_table.table_name, meta_table.hash_keyname, affinity)

    def _who(self) -> str:
        tables = ", ".join(self._tables)
        return f"{type(self).__name__}" + (f" of the table {tables}" if tables else "")

    def _make_options(self) -> RequestOptions:
        """This connection's settings, as far as they are not PynamoDB's defaults."""
        who = self._who()

        def given(name: str, value: Any) -> Any:
            return None if value == default_settings_dict[name] else value

        connect = given("connect_timeout_seconds", self._connect_timeout_seconds)
        read = given("read_timeout_seconds", self._read_timeout_seconds)
        retries = given("max_retry_attempts", self._max_retry_attempts_exception)
        for name, seconds in (("connect_timeout_seconds", connect), ("read_timeout_seconds", read)):
            if seconds is not None:
                checks.positive(f"{who}: {name}", seconds)
        if retries is not None:
            checks.whole(f"{who}: max_retry_attempts", retries, 0, 99)
        headers = None if self._extra_headers is None else checks.headers(f"{who}: extra_headers", self._extra_headers)
        return RequestOptions(
            connect_timeout=connect,
            read_timeout=read,
            max_attempts=None if retries is None else retries + 1,
            extra_headers=headers or None,
            credentials=self._given_credentials(who),
            region=self.region or None,
        )

    def _given_credentials(self, who: str) -> Credentials | None:
        access, secret = self._aws_access_key_id, self._aws_secret_access_key
        if bool(access) != bool(secret):
            missing = "aws_secret_access_key" if access else "aws_access_key_id"
            raise ConfigurationError(f"{who}: {missing} is missing. Give both keys, or neither.")
        if not access or not secret:
            return None
        return Credentials(access, secret, self._aws_session_token or None)


class AlternatorTableConnection(TableConnection):
    """PynamoDB's connection to one table, with a connection of the class that the model names."""

    def __init__(self, table_name: str, connection: Connection, meta_table: MetaTable) -> None:
        # Not the constructor of the base class, which would make a stock connection.
        self.table_name = table_name
        self.connection = connection
        self.connection.add_meta_table(meta_table)
