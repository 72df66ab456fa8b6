"""How busy each node is, as ``load_balancing="least_busy"`` compares it: requests in flight, and moving averages.

There is one for each cluster, which its threads and event loops share, and none where another word holds. What is made
of the figures is said in `routing.load`.

**In flight** are the connections that are in use, those that are being connected too: counted by looking, as in `live`.

**An average** is that of one operation at one node, over the last second or so, and over a hundred answers at most. It
is the time of exchanges, from the request's first byte to the answer's last one: waiting for a connection, connecting,
signing and parsing say nothing of the node's answers. Of an exchange that was broken off (a timeout, a task that was
cancelled) is known that it takes longer than it took; so it counts if that is more than the average.

**A failure**, and an answer that is one of an overloaded or sick node, counts as an answer that took a hundred times
as long as those of the fastest node.

There is no lock: a request must not pay for one. An average is one tuple, that is replaced as a whole. Where two
threads replace one at once, an answer is lost, and an average is none the worse for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TypeAlias

from ..routing.load import FORGOTTEN_AFTER, NOISE, slowness
from ..topology.node import Node

__all__ = ["Loads"]

_WINDOW = 1.0
"""Seconds after which an answer weighs e times less."""
_MOST_WEIGHT = 100.0
"""Answers that an average has the weight of, at most, so that a few slow ones are soon seen."""
_FAILURE = 100.0
"""How many times longer than an answer of the fastest node a failure counts as."""
_LEAST = 1e-6
"""Seconds; no answer is faster, whatever a coarse clock says."""
_FIRST_FAILURE = 1.0
"""Seconds that a failure counts as where no node has answered."""


_Average: TypeAlias = tuple[float, float, float]
"""Seconds; of how many answers they have the weight, at the moment of the last one; this moment."""


class Loads:
    """The figures of one cluster's nodes: a `routing.load.Load`.

    `in_flight`: how many requests of this process are under way at a node. `clock`: that of all deadlines.
    """

    def __init__(self, in_flight: Callable[[Node], int], clock: Callable[[], float]) -> None:
        self._in_flight = in_flight
        self.clock = clock
        self._averages: dict[str, dict[str, _Average]] = {}  # operation → node address → average

    # ---- what is read ------------------------------------------------------------------------------------------

    def is_less_busy(self, first: Node, second: Node, operation: str) -> bool:
        """See `Load`. Each request that may take any node passes here."""
        mine, others = self._in_flight(first), self._in_flight(second)
        averages = self._averages.get(operation)
        if averages is not None:
            average, other = averages.get(first.address), averages.get(second.address)
            if average is not None and other is not None:
                if average[0] >= other[0] * NOISE:
                    return (mine + 1) * self._slowness(average, other, mine) < others + 1
                if other[0] >= average[0] * NOISE:
                    return mine + 1 < (others + 1) * self._slowness(other, average, others)
        return mine < others

    def _slowness(self, slow: _Average, fast: _Average, in_flight: int) -> float:
        age = self.clock() - min(slow[2], fast[2])
        return slowness(slow[0] / max(fast[0], _LEAST), age, in_flight)

    def latencies(self) -> dict[str, dict[str, float]]:
        """The averages that are not forgotten: node address → operation → seconds."""
        since = self.clock() - FORGOTTEN_AFTER
        seconds: dict[str, dict[str, float]] = {}
        for operation, averages in list(self._averages.items()):
            for address, (mean, _, at) in list(averages.items()):
                if at > since:
                    seconds.setdefault(address, {})[operation] = mean
        return seconds

    # ---- what is told ------------------------------------------------------------------------------------------

    def ended(self, node: Node, operation: str, began: float, status: int | None) -> None:
        """An exchange has ended. `began`: by `clock`. `status`: of its answer; None if it was broken off."""
        now = self.clock()
        seconds = now - began
        if status is None:
            if seconds > self._known(node, operation, now):
                self._add(node, operation, seconds, now)
        elif status < 500:
            self._add(node, operation, seconds, now)

    def failed(self, node: Node, operation: str) -> None:
        """An attempt has failed."""
        now = self.clock()
        fastest = self._fastest(operation, now)
        self._add(node, operation, _FIRST_FAILURE if fastest is None else fastest * _FAILURE, now)

    def _add(self, node: Node, operation: str, seconds: float, now: float) -> None:
        averages = self._averages.get(operation)
        if averages is None:
            averages = self._averages.setdefault(operation, {})
        average = averages.get(node.address)
        if average is None:
            averages[node.address] = (seconds, 1.0, now)
            return
        mean, weight, at = average
        passed = now - at
        weight = 0.0 if passed >= FORGOTTEN_AFTER else weight * math.exp(-passed / _WINDOW)
        weight = weight + 1.0 if weight + 1.0 < _MOST_WEIGHT else _MOST_WEIGHT
        averages[node.address] = (mean + (seconds - mean) / weight, weight, now)

    def _known(self, node: Node, operation: str, now: float) -> float:
        """Seconds that an answer to the operation takes: of this node, or of the fastest; infinite if unknown."""
        average = self._averages.get(operation, {}).get(node.address)
        if average is not None and now - average[2] < FORGOTTEN_AFTER:
            return average[0]
        fastest = self._fastest(operation, now)
        return math.inf if fastest is None else fastest

    def _fastest(self, operation: str, now: float) -> float | None:
        averages = list(self._averages.get(operation, {}).values())
        return min((mean for mean, _, at in averages if now - at < FORGOTTEN_AFTER), default=None)

    # ---- what the cluster tells --------------------------------------------------------------------------------

    def keep_only(self, nodes: Collection[Node]) -> None:
        """These nodes exist now: the others are forgotten."""
        present = {node.address for node in nodes}
        for averages in list(self._averages.values()):
            for address in [address for address in list(averages) if address not in present]:
                averages.pop(address, None)

    def after_fork(self) -> None:
        """In a forked child: it sees for itself."""
        self._averages.clear()
