"""Counters of each node. They are read without sending or waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..settings.mapping import FrozenMapping
from .values import NodeStats

if TYPE_CHECKING:
    from .inside import Inside

__all__ = ["stats"]


def stats(inside: Inside) -> dict[str, NodeStats]:
    """See `Cluster.stats`."""
    pools, counts = inside.pool_stats(), inside.counts
    latencies = {} if inside.loads is None else inside.loads.latencies()
    counters = {}
    for node in inside.membership.nodes():
        pool, count = pools.get(node.address), counts.get(node.address)
        answers, failures = (0, 0) if count is None else (count.answers, count.failures)
        opened, now_open, in_use = (0, 0, 0) if pool is None else pool[:3]
        counters[node.address] = NodeStats(
            node.address,
            node.state,
            answers + failures,
            failures,
            opened,
            now_open,
            in_use,
            node.set_aside_for,
            FrozenMapping(latencies.get(node.address, {})),
        )
    return counters
