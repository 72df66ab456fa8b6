"""When a connection of a pool makes room for a new one, and how many idle ones a pool can do without: pure rules.

Each connection belongs to one core of its node (a *shard*), which does the work of its requests. The server gives a new
connection to the core that has the fewest. So a pool uses its connections in turn, and each of them for a limited time:
then the requests of a process are spread over as many cores as it has connections, and those of a fleet stay spread
when nodes were restarted and clients have come and gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import NamedTuple, Self

__all__ = ["NEVER", "Renewal", "Spares"]

_JITTER = 0.1
"""Connections that were opened together do not end together: each lives for up to so much more or less of the age."""
_EARLIEST = 0.1
"""The part of the age that the first connections live for at least. All clients of a fleet may open theirs within a
second, and they would renew all of them within two minutes, ten minutes later, at five times the usual rate."""
_AFTER_FAILURE = 0.1
"""The part of the age after which it is tried again, where no other connection could be opened."""


class Renewal(NamedTuple):
    """At which age a connection makes room for a new one.

    `age`: seconds since it was connected; infinite for never. `uniform`: gives a random number between two others.
    """

    age: float
    uniform: Callable[[float, float], float]

    @classmethod
    def of(cls, seconds: float | None, random: Random) -> Self:
        """At this age, or never for None."""
        return cls(seconds or math.inf, random.uniform)

    def at(self, now: float, *, takes_place: bool) -> float:
        """When a connection that is connected now is renewed. `takes_place`: whether it took the place of another."""
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
    """How many idle connections a pool can do without: the fewest that lay idle at any moment lately.

    Where connections are used in turn, none lies idle for long, however few are needed. But connections that were
    always idle were never needed: the others were enough for the most requests at once. psycopg's pool shrinks in the
    same way.

    `fewest`: idle connections since the last look, at any moment. It is told after each taking, by threads without a
    lock: a number that is lost costs a connection that is opened again.
    """

    __slots__ = ("_before", "fewest")

    def __init__(self) -> None:
        self.fewest: int = 0
        self._before = 0

    def seen(self, idle: int) -> None:
        """So many lie idle now that one was taken."""
        if idle < self.fewest:
            self.fewest = idle

    def next(self, idle: int) -> int:
        """How many are to be closed now, by the time between the last two looks and this one; `idle`: lie idle now.

        A connection is kept that was needed in either of the two times.
        """
        fewest = self.fewest
        surplus = min(self._before, fewest, idle)
        self._before, self.fewest = fewest - surplus, idle - surplus
        return surplus
