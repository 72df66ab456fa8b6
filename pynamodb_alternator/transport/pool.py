"""The connections of threads to each node, kept open between requests. The rules are those of `pool_core`.

No lock is held while anything is connected, tested, closed or waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .http1 import Clock, Steps, StepwiseConnection, TlsSource
from .patience import Patience
from .pool_core import DEFAULT_LIMIT, DEFAULT_MAX_IDLE, HEAL_EVERY, PARTS, PoolCore
from .pool_map import PoolMap
from .pooled import Waiter
from .turnover import NEVER, Renewal

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["HandOver", "NodePool", "Pools", "nothing"]

HandOver = Callable[["Node"], StepwiseConnection | None]


def nothing(node: Node) -> None:
    """The default for `hand_over`: there is never a connection."""


_HEALERS = 16
"""All waiters of a long queue together make so many looks in `HEAL_EVERY` seconds."""


class _WaitingThread(Waiter[StepwiseConnection]):
    __slots__ = ("_gate",)

    def __init__(self) -> None:
        super().__init__()
        self._gate = threading.Lock()
        self._gate.acquire()

    def wake(self) -> None:
        self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Wait. Returns whether it was woken within so many seconds."""
        return self._gate.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))


class _Turn:
    """How long a thread still waits, and when it looks next."""

    def __init__(self, pool: NodePool, seconds: float, deadline: float | None) -> None:
        self._pool = pool
        self._deadline = deadline
        self.since: float = pool.clock()
        self._patience = Patience(seconds, self.since, parts=PARTS)

    def left(self) -> float:
        """Seconds until the next look; 0 if the wait is over."""
        pool = self._pool
        now = pool.clock()
        left = self._patience.left(now, pool.last_served)
        if self._deadline is not None:
            left = min(left, self._deadline - now)
        # With many waiters, each of them looks seldom: each look serves the first waiter of the queue.
        return max(0.0, min(left, HEAL_EVERY * max(1.0, pool.queue_length / _HEALERS)))


