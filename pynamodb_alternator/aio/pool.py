"""The connections of an event loop to each node. The rules are those of `transport.pool_core`, the waiting is not.

Everything happens in the loop. What the cluster's monitor tells comes from its own thread, and is handed over to the
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any

from ..errors import AlternatorError, ClusterClosedError
from ..transport.http1 import Clock
from ..transport.patience import SharedPatience
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
    """An `AsyncCluster` was used in another event loop than the one it belongs to, or in none."""


_SOONEST = 0.01
"""The least number of seconds until the next look at a queue: thousands of tasks may wait in it, each until another
moment."""
_LOOKED_AT = 10_000
"""So many waiters are looked at in `HEAL_EVERY` seconds."""


class _WaitingTask(Waiter[AsyncConnection]):
    """`began`: what the queue's clock showed when the wait began. `seconds`: for which the queue may stand still."""

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
    """The connections of one event loop to one node. `limit`, `max_idle`, `renewal`: see `PoolCore`."""

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
    ) -> None:
        super().__init__(node, limit=limit, max_idle=max_idle, clock=clock, renewal=renewal)
        self._loop = loop
        self._tls = tls
        self._patience = SharedPatience(clock())
        self._timer: asyncio.TimerHandle | None = None

    def _new_connection(self) -> AsyncConnection:
        return AsyncConnection(self.node, self._loop, clock=self.clock)

    async def acquire(
        self, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> AsyncConnection:
        """A connection that no other task uses: the one that was not used for longest, or a fresh one.

        `connect_timeout`: seconds. `wait`: seconds in which one of a full pool must come free, for whomever it may be;
        `connect_timeout` if not given. `deadline`: on the clock, for both.
        Raises `NotSentError`s: `PoolTimeoutError`, and what `AsyncConnection.connect` raises.
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
                    self._interrupted(waiter)  # perhaps cancelled at the moment in which it was served
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
        """An idle connection, as `acquire` gives it; None if there is none, if others wait, or if another one is to be
        opened in its place."""
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
        """A connection that lay idle, if it can be used; or one that is to be connected in its place. None if it is
        closed, and the next one is to be taken."""
        now = self.clock()
        if now - connection.idle_since > self._max_idle or connection.is_stale():
            self._discard(connection)
            return None
        return connection if now < connection.renew_at else self._successor(connection)

    def _begin_to_wait(
        self, waiter: _WaitingTask, now: float, seconds: float, deadline: float | None
    ) -> asyncio.TimerHandle | None:
        """Start the checks whether a task has waited for too long. Gives the timer for the task's deadline, if it has
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
        """One timer serves all waiters: there may be thousands of them, and hardly any waits for as long as it may."""
        before, self._timer = self._timer, self._loop.call_later(next_look - now, self._look)
        self._patience.next_look = next_look
        if before is not None:
            before.cancel()

    def _look(self) -> None:
        """Wake the tasks that have waited for too long, and set the timer anew. Connections that were lost are looked
        for."""
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
            await connection.connect(connect_timeout=connect_timeout, deadline=deadline, tls=self._tls)
        except BaseException as error:
            return self._not_opened(connection, error)
        return self._opened_now(connection)


class AsyncPools(PoolMap[AsyncNodePool, AsyncConnection]):
    """The pools of one event loop, which is the one in which the first request is made.

    It is a `transport.all_pools.SharedPools`: the methods that are named there may be called by any thread.
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
    ) -> None:
        super().__init__(limit=limit, max_idle=max_idle, clock=clock, renewal=renewal, admit=admit)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._tls = tls

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
        )

    def bind(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs here, which is the one of these pools from now on.

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
        """As `acquire`, where nothing is to be waited for; else None."""
        pool = self._pools.get(node.endpoint)
        return None if pool is None or self._closed else pool.take()

    async def aclose(self) -> None:
        """Close what is idle, now, and what is in use, when it is given back. Returns when the idle ones are gone."""
        for connection in self._close_all():
            await connection.wait_closed()

    # ---- what the cluster tells, from any thread ---------------------------------------------------------------

    def _in_loop(self, call: Callable[[], object]) -> None:
        loop = self.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed, and its connections are lost with it
                loop.call_soon_threadsafe(call)

    def keep_only(self, nodes: Collection[Node]) -> None:
        """As `PoolMap.keep_only`, a moment later."""
        self._members = frozenset(node.endpoint for node in nodes)  # for pools that are made before
        self._in_loop(lambda: super(AsyncPools, self).keep_only(nodes))

    def cut(self, node: Node, reason: str = "the node was declared down") -> None:
        """As `PoolMap.cut`, a moment later."""
        if node.endpoint in self._pools:
            self._in_loop(lambda: super(AsyncPools, self).cut(node, reason))

    def raise_limit(self, limit: int) -> None:
        """As `PoolMap.raise_limit`, a moment later, or at once if there is no event loop yet."""
        if self.loop is None:
            super().raise_limit(limit)
        else:
            self._in_loop(lambda: super(AsyncPools, self).raise_limit(limit))

    def _sweep(self, pool: AsyncNodePool) -> None:
        self._in_loop(pool.sweep)

    def close(self) -> None:
        """As `PoolMap.close`, a moment later."""
        self._closed = True
        self._in_loop(self._close_all)

    def after_fork(self) -> None:
        """In a forked child, or when the event loop is gone: drop all sockets, and belong to no event loop."""
        self.loop = None
        super().after_fork()
