"""Connections to each node, kept open between requests.

Each node has its own pool, and there may be any number of nodes: a pool for ten nodes, shared by three hundred, is
what makes other clients open a connection for most requests.

No lock is held while anything is connected, tested, closed or waited for. What shall be closed is decided under the
lock and closed outside it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import ClusterClosedError, NodeUnreachableError, PoolTimeoutError
from .http1 import Clock, Connection, TlsSource
from .patience import Patience

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["AllPools", "NodePool", "PoolStats", "Pools", "PoolsOfLoop"]

_DEFAULT_LIMIT = 50
_DEFAULT_MAX_IDLE = 60.0
LOOKS = 4
"""How often whatever waits for a connection looks whether the queue moves, within the time that it may stand still:
few times, because thousands may wait."""


class PoolStats(NamedTuple):
    """One node's connections: opened since the start, open now (those being opened too), in use now."""

    opened: int
    open: int
    in_use: int


class _Waiter:
    """A thread that waits for a connection. One that comes free goes straight to the first in the queue: were it
    put back instead, a thread that comes later could take it away again and again."""

    __slots__ = ("_gate", "connection", "error", "served")

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.served = False
        self.connection: Connection | None = None
        self.error: Exception | None = None

    def serve(self, connection: Connection | None = None, error: Exception | None = None) -> None:
        """Give a connection, or the right to open one, or an error. The pool's lock is held."""
        self.served, self.connection, self.error = True, connection, error
        self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Whether it was served within so many seconds."""
        return self._gate.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))


class NodePool:
    """The connections to one node.

    `limit`: connections open at once. `max_idle`: seconds after which an idle connection is no longer used.
    """

    def __init__(
        self,
        node: Node,
        *,
        limit: int = _DEFAULT_LIMIT,
        max_idle: float = _DEFAULT_MAX_IDLE,
        tls: TlsSource | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.node = node
        self.keeping = True
        """Whether connections are kept after use. Not of a node that has left: what is under way there ends well."""
        self._limit = limit
        self._max_idle = max_idle
        self._tls = tls
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._in_use: set[Connection] = set()
        self._waiters: deque[_Waiter] = deque()
        self._opened = 0
        # Connections that exist, and rights to open one that somebody holds.
        self._open = 0
        # When somebody in the queue was last served.
        self._last_served = 0.0

    # ---- taking and giving back --------------------------------------------------------------------------------

    def acquire(self, connect_timeout: float, deadline: float | None = None, wait: float | None = None) -> Connection:
        """A connection that no other thread uses: the one used last, or a fresh one.

        `connect_timeout`: seconds. `wait`: seconds in which one of a full pool must come free, for whomever it may be;
        `connect_timeout` if not given. `deadline`: on the clock, for both.
        Raises `NotSentError`s: `PoolTimeoutError`, and what `Connection.connect` raises.
        """
        while True:
            waiter = None
            with self._lock:
                if self._idle:
                    connection: Connection | None = self._idle.pop()
                    self._in_use.add(connection)  # type: ignore[arg-type]
                elif self._open < self._limit:
                    self._open += 1
                    connection = None
                else:
                    waiter = _Waiter()
                    self._waiters.append(waiter)
            if waiter is not None:
                connection = self._wait(waiter, connect_timeout if wait is None else wait, deadline)
            if connection is None:
                return self._open_one(connect_timeout, deadline)
            if self._clock() - connection.idle_since <= self._max_idle and not connection.is_stale():
                return connection
            self._discard(connection)

    def _wait(self, waiter: _Waiter, seconds: float, deadline: float | None) -> Connection | None:
        since = self._clock()
        patience = Patience(seconds, since, parts=LOOKS)
        try:
            while not waiter.wait(self._time_left(patience, deadline)):
                if not self._time_left(patience, deadline):
                    break
        except BaseException:
            self._leave_queue(waiter)
            raise
        with self._lock:
            if not waiter.served:
                self._waiters.remove(waiter)
        if waiter.error is not None:
            raise waiter.error
        if not waiter.served:
            raise self._full(min(self._clock() - max(since, self._last_served), seconds))
        return waiter.connection

    def _time_left(self, patience: Patience, deadline: float | None) -> float:
        """Seconds until the waiting thread looks again; 0 if it has waited long enough."""
        now = self._clock()
        left = patience.left(now, self._last_served)
        return left if deadline is None else max(0.0, min(left, deadline - now))

    def _full(self, seconds: float) -> PoolTimeoutError:
        return PoolTimeoutError(
            f"Node {self.node}: all {self._limit} connections stayed in use for {seconds:.4g} s. "
            "Use fewer threads, or raise max_pool_connections.",
            node=self.node.address,
        )

    def _leave_queue(self, waiter: _Waiter) -> None:
        """The thread was interrupted (KeyboardInterrupt, gevent's Timeout): what it got meanwhile goes to others."""
        with self._lock:
            if not waiter.served:
                self._waiters.remove(waiter)
                return
        if waiter.connection is not None:
            self.release(waiter.connection)
        elif waiter.error is None:
            self._give_back_right()

    def _open_one(self, connect_timeout: float, deadline: float | None) -> Connection:
        connection = Connection(self.node, clock=self._clock)
        with self._lock:
            # Before it is connected: `cut` ends the connecting too, and a node that does not accept is waited for.
            self._in_use.add(connection)
        try:
            connection.connect(connect_timeout=connect_timeout, deadline=deadline, tls=self._tls)
        except BaseException:
            self._discard(connection)
            raise
        with self._lock:
            self._opened += 1
        return connection

    def release(self, connection: Connection, reusable: bool = True) -> None:
        """Give back what `acquire` gave. A connection that ended badly, or is not `reusable`, is closed."""
        if connection.reusable and reusable:
            connection.idle_since = self._clock()
            with self._lock:
                if self.keeping and connection in self._in_use:
                    if self._waiters:
                        self._last_served = connection.idle_since
                        self._waiters.popleft().serve(connection)
                    else:
                        self._in_use.discard(connection)
                        self._idle.append(connection)
                    return
        self._discard(connection)

    def _discard(self, connection: Connection) -> None:
        connection.close()
        with self._lock:
            if connection not in self._in_use:
                return  # given back twice, or the pool has forgotten it
            self._in_use.discard(connection)
        self._give_back_right()

    def _give_back_right(self) -> None:
        """One connection less: somebody who waits may open another."""
        with self._lock:
            if self._waiters and self._open <= self._limit:
                self._last_served = self._clock()
                self._waiters.popleft().serve()
            else:
                self._open -= 1

    def _take_idle(self, before: float | None = None) -> list[Connection]:
        """Take idle connections out; only those not used since `before`, if it is given. The lock is held."""
        taken = [one for one in self._idle if before is None or one.idle_since < before]
        self._idle = self._idle[len(taken) :]  # in the order of their last use
        self._open -= len(taken)
        return taken

    # ---- what others do to it ----------------------------------------------------------------------------------

    def drop_idle(self, before: float | None = None) -> None:
        """Close idle connections; only those not used since `before`, if it is given."""
        with self._lock:
            taken = self._take_idle(before)
        _close(taken)

    def retire(self) -> None:
        """The node has left: requests under way end well, and their connections are closed behind them."""
        self.keeping = False
        self.drop_idle()

    def cut(self, reason: str = "the node was declared down") -> None:
        """End at once whatever waits for this node: exchanges, connecting, and threads in the queue."""
        with self._lock:
            idle = self._take_idle()
            in_use = list(self._in_use)
            self._refuse_waiters(NodeUnreachableError, f"Node {self.node} cannot be reached: {reason}")
        for connection in in_use:
            connection.cut(reason)
        _close(idle)

    def close(self) -> None:
        """As `retire`, and threads in the queue get a `ClusterClosedError`."""
        self.retire()
        with self._lock:
            self._refuse_waiters(ClusterClosedError, "The cluster was closed while this request waited.")

    def _refuse_waiters(self, kind: type[NodeUnreachableError | ClusterClosedError], reason: str) -> None:
        while self._waiters:
            # Each thread gets an exception of its own: raising one writes a traceback into it.
            self._waiters.popleft().serve(error=kind(reason, node=self.node.address, was_cut=True))

    def set_limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            while self._waiters and self._open < self._limit:
                self._open += 1
                self._waiters.popleft().serve()

    def abandon(self) -> None:
        """In a forked child: drop every socket, which the parent goes on using. Takes no lock."""
        for connection in [*self._idle, *self._in_use]:
            connection.abandon()

    # ---- looking -----------------------------------------------------------------------------------------------

    @property
    def unused(self) -> bool:
        return not self._open

    @property
    def has_room(self) -> bool:
        """Whether a connection can be had without waiting for one that is in use. Takes no lock."""
        return bool(self._idle) or self._open < self._limit

    def stats(self) -> PoolStats:
        return PoolStats(self._opened, self._open, len(self._in_use))

    def waiting_since(self) -> float | None:
        """When the oldest exchange or connecting under way began; None if there is none."""
        with self._lock:
            if not self._in_use:
                return None
            since = [one.busy_since for one in self._in_use]
        return min((moment for moment in since if moment is not None), default=None)


class Pools:
    """The pools of all nodes of a cluster. Threads may share it.

    `limit`: connections to one node that are open at once. `max_idle`: seconds, see `NodePool`. `tls`: where the
    nodes speak https. `clock`: that of all deadlines.
    """

    def __init__(
        self,
        limit: int = _DEFAULT_LIMIT,
        *,
        max_idle: float = _DEFAULT_MAX_IDLE,
        tls: TlsSource | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._limit = limit
        self._max_idle = max_idle
        self._tls = tls
        self._clock = clock
        self._next_tidying = clock() + max_idle
        self._members: frozenset[str] | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._pools: dict[str, NodePool] = {}

    # ---- what a request does -----------------------------------------------------------------------------------

    def acquire(
        self, node: Node, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> Connection:
        """A connection to `node`, for the calling thread alone until `release`.

        A kept-alive one that the node has closed meanwhile is dropped without a word, and another one taken.
        Raises `NotSentError`s: `PoolTimeoutError`, `NodeUnreachableError`, `ConnectTimeoutError`, `TlsError`,
        `ClusterClosedError`.
        """
        pool = self._pools.get(node.endpoint)
        if pool is None or self._closed:
            pool = self._add(node)
        return pool.acquire(connect_timeout, deadline, wait)

    def has_room(self, node: Node) -> bool:
        """Whether `acquire` would not have to wait for a connection that is in use, as far as one can see now."""
        pool = self._pools.get(node.endpoint)
        return pool is None or pool.has_room

    def release(self, connection: Connection, reusable: bool = True) -> None:
        """Give a connection back, however its exchange ended: it knows itself whether it can be used again."""
        pool = self._pools.get(connection.node.endpoint)
        if pool is None:
            connection.close()  # from before a fork, or of a node that left meanwhile
            return
        pool.release(connection, reusable)
        if connection.idle_since >= self._next_tidying:
            self._tidy(connection.idle_since)

    def _tidy(self, now: float) -> None:
        """Now and then: the connections of nodes that get no requests grow old too, and pools fall empty."""
        self._next_tidying = now + self._max_idle / 2
        for pool in list(self._pools.values()):
            pool.drop_idle(before=now - self._max_idle)
        with self._lock:
            for endpoint, pool in list(self._pools.items()):
                if pool.unused and not pool.keeping:
                    del self._pools[endpoint]

    def _add(self, node: Node) -> NodePool:
        with self._lock:
            if self._closed:
                raise ClusterClosedError("The cluster was closed: make no more requests after close().")
            pool = self._pools.get(node.endpoint)
            if pool is None:
                tls = self._tls if node.scheme == "https" else None
                pool = NodePool(node, limit=self._limit, max_idle=self._max_idle, tls=tls, clock=self._clock)
                # A plan made before the node left may still send here.
                pool.keeping = self._members is None or node.endpoint in self._members
                self._pools[node.endpoint] = pool
            return pool

    # ---- what the cluster tells --------------------------------------------------------------------------------

    def keep_only(self, nodes: Collection[Node]) -> None:
        """These nodes exist now. Of all others connections are closed, as soon as the requests on them are done."""
        present = {node.endpoint: node for node in nodes}
        left = []
        with self._lock:
            self._members = frozenset(present)
            for endpoint, pool in list(self._pools.items()):
                node = present.get(endpoint)
                if node is not None:
                    pool.node, pool.keeping = node, not self._closed
                elif pool.unused:
                    del self._pools[endpoint]
                else:
                    left.append(pool)
        for pool in left:
            pool.retire()

    def cut(self, node: Node, reason: str = "the node was declared down") -> None:
        """The node is down: all that waits for it gets an error at once, and its idle connections are closed."""
        pool = self._pools.get(node.endpoint)
        if pool is not None:
            pool.cut(reason)

    def waits(self, now: float) -> Iterator[tuple[Node, float]]:
        """For each node with requests under way: how long the oldest of them has been waiting, in seconds.

        Connecting counts as waiting.
        """
        for pool in list(self._pools.values()):
            since = pool.waiting_since()
            if since is not None:
                yield pool.node, max(0.0, now - since)

    def raise_limit(self, limit: int) -> None:
        """Allow more connections to one node. A lower number than now changes nothing."""
        with self._lock:
            if limit <= self._limit:
                return
            self._limit = limit
            pools = list(self._pools.values())
        for pool in pools:
            pool.set_limit(limit)

    def stats(self) -> dict[str, PoolStats]:
        """By node address."""
        return {pool.node.address: pool.stats() for pool in list(self._pools.values())}

    def close(self) -> None:
        """Close what is idle, now, and what is in use, when it is given back. Any number of times."""
        with self._lock:
            self._closed = True
            pools = list(self._pools.values())
        for pool in pools:
            pool.close()

    def after_fork(self) -> None:
        """In a forked child: drop all sockets without closing them for the parent, and take fresh locks."""
        pools, self._pools = self._pools, {}
        self._lock = threading.Lock()
        for pool in pools.values():
            pool.abandon()


class PoolsOfLoop(Protocol):
    """The connections that an event loop has to the nodes of a cluster. Any thread may call these methods.

    What they mean is what those of `Pools` mean.
    """

    def waits(self, now: float) -> Iterable[tuple[Node, float]]: ...

    def keep_only(self, nodes: Collection[Node]) -> None: ...

    def cut(self, node: Node, reason: str = ...) -> None: ...

    def raise_limit(self, limit: int) -> None: ...

    def stats(self) -> dict[str, PoolStats]: ...

    def close(self) -> None: ...

    def after_fork(self) -> None: ...


class AllPools:
    """A cluster's own pools, and those of event loops that share its nodes and their health.

    There is no lock: the garbage collector calls `remove`, in whatever thread, in the middle of `add` perhaps. Adding
    to a dict, taking out of it and listing it are one step each.
    """

    def __init__(self, own: Pools) -> None:
        self._pools: dict[PoolsOfLoop, None] = {own: None}

    @property
    def _all(self) -> list[PoolsOfLoop]:
        return list(self._pools)

    def add(self, pools: PoolsOfLoop) -> None:
        self._pools[pools] = None

    def remove(self, pools: PoolsOfLoop) -> None:
        self._pools.pop(pools, None)

    def waits(self, now: float) -> Iterator[tuple[Node, float]]:
        for one in self._all:
            yield from one.waits(now)

    def keep_only(self, nodes: Collection[Node]) -> None:
        for one in self._all:
            one.keep_only(nodes)

    def cut(self, node: Node, reason: str) -> None:
        for one in self._all:
            one.cut(node, reason)

    def raise_limit(self, limit: int) -> None:
        for pools in self._all:
            pools.raise_limit(limit)

    def stats(self) -> dict[str, PoolStats]:
        """By node address, over all of them."""
        total: dict[str, PoolStats] = {}
        for one in self._all:
            for address, found in one.stats().items():
                before = total.get(address, (0, 0, 0))
                total[address] = PoolStats(*(a + b for a, b in zip(before, found, strict=True)))
        return total

    def close(self) -> None:
        for one in self._all:
            one.close()

    def after_fork(self) -> None:
        for one in self._all:
            one.after_fork()


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()
