"""Which connections exist: counted by looking, and not by adding and taking away.

The function that uses a connection holds the only strong reference to it. If an exception ends it, between any two
of its steps, the connection dies with it, and is not counted any more. Nothing needs to be given back for that.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["LiveConnections"]

C = TypeVar("C")


class LiveConnections(Generic[C]):
    """The connections of a pool that exist, without keeping them alive. Threads may share it, and it has no lock.

    Each step is one call into C: what takes a dead connection out is the set's own `discard`, which no exception out of
    a signal's handler can interrupt, and which the garbage collector may call at any place.
    """

    __slots__ = ("_refs", "count")

    def __init__(self) -> None:
        self._refs: set[weakref.ref[C]] = set()
        self.count: Callable[[], int] = self._refs.__len__
        """How many exist now; as ``len``, without a function in Python."""

    def add(self, connection: C) -> None:
        self._refs.add(weakref.ref(connection, self._refs.discard))

    def discard(self, connection: C) -> None:
        """It does not count any more, though it may live on."""
        self._refs.discard(weakref.ref(connection))

    def __len__(self) -> int:
        return len(self._refs)

    def all(self) -> list[C]:
        """Those that exist now."""
        return [connection for ref in list(self._refs) if (connection := ref()) is not None]
