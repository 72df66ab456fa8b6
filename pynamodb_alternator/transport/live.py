"""Counts the connections that exist, by weak references. No number is counted up and down.

The function that uses a connection holds the only strong reference to it. If an exception ends this function between
any two of its steps, the connection is collected, and is not counted any more. Nothing else must be done for this.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["LiveConnections"]

C = TypeVar("C")


class LiveConnections(Generic[C]):
    """Weak references to the connections of a pool. Threads may share the object, and it has no lock.

    Each step is one call of a function in C. A dead connection is removed by the set's own `discard`: an exception from
    a signal handler cannot interrupt it, and the garbage collector may call it at any time.
    """

    __slots__ = ("_refs", "count")

    def __init__(self) -> None:
        self._refs: set[weakref.ref[C]] = set()
        self.count: Callable[[], int] = self._refs.__len__
        """How many exist now. It is faster than ``len``, which calls a function in Python."""

    def add(self, connection: C) -> None:
        self._refs.add(weakref.ref(connection, self._refs.discard))

    def discard(self, connection: C) -> None:
        """Stop counting this connection, although it may still exist."""
        self._refs.discard(weakref.ref(connection))

    def __len__(self) -> int:
        return len(self._refs)

    def all(self) -> list[C]:
        """The connections that exist now."""
        return [connection for ref in list(self._refs) if (connection := ref()) is not None]
