"""The connections of an event loop to each node. `transport.pool_core` has the rules; only the waiting differs.

All work is done in the event loop. Calls of the cluster's monitor come from its thread, and are passed to the event
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any

from ..errors import AlternatorError, ClusterClosedError
from ..transport.http1 import Clock
from ..transport.patience import SharedPatience
from ..transport.pool import HandOver, nothing
from ..transport.pool_core import DEFAULT_MAX_IDLE, HEAL_EVERY, PARTS, PoolCore
from ..transport.pool_map import PoolMap
from ..transport.pooled import Waiter
from ..transport.turnover import NEVER, Renewal
from .connection import AsyncConnection

if TYPE_CHECKING:
    from ..topology.node import Node
    from ..transport.tls import TlsContexts

__all__ = ["AsyncNodePool", "AsyncPools", "EventLoopError"]


class EventLoopError(AlternatorError, RuntimeError):
    """An `AsyncCluster` was used outside of the event loop to which it belongs."""


_SOONEST = 0.01
"""The smallest number of seconds until the next look at a queue, because thousands of tasks may wait in it, each with
another end of its wait."""
_LOOKED_AT = 10_000
"""The largest number of waiters that are checked in `HEAL_EVERY` seconds."""


class _WaitingTask(Waiter[AsyncConnection]):
    """A task in the queue. `began`: the time of the queue's clock when the wait began. `seconds`: how long the queue
    may stand still."""

    __slots__ = ("began", "future", "seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.future: asyncio.Future[None] = loop.create_future()
        self.began: float = 0.0
        self.seconds: float = math.inf

    def wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class AsyncNodePool(PoolCore[AsyncConnection]):
    """The connections of one event loop to one node. `limit`, `max_idle`, `renewal`: see `PoolCore`. `hand_over`:
    as of `transport.pool.Pools`."""

    advice = "Make fewer requests at once"

    def __init__(
        self,
        node: Node,
        loop: asyncio.AbstractEventLoop,
        *,
        limit: int,
        max_idle: float = DEFAULT_MAX_IDLE,
        tls: TlsContexts | None = None,
        clock: Clock = time.monotonic,
        renewal: Renewal = NEVER,
        hand_over: HandOver = nothing,
    ) -> None:
        super().__init__(node, limit=limit, max_idle=max_idle, clock=clock, renewal=renewal)
        self._loop = loop
        self._tls = tls
        self._hand_over = hand_over
        self._patience = SharedPatience(clock())
        self._timer: asyncio.TimerHandle | None = None

    def _new_connection(self) -> AsyncConnection:
        return AsyncConnection(self.node, self._loop, clock=self.clock)

    async def acquire(
        self, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> AsyncConnection:
        """A connection for the calling task alone: the one that has been idle for longest, or a new one.

        `connect_timeout`: seconds. `wait`: if the pool is full, seconds in which a connection must be given back, to
        any waiter; None for `connect_timeout`. `deadline`: a time of the clock, for both. Raises `NotSentError`s:
        `PoolTimeoutError`, and those of `AsyncConnection.connect`.
        """
        while (connection := self.take()) is None:
            waiter = _WaitingTask(self._loop)
            connection = self._take_or_queue(waiter)
            if connection is None:
                seconds, since, timer = connect_timeout if wait is None else wait, self.clock(), None
                try:
                    timer = self._begin_to_wait(waiter, since, seconds, deadline)
                    await waiter.future
                except BaseException:
                    self._interrupted(waiter)  # it may be cancelled at the moment when it was served
                    raise
                finally:
                    if timer is not None:
                        timer.cancel()
                connection = self._outcome(waiter, since, seconds)
            if connection.connected:
                connection = self._or_another(connection)
            if connection is not None:
                if not connection.connected:
                    connection = await self._connected(connection, connect_timeout, deadline)
                break
        return connection

    def take(self) -> AsyncConnection | None:
        """An idle connection, like `acquire`. None if there is none, if other tasks wait, or if the connection must be
        replaced by a new one."""
        idle, spares = self._idle, self._spares
        while idle and not self._waiters:
            now = self.clock()
            if now >= idle[0].renew_at:
                return None
            connection = idle.pop(0)
            connection.lent_by = self._live
            if len(idle) < spares.fewest:
                spares.fewest = len(idle)
            if now - connection.idle_since <= self._max_idle and not connection.is_stale():
                return connection
            self._discard(connection)
        return None

    def _or_another(self, connection: AsyncConnection) -> AsyncConnection | None:
        """`connection`, which was idle, if it can be used; or a new connection, not connected yet, that replaces it.
        None if it was closed, and the next one must be taken."""
        now = self.clock()
        if now - connection.idle_since > self._max_idle or connection.is_stale():
            self._discard(connection)
            return None
        return connection if now < connection.renew_at else self._successor(connection)

    def _begin_to_wait(
        self, waiter: _WaitingTask, now: float, seconds: float, deadline: float | None
    ) -> asyncio.TimerHandle | None:
        """Start the checks whether a task has waited for too long. Returns the timer for the task's deadline, if it has
        one."""
        if seconds <= 0.0 or (deadline is not None and now >= deadline):
            waiter.wake()
            return None
        soon = now + max(_SOONEST, min(HEAL_EVERY, seconds / PARTS))
        if self._timer is None:
            self._patience.look(now, soon, self.last_served)
            self._set_timer(now, soon)
        elif soon < self._patience.next_look:
            self._set_timer(now, soon)
        waiter.began, waiter.seconds = self._patience.shows(now), seconds
        return None if deadline is None else self._loop.call_later(deadline - now, waiter.wake)

    def _set_timer(self, now: float, next_look: float) -> None:
        """Set the one timer of all waiters. There may be thousands of waiters, and hardly any of them times out."""
        before, self._timer = self._timer, self._loop.call_later(next_look - now, self._look)
        self._patience.next_look = next_look
        if before is not None:
            before.cancel()

    def _look(self) -> None:
        """Wake the tasks that have waited for too long, look for lost connections, and set the timer again."""
        self._timer = None
        if not self._waiters:
            return
        now, patience = self.clock(), self._patience
        soon = HEAL_EVERY * max(1.0, self.queue_length / _LOOKED_AT)
        patience.look(now, now + soon, self.last_served)
        self._set_timer(now, now + soon)
        self.heal()
        for waiter in [ref() for ref in self._waiters]:
            if isinstance(waiter, _WaitingTask) and not waiter.served:
                left = patience.left(waiter.seconds, waiter.began)
                if left <= 0.0:
                    waiter.wake()
                else:
                    soon = min(soon, left, waiter.seconds / PARTS)
        if now + soon < patience.next_look:
            self._set_timer(now, now + max(_SOONEST, soon))

    async def _connected(
        self, connection: AsyncConnection, connect_timeout: float, deadline: float | None
    ) -> AsyncConnection:
        try:
            # A successor takes none over: it takes the place of a connection because of its age.
            sock = None if connection.predecessor is not None else self._socket_of_a_probe()
            await connection.connect(connect_timeout=connect_timeout, deadline=deadline, tls=self._tls, sock=sock)
        except BaseException as error:
            return self._not_opened(connection, error)
        return self._opened_now(connection)

    def _socket_of_a_probe(self) -> socket.socket | None:
        """That of a connection which a probe has opened and can do without. asyncio takes over none that has TLS."""
        spare = None if self._tls is not None else self._hand_over(self.node)
        if spare is None:
            return None
        if spare.is_stale():
            spare.close()
            return None
        return spare.give_socket()


class AsyncPools(PoolMap[AsyncNodePool, AsyncConnection]):
    """The pools of one event loop: the one in which the first request is made.

    It is a `transport.all_pools.SharedPools`: the methods of that protocol may be called by any thread.
    """

    def __init__(
        self,
        limit: int,
        *,
        max_idle: float = DEFAULT_MAX_IDLE,
        tls: TlsContexts | None = None,
        clock: Clock = time.monotonic,
        renewal: Renewal = NEVER,
        admit: Callable[[Node], None] = lambda node: None,
        hand_over: HandOver = nothing,
    ) -> None:
        super().__init__(limit=limit, max_idle=max_idle, clock=clock, renewal=renewal, admit=admit)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._tls = tls
        self._hand_over = hand_over

    def _new_pool(self, node: Node) -> AsyncNodePool:
        if self.loop is None:
            raise ClusterClosedError("The cluster was closed: make no more requests after aclose().")
        tls = self._tls if node.scheme == "https" else None
        return AsyncNodePool(
            node,
            self.loop,
            limit=self._limit,
            max_idle=self._max_idle,
            tls=tls,
            clock=self._clock,
            renewal=self.renewal,
            hand_over=self._hand_over,
        )

    def bind(self) -> asyncio.AbstractEventLoop:
        """The running event loop, to which these pools belong from now on.

        Raises `EventLoopError` if they belong to another one, or none runs.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise EventLoopError("No event loop runs here: use an AsyncCluster in async functions.") from None
        if self.loop is None:
            self.loop = loop
        elif self.loop is not loop:
            state = "is closed" if self.loop.is_closed() else "is another one"
            raise EventLoopError(
                f"This AsyncCluster belongs to the event loop that it was first used in, and that one {state}. "
                "Ask for it at each use, with aio.get_cluster() or aio.get_client(), which find the one of the running "
                "event loop. Or make one for each: AsyncCluster(cluster) shares the nodes and their health."
            )
        return loop

    def acquire(
        self, node: Node, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> Coroutine[Any, Any, AsyncConnection]:
        """A connection to `node`, for the calling task alone until `release`. See `transport.pool.Pools.acquire`."""
        return self._pool(node).acquire(connect_timeout, deadline, wait)

    def take(self, node: Node) -> AsyncConnection | None:
        """Like `acquire`, if no wait is needed; else None."""
        pool = self._pools.get(node.endpoint)
        return None if pool is None or self._closed else pool.take()

    async def aclose(self) -> None:
        """Close idle connections now, and connections in use when they are given back. Returns when the idle ones are
        closed."""
        for connection in self._close_all():
            await connection.wait_closed()

    # ---- calls of the cluster, from any thread ---------------------------------------------------------------

    def _in_loop(self, call: Callable[[], object]) -> None:
        loop = self.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed, and so are its connections
                loop.call_soon_threadsafe(call)

    def keep_only(self, nodes: Collection[Node]) -> None:
        """Like `PoolMap.keep_only`, a moment later."""
        self._members = frozenset(node.endpoint for node in nodes)  # for pools that are made meanwhile
        self._in_loop(lambda: super(AsyncPools, self).keep_only(nodes))

    def cut(self, node: Node, reason: str = "the node was declared down") -> None:
        """Like `PoolMap.cut`, a moment later."""
        if node.endpoint in self._pools:
            self._in_loop(lambda: super(AsyncPools, self).cut(node, reason))

    def raise_limit(self, limit: int) -> None:
        """Like `PoolMap.raise_limit`, a moment later, or at once if there is no event loop yet."""
        if self.loop is None:
            super().raise_limit(limit)
        else:
            self._in_loop(lambda: super(AsyncPools, self).raise_limit(limit))

    def _sweep(self, pool: AsyncNodePool) -> None:
        self._in_loop(pool.sweep)

    def close(self) -> None:
        """Like `PoolMap.close`, a moment later."""
        self._closed = True
        self._in_loop(self._close_all)

    def after_fork(self) -> None:
        """In a forked child, or after the end of the event loop: drop all sockets, and belong to no event loop."""
        self.loop = None
        super().after_fork()
