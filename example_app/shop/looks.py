"""Measures how long visitors wait for the products that they look at, with hedged reads and without them."""

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

_HEDGE = Hedge(after=HEDGE_AFTER, max_extra=0.5)
"""With the usual 5 % of the reads, a busy laptop would use up what is allowed before a node freezes."""
_RECENT = 10
"""The dashboard shows the slowest read of the last so many seconds."""
_KEPT = 5000
"""The number of looks that are kept: more than customers take in that time."""


class Looks:
    """The reads of visitors who look at products.

    `hedged`: whether reads that begin from now on are hedged. Visitors do not have to see the last write, so these
    reads are eventually consistent, and may be hedged. The reads of an order are consistent, and are never hedged.
    """

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self.hedged = False
        self._cluster = cluster
        self._clock = clock
        self._lock = threading.Lock()
        self._ended: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """A block around the reads of one look, in a thread or a task."""
        began = self._clock()
        try:
            with self._cluster.options(hedge=_HEDGE if self.hedged else None):
                yield
        finally:
            self._note(began, self._clock())

    def slowest(self, since: float | None = None) -> float | None:
        """The time of the slowest look that began after `since`, or ended in the last ten seconds, in milliseconds."""
        now = self._clock()
        with self._lock:
            seconds = [
                ended - began
                for began, ended in self._ended
                if (ended >= now - _RECENT if since is None else began >= since)
            ]
        return round(max(seconds) * 1000, 1) if seconds else None

    def snapshot(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"hedged": self.hedged, "slowest": self.slowest()}

    def _note(self, began: float, ended: float) -> None:
        with self._lock:
            self._ended.append((began, ended))
