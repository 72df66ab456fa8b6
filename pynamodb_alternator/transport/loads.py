"""How busy each node is, for ``load_balancing="least_busy"``: requests in flight, and moving averages of latencies.

Each cluster with this setting has one `Loads`, which its threads and event loops share. `routing.load` has the rules
that use these figures.

**In flight** are the connections in use, and those that are being connected. They are counted as in `live`.

**An average** belongs to one operation at one node. It covers about the last second, and at most a hundred answers. It
is the time of exchanges, from the request's first byte to the answer's last byte. Waiting for a connection, connecting,
signing and parsing are not included, because they do not depend on the node. An exchange that was broken off (a
timeout, a task that was cancelled) would have taken longer, so it counts only if its time is more than the average.

**Failures**, and the answers of an overloaded or sick node, are not in the averages. They are stored as the part of the
last attempts that failed, and are converted into seconds only when nodes are compared. So a time in which all nodes
fail does not change the averages.

There is no lock, because it would slow down each request. An average is one tuple, which is replaced as a whole. If two
threads replace it at the same time, one answer is lost, which hardly changes the average.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TypeAlias

from ..routing.load import FAILURE, FORGOTTEN_AFTER, NOISE, slowness, with_failures
from ..topology.node import Node

__all__ = ["Loads"]

_WINDOW = 1.0
"""Seconds after which the weight of an answer is divided by e."""
_MOST_WEIGHT = 100.0
"""The largest weight of an average, in ends of attempts. It is limited so that a few slow answers change it soon."""
_LEAST = 1e-6
"""Seconds. An answer counts as at least so long, because a coarse clock may show 0."""
_FIRST_FAILURE = 1.0
"""Seconds that `latencies` shows for a failure if no node has answered."""


_Average: TypeAlias = tuple[float, float, float, float, float]
"""The average seconds of the answers, 0 if there was none; the weight of the average, in ends of attempts, at the time
of the last end; this time; the part of the ends that were failures; the time of the last failure."""
_NOTHING: _Average = (0.0, 0.0, -math.inf, 0.0, -math.inf)


class Loads:
    """The figures of one cluster's nodes: a `routing.load.Load`.

    `in_flight`: how many requests of this process are under way at a node. `clock`: the monotonic clock.
    """

    def __init__(self, in_flight: Callable[[Node], int], clock: Callable[[], float]) -> None:
        self._in_flight = in_flight
        self.clock = clock
        self._averages: dict[str, dict[str, _Average]] = {}  # operation → node address → average

    # ---- what is read ------------------------------------------------------------------------------------------

    def is_less_busy(self, first: Node, second: Node, operation: str) -> bool:
        """See `Load`. It is called for each request that any node may serve."""
        mine, others = self._in_flight(first), self._in_flight(second)
        averages = self._averages.get(operation)
        if averages is not None:
            average, other = averages.get(first.address), averages.get(second.address)
            if average is not None and other is not None:
                if average[3] or other[3]:
                    return self._is_less_busy_of_failing(average, other, mine, others, len(averages))
                if average[0] >= other[0] * NOISE:
                    return (mine + 1) * _slowness(average, other, mine, self.clock(), len(averages)) < others + 1
                if other[0] >= average[0] * NOISE:
                    return mine + 1 < (others + 1) * _slowness(other, average, others, self.clock(), len(averages))
        return mine < others

    def _is_less_busy_of_failing(self, average: _Average, other: _Average, mine: int, others: int, nodes: int) -> bool:
        now = self.clock()
        weight = _slowness(average, other, mine, now, nodes)
        weight = with_failures(weight, average[3], now - average[4], mine)
        others_weight = _slowness(other, average, others, now, nodes)
        others_weight = with_failures(others_weight, other[3], now - other[4], others)
        if weight < others_weight * NOISE and others_weight < weight * NOISE:
            return mine < others
        return (mine + 1) * weight < (others + 1) * others_weight

    def latencies(self) -> dict[str, dict[str, float]]:
        """The averages that are not forgotten: node address → operation → seconds. A failure counts as `FAILURE` times
        the answer of the fastest node."""
        now = self.clock()
        seconds: dict[str, dict[str, float]] = {}
        for operation, averages in list(self._averages.items()):
            fastest = self._fastest(operation, now)
            failure = _FIRST_FAILURE if fastest is None else fastest * FAILURE
            for address, (mean, _, at, part, failed_at) in list(averages.items()):
                if now - at < FORGOTTEN_AFTER:
                    part = part if now - failed_at < FORGOTTEN_AFTER else 0.0
                    seconds.setdefault(address, {})[operation] = mean + (max(mean, failure) - mean) * part
        return seconds

    # ---- what is told ------------------------------------------------------------------------------------------

    def ended(self, node: Node, operation: str, began: float, status: int | None) -> None:
        """An exchange has ended. `began`: a time of `clock`. `status`: of its answer; None if it was broken off."""
        now = self.clock()
        seconds = now - began
        if status is None:
            if seconds > self._known(node, operation, now):
                self._add(node, operation, seconds, now)
        elif status < 500:
            self._add(node, operation, seconds, now)

    def failed(self, node: Node, operation: str) -> None:
        """An attempt has failed."""
        self._add(node, operation, None, self.clock())

    def _add(self, node: Node, operation: str, seconds: float | None, now: float) -> None:
        """Add the end of an attempt. `seconds`: None for a failure."""
        averages = self._averages.get(operation)
        if averages is None:
            averages = self._averages.setdefault(operation, {})
        mean, weight, at, part, failed_at = averages.get(node.address, _NOTHING)
        passed = now - at
        weight = 0.0 if passed >= FORGOTTEN_AFTER else weight * math.exp(-passed / _WINDOW)
        weight = weight + 1.0 if weight + 1.0 < _MOST_WEIGHT else _MOST_WEIGHT
        if seconds is None:
            averages[node.address] = (mean, weight, now, part + (1.0 - part) / weight, now)
            return
        if part:
            part = 0.0 if now - failed_at >= FORGOTTEN_AFTER else part - part / weight
        # The weight of the answers is the weight without the failures. It is at least 1, because of this answer.
        mean += (max(seconds, _LEAST) - mean) / (weight * (1.0 - part))
        averages[node.address] = (mean, weight, now, part, failed_at)

    def _known(self, node: Node, operation: str, now: float) -> float:
        """The average seconds of an answer to the operation: of this node, else of the fastest node; infinite if
        unknown."""
        average = self._averages.get(operation, {}).get(node.address)
        if average is not None and average[0] and now - average[2] < FORGOTTEN_AFTER:
            return average[0]
        fastest = self._fastest(operation, now)
        return math.inf if fastest is None else fastest

    def _fastest(self, operation: str, now: float) -> float | None:
        averages = list(self._averages.get(operation, {}).values())
        return min(
            (average[0] for average in averages if average[0] and now - average[2] < FORGOTTEN_AFTER), default=None
        )

    # ---- what the cluster tells --------------------------------------------------------------------------------

    def keep_only(self, nodes: Collection[Node]) -> None:
        """Forget all nodes except these."""
        present = {node.address for node in nodes}
        for averages in list(self._averages.values()):
            for address in [address for address in list(averages) if address not in present]:
                averages.pop(address, None)

    def after_fork(self) -> None:
        """In a forked child: forget the parent's averages."""
        self._averages.clear()


def _slowness(average: _Average, other: _Average, in_flight: int, now: float, nodes: int) -> float:
    """By which factor a node counts as slower than the other one, by its answers. `in_flight`: requests under way at
    this node. `nodes`: how many nodes have answered the operation."""
    if not average[0] > other[0] > 0.0:
        return 1.0
    age = now - min(average[2], other[2])
    # With n answers per second, evenly spread, the weight of an average is about n + 1/2.
    of_the_other = (other[1] - 0.5) * age
    return slowness(average[0] / other[0], age, in_flight, of_the_other * (nodes - 1) / nodes)
