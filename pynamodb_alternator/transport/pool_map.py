"""The pools of all nodes of a cluster: the common part of the pools of threads and of event loops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import ClusterClosedError
from .http1 import Clock
from .pool_core import PoolCore, PoolStats
from .pooled import PooledConnection
from .turnover import NEVER, Renewal

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["PoolMap"]

C = TypeVar("C", bound=PooledConnection)
P = TypeVar("P", bound=PoolCore[Any])


class PoolMap(Generic[P, C]):
    """One pool for each node, by its endpoint: which exist, which are kept, and when they are tidied.

    Each node has its own pool, and there may be any number of nodes. Other clients keep pools for ten nodes: with three
    hundred nodes, they open a new connection for most requests.

    `limit`: how many connections to one node may be open at once. `max_idle`: seconds after which an idle connection is
    no longer used. `clock`: the clock of all deadlines. `renewal`: when a connection has reached its age. `admit`: is
    called with a node before it gets a pool; raises if the cluster must not connect to it.
    """

    def __init__(
        self,
        *,
        limit: int,
        max_idle: float,
        clock: Clock,
        renewal: Renewal = NEVER,
        admit: Callable[[Node], None] = lambda node: None,
    ) -> None:
        self._admit = admit
        self._limit = limit
        self._max_idle = max_idle
        self.renewal: Renewal = renewal
        self._clock = clock
        self._next_tidying = clock() + max_idle / 2
        self._members: frozenset[str] | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._pools: dict[str, P] = {}

    def _new_pool(self, node: Node) -> P:
        raise NotImplementedError

    # ---- calls of requests -------------------------------------------------------------------------------------

    def _pool(self, node: Node) -> P:
        """The pool of the node. Raises `ClusterClosedError`, and in a test `BlockedConnectionError`."""
        pool = self._pools.get(node.endpoint)
        return self._add(node) if pool is None or self._closed else pool

    def _add(self, node: Node) -> P:
        self._admit(node)
        with self._lock:
            if self._closed:
                raise ClusterClosedError("The cluster was closed: make no more requests after close().")
            pool = self._pools.get(node.endpoint)
            if pool is None:
                pool = self._new_pool(node)
                # A query plan that was made before the node left may still send requests here.
                pool.keeping = self._members is None or node.endpoint in self._members
                self._pools[node.endpoint] = pool
            return pool

    def has_room(self, node: Node) -> bool:
        """Whether `acquire` would not have to wait now for a connection that is in use."""
        pool = self._pools.get(node.endpoint)
        return pool is None or pool.has_room_now()

    def any_has_room(self, nodes: Iterable[Node]) -> bool:
        """Whether `has_room` is true for any of them."""
        pools = self._pools
        for node in nodes:
            pool = pools.get(node.endpoint)
            if pool is None or pool.has_room_now():
                return True
        return False

    def in_flight(self, node: Node) -> int:
        """Connections to `node` that are in use."""
        pool = self._pools.get(node.endpoint)
        return 0 if pool is None else pool.in_flight

    def release(self, connection: C) -> None:
        """Give a connection back after any end of its exchange: its `reusable` says whether it can be used again."""
        pool = self._pools.get(connection.node.endpoint)
        if pool is None:
            connection.close()  # it was made before a fork, or its node has left
            return
        pool.release(connection)
        if connection.idle_since >= self._next_tidying:
            self._tidy(connection.idle_since)

    def _tidy(self, now: float) -> None:
        """Tidy the pools now and then: connections of nodes without requests grow old too, and pools become empty."""
        self._next_tidying = now + self._max_idle / 2
        for pool in list(self._pools.values()):
            pool.tidy(now)
        with self._lock:
            for endpoint, pool in list(self._pools.items()):
                if pool.unused and not pool.keeping:
                    del self._pools[endpoint]

    # ---- calls of the cluster ----------------------------------------------------------------------------------

    def keep_only(self, nodes: Collection[Node]) -> None:
        """Keep the pools of these nodes. Connections to all others are closed when the requests on them have ended."""
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
        """The node is down: requests that wait for it fail at once, and its idle connections are closed."""
        pool = self._pools.get(node.endpoint)
        if pool is not None:
            pool.cut(reason)

    def waits(self, now: float) -> Iterator[tuple[Node, float]]:
        """Each node with requests under way, and for how many seconds the oldest of them has been waiting.

        Connecting counts as waiting. Repeated calls also find the connections that are lost.
        """
        for pool in list(self._pools.values()):
            since = pool.waiting_since()
            if since is not None:
                yield pool.node, max(0.0, now - since)
            if pool.may_have_lost:
                self._sweep(pool)

    def _sweep(self, pool: P) -> None:
        pool.sweep()

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
        """The counts of each pool, by node address."""
        return {pool.node.address: pool.stats() for pool in list(self._pools.values())}

    def connections(self) -> list[C]:
        """All connections that exist, idle or not, for inspection by people and tests."""
        return [connection for pool in list(self._pools.values()) for connection in pool.connections()]

    def close(self) -> None:
        """Close idle connections now, and those in use when they are given back. May be called any number of times."""
        self._close_all()

    def _close_all(self) -> list[C]:
        with self._lock:
            self._closed = True
            pools = list(self._pools.values())
        return [connection for pool in pools for connection in pool.close()]

    def after_fork(self) -> None:
        """In a forked child: drop all sockets without closing them for the parent, and make new locks."""
        pools, self._pools = self._pools, {}
        self._lock = threading.Lock()
        for pool in pools.values():
            pool.after_fork()
