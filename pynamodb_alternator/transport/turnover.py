"""When a connection of a pool makes room for a new one, and how many idle ones a pool can do without: pure rules.

Each connection belongs to one core of its node (a *shard*), which does the work of its requests. The server gives a new
connection to the core with the fewest connections. So a pool uses its connections in turn, and each of them for a
limited time. Then the requests of a process are spread over as many cores as it has connections, and those of a fleet
stay spread after nodes have restarted and clients have come and gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import NamedTuple, Self

__all__ = ["NEVER", "Renewal", "Spares"]

_JITTER = 0.1
"""The part of the age by which a lifetime varies at most, so that connections opened together do not end together."""
_EARLIEST = 0.1
"""The part of the age for which the first connections live at least. All clients of a fleet may open their connections
within a second. Ten minutes later they would renew all of them within two minutes, at five times the usual rate."""
_AFTER_FAILURE = 0.1
"""The part of the age after which a renewal is tried again, if no new connection could be opened."""


class Renewal(NamedTuple):
    """At which age a connection makes room for a new one.

    `age`: seconds since it was connected; infinite for never. `uniform`: gives a random number between two others.
    """

    age: float
    uniform: Callable[[float, float], float]

    @classmethod
    def of(cls, seconds: float | None, random: Random) -> Self:
        """Renewal at this age, or never for None."""
        return cls(seconds or math.inf, random.uniform)

    def at(self, now: float, *, takes_place: bool) -> float:
        """When a connection that is connected now is renewed. `takes_place`: whether it has replaced another one."""
        if self.age == math.inf:
            return math.inf
        if takes_place:
            return now + self.age * self.uniform(1.0 - _JITTER, 1.0 + _JITTER)
        return now + self.age * self.uniform(_EARLIEST, 1.0)

    def after_failure(self, now: float) -> float:
        """When to try again, after the new connection could not be opened."""
        return now + self.age * _AFTER_FAILURE


NEVER = Renewal(math.inf, lambda low, high: low)


class Spares:
    """How many idle connections a pool can do without: the smallest number that was idle at any recent moment.

    Where connections are used in turn, none is idle for long, even if few are needed. But if so many were idle at every
    moment, they were never needed: the others were enough for the most requests at once. psycopg's pool shrinks in the
    same way.

    `fewest`: the smallest number of idle connections since the last look. Threads update it without a lock whenever
    they take a connection. If an update is lost, a connection may be closed too early and opened again.
    """

    __slots__ = ("_before", "fewest")

    def __init__(self) -> None:
        self.fewest: int = 0
        self._before = 0

    def seen(self, idle: int) -> None:
        """A connection was taken, and now so many are idle."""
        if idle < self.fewest:
            self.fewest = idle

    def next(self, idle: int) -> int:
        """How many connections to close now. `idle`: the number that is idle now.

        A connection is kept if it was needed in one of the last two periods between looks.
        """
        fewest = self.fewest
        surplus = min(self._before, fewest, idle)
        self._before, self.fewest = fewest - surplus, idle - surplus
        return surplus
