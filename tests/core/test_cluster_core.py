"""`core.cluster_core`: what the core itself promises."""

from __future__ import annotations

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.core import cluster_core


def test_the_end_waits_for_all_threads_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor's threads may use all of the time; the look-ups get what they have left."""
    cluster = Cluster("http://127.0.0.1:8000")
    core, now, limits = cluster.core, 100.0, list[float]()

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now

    def slow_monitor(timeout: float) -> None:
        nonlocal now
        now += timeout - 0.5

    monkeypatch.setattr(cluster_core, "time", Time)
    monkeypatch.setattr(core.monitor, "close", slow_monitor)
    monkeypatch.setattr(core.lookups, "close", limits.append)
    core.shut_down()
    assert limits == [0.0, pytest.approx(0.5)]
    monkeypatch.undo()
    cluster.close()
