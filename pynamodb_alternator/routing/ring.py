"""The order of the nodes over which partition keys are spread.

All drivers must have the same nodes in the same order, or they pick different coordinators for a key. The canonical
order is that of the endpoints (`topology.view.ring_order`); vectors: ``endpoint-order.tsv``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ..topology.node import Node, canonical_endpoint
from ..topology.view import Topology

__all__ = ["AffinityRing", "canonical_order"]


class AffinityRing:
    """Gives a topology's affinity ring in the configured order.

    `order`: ``"endpoint"`` is the canonical one. ``"host"`` is that of alternator-client 2.0.2, which sorts the bare
    hosts as ``/localnodes`` lists them: there ``10.0.0.1`` stands before ``10.0.0.10`` at whatever port, where
    canonically ``http://10.0.0.10:8000`` stands before ``http://10.0.0.1:8000``.
    """

    __slots__ = ("_by_endpoint", "_last")

    def __init__(self, order: Literal["endpoint", "host"] = "endpoint") -> None:
        self._by_endpoint = order == "endpoint"
        self._last: tuple[tuple[Node, ...], tuple[Node, ...]] = ((), ())

    def __call__(self, topology: Topology) -> tuple[Node, ...]:
        ring = topology.affinity_ring
        if self._by_endpoint:
            return ring
        # Topologies are immutable and live for long, so the last one is sorted once. One tuple is read and written
        # as a whole: threads may sort twice, but never see halves of two topologies.
        known, ordered = self._last
        if known is not ring:
            ordered = tuple(sorted(ring, key=lambda node: (node.host.encode("utf-8", "surrogatepass"), node.port)))
            self._last = (ring, ordered)
        return ordered


def canonical_order(endpoints: Iterable[str]) -> dict[str, str]:
    """Canonical endpoint to the first given spelling of it, in ring order.

    Raises ValueError for text that is not a URL.
    """
    first_spelling: dict[str, str] = {}
    for endpoint in endpoints:
        first_spelling.setdefault(canonical_endpoint(endpoint), endpoint)
    return dict(sorted(first_spelling.items(), key=lambda item: item[0].encode()))
