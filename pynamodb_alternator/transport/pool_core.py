"""The common base of the pools of threads and those of event loops: which connections exist, and which request gets
one.

Nothing here waits or connects: `transport.pool` and `aio.pool` do this, each in its own way.

Theory of operation. A *slot* is the right to one connection of a pool, and a slot is used exactly while a connection
exists. `open` is the number of connections that exist (`LiveConnections`, weak references), and `in use` is the number
of those that are not in the list of idle ones. No number is counted up and down. So no slot is lost if an exception
comes between two steps (gevent's Timeout, KeyboardInterrupt, an exception from a signal handler, a task that is
cancelled):

- Taking a connection is `pop(0)` from the list of idle ones, giving it back is `append`; neither takes a lock. In
  between, only the function that uses the connection refers to it. If that function ends without giving it back, the
  connection is collected, and its slot is free.
- So the connections are used in turn, and with them the cores of the node, each of which has some of them. Therefore
  none stays idle for long, even if there are too many: `turnover.Spares` finds how many a pool can do without.
- A connection that has reached its age is noticed when it is taken (`turnover.Renewal`). If others are idle, it is
  closed. Otherwise a new one is opened first and then the old one closed, so that the node gives the new one to another
  core; meanwhile the new one refers to the old one (`predecessor`), which is used further if opening fails. In a full
  pool the old one is closed first, and the new one takes its slot. No request is under way on a connection that is
  closed in this way.
- A new connection takes its slot before it is connected, and so does one that is handed to a waiter: it exists.
- Before a new connection is opened, one of a probe is taken over, if there is one (`_handed_over`).
- If something refers to a connection that is no longer used (a traceback, a transport of asyncio), `sweep` closes it
  when it was seen for a second, lent to the same request and without an exchange. Pools are swept now and then.
- The queue holds weak references to the waiters. A function that frees a connection gives it to the first waiter. That
  may be interrupted too, so waiters check now and then whether there is a connection to give.

The lock is held for handing out and for new slots, never while something is connected, tested or waited for.
"""

from __future__ import annotations

import contextlib
import math
import threading
import weakref
from typing import TYPE_CHECKING, Generic, NamedTuple

from ..errors import ClusterClosedError, NodeUnreachableError, PoolTimeoutError, TransportError
from .http1 import Clock
from .live import LiveConnections
from .pooled import C, Sightings, Waiter
from .turnover import NEVER, Renewal, Spares

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["DEFAULT_LIMIT", "DEFAULT_MAX_IDLE", "HEAL_EVERY", "PARTS", "PoolCore", "PoolStats"]

DEFAULT_LIMIT = 50
DEFAULT_MAX_IDLE = 60.0
PARTS = 4
"""How often a waiter checks whether the queue moves, within the time that it may stand still."""
HEAL_EVERY = 0.25
"""Seconds between two checks of the waiters whether a connection was lost, or a waiter was forgotten."""


class PoolStats(NamedTuple):
    """The connections to one node: opened since the start, open now (including those that are being opened), and in use
    now; and how many requests wait for one."""

    opened: int
    open: int
    in_use: int
    waiting: int = 0

    def plus(self, other: PoolStats) -> PoolStats:
        """The sum of both."""
        return PoolStats(*map(int.__add__, self, other))


