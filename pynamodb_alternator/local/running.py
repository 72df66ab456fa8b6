"""The embedded clusters of this process that run, and what becomes of those that nobody has closed at its end.

They are not closed then. The threads of a program run on until its very end, and its exit handlers may make requests:
these would fail, and what a client says of nodes that are lost would be the last that the program shows. So the nodes
answer to the last, the kernel closes what they have open, and only files are deleted before.
"""

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

    def delete_files(self) -> None: ...


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


def _delete_files() -> None:
    for cluster in running_clusters():
        with contextlib.suppress(Exception):
            cluster.delete_files()


atexit.register(_delete_files)
