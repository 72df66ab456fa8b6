"""Connections without sockets: what the pools and the control connections use instead in a simulated process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynamodb_alternator.transport.control import ControlConnections
from pynamodb_alternator.transport.http1 import Answer, StepwiseConnection

from .cluster import Cluster, State
from .tally import BYTES, HANDSHAKES, OWN_HANDSHAKES, PROBES, READINGS, REQUESTS, Tally
from .world import World, now

if TYPE_CHECKING:
    from pynamodb_alternator.topology.node import Node

__all__ = ["ControlWire", "CountedControl", "Network", "RequestWire"]

HANDSHAKE = 0.002
"""Seconds to connect: TCP and TLS, within a datacenter."""
ANSWER = 0.001
"""Seconds until an answer comes."""
_LIST = b"GET /localnodes"


class Network:
    """What all connections of a simulated process share: the cluster, and the tally that counts what its nodes see."""

    running: Network

    def __init__(self, cluster: Cluster, tally: Tally) -> None:
        self.cluster = cluster
        self.tally = tally


class _Wire(StepwiseConnection):
    """A simulated connection without a socket. Its rules and errors are those of real connections."""

    __slots__ = ("_boots", "_connected_at", "_number", "_wait")

    handshakes = HANDSHAKES

    def __init__(self, node: Node, *, clock: Any) -> None:
        super().__init__(node, clock=clock)
        self._number = Network.running.cluster.number[node.host]
        self._boots = 0
        self._connected_at = 0.0
        self._wait: Any = None

    def connect(self, *, connect_timeout: float, deadline: float | None = None, tls: Any = None) -> None:
        network, world = Network.running, World.running
        with self._connecting(connect_timeout, deadline) as until:
            self._connected_at = world.now
            network.tally.add(self.handshakes, self._number, world.now)
            state, self._boots = network.cluster.at(self._number, world.now)
            if state is State.SILENT or state is State.ABSENT:
                self._sleep(until - world.now)
                if self._cut_reason is not None:
                    raise OSError(self._cut_reason)
                raise TimeoutError
            self._sleep(HANDSHAKE)
            if self._cut_reason is not None:
                raise OSError(self._cut_reason)
            if state is State.REFUSES:
                raise ConnectionRefusedError("it refused the connection")
            self.connected = self.reusable = True

    def _sleep(self, seconds: float) -> None:
        """Wait until the time is up, or the connection is cut."""
        if self._cut_reason is None:
            self._wait = World.running.new_wait()
            World.running.wait(self._wait, seconds)
            self._wait = None

    def exchange(
        self,
        head: bytes,
        body: bytes,
        *,
        read_timeout: float,
        deadline: float | None = None,
        patient: bool = False,
        max_body: int = 0,
    ) -> Answer:
        network, world = Network.running, World.running
        usable, self.reusable = self.reusable, False
        if not usable:
            raise self._unreachable("its connection was closed")
        self.busy_since = world.now
        try:
            state, boots = network.cluster.at(self._number, world.now)
            if state is State.UP:
                self._sleep(ANSWER)
                state, boots = network.cluster.at(self._number, world.now)
            if state is State.SILENT:
                until = read_timeout if deadline is None else min(read_timeout, deadline - world.now)
                self._sleep(until)
                if self._cut_reason is None:
                    raise self._read_timeout(read_timeout, deadline, 0)
            if self._cut_reason is not None or state is not State.UP or boots != self._boots:
                raise self._lost(None, 0)
            self._exchanges += 1
            self.reusable = True
            return Answer(200, {}, self._answer(head))
        finally:
            self.busy_since = None

    def _answer(self, head: bytes) -> bytes:
        network, world = Network.running, World.running
        if head.startswith(_LIST):
            body = network.cluster.node_list(world.now)
            network.tally.add(BYTES, self._number, world.now, len(body))
            return body
        if head.startswith(b"GET"):
            return b"healthy"
        network.tally.add(REQUESTS, self._number, world.now)
        return b"{}"

    def is_stale(self) -> bool:
        state, boots = Network.running.cluster.at(self._number, World.running.now)
        return not self.reusable or boots != self._boots or state in (State.REFUSES, State.ABSENT)

    def cut(self, reason: str = "it was declared down") -> None:
        self.reusable = False
        self._cut_reason = reason
        if self._wait is not None:
            World.running.wake(self._wait)

    def close(self) -> None:
        self.reusable = False

    def abandon(self) -> None:
        self.reusable = False


class RequestWire(_Wire):
    """A connection that was opened for a request."""

    __slots__ = ()


class ControlWire(_Wire):
    """A connection that was opened for list readings and probes. A pool may take it over."""

    __slots__ = ()

    handshakes = OWN_HANDSHAKES

    def is_taken_over(self) -> None:
        """A pool takes it over: from now on requests use it, and it is counted as theirs."""
        tally = Network.running.tally
        tally.add(OWN_HANDSHAKES, self._number, self._connected_at, -1)
        tally.add(HANDSHAKES, self._number, self._connected_at)


class CountedControl(ControlConnections):
    """The control connections of a process. They count the readings and probes that are tried."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(clock=now, **settings)

    def fetch_answer(self, node: Node, path: str, timeout: float) -> tuple[int, bytes]:
        network = Network.running
        kind = READINGS if path.startswith("/localnodes") else PROBES
        network.tally.add(kind, network.cluster.number[node.host], now())
        return super().fetch_answer(node, path, timeout)

    def hand_over(self, node: Node) -> StepwiseConnection | None:
        connection = super().hand_over(node)
        if isinstance(connection, ControlWire):
            connection.is_taken_over()
        return connection
