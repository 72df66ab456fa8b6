"""What diagnostics give: values for people and programs to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..settings.mapping import FrozenMapping
from ..settings.values import KeyRouteAffinity, RingOrder
from ..topology.health import State

__all__ = ["Finding", "KeyRoute", "NodeStats", "Severity"]

Severity = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor looked at.

    `id`: what was looked at, a word that stays the same between versions. `severity`: ``"error"`` where requests
    fail or do not do what the configuration says, ``"warning"`` where they work and something is not as it should be.
    `subject`: the node, table, scope or setting that it is about. `remedy`: what to do; empty where nothing is to do.
    """

    id: str
    severity: Severity
    subject: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class KeyRoute:
    """Where the requests of one partition key go.

    `affinity`: the mode that holds for the table. `hash`: the key's hash, None if it has none. `nodes`: the addresses
    in the order in which a write with affinity tries them now. `ring`: the addresses over which keys are spread, in the
    order used. `reason`: why writes of this key have no affinity, as a word of `routing.reasons`; None if they have.
    `explanation`: the same for people. `ring_scope`: of what the ring has the nodes, such as ``"datacenter dc1"``.
    `ring_order`: by what they are sorted; see `ClusterConfig.affinity_ring_order`.

    `index`: the index whose partition key it is; None for the table's. An index is only read, so its keys have no
    affinity and no writes. `token`: the key's token, None if its value has none. `replicas`: the addresses of the nodes
    in the scope in use that hold the key. `all_replicas`: with those out of the scope. `token_ring_age`: seconds since
    the ring was read that says so; None if it is not known. `replicas_reason`: why requests do not go to the replicas
    first, as a word of `routing.reasons`; None if they do. `replicas_explanation`: the same for people.
    `reads`: the addresses in the order in which the next read tries them; reads take turns. `plain_writes`: the same of
    a plain write, which has no affinity and is not a lightweight transaction; empty where the table has none.
    `subset`: the addresses of the nodes that this process uses for both; empty if it uses all nodes of the scope.
    """

    table: str
    partition_key: str | None
    key: Mapping[str, Any]
    affinity: KeyRouteAffinity
    hash: int | None
    nodes: tuple[str, ...]
    ring: tuple[str, ...]
    reason: str | None
    explanation: str
    ring_scope: str = "cluster"
    ring_order: RingOrder = "endpoint"
    index: str | None = None
    token: int | None = None
    replicas: tuple[str, ...] = ()
    all_replicas: tuple[str, ...] = ()
    token_ring_age: float | None = None
    replicas_reason: str | None = None
    replicas_explanation: str = ""
    reads: tuple[str, ...] = ()
    plain_writes: tuple[str, ...] = ()
    subset: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeStats:
    """What this process has had to do with one node since it knows it.

    `requests`: attempts that were sent there, answered or not. `failures`: those without an answer.
    `connections_opened`: since the start. `connections_open`, `connections_in_use`: now. `set_aside_for`: for how many
    seconds more it goes last, because its answers failed; None if it is not set aside. `latencies`: where
    ``load_balancing="least_busy"`` measures them, the average of the last answers to each operation, in seconds.
    """

    address: str
    state: State
    requests: int
    failures: int
    connections_opened: int
    connections_open: int
    connections_in_use: int
    set_aside_for: float | None = None
    latencies: Mapping[str, float] = field(default_factory=lambda: FrozenMapping({}), hash=False)
