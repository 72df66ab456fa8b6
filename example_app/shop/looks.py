"""How long visitors wait for what they look at, with hedged reads and without them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from pynamodb_alternator import Cluster, Hedge

__all__ = ["HEDGE_AFTER", "Looks"]

HEDGE_AFTER = 0.05
"""Seconds that a read waits for a node before it is sent to a second one as well."""

_HEDGE = Hedge(after=HEDGE_AFTER)
_RECENT = 10
"""Seconds of which the slowest read is shown."""


class Looks:
    """The reads of visitors who look around. `hedged`: whether those that begin from now on are hedged.

    They need not see the last write, so their reads are not consistent ones, and may be hedged. Those of an order are
    consistent, and never are.
    """

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self.hedged = False
        self._cluster = cluster
        self._clock = clock
        self._lock = threading.Lock()
        self._slowest: deque[tuple[int, float]] = deque(maxlen=60)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Around the reads for one look, in a thread or a task."""
        began = self._clock()
        with self._cluster.options(hedge=_HEDGE if self.hedged else None):
            yield
        self._note(began, self._clock())

    def slowest(self, since: float | None = None) -> float | None:
        """How many milliseconds the slowest look took of those that ended after `since`, or in the last ten seconds."""
        begin = int(self._clock() - _RECENT if since is None else since)
        with self._lock:
            seconds = [took for second, took in self._slowest if second >= begin]
        return round(max(seconds) * 1000, 1) if seconds else None

    def snapshot(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"hedged": self.hedged, "slowest": self.slowest()}

    def _note(self, began: float, ended: float) -> None:
        with self._lock:
            second, took = int(ended), ended - began
            if self._slowest and self._slowest[-1][0] >= second:
                last, slowest = self._slowest[-1]
                self._slowest[-1] = (last, max(slowest, took))
            else:
                self._slowest.append((second, took))
