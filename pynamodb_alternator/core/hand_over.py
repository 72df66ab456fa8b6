"""Decides how code waits while a model's request is under way: in its thread, or in an event loop.

A function that `aio.run` calls runs in a greenlet. When it would wait, it hands over to its event loop, which continues
the function later. When `aio.greenlets` is imported, it sets the function that finds this greenlet. So the models do
not depend on greenlets, and in a process without asyncio the check takes only one call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["HandsOver", "client_of", "hands_over", "set_finder", "sleep"]


class HandsOver(Protocol):
    """The greenlet in which this code runs. Both methods hand over to its event loop, and may raise CancelledError."""

    def client_of(self, cluster: Any) -> Any:
        """A client over all nodes of the `Cluster`, whose methods are called as those of a botocore client."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds. Other tasks of the event loop run meanwhile."""


def _no_greenlet() -> None:
    return None


_find: Callable[[], HandsOver | None] = _no_greenlet


def set_finder(find: Callable[[], HandsOver | None]) -> None:
    """Set the function that finds the greenlet in which code runs."""
    global _find
    _find = find


def hands_over() -> HandsOver | None:
    """The greenlet in which this code runs; None if the thread itself must wait."""
    return _find()


def client_of(cluster: Any) -> Any:
    """The client of a `Cluster`: in a greenlet a client that hands over, else the cluster's own client."""
    greenlet = _find()
    return cluster.client if greenlet is None else greenlet.client_of(cluster)


def sleep(seconds: float) -> None:
    """Wait, in the thread or in the event loop."""
    greenlet = _find()
    if greenlet is None:
        time.sleep(seconds)
    else:
        greenlet.sleep(seconds)