class PoolCore(Generic[C]):
    """The connections to one node.

    `limit`: connections open at once. `max_idle`: seconds after which an idle connection is no longer used.
    `renewal`: when a connection has reached its age, and is replaced.
    `keeping`: whether connections are kept after use. It is False for a node that has left, whose requests under way
    may end normally. `last_served`: when a waiter last got a connection. `advice`: what the user can do against a full
    pool.
    """

    advice = ""

    def __init__(self, node: Node, *, limit: int, max_idle: float, clock: Clock, renewal: Renewal = NEVER) -> None:
        self.node = node
        self.keeping: bool = True
        self.last_served: float = 0.0
        self.clock = clock
        self._limit = limit
        self._max_idle = max_idle
        self._renewal = renewal
        self._lock = threading.Lock()
        self._live: LiveConnections[C] = LiveConnections()
        # In the order of their last use. Only single steps change it: `append` and `pop(0)`. It is not a deque, because
        # an empty one takes 600 bytes, and a large cluster has thousands of pools.
        self._idle: list[C] = []
        self._spares = Spares()
        self._waiters: list[weakref.ref[Waiter[C]]] = []
        self._opened = 0
        self._next_sweep = 0.0
        self._sightings: Sightings[C] = Sightings()

    def _new_connection(self) -> C:
        """A connection to the node that is not connected yet."""
        raise NotImplementedError

    def _handed_over(self) -> C | None:
        """A connection to the node that was opened for something else and is not needed there, or None."""
        return None

    # ---- taking ------------------------------------------------------------------------------------------------

    def _take_or_queue(self, waiter: Waiter[C]) -> C | None:
        """An idle connection, or a new one that is not connected yet; None if `waiter` was put into the queue."""
        has_room = self.has_room_now()
        with self._lock:
            if has_room:
                self._serve_waiters()
            connection = None if self._waiters else self._free_connection()
            if connection is None:
                self._waiters.append(weakref.ref(waiter))
        return connection

    def _free_connection(self) -> C | None:
        """The caller holds the lock."""
        connection: C | None
        try:
            connection = self._idle.pop(0) if self._idle else None
        except IndexError:
            connection = None  # another thread has taken it, without the lock
        self._spares.seen(len(self._idle))
        if connection is None and self._live.count() < self._limit:
            connection = self._taken_over() or self._new_connection()
            self._live.add(connection)
        if connection is not None:
            connection.lent_by = self._live
        return connection

    def _taken_over(self) -> C | None:
        connection = self._handed_over()
        if connection is not None:
            self._opened += 1
            connection.idle_since = now = self.clock()
            connection.renew_at = self._renewal.at(now, takes_place=False)
        return connection

    def _successor(self, connection: C) -> C | None:
        """A new connection, not connected yet, that replaces `connection`, which was taken and has reached its age.
        None if there are idle connections, which can be used instead."""
        if self._idle and not self._waiters:
            self._discard(connection)
            return None
        fresh = self._new_connection()
        fresh.lent_by = self._live
        with self._lock:
            if self._live.count() < self._limit:
                fresh.predecessor = connection
                self._live.add(fresh)
        if fresh.predecessor is None:
            connection.close()
            connection.lent_by = None
            with self._lock:
                self._live.discard(connection)
                self._live.add(fresh)
        return fresh

    def _opened_now(self, connection: C) -> C:
        """A new connection is connected: close the one that it replaces."""
        self._opened += 1
        old = connection.predecessor
        connection.renew_at = self._renewal.at(self.clock(), takes_place=old is not None)
        if old is not None:
            connection.predecessor = None
            self._discard(old)
        return connection

    def _not_opened(self, connection: C, error: BaseException) -> C:
        """A new connection could not be connected. Returns the old connection that it should have replaced, if this can
        still be used. Raises `error` if not."""
        old: C | None = connection.predecessor
        connection.predecessor = None
        self._discard(connection)
        if old is None:
            raise error
        old.renew_at = self._renewal.after_failure(self.clock())
        if old.is_stale():
            self._discard(old)  # a node that shuts down refuses new connections, and closes the old ones
            raise error
        if isinstance(error, TransportError):
            return old
        self.release(old)
        raise error

    def _outcome(self, waiter: Waiter[C], since: float, seconds: float) -> C:
        """The result of the wait: a connection. Raises the error that ended the wait, such as `PoolTimeoutError`.
        `since`: when the wait began."""
        if waiter.connection is None:
            self._leave(waiter)  # it may be served just before
        if waiter.error is not None:
            raise waiter.error
        if waiter.connection is None:
            stood_still = self.clock() - max(since, self.last_served)
            raise PoolTimeoutError(
                f"Node {self.node}: all {self._limit} connections stayed in use for "
                f"{min(stood_still, seconds):.4g} s. {self.advice}, or raise max_pool_connections.",
                node=self.node.address,
            )
        waiter.gone = True
        return waiter.connection

    def _interrupted(self, waiter: Waiter[C]) -> None:
        """An exception has ended the wait: a connection that the waiter got meanwhile goes to the next waiter."""
        self._leave(waiter)
        if waiter.connection is not None:
            self.release(waiter.connection)

    def _leave(self, waiter: Waiter[C]) -> None:
        waiter.gone = True
        with self._lock:  # so that no other thread gives it a connection now
            if not waiter.served:
                with contextlib.suppress(ValueError):
                    self._waiters.remove(weakref.ref(waiter))

    # ---- giving back -------------------------------------------------------------------------------------------

    def release(self, connection: C) -> None:
        """Give back a connection that `acquire` returned. It is closed if it is not `reusable` any more."""
        if connection.reusable and connection.lent_by is self._live:
            connection.idle_since = self.clock()
            connection.lent_by = None
            self._idle.append(connection)
            if self._waiters or not self.keeping:
                self.settle()
        else:
            self._discard(connection)

    def _discard(self, connection: C) -> None:
        connection.close()
        connection.lent_by = None
        self._live.discard(connection)
        if self._waiters:
            self.settle()

    def settle(self) -> None:
        """Give free connections to the waiters."""
        with self._lock:
            self._serve_waiters()
        if not self.keeping:
            self.drop_idle()

    def _serve_waiters(self) -> None:
        """The caller holds the lock. A waiter leaves the queue after it was served, so that an exception cannot lose
        it."""
        while self._waiters:
            waiter = self._waiters[0]()
            if waiter is not None and not waiter.gone and waiter.connection is None and waiter.error is None:
                connection = self._free_connection()
                if connection is None:
                    return
                waiter.connection = connection
                self.last_served = self.clock()
                waiter.wake()
            self._waiters.pop(0)

    # ---- healing -----------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Look for lost connections and forgotten waiters. Each waiter calls this now and then."""
        self.sweep()
        self.settle()

    def sweep(self) -> None:
        """Close the connections that were lent, and that nothing uses or gives back any more."""
        now = self.clock()
        if now < self._next_sweep:
            return
        with self._lock:
            self._next_sweep = now + HEAL_EVERY
            lost = self._lost_connections(now)
        for connection in lost:
            if connection.reclaim():
                self._discard(connection)

    def _lost_connections(self, now: float) -> list[C]:
        idle = {id(connection) for connection in self._idle.copy()}
        return self._sightings.lost((each for each in self._live.all() if id(each) not in idle), now)

    # ---- called by the cluster ----------------------------------------------------------------------------------

    def tidy(self, now: float) -> None:
        """Close connections that were idle for too long or not needed lately, and look for lost connections."""
        self.drop_idle(before=now - self._max_idle)
        self.drop_idle(most=self._spares.next(len(self._idle)))
        self.heal()

    def drop_idle(self, before: float = math.inf, most: float = math.inf) -> list[C]:
        """Close idle connections, and return them: only connections that were not used since `before`, and at most
        `most`."""
        dropped: list[C] = []
        try:
            while len(dropped) < most and self._idle[0].idle_since < before:
                connection = self._idle.pop(0)
                self._discard(connection)
                dropped.append(connection)
        except IndexError:
            pass  # no idle connection is left, perhaps because another thread has taken the last one
        return dropped

    def retire(self) -> list[C]:
        """The node has left: requests under way may end normally, and then their connections are closed."""
        self.keeping = False
        return self.drop_idle()

    def cut(self, reason: str = "the node was declared down") -> None:
        """End at once everything that waits for this node: exchanges, connecting, and waiters in the queue."""
        self._refuse_waiters(NodeUnreachableError, f"Node {self.node} cannot be reached: {reason}")
        self.drop_idle()
        for connection in self._live.all():
            connection.cut(reason)

    def close(self) -> list[C]:
        """Like `retire`, and waiters in the queue get a `ClusterClosedError`. Returns the connections that were
        closed."""
        closed = self.retire()
        self._refuse_waiters(ClusterClosedError, "The cluster was closed while this request waited.")
        return closed

    def _refuse_waiters(self, kind: type[NodeUnreachableError | ClusterClosedError], reason: str) -> None:
        with self._lock:
            while self._waiters:
                waiter = self._waiters[0]()
                if waiter is not None and not waiter.served:
                    # Each waiter gets its own exception object, because a traceback is written into it when it is
                    # raised.
                    waiter.error = kind(reason, node=self.node.address, was_cut=True)
                    waiter.wake()
                self._waiters.pop(0)

    def set_limit(self, limit: int) -> None:
        self._limit = limit
        self.settle()

    def after_fork(self) -> None:
        """In a forked child: drop all sockets without closing them for the parent, which still uses them. Takes no
        lock."""
        for connection in self._live.all():
            connection.abandon()

    # ---- inspection, from any thread ------------------------------------------------------------------------------

    @property
    def unused(self) -> bool:
        return not len(self._live)

    @property
    def has_room(self) -> bool:
        """Whether a request can get a connection without a wait for one that is in use."""
        return bool(self._idle) or len(self._live) < self._limit

    def has_room_now(self) -> bool:
        """Like `has_room`, but it looks for lost connections first. For a request that would go to another node."""
        if self._idle or self._live.count() < self._limit:
            return True
        if self.clock() < self._next_sweep:
            return False
        self.sweep()
        return self.has_room

    @property
    def in_flight(self) -> int:
        """Connections in use, including those that are being connected."""
        count = len(self._live) - len(self._idle)
        return count if count > 0 else 0

    @property
    def queue_length(self) -> int:
        return len(self._waiters)

    def stats(self) -> PoolStats:
        count = len(self._live)
        waiting = sum(waiter is not None and not waiter.gone for waiter in [ref() for ref in list(self._waiters)])
        return PoolStats(self._opened, count, max(0, count - len(self._idle)), waiting)

    def connections(self) -> list[C]:
        """All connections that exist, idle or not."""
        return self._live.all()

    def waiting_since(self) -> float | None:
        """When the oldest exchange under way began, or the oldest connecting; None if there is none."""
        if len(self._live) == len(self._idle):
            return None
        since = [connection.busy_since for connection in self._live.all()]
        return min((moment for moment in since if moment is not None), default=None)

    @property
    def may_have_lost(self) -> bool:
        """Whether a connection is lent but has no exchange. Most often, its function is only between two steps."""
        in_use = len(self._live) - len(self._idle)
        return in_use > 0 and in_use > sum(connection.busy_since is not None for connection in self._live.all())
