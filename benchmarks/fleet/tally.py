"""What the nodes of a simulated cluster see: counts for each node and tenth of a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = [
    "BYTES",
    "FAILED",
    "HANDSHAKES",
    "KINDS",
    "OWN_HANDSHAKES",
    "PROBES",
    "READINGS",
    "REQUESTS",
    "RING_BYTES",
    "SLOTS",
    "Tally",
]

READINGS, PROBES, HANDSHAKES, OWN_HANDSHAKES, REQUESTS, FAILED, BYTES, RING_BYTES = KINDS = (
    "list readings",
    "probes",
    "handshakes for requests",
    "handshakes for readings and probes",
    "requests",
    "requests that failed",
    "bytes of node lists",
    "bytes of token rings",
)
SLOTS = 10
"""So many parts of each second are counted separately."""


class Tally:
    """Counts by kind, slot of time and node. `nodes`, `seconds`: how many. `weight`: how many clients of the fleet each
    simulated client stands for."""

    def __init__(self, nodes: int, seconds: int, weight: float) -> None:
        self.nodes = nodes
        self.seconds = seconds
        self.weight = weight
        self._counts = {kind: [[0] * nodes for _ in range(SLOTS * seconds + 1)] for kind in KINDS}

    def add(self, kind: str, node: int, now: float, count: int = 1) -> None:
        """Count an event. `now`: seconds since the start."""
        self._counts[kind][int(now * SLOTS)][node] += count

    def per_slot(self, kind: str, node: int) -> list[float]:
        """The counts of one node in each tenth of a second."""
        return [row[node] * self.weight for row in self._counts[kind][:-1]]

    def of_node(self, kind: str, node: int) -> list[float]:
        """The counts of one node in each second."""
        return self._by_second(kind, lambda row: row[node])

    def mean(self, kind: str, nodes: Sequence[int] | None = None) -> list[float]:
        """The mean count of these nodes, or of all nodes, in each second."""
        picked = range(self.nodes) if nodes is None else nodes
        return self._by_second(kind, lambda row: sum(row[node] for node in picked) / len(picked))

    def sum(self, kind: str, nodes: Sequence[int] | None = None) -> list[float]:
        """The sum of the counts of these nodes, or of all nodes, in each second."""
        return self._by_second(kind, lambda row: sum(row) if nodes is None else sum(row[node] for node in nodes))

    def busiest(self, kind: str) -> list[float]:
        """The counts of the busiest node in each second."""
        return self._by_second(kind, max)

    def _by_second(self, kind: str, of_nodes: Callable[[list[int]], float]) -> list[float]:
        rows = self._counts[kind]
        return [
            of_nodes([sum(slots) for slots in zip(*rows[begin : begin + SLOTS], strict=True)]) * self.weight
            for begin in range(0, SLOTS * self.seconds, SLOTS)
        ]
