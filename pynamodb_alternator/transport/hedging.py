"""The rules of hedged reads: which reads may be hedged, after how long, and how many of them.

A read that waits longer than most is sent to a second node as well, and the first answer wins. `Hedging` is what the
hedged reads of a cluster share. Nothing here waits or looks at a clock, and a request without a `Hedge` uses nothing of
this.

There is no lock. What limits hedges is counted by looking at what exists: each hedge leaves an entry in the list of its
second, and a hedge that finds too many entries takes its own away again. So two threads at once may both find the last
one taken, but never both take it; and what an exception between two steps loses is one hedge, for a minute.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from ..routing.idempotence import is_vector_search
from ..routing.partition_key import as_mapping
from ..settings.values import Hedge

__all__ = ["LEAST", "RESERVE", "HedgeBudget", "Hedging", "Latencies", "kind_of", "may_be_hedged"]

RESERVE = 100
"""Hedges a minute that are allowed even where hardly any reads are made."""
LEAST = 0.002
"""Seconds: a shorter wait would hedge reads because of a thread that had to wait for its turn."""
_WINDOW = 60
"""Seconds that the budget looks at."""
_KEPT = 1_000
"""Answers of each operation that ``"p99"`` is computed of."""
_ENOUGH = 100
"""Answers from which on ``"p99"`` means something."""
_EVERY = 20
"""Answers after which it is computed anew."""


def may_be_hedged(operation: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a request is a read whose answer may come from any replica. Never raises, whatever the parameters are.

    A Scan may not be hedged: it takes long anyway, and two of them are twice the work.
    """
    if operation in ("GetItem", "Query", "SearchVectors"):
        return not parameters.get("ConsistentRead")
    if operation == "BatchGetItem":
        tables = as_mapping(parameters.get("RequestItems")) or {}
        return all(isinstance(keys, Mapping) and not keys.get("ConsistentRead") for keys in tables.values())
    return False


def kind_of(operation: str, parameters: Mapping[str, Any]) -> str:
    """The name under which a read's latency is compared with those of others: a Query that is a vector search takes as
    long as SearchVectors, and not as long as other queries."""
    return "SearchVectors" if is_vector_search(operation, parameters) else operation


class Latencies:
    """Seconds in which the last answers to one operation came."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._fresh = 0
        self._p99: float | None = None

    def add(self, seconds: float) -> None:
        self._last.append(seconds)
        self._fresh += 1

    def p99(self) -> float | None:
        """The time within which 99 of 100 answers came, at least `LEAST`; None of fewer than a hundred."""
        if self._fresh >= _EVERY:
            self._fresh = 0
            last = sorted(list(self._last))  # noqa: C414 (the copy is one step, and others add meanwhile)
            if len(last) >= _ENOUGH:
                self._p99 = max(LEAST, last[math.ceil(len(last) * 0.99) - 1])
        return self._p99


class _Second:
    """What happened in one second."""

    __slots__ = ("hedges", "reads")

    def __init__(self) -> None:
        self.reads = 0
        self.hedges: list[None] = []


class HedgeBudget:
    """How many reads may be hedged, of those of the last minute. `now`: on the monotonic clock."""

    def __init__(self) -> None:
        self._seconds: dict[int, _Second] = {}

    def read(self, now: float) -> None:
        """A read is made that may be hedged."""
        self._second(now).reads += 1

    def withdraw(self, now: float, max_extra: float) -> bool:
        """True if one more hedge is within the part `max_extra` of the reads, and the reserve."""
        hedges = self._second(now).hedges
        hedges.append(None)
        seconds = list(self._seconds.values())
        reads = sum(second.reads for second in seconds)
        if sum(len(second.hedges) for second in seconds) <= RESERVE + max_extra * reads:
            return True
        hedges.pop()
        return False

    def _second(self, now: float) -> _Second:
        second = self._seconds.get(int(now))
        if second is None:
            for before in list(self._seconds):
                if before <= int(now) - _WINDOW:
                    self._seconds.pop(before, None)
            second = self._seconds.setdefault(int(now), _Second())
        return second


class Hedging:
    """What the hedged reads of a cluster share: how long answers take, and the budget."""

    def __init__(self) -> None:
        self._budget = HedgeBudget()
        self._latencies: dict[str, Latencies] = {}

    def begin(self, operation: str, hedge: Hedge, now: float) -> float | None:
        """A read begins that may be hedged: in how many seconds, if no answer has begun. None: it is not hedged."""
        self._budget.read(now)
        return self._of(operation).p99() if isinstance(hedge.after, str) else hedge.after

    def answered(self, operation: str, seconds: float) -> None:
        """The caller of a read has its answer. `seconds`: since its last attempt began, or of a hedged one, the attempt
        that was hedged. Attempts that failed before say nothing of how long answers take."""
        self._of(operation).add(seconds)

    def may_hedge(self, hedge: Hedge, now: float) -> bool:
        """Whether one more read may be hedged now. It counts from here on."""
        return self._budget.withdraw(now, hedge.max_extra)

    def _of(self, operation: str) -> Latencies:
        latencies = self._latencies.get(operation)
        return self._latencies.setdefault(operation, Latencies()) if latencies is None else latencies
