"""GET requests for discovery and probes, on connections of their own, one for each node.

They do not use the pools of requests: a full pool must not delay the probe that finds out why it is full. But a pool
that needs a connection takes over an idle one of this module.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from ..errors import (
    ClusterClosedError,
    ConnectTimeoutError,
    DeadlineExceededError,
    ReadTimeoutError,
    TransportError,
)
from ..topology.health import PROBE_PATH
from .http1 import Answer, Clock, StepwiseConnection, TlsSource
from .live import LiveConnections
from .request import build_get

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["ControlConnections", "own_time"]

_MAX_BODY = 16 * 1024 * 1024
_MOST_IDLE = 8
"""The number of connections that are kept for the next fetch. Discovery asks the same few nodes again and again. Three
hundred nodes that were probed once at the start do not need a connection each."""


@contextlib.contextmanager
def own_time(node: Node, question: str, timeout: float) -> Iterator[None]:
    """The texts of timeout errors inside name this `question` and `timeout`, because there is no call with a
    deadline."""
    try:
        yield
    except (ConnectTimeoutError, ReadTimeoutError, DeadlineExceededError) as error:
        if error.was_cut:
            raise
        what = "accept the connection" if isinstance(error, ConnectTimeoutError) else f"answer {question}"
        kind = ConnectTimeoutError if isinstance(error, ConnectTimeoutError) else ReadTimeoutError
        raise kind(f"Node {node} did not {what} within {timeout:g} s", node=node.address) from error


class ControlConnections:
    """Fetches paths from nodes. Threads may share it; each node has at most one idle connection.

    `admit`: is called with the node before each fetch; raises if the cluster must not connect to it. `user_agent`: the
    User-Agent of fetches; None for none.
    """

    def __init__(
        self,
        *,
        tls: TlsSource | None = None,
        clock: Clock = time.monotonic,
        admit: Callable[[Node], None] = lambda node: None,
        user_agent: str | None = None,
    ) -> None:
        self._tls = tls
        self._admit = admit
        self._headers = () if user_agent is None else (("User-Agent", user_agent),)
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: dict[str, StepwiseConnection] = {}
        # Connections in use belong to the threads that use them. Only weak references to them are kept here.
        self._live: LiveConnections[StepwiseConnection] = LiveConnections()
        self._members: frozenset[str] | None = None
        self._asked: str | None = None
        """The endpoint that was last asked for something else than a probe: the node that tells the list."""
        self._closed = False

    def fetch_answer(self, node: Node, path: str, timeout: float) -> tuple[int, bytes]:
        """`fetch`, but it returns status and body, as discovery and probes need them."""
        answer = self.fetch(node, path, timeout=timeout)
        return answer.status, answer.body

    def fetch(self, node: Node, path: str, *, timeout: float) -> Answer:
        """GET `path`, within `timeout` seconds in all. Raises `TransportError`.

        If a kept-alive connection fails, this says little about its node, which may have been restarted since. So the
        request is made again, once, on a new connection.
        """
        with own_time(node, f"GET {path}", timeout):
            return self._fetch(node, path, timeout)

    def _fetch(self, node: Node, path: str, timeout: float) -> Answer:
        if self._closed:
            raise ClusterClosedError("The cluster was closed: make no more requests after close().")
        self._admit(node)
        deadline = self._clock() + timeout
        head = build_get(path, node.host_header, self._headers)
        if path != PROBE_PATH:
            self._asked = node.endpoint
        with self._lock:
            kept = self._idle.pop(node.endpoint, None)
        if kept is not None and kept.is_stale():
            kept.close()
        elif kept is not None:
            try:
                return self._exchange(kept, head, timeout, deadline)
            except (ReadTimeoutError, DeadlineExceededError):
                raise
            except TransportError as error:
                if error.was_cut:
                    raise
        fresh = StepwiseConnection(node, clock=self._clock)
        self._live.add(fresh)
        tls = self._tls if node.scheme == "https" else None
        fresh.connect(connect_timeout=timeout, deadline=deadline, tls=tls)
        return self._exchange(fresh, head, timeout, deadline)

    def _exchange(self, connection: StepwiseConnection, head: bytes, timeout: float, deadline: float) -> Answer:
        try:
            return connection.exchange(head, b"", read_timeout=timeout, deadline=deadline, max_body=_MAX_BODY)
        finally:
            self._give_back(connection)

    def _give_back(self, connection: StepwiseConnection) -> None:
        endpoint = connection.node.endpoint
        with self._lock:
            stays = self._members is None or endpoint in self._members
            if connection.reusable and stays and not self._closed and endpoint not in self._idle:
                self._idle[endpoint] = connection
                if len(self._idle) <= _MOST_IDLE:
                    return
                # The connection that has been idle for longest: a dict keeps the order of insertion.
                connection = self._idle.pop(next(iter(self._idle)))
        connection.close()

    def hand_over(self, node: Node) -> StepwiseConnection | None:
        """The idle connection to a node, which belongs to the caller then. None if there is none. The connection over
        which the list is read is not handed over.

        So for a new node that was probed because a request has named it, one connection is opened, and not two.
        """
        if node.endpoint not in self._idle or node.endpoint == self._asked:
            return None
        with self._lock:
            connection = self._idle.pop(node.endpoint, None)
        if connection is not None:
            self._live.discard(connection)
        return connection

    def keep_only(self, nodes: Collection[Node]) -> None:
        """Close the idle connections to all other nodes."""
        present = frozenset(node.endpoint for node in nodes)
        with self._lock:
            self._members = present  # for connections in use, which are given back later
            gone = [endpoint for endpoint in self._idle if endpoint not in present]
            connections = [self._idle.pop(endpoint) for endpoint in gone]
        for connection in connections:
            connection.close()

    def close(self) -> None:
        """Close all connections; a fetch under way fails at once. May be called any number of times."""
        with self._lock:
            self._closed = True
            idle = list(self._idle.values())
            self._idle.clear()
        for connection in idle:
            connection.close()
        for connection in self._live.all():
            connection.cut("the cluster was closed")

    def after_fork(self) -> None:
        """In a forked child: drop all sockets without closing them for the parent, and take a fresh lock."""
        connections = self.connections()
        self._lock, self._idle, self._live = threading.Lock(), {}, LiveConnections()
        for connection in connections:
            connection.abandon()

    def connections(self) -> list[StepwiseConnection]:
        """All connections that exist, idle or not."""
        return self._live.all()
