"""The settings of a `ClusterConfig` by name, for type checkers: the arguments of `replace`, `from_url` and
`from_env`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal, TypedDict

from .compression import Deflate, Gzip
from .scopes import Scope
from .tls import Tls
from .values import (
    CanonicalNumbers,
    CredentialsSource,
    Discovery,
    Health,
    Hedge,
    KeyRouteAffinity,
    LoadBalancing,
    Retries,
    RingNodes,
    RingOrder,
    Timeouts,
)

__all__ = ["Changes", "TextChanges"]


class Changes(TypedDict, total=False):
    """Each setting of `ClusterConfig`, with its type. Groups of settings may be given as mappings, and key route
    affinity as a word."""

    seeds: Iterable[str] | str
    port: int | None
    scheme: Literal["http", "https"]
    name: str
    routing_scope: Scope
    load_balancing: LoadBalancing
    slow_start: float
    subset: int | None
    process_number: int | None
    key_route_affinity: KeyRouteAffinity | Literal["auto", "none", "rmw", "any_write"]
    rmw_rule: Literal["server", "driver"]
    force_read_before_write: bool
    partition_keys: Mapping[str, str]
    affinity_ring: RingNodes
    affinity_ring_order: RingOrder
    token_aware: Literal["auto"] | bool
    token_aware_after: int
    canonical_numbers: CanonicalNumbers
    credentials: CredentialsSource | Mapping[str, Any] | None
    region: str
    tls: Tls | Mapping[str, Any] | None
    request_compression: Gzip | Deflate | None
    response_compression: bool | Sequence[str]
    user_agent: str | bool | Callable[[str], str] | None
    timeouts: Timeouts | Mapping[str, Any]
    retries: Retries | Mapping[str, Any]
    hedge: Hedge | Mapping[str, Any] | None
    retry_ambiguous_writes: bool
    discovery: Discovery | Mapping[str, Any]
    health: Health | Mapping[str, Any]
    allowed_networks: Sequence[IPv4Network | IPv6Network | str]
    address_translator: Callable[[str], str | None] | None
    monitor: bool | None
    sync_in_loop: Literal["allow", "warn", "error"]
    max_pool_connections: int
    max_connection_idle: float
    max_connection_age: float | None
    max_answer: int
    extra_headers: Mapping[str, str]


class TextChanges(Changes, total=False):
    """`Changes`, and the names that stand for a routing scope in text."""

    datacenter: str
    rack: str
