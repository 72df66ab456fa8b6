"""The running embedded clusters of this process. Clusters that are still open at its end are closed then."""

from __future__ import annotations

import atexit
import contextlib
import weakref
from typing import Protocol

__all__ = ["Running", "began", "ended", "running_clusters"]


class Running(Protocol):
    """The part of a running `LocalCluster` that other modules use."""

    @property
    def port(self) -> int: ...

    def close(self) -> None: ...


_running: weakref.WeakSet[Running] = weakref.WeakSet()


def began(cluster: Running) -> None:
    """Add a cluster that runs from now on."""
    _running.add(cluster)


def ended(cluster: Running) -> None:
    """Remove a cluster that does not run any more."""
    _running.discard(cluster)


def running_clusters() -> tuple[Running, ...]:
    """The clusters that run now."""
    return tuple(_running)


def _close_all() -> None:
    """Close all open clusters, at the end of the interpreter."""
    for cluster in running_clusters():
        with contextlib.suppress(Exception):
            cluster.close()


atexit.register(_close_all)
