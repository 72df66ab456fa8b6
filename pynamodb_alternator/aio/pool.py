"""Connections of an event loop to each node: what `transport.pool` is for threads.

Everything happens in the loop, so there are no locks. What the cluster's monitor tells, it tells from its own thread:
it is handed over to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import AlternatorError, ClusterClosedError, NodeUnreachableError, PoolTimeoutError, TransportError
from ..transport.http1 import Clock
from ..transport.patience import Patience
from ..transport.pool import LOOKS, PoolStats
from .connection import AsyncConnection

if TYPE_CHECKING:
    from ..topology.node import Node
    from ..transport.tls import TlsContexts

__all__ = ["AsyncNodePool", "AsyncPools", "EventLoopError"]

_MAX_IDLE = 60.0


class EventLoopError(AlternatorError, RuntimeError):
    """An `AsyncCluster` was used in another event loop than the one it belongs to, or in none."""


class _Right:
    """What a waiting task may get in place of a connection: the right to open one, or nothing in time."""


class _Turn(Patience):
    """How long a task goes on waiting in the queue, and the timer of its next look."""

    __slots__ = ("timer",)

    def __init__(self, seconds: float, now: float, *, parts: int) -> None:
        super().__init__(seconds, now, parts=parts)
        self.timer: asyncio.TimerHandle | None = None


_OPEN_ONE, _TIME_IS_UP = _Right(), _Right()
_Served = AsyncConnection | TransportError | _Right


class AsyncNodePool:
    """The connections of one event loop to one node. See `transport.pool.NodePool`."""

    def __init__(
        self,
        node: Node,
        loop: asyncio.AbstractEventLoop,
        *,
        limit: int,
        max_idle: float = _MAX_IDLE,
        tls: TlsContexts | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.node = node
        self.keeping = True
        """Whether connections are kept after use. Not of a node that has left: what is under way there ends well."""
        self._loop = loop
        self._limit = limit
        self._max_idle = max_idle
        self._tls = tls
        self._clock = clock
        self._idle: list[AsyncConnection] = []
        self._in_use: set[AsyncConnection] = set()
        self._waiters: deque[asyncio.Future[_Served]] = deque()
        self._opened = 0
        # Connections that exist, and rights to open one that somebody holds.
        self._open = 0
        # When somebody in the queue was last served.
        self._last_served = 0.0

    # ---- taking and giving back --------------------------------------------------------------------------------

    async def acquire(
        self, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> AsyncConnection:
        """A connection that no other task uses: the one used last, or a fresh one.

        `connect_timeout`: seconds. `wait`: seconds in which one of a full pool must come free, for whomever it may be;
        `connect_timeout` if not given. `deadline`: on the clock, for both.
        Raises `NotSentError`s: `PoolTimeoutError`, and what `AsyncConnection.connect` raises.
        """
        while True:
            if self._idle:
                connection: AsyncConnection | None = self._idle.pop()
                self._in_use.add(connection)  # type: ignore[arg-type]
            elif self._open < self._limit:
                self._open += 1
                connection = None
            else:
                connection = await self._wait(connect_timeout if wait is None else wait, deadline)
            if connection is None:
                return await self._open_one(connect_timeout, deadline)
            if self._clock() - connection.idle_since <= self._max_idle and not connection.is_stale():
                return connection
            self._discard(connection)

    async def _wait(self, seconds: float, deadline: float | None) -> AsyncConnection | None:
        since = self._clock()
        if seconds <= 0.0 or (deadline is not None and since >= deadline):
            raise self._full(0.0)
        waiter: asyncio.Future[_Served] = self._loop.create_future()
        self._waiters.append(waiter)
        turn = _Turn(seconds, since, parts=LOOKS)
        self._look_again(waiter, turn, deadline)
        try:
            served = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._pass_on(waiter.result())  # cancelled at the moment in which it was served
            raise
        finally:
            if turn.timer is not None:
                turn.timer.cancel()
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)
        if isinstance(served, AsyncConnection):
            return served
        if served is _OPEN_ONE:
            return None
        if isinstance(served, TransportError):
            raise served
        raise self._full(min(self._clock() - max(since, self._last_served), seconds))

    def _look_again(self, waiter: asyncio.Future[_Served], turn: _Turn, deadline: float | None) -> None:
        """Whether a task has waited long enough, and when to look next."""
        now = self._clock()
        left = turn.left(now, self._last_served)
        if deadline is not None:
            left = min(left, deadline - now)
        if left <= 0.0:
            _serve(waiter, _TIME_IS_UP)
        elif left < math.inf:
            turn.timer = self._loop.call_later(left, self._look_again, waiter, turn, deadline)

    def _full(self, seconds: float) -> PoolTimeoutError:
        return PoolTimeoutError(
            f"Node {self.node}: all {self._limit} connections stayed in use for {seconds:.4g} s. "
            "Make fewer requests at once, or raise max_pool_connections.",
            node=self.node.address,
        )

    def _pass_on(self, served: _Served) -> None:
        if isinstance(served, AsyncConnection):
            self.release(served)
        elif served is _OPEN_ONE:
            self._give_back_right()

    async def _open_one(self, connect_timeout: float, deadline: float | None) -> AsyncConnection:
        connection = AsyncConnection(self.node, self._loop, clock=self._clock)
        # Before it is connected: `cut` ends the connecting too, and a node that does not accept is waited for.
        self._in_use.add(connection)
        try:
            await connection.connect(connect_timeout=connect_timeout, deadline=deadline, tls=self._tls)
        except BaseException:
            self._discard(connection)
            raise
        self._opened += 1
        return connection

    def release(self, connection: AsyncConnection) -> None:
        """Give back what `acquire` gave. A connection that ended badly is closed."""
        if connection.reusable and self.keeping and connection in self._in_use:
            now = connection.idle_since = self._clock()
            if self._serve_first(connection):
                self._last_served = now
            else:
                self._in_use.discard(connection)
                self._idle.append(connection)
            return
        self._discard(connection)

    def _serve_first(self, served: _Served) -> bool:
        while self._waiters:
            if _serve(self._waiters.popleft(), served):
                return True
        return False

    def _discard(self, connection: AsyncConnection) -> None:
        connection.close()
        if connection in self._in_use:
            self._in_use.discard(connection)
            self._give_back_right()

    def _give_back_right(self) -> None:
        """One connection less: somebody who waits may open another."""
        if self._open > self._limit or not self._serve_first(_OPEN_ONE):
            self._open -= 1
        else:
            self._last_served = self._clock()

    # ---- what others do to it ----------------------------------------------------------------------------------

    def drop_idle(self, before: float | None = None) -> list[AsyncConnection]:
        """Close idle connections, which are given back; only those not used since `before`, if it is given."""
        taken = [one for one in self._idle if before is None or one.idle_since < before]
        self._idle = self._idle[len(taken) :]  # in the order of their last use
        self._open -= len(taken)
        for connection in taken:
            connection.close()
        return taken

    def retire(self) -> None:
        """The node has left: requests under way end well, and their connections are closed behind them."""
        self.keeping = False
        self.drop_idle()

    def cut(self, reason: str) -> None:
        """End at once whatever waits for this node: exchanges, connecting, and tasks in the queue."""
        self.drop_idle()
        for connection in list(self._in_use):
            connection.cut(reason)
        self._refuse_waiters(NodeUnreachableError, f"Node {self.node} cannot be reached: {reason}")

    def close(self) -> list[AsyncConnection]:
        """As `retire`, and tasks in the queue get a `ClusterClosedError`. Gives back what it has closed."""
        self.keeping = False
        self._refuse_waiters(ClusterClosedError, "The cluster was closed while this request waited.")
        return self.drop_idle()

    def _refuse_waiters(self, kind: type[NodeUnreachableError | ClusterClosedError], reason: str) -> None:
        while self._waiters:
            # Each task gets an exception of its own: raising one writes a traceback into it.
            _serve(self._waiters.popleft(), kind(reason, node=self.node.address, was_cut=True))

    def set_limit(self, limit: int) -> None:
        self._limit = limit
        while self._waiters and self._open < self._limit:
            if self._serve_first(_OPEN_ONE):
                self._open += 1

    def abandon(self) -> None:
        """In a forked child: drop every socket, which the parent goes on using."""
        for connection in [*self._idle, *self._in_use]:
            connection.abandon()

    # ---- looking, from any thread ------------------------------------------------------------------------------

    @property
    def unused(self) -> bool:
        return not self._open

    @property
    def has_room(self) -> bool:
        """Whether a connection can be had without waiting for one that is in use."""
        return bool(self._idle) or self._open < self._limit

    def stats(self) -> PoolStats:
        return PoolStats(self._opened, self._open, len(self._in_use))

    def waiting_since(self) -> float | None:
        """When the oldest exchange or connecting under way began; None if there is none."""
        since = [one.busy_since for one in list(self._in_use)]
        return min((moment for moment in since if moment is not None), default=None)


def _serve(waiter: asyncio.Future[_Served], served: _Served) -> bool:
    if waiter.done():
        return False
    waiter.set_result(served)
    return True


class AsyncPools:
    """The pools of one event loop, which is the one in which the first request is made.

    It is what `transport.pool.PoolsOfLoop` asks for: the methods that are named there may be called by any thread.
    """

    def __init__(
        self,
        limit: int,
        *,
        max_idle: float = _MAX_IDLE,
        tls: TlsContexts | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._limit = limit
        self._max_idle = max_idle
        self._tls = tls
        self._clock = clock
        self._next_tidying = clock() + max_idle
        self._members: frozenset[str] | None = None
        self._closed = False
        self._pools: dict[str, AsyncNodePool] = {}

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
                "Make one AsyncCluster for each event loop: AsyncCluster(cluster) shares the nodes and their health."
            )
        return loop

    # ---- what a request does -----------------------------------------------------------------------------------

    async def acquire(
        self, node: Node, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> AsyncConnection:
        """A connection to `node`, for the calling task alone until `release`. See `transport.pool.Pools.acquire`."""
        pool = self._pools.get(node.endpoint)
        if pool is None or self._closed:
            pool = self._add(node)
        return await pool.acquire(connect_timeout, deadline, wait)

    def has_room(self, node: Node) -> bool:
        """As `transport.pool.Pools.has_room`."""
        pool = self._pools.get(node.endpoint)
        return pool is None or pool.has_room

    def release(self, connection: AsyncConnection) -> None:
        """Give a connection back, however its exchange ended: it knows itself whether it can be used again."""
        pool = self._pools.get(connection.node.endpoint)
        if pool is None:
            connection.close()
            return
        pool.release(connection)
        if connection.idle_since >= self._next_tidying:
            self._tidy(connection.idle_since)

    def _tidy(self, now: float) -> None:
        """Now and then: the connections of nodes that get no requests grow old too, and pools fall empty."""
        self._next_tidying = now + self._max_idle / 2
        for endpoint, pool in list(self._pools.items()):
            pool.drop_idle(before=now - self._max_idle)
            if pool.unused and not pool.keeping:
                del self._pools[endpoint]

    def _add(self, node: Node) -> AsyncNodePool:
        if self._closed or self.loop is None:
            raise ClusterClosedError("The cluster was closed: make no more requests after aclose().")
        tls = self._tls if node.scheme == "https" else None
        pool = AsyncNodePool(node, self.loop, limit=self._limit, max_idle=self._max_idle, tls=tls, clock=self._clock)
        # A plan made before the node left may still send here.
        pool.keeping = self._members is None or node.endpoint in self._members
        self._pools[node.endpoint] = pool
        return pool

    async def aclose(self) -> None:
        """Close what is idle, now, and what is in use, when it is given back. Returns when the idle ones are gone."""
        self._closed = True
        closed = [connection for pool in self._pools.values() for connection in pool.close()]
        for connection in closed:
            await connection.wait_closed()

    # ---- what the cluster tells, from any thread ---------------------------------------------------------------

    def _in_loop(self, call: Callable[..., object], *given: Any) -> None:
        loop = self.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed, and its connections are lost with it
                loop.call_soon_threadsafe(call, *given)

    def keep_only(self, nodes: Collection[Node]) -> None:
        present = {node.endpoint: node for node in nodes}
        self._members = frozenset(present)
        self._in_loop(self._keep_only, present)

    def _keep_only(self, present: dict[str, Node]) -> None:
        for endpoint, pool in list(self._pools.items()):
            node = present.get(endpoint)
            if node is not None:
                pool.node, pool.keeping = node, True
            elif pool.unused:
                del self._pools[endpoint]
            else:
                pool.retire()

    def cut(self, node: Node, reason: str = "the node was declared down") -> None:
        pool = self._pools.get(node.endpoint)
        if pool is not None:
            self._in_loop(pool.cut, reason)

    def raise_limit(self, limit: int) -> None:
        if limit > self._limit:
            self._limit = limit
            for pool in list(self._pools.values()):
                self._in_loop(pool.set_limit, limit)

    def waits(self, now: float) -> Iterator[tuple[Node, float]]:
        for pool in list(self._pools.values()):
            since = pool.waiting_since()
            if since is not None:
                yield pool.node, max(0.0, now - since)

    def stats(self) -> dict[str, PoolStats]:
        """By node address."""
        return {pool.node.address: pool.stats() for pool in list(self._pools.values())}

    def close(self) -> None:
        self._closed = True
        for pool in list(self._pools.values()):
            self._in_loop(pool.close)

    def after_fork(self) -> None:
        """In a forked child, or when the event loop is gone: drop all sockets, and belong to no event loop."""
        pools, self._pools, self.loop = self._pools, {}, None
        for pool in pools.values():
            pool.abandon()
