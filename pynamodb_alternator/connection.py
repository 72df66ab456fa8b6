"""PynamoDB's connection, on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import botocore.session
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection
from pynamodb.settings import default_settings_dict

from . import _checks as checks
from . import config
from .client import Cluster
from .config import ClusterConfig, Credentials, KeyRouteAffinity
from .errors import ConfigurationError
from .options import RequestOptions, model_options
from .registry import find_cluster

__all__ = ["AlternatorConnection", "AlternatorTableConnection"]


class AlternatorConnection(Connection):
    """PynamoDB's `Connection` on a cluster: for ``Meta.connection_class``, for transactions, and by itself.

    It takes what `Connection` takes, and `cluster`: an alias, a `Cluster` or a `ClusterConfig`. Without it, `host` is
    taken as a seed URL; else the cluster is the one under the alias ``"default"``, or that of ``ALTERNATOR_URL``.
    `key_route_affinity` overrides the cluster's for the tables of this connection.

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
    ) -> None:
        super().__init__(
            region=region,
            host=host,
            read_timeout_seconds=read_timeout_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
            max_retry_attempts=max_retry_attempts,
            retry_configuration=retry_configuration,
            max_pool_connections=max_pool_connections,
            extra_headers=extra_headers,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
        )
        self._wanted_cluster = cluster
        self._key_route_affinity = key_route_affinity
        self._cluster: Cluster | None = None
        self._options: RequestOptions | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self._cluster!r}>"

    @property
    def cluster(self) -> Cluster:
        """The cluster of this connection."""
        cluster = self._cluster
        if cluster is None or (cluster.closed and not isinstance(self._wanted_cluster, Cluster)):
            cluster = find_cluster(self._wanted_cluster, self.host, self._who())
            self._options = self._make_options()
            for meta_table in self._tables.values():
                self._register(cluster, meta_table)
            if self._max_pool_connections != default_settings_dict["max_pool_connections"]:
                cluster.allow_pool_connections(self._max_pool_connections)
            self._cluster = cluster
        return cluster

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

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Make the request with the settings of this connection."""
        if self._options is None:
            _ = self.cluster
        options = self._options
        if options is None:
            return super().dispatch(operation_name, operation_kwargs)
        token = model_options.set(options)
        try:
            return super().dispatch(operation_name, operation_kwargs)
        finally:
            model_options.reset(token)

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
