"""Watches whether a healthy node is down for longer than a second.

`HealthWatch` hears `node_down` and what ends it, with the time of each, and is told which nodes are in real trouble.
A node counts as healthy from its `healed` on. The machine's own slowness is measured beside it (`Lag`) and granted: it
is the time in which a thread that wanted to run did not.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from pynamodb_alternator import Cluster, signals

LONGEST = 1.0
"""Seconds for which a healthy node may be down."""
_STEP = 0.02


class Lag:
    """How late a thread of this process wakes up."""

    def __init__(self) -> None:
        self._late: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="lag", daemon=True)
        self._thread.start()

    def _measure(self) -> None:
        while not self._over.is_set():
            before = time.monotonic()
            self._over.wait(_STEP)
            now = time.monotonic()
            if now - before > 2 * _STEP:
                self._late.append((now, now - before - _STEP))

    def since(self, moment: float) -> float:
        """Seconds that were lost since then."""
        return sum(late for at, late in list(self._late) if at >= moment)

    def close(self) -> None:
        self._over.set()
        self._thread.join()


class HealthWatch:
    """For one `Cluster`. `sick`: the addresses of nodes that are in trouble from the beginning."""

    def __init__(self, cluster: Cluster, lag: Lag, sick: set[str]) -> None:
        self._lag = lag
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._healthy_since: dict[str, float] = {}
        self._sick = set(sick)
        self._down_since: dict[str, float] = {}
        self._mistakes: list[str] = []
        self._cluster = cluster
        signals.node_down.connect(self._went_down, sender=cluster)
        for signal in (signals.node_quarantined, signals.node_up, signals.node_removed):
            signal.connect(self._came_back, sender=cluster)

    def _went_down(self, sender: Any, node: str, **_: Any) -> None:
        with self._lock:
            self._down_since.setdefault(node, time.monotonic())

    def _came_back(self, sender: Any, node: str, **_: Any) -> None:
        with self._lock:
            self._judge(node)
            self._down_since.pop(node, None)

    def broke(self, address: str) -> None:
        """A node is in trouble from now on. Call it before it is."""
        with self._lock:
            self._judge(address)
            self._sick.add(address)

    def healed(self, address: str) -> None:
        """A node's trouble is over."""
        with self._lock:
            self._sick.discard(address)
            self._healthy_since[address] = time.monotonic()

    def _judge(self, node: str) -> None:
        since = self._down_since.get(node)
        if since is None or node in self._sick:
            return
        since = max(since, self._healthy_since.get(node, self._began))
        took = time.monotonic() - since
        if took > LONGEST + self._lag.since(since):
            self._mistakes.append(f"{node}: healthy, and down for {took:.2f} s")

    def broken(self) -> list[str]:
        with self._lock:
            for node in list(self._down_since):
                self._judge(node)
            return list(self._mistakes)

    def close(self) -> None:
        signals.node_down.disconnect(self._went_down, sender=self._cluster)
        for signal in (signals.node_quarantined, signals.node_up, signals.node_removed):
            signal.disconnect(self._came_back, sender=self._cluster)
