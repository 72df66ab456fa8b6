"""The parts of a pool: the interface of its connections, the search for lost connections, and waiting requests."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["C", "PooledConnection", "Sightings", "Waiter"]

_LOST_AFTER = 1.0
"""Seconds for which a lent connection must be unused before it counts as lost: far more than the time between two steps
of a function. Between two looks at most half a second counts, because the whole process may have stood still."""


class PooledConnection(Protocol):
    """What a pool needs of its connections; see `transport.http1.Connection`.

    `idle_since`: when it was last given back, on the clock; 0 if never. `lent_by`: the `LiveConnections` of the pool
    that has lent it; None while it is idle in the pool, or when the pool no longer counts it. `renew_at`: when another
    connection replaces it, on the clock. `predecessor`: the connection that it replaces, until it is connected.
    """

    node: Node
    reusable: bool
    connected: bool
    busy_since: float | None
    idle_since: float
    lent_by: object
    renew_at: float
    predecessor: Any

    def is_stale(self) -> bool: ...

    def reclaim(self) -> bool: ...

    def cut(self, reason: str) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


C = TypeVar("C", bound=PooledConnection)


class _Sight(NamedTuple):
    """A lent connection was seen without an exchange: in which loan, when it was seen last, and for how long."""

    loan: float
    at: float
    seconds: float


class Sightings(Generic[C]):
    """The lent connections that were seen unused."""

    def __init__(self) -> None:
        self._suspicious: dict[weakref.ref[C], _Sight] = {}

    def lost(self, lent: Iterable[C], now: float) -> list[C]:
        """The lost ones of all lent connections: those seen unused several times, for over a second, in one loan."""
        before, self._suspicious = self._suspicious, {}
        lost = []
        for connection in lent:
            if connection.busy_since is not None:
                continue
            ref, loan = weakref.ref(connection), connection.idle_since
            seen = before.get(ref)
            if seen is None or seen.loan != loan:  # it was given back meanwhile, and lent again
                seen = _Sight(loan, now, 0.0)
            seconds = seen.seconds + min(now - seen.at, _LOST_AFTER / 2)
            if seconds >= _LOST_AFTER:
                lost.append(connection)
            else:
                self._suspicious[ref] = _Sight(loan, now, seconds)
        return lost


class Waiter(Generic[C]):
    """Waits in the queue of a full pool. The function that waits holds the only strong reference to it."""

    __slots__ = ("__weakref__", "connection", "error", "gone")

    def __init__(self) -> None:
        self.connection: C | None = None
        self.error: Exception | None = None
        self.gone: bool = False
        """It no longer waits, and must not get a connection."""

    @property
    def served(self) -> bool:
        return self.connection is not None or self.error is not None

    def wake(self) -> None:
        raise NotImplementedError
