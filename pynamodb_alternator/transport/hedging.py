"""The rules of hedged reads: which reads may be hedged, after how long, and how many of them.

A read that waits longer than most reads is sent to a second node as well, and the first answer wins. `Hedging` has the
state that the hedged reads of a cluster share. Nothing here waits or reads a clock, and a request without a `Hedge`
does not use this module.

There is no lock. Each hedge adds an entry to the list of its second, and the budget counts these entries. A hedge that
finds too many entries removes its own entry again. So if two threads want the last hedge at the same time, perhaps none
of them gets it, but never both. An exception between two steps can only lose one hedge, for a minute.
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
"""The number of hedges per minute that are allowed even if hardly any reads are made."""
LEAST = 0.002
"""Seconds. With a shorter wait, reads would be hedged only because their thread did not run for a moment."""
_WINDOW = 60
"""The budget counts the reads and hedges of the last so many seconds."""
_KEPT = 1_000
"""The number of last answers of each operation from which ``"p99"`` is computed."""
_ENOUGH = 100
"""The number of answers that are needed to compute ``"p99"``."""
_EVERY = 20
"""``"p99"`` is computed again after so many answers."""


def may_be_hedged(operation: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a request is a read whose answer may come from any replica. Never raises, whatever the parameters are.

    A Scan may not be hedged: it always takes long, and two Scans are twice the work for the cluster.
    """
    if operation in ("GetItem", "Query", "SearchVectors"):
        return not parameters.get("ConsistentRead")
    if operation == "BatchGetItem":
        tables = as_mapping(parameters.get("RequestItems")) or {}
        return all(isinstance(keys, Mapping) and not keys.get("ConsistentRead") for keys in tables.values())
    return False


def kind_of(operation: str, parameters: Mapping[str, Any]) -> str:
    """The kind of a read: latencies are compared only between reads of the same kind. A Query that is a vector search
    takes as long as SearchVectors, and not as long as other queries."""
    return "SearchVectors" if is_vector_search(operation, parameters) else operation


class Latencies:
    """The latencies, in seconds, of the last answers to one operation."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._fresh = 0
        self._p99: float | None = None

    def add(self, seconds: float) -> None:
        self._last.append(seconds)
        self._fresh += 1

    def p99(self) -> float | None:
        """The seconds within which 99 of 100 answers came, at least `LEAST`; None if there were fewer than a
        hundred."""
        if self._fresh >= _EVERY:
            self._fresh = 0
            last = sorted(list(self._last))  # noqa: C414 (the copy is one step, and others add meanwhile)
            if len(last) >= _ENOUGH:
                self._p99 = max(LEAST, last[math.ceil(len(last) * 0.99) - 1])
        return self._p99


class _Second:
    """The reads and hedges of one second."""

    __slots__ = ("hedges", "reads")

    def __init__(self) -> None:
        self.reads = 0
        self.hedges: list[None] = []


class HedgeBudget:
    """Limits how many reads of the last minute are hedged. `now`: a time of the monotonic clock."""

    def __init__(self) -> None:
        self._seconds: dict[int, _Second] = {}

    def read(self, now: float) -> None:
        """A read that may be hedged is made."""
        self._second(now).reads += 1

    def withdraw(self, now: float, max_extra: float) -> bool:
        """True if one more hedge is allowed: hedges may be at most the part `max_extra` of the reads, plus the
        reserve."""
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
    """The state that the hedged reads of a cluster share: how long answers take, and the budget."""

    def __init__(self) -> None:
        self._budget = HedgeBudget()
        self._latencies: dict[str, Latencies] = {}

    def begin(self, operation: str, hedge: Hedge, now: float) -> float | None:
        """A read that may be hedged begins. Returns the seconds after which it is hedged if no answer has begun; None
        for never."""
        self._budget.read(now)
        return self._of(operation).p99() if isinstance(hedge.after, str) else hedge.after

    def answered(self, operation: str, seconds: float) -> None:
        """The caller of a read gets its answer. `seconds`: since its last attempt began; of a hedged read, since the
        attempt that was hedged began. Earlier attempts that failed are not included."""
        self._of(operation).add(seconds)

    def may_hedge(self, hedge: Hedge, now: float) -> bool:
        """Whether one more read may be hedged now. If so, it counts as hedged from now on."""
        return self._budget.withdraw(now, hedge.max_extra)

    def _of(self, operation: str) -> Latencies:
        latencies = self._latencies.get(operation)
        return self._latencies.setdefault(operation, Latencies()) if latencies is None else latencies
