"""The health of clusters for a load balancer, which asks a web application: a status and a small JSON.

It uses what this process knows about the nodes, and sends no request. Only if nothing is known yet, it waits for the
first node list, as a first request does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .. import registry
from ..cluster import Cluster
from ..topology.health import State
from ..topology.node_info import NodeInfo
from ._watch import count_states

__all__ = ["HEADERS", "Health", "Look", "health_of", "look_at", "looks_at", "would_wait"]

HEADERS = {"Cache-Control": "no-store"}
"""The headers of the answer."""

_OK, _DEGRADED, _UNAVAILABLE = "ok", "degraded", "unavailable"
_WORST_LAST = (_OK, _DEGRADED, _UNAVAILABLE)


class Health(NamedTuple):
    """`status`: 200, or 503 if a cluster cannot be used. `body`: for JSON. It names no node: anybody may read it."""

    status: int
    body: dict[str, Any]


class Look(NamedTuple):
    """What is known of one cluster. `was_read`: whether the node list was ever read. `failed_readings`: in a row, since
    the last one that succeeded."""

    nodes: Sequence[NodeInfo]
    was_read: bool
    failed_readings: int


def health_of(looks: Mapping[str, Look]) -> Health:
    """The health of clusters, by their aliases.

    A cluster is ``unavailable`` if no node can take requests: each node of the routing scope in use is down, or the
    node list was never read and no node has answered. It is ``degraded`` if any node is not active, in the scope or
    outside of it, or if the node list cannot be read now; else it is ``ok``. The status of all clusters is the worst
    one.
    """
    clusters = {
        alias: {
            "status": _status_of(look),
            "nodes": count_states({node.address: node.condition for node in look.nodes}),
        }
        for alias, look in looks.items()
    }
    worst = max((_WORST_LAST.index(str(cluster["status"])) for cluster in clusters.values()), default=0)
    status = _WORST_LAST[worst]
    return Health(503 if status == _UNAVAILABLE else 200, {"status": status, "clusters": clusters})


def _status_of(look: Look) -> str:
    usable = [node for node in look.nodes if node.in_scope and node.state is not State.DOWN]
    has_answered = look.was_read or any(node.state is State.ACTIVE for node in usable)
    if not usable or not has_answered:
        return _UNAVAILABLE
    if look.failed_readings or any(node.condition != State.ACTIVE.value for node in look.nodes):
        return _DEGRADED
    return _OK


def look_at(cluster: Cluster) -> Look:
    """What is known of a cluster. Waits only if a request would wait for nodes, too."""
    core = cluster.core
    core.prepare(time.monotonic(), None)
    membership = core.membership
    return Look(membership.nodes(), membership.last_success is not None, membership.failed_readings)


def looks_at(aliases: Iterable[str]) -> dict[str, Look]:
    """The `Look` of the cluster of each alias. Raises `ConfigurationError` for an alias without a cluster."""
    return {alias: look_at(registry.get_cluster(alias)) for alias in aliases}


def would_wait(aliases: Iterable[str]) -> bool:
    """Whether `looks_at` would wait now. An event loop must not call it then."""
    now = time.monotonic()
    return any(registry.get_cluster(alias).core.prepare_would_wait(now) for alias in aliases)