class NodePool(PoolCore[StepwiseConnection]):
    """The connections to one node. Threads may share it. `limit`, `max_idle`, `renewal`: see `PoolCore`. `hand_over`:
    returns a connection to the node that was opened for something else and is not needed there, or None."""

    advice = "Use fewer threads"

    def __init__(
        self,
        node: Node,
        *,
        limit: int = DEFAULT_LIMIT,
        max_idle: float = DEFAULT_MAX_IDLE,
        tls: TlsSource | None = None,
        clock: Clock = time.monotonic,
        renewal: Renewal = NEVER,
        hand_over: HandOver = nothing,
    ) -> None:
        super().__init__(node, limit=limit, max_idle=max_idle, clock=clock, renewal=renewal)
        self._tls = tls
        self._hand_over = hand_over

    def _new_connection(self) -> StepwiseConnection:
        return StepwiseConnection(self.node, clock=self.clock)

    def _handed_over(self) -> StepwiseConnection | None:
        return self._hand_over(self.node)

    def acquire(
        self,
        connect_timeout: float,
        deadline: float | None = None,
        wait: float | None = None,
        *,
        connects: bool = True,
    ) -> StepwiseConnection:
        """A connection for the calling thread alone: the one that has been idle for longest, or a new one.

        `connect_timeout`: seconds. `wait`: if the pool is full, seconds in which a connection must be given back, to
        any waiter; None for `connect_timeout`. `deadline`: a time of the clock, for both. `connects`: whether a new
        connection is connected. Raises `NotSentError`s: `PoolTimeoutError`, and those of `Connection.connect`.
        """
        idle, spares = self._idle, self._spares
        while True:
            if idle and not self._waiters:
                try:
                    connection = idle.pop(0)
                except IndexError:
                    continue  # another thread has taken it
                connection.lent_by = self._live
                if len(idle) < spares.fewest:
                    spares.fewest = len(idle)
            else:
                connection = self._take_or_wait(connect_timeout if wait is None else wait, deadline)
                if not connection.connected:
                    return self._connected(connection, connect_timeout, deadline) if connects else connection
            fresh = None
            try:
                now = self.clock()
                if now - connection.idle_since <= self._max_idle and not connection.is_stale():
                    if now < connection.renew_at:
                        return connection
                    fresh = self._successor(connection)
                else:
                    self._discard(connection)
            except BaseException:
                # With gevent, other greenlets run during this check, and a Timeout may be raised.
                self.release(connection)
                raise
            if fresh is not None:
                return self._connected(fresh, connect_timeout, deadline) if connects else fresh

    def acquire_in_steps(
        self, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> Steps[StepwiseConnection]:
        """Like `acquire`, but a new connection is connected in steps."""
        connection = self.acquire(connect_timeout, deadline, wait, connects=False)
        if not connection.connected:
            try:
                yield from connection.connect_in_steps(
                    connect_timeout=connect_timeout, deadline=deadline, tls=self._tls
                )
            except BaseException as error:
                return self._not_opened(connection, error)
            self._opened_now(connection)
        return connection

    def _take_or_wait(self, seconds: float, deadline: float | None) -> StepwiseConnection:
        waiter = _WaitingThread()
        connection = self._take_or_queue(waiter)
        if connection is not None:
            return connection
        turn = _Turn(self, seconds, deadline)
        try:
            while not waiter.served and (left := turn.left()) and not waiter.wait(left):
                self.heal()
        except BaseException:
            # KeyboardInterrupt, or gevent's Timeout.
            self._interrupted(waiter)
            raise
        return self._outcome(waiter, turn.since, seconds)

    def _connected(
        self, connection: StepwiseConnection, connect_timeout: float, deadline: float | None
    ) -> StepwiseConnection:
        try:
            connection.connect(connect_timeout=connect_timeout, deadline=deadline, tls=self._tls)
        except BaseException as error:
            return self._not_opened(connection, error)
        return self._opened_now(connection)


class Pools(PoolMap[NodePool, StepwiseConnection]):
    """The pools of all nodes of a cluster. Threads may share it.

    `limit`, `max_idle`, `clock`, `renewal`, `admit`: see `PoolMap`. `tls`: not None if the nodes use https.
    `hand_over`: see `NodePool`.
    """

    def __init__(
        self,
        limit: int = DEFAULT_LIMIT,
        *,
        max_idle: float = DEFAULT_MAX_IDLE,
        tls: TlsSource | None = None,
        clock: Clock = time.monotonic,
        renewal: Renewal = NEVER,
        admit: Callable[[Node], None] = lambda node: None,
        hand_over: HandOver = nothing,
    ) -> None:
        super().__init__(limit=limit, max_idle=max_idle, clock=clock, renewal=renewal, admit=admit)
        self._tls = tls
        self._hand_over = hand_over

    def _new_pool(self, node: Node) -> NodePool:
        tls = self._tls if node.scheme == "https" else None
        return NodePool(
            node,
            limit=self._limit,
            max_idle=self._max_idle,
            tls=tls,
            clock=self._clock,
            renewal=self.renewal,
            hand_over=self._hand_over,
        )

    def acquire(
        self, node: Node, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> StepwiseConnection:
        """A connection to `node`, for the calling thread alone until `release`.

        An idle connection that the node has closed meanwhile is dropped, and another one is used. Raises
        `NotSentError`s: `PoolTimeoutError`, `NodeUnreachableError`, `ConnectTimeoutError`, `TlsError`,
        `ClusterClosedError`.
        """
        return self._pool(node).acquire(connect_timeout, deadline, wait)

    def acquire_in_steps(
        self, node: Node, connect_timeout: float, deadline: float | None = None, wait: float | None = None
    ) -> Steps[StepwiseConnection]:
        """Like `acquire`, but a new connection is connected in steps: see `http1.steps`."""
        return self._pool(node).acquire_in_steps(connect_timeout, deadline, wait)
