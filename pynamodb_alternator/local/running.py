"""The embedded clusters of this process that run. Those that nobody has closed are closed at its end."""

from __future__ import annotations

import atexit
import contextlib
import weakref
from typing import Protocol

__all__ = ["Running", "began", "ended", "running_clusters"]


class Running(Protocol):
    """What others see of a cluster that runs: a `LocalCluster`."""

    @property
    def port(self) -> int: ...

    def close(self) -> None: ...


_running: weakref.WeakSet[Running] = weakref.WeakSet()


def began(cluster: Running) -> None:
    """It runs from now on."""
    _running.add(cluster)


def ended(cluster: Running) -> None:
    """It runs no more."""
    _running.discard(cluster)


def running_clusters() -> tuple[Running, ...]:
    """Those that run now."""
    return tuple(_running)


def _close_all() -> None:
    """At the interpreter's end: clusters that nobody has closed."""
    for cluster in running_clusters():
        with contextlib.suppress(Exception):
            cluster.close()


atexit.register(_close_all)
