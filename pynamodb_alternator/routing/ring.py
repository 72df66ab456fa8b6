"""The order of the nodes over which partition keys are spread.

Two clients pick the same coordinator for a key only if they have the same nodes in the same order. The canonical order,
which ScyllaDB specifies for its drivers, is the order of the endpoints (`topology.view.ring_order`; vectors:
``endpoint-order.tsv``). Some drivers use another order, so a user can choose among several (vectors of the drivers' own
plans: ``mixed-fleet.tsv``). Which driver needs which order is in ``docs/routing.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ..settings.values import RingOrder
from ..topology.node import Node, canonical_endpoint
from ..topology.view import Topology

__all__ = ["AffinityRing", "canonical_order"]


def _host(node: Node) -> tuple[bytes, int]:
    return node.host.encode("utf-8", "surrogatepass"), node.port


def _endpoint_with_port(node: Node) -> bytes:
    return f"{node.scheme.lower()}://{node.address}".encode()


_SORTED_BY: Final[Mapping[RingOrder, Callable[[Node], tuple[bytes, int] | bytes] | None]] = {
    "endpoint": None,  # the topology has them in this order
    "host": _host,
    "endpoint_with_port": _endpoint_with_port,
}


class AffinityRing:
    """Returns a topology's affinity ring in the configured order.

    `order`: ``"endpoint"`` is the canonical one. ``"host"`` is the order of alternator-client 2.0.2, which sorts the
    bare hosts as ``/localnodes`` lists them: ``10.0.0.1`` comes before ``10.0.0.10`` at any port, while in the
    canonical order ``http://10.0.0.10:8000`` comes before ``http://10.0.0.1:8000``. ``"endpoint_with_port"`` is the
    order of drivers that write the port of an endpoint even if it is the scheme's default, as in
    ``http://10.0.0.1:80``; with other ports it is the canonical order.
    """

    __slots__ = ("_last", "_sorted_by")

    def __init__(self, order: RingOrder = "endpoint") -> None:
        self._sorted_by = _SORTED_BY[order]
        self._last: tuple[tuple[Node, ...], tuple[Node, ...]] = ((), ())

    def __call__(self, topology: Topology) -> tuple[Node, ...]:
        ring = topology.affinity_ring
        if self._sorted_by is None:
            return ring
        # Topologies are immutable and live for a long time, so the last one is sorted only once. The tuple is read and
        # written as a whole: two threads may sort twice, but no thread sees parts of two topologies.
        known, ordered = self._last
        if known is not ring:
            ordered = tuple(sorted(ring, key=self._sorted_by))
            self._last = (ring, ordered)
        return ordered


def canonical_order(endpoints: Iterable[str]) -> dict[str, str]:
    """The canonical endpoints in ring order, each with its first spelling in `endpoints`.

    Raises ValueError for text that is not a URL.
    """
    first_spelling: dict[str, str] = {}
    for endpoint in endpoints:
        first_spelling.setdefault(canonical_endpoint(endpoint), endpoint)
    return dict(sorted(first_spelling.items(), key=lambda item: item[0].encode()))
