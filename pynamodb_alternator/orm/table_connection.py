"""PynamoDB's connection to one table, on a cluster, for code that uses connections without models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pynamodb.connection import table as _table
from pynamodb.connection.base import MetaTable

from ..cluster import Cluster
from ..settings.config import ClusterConfig
from ..settings.values import CanonicalNumbers, Hedge, KeyRouteAffinity
from .connection import AlternatorConnection

__all__ = ["TableConnection"]


class TableConnection(_table.TableConnection):
    """PynamoDB's `TableConnection` on a cluster: ``TableConnection("users", cluster="http://10.0.0.1:8000")``.

    It has the arguments of PynamoDB's class, in the same order, and the other arguments of `AlternatorConnection` by
    name. Its `connection` is an `AlternatorConnection`. As in PynamoDB, requests with keys need the table's schema
    (`meta_table`, or a call of `describe_table`). Without it they raise `TableError`.
    """

    connection: AlternatorConnection

    def __init__(
        self,
        table_name: str,
        region: str | None = None,
        host: str | None = None,
        connect_timeout_seconds: float | None = None,
        read_timeout_seconds: float | None = None,
        max_retry_attempts: int | None = None,
        max_pool_connections: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        *,
        meta_table: MetaTable | None = None,
        retry_configuration: Any = None,
        cluster: str | Cluster | ClusterConfig | None = None,
        key_route_affinity: KeyRouteAffinity | str | None = None,
        write_isolation: str | None = None,
        silent_writes: Literal["raise", "wait", "repeat"] | None = None,
        token_aware: Literal["auto"] | bool | None = None,
        hedge: Hedge | Mapping[str, Any] | Literal[False] | None = None,
        canonical_numbers: CanonicalNumbers | None = None,
    ) -> None:
        # The constructor of the base class is not called: it would make a connection of PynamoDB.
        self.table_name = table_name
        self.connection = AlternatorConnection(
            region=region,
            host=host,
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=read_timeout_seconds,
            max_retry_attempts=max_retry_attempts,
            retry_configuration=retry_configuration,
            max_pool_connections=max_pool_connections,
            extra_headers=extra_headers,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            cluster=cluster,
            key_route_affinity=key_route_affinity,
            write_isolation=write_isolation,
            silent_writes=silent_writes,
            token_aware=token_aware,
            hedge=hedge,
            canonical_numbers=canonical_numbers,
        )
        if meta_table is not None:
            self.connection.add_meta_table(meta_table)
