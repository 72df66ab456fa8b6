"""The results of diagnostics, as values for people and programs."""

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
    """One result of a check of the doctor.

    `id`: the check, a word that stays the same between versions. `severity`: ``"error"`` if requests fail or do not do
    what the configuration says, ``"warning"`` if they work but something is wrong, ``"ok"`` otherwise. `subject`: the
    node, table, scope or setting that was checked. `remedy`: what to do; empty if nothing must be done.
    """

    id: str
    severity: Severity
    subject: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class KeyRoute:
    """Where the requests of one partition key go.

    `affinity`: the mode that is used for the table. `hash`: the key's hash; None if it has none. `nodes`: the addresses
    in the order in which a write with affinity tries them now. `ring`: the addresses over which keys are spread, in the
    configured order. `reason`: why writes of this key have no affinity, as a word of `routing.reasons`; None if they
    have. `explanation`: the same as a sentence. `ring_scope`: the part of the cluster whose nodes are in the ring, such
    as ``"datacenter dc1"``. `ring_order`: how they are sorted; see `ClusterConfig.affinity_ring_order`.

    `index`: the index to which the partition key belongs; None for the table. An index is only read, so its keys have
    no affinity and no writes. `token`: the key's token; None if its value has none. `replicas`: the addresses of the
    nodes in the scope in use that hold the key. `all_replicas`: the same with nodes outside of the scope.
    `token_ring_age`: seconds since the token ring was read; None if it is not known. `replicas_reason`: why requests do
    not go to the replicas first, as a word of `routing.reasons`; None if they do. `replicas_explanation`: the same as a
    sentence.
    `reads`: the addresses in the order in which the next read tries them; reads take turns. `plain_writes`: the
    addresses in the order in which a plain write tries them; empty if the table has no plain writes.
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
    """The counters of this process for one node, since the node is known.

    `requests`: attempts that were sent there, answered or not. `failures`: those without an answer.
    `connections_opened`: since the start. `connections_open`, `connections_in_use`: now. `set_aside_for`: for how many
    more seconds it is set aside; None if it is not. `latencies`: with ``load_balancing="least_busy"``, the average
    latency of the last answers to each operation, in seconds; else empty.
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
