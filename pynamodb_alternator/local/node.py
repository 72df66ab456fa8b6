"""One node of the embedded cluster.

A test uses a `LocalNode`: it has the node's location, the requests that it received, and methods to kill it, to hang it
and to add faults. It does not know the cluster: its sockets are a `NodeServer`, its faults are `NodeFaults`, and the
`Handler` that it was given makes the answers. The node's own work is in `LocalNode.respond`: it counts requests, delays
them while it hangs, and applies faults.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from . import request_log
from .answers import Answer, DialectError
from .faults import LOCALNODES
from .handler import Handler
from .http import Reply, Request
from .node_faults import NodeFaults
from .parsing import Parsed
from .placement import Location
from .runtime import Runtime
from .server import NodeServer, ServerSettings

_MOST_KEPT = 50_000


@dataclass(slots=True)
class Received:
    """One DynamoDB request that a node received, also if a fault was applied to it afterwards."""

    operation: str
    table: str | None
    """None also for a batch that names several tables."""
    partition_key: Any
    """The attribute value, such as ``{"S": "alice"}``; None for operations that do not read or write exactly one
    item."""
    headers: dict[str, str]
    """Names in lower case."""
    body_size: int
    """In bytes, before decompression."""


class LocalNode(NodeFaults):
    """A node: its location, the requests that it received, and the faults that a test can add while it runs.

    All methods may be called from any thread, and have taken effect when they return.
    """

    server_type: ClassVar[type[NodeServer]] = NodeServer

    def __init__(
        self,
        runtime: Runtime,
        handler: Handler,
        settings: ServerSettings,
        location: Location,
        placeholder: socket.socket,
    ) -> None:
        super().__init__()
        self.server: NodeServer = self.server_type(runtime, settings, placeholder, self.respond)
        """The sockets of the node. Only the cluster uses them."""
        self._runtime = runtime
        self._handler = handler
        self._location = location
        self._requests: deque[Received] = deque(maxlen=_MOST_KEPT)
        self._under_way: dict[int, Request] = {}
        self._lie: bytes | None = None
        self.joined: bool = True
        """Whether it is part of the topology."""
        self.listed: bool = True
        """Whether its peers believe it to be up."""
        self.operations: Counter[str] = Counter()
        """How many requests it received, by DynamoDB operation."""
        self.replica_hits: int = 0
        """How many requests it received for an item or a partition of which it is a replica."""
        self.replica_misses: int = 0
        """How many requests it received for an item or a partition of which it is not a replica, so that it has to ask
        one."""
        self.polls: Counter[str] = Counter()
        """How many other requests it received, by path: ``/localnodes``, ``/``."""
        self._shards = self.server.shards

    def __repr__(self) -> str:
        state = "up" if self.up else "down"
        if self.hung:
            state = "hung"
        return f"<LocalNode {self.address} {self.datacenter}/{self.rack} {state}>"

    @property
    def host(self) -> str:
        return self.server.host

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        scheme = "https" if self.server.secure else "http"
        return f"{scheme}://{self.address}"

    @property
    def datacenter(self) -> str:
        return self._location.datacenter

    @property
    def rack(self) -> str:
        return self._location.rack

    @property
    def up(self) -> bool:
        """Whether it accepts connections."""
        return self.server.up

    @property
    def hung(self) -> bool:
        return self.server.hung

    @property
    def open_connections(self) -> int:
        return self.server.open_connections

    @property
    def connections(self) -> int:
        """How many connections it has accepted so far, or since the last `forget`."""
        return self.server.accepted

    @property
    def shard_connections(self) -> tuple[int, ...]:
        """How many connections each of its shards has now."""
        return self._shards.connections

    @property
    def shard_requests(self) -> tuple[int, ...]:
        """How many DynamoDB requests each of its shards got. A request belongs to the shard of its connection."""
        return self._shards.requests

    @property
    def tls_handshakes(self) -> int:
        """How many TLS handshakes it did."""
        return self.server.tls_handshakes

    @property
    def tls_resumed(self) -> int:
        """How many TLS handshakes resumed a session."""
        return self.server.tls_resumed

    @property
    def requests(self) -> list[Received]:
        """The DynamoDB requests received so far, oldest first (the last 50,000)."""
        return list(self._requests.copy())

    def under_way(self) -> list[Request]:
        """The DynamoDB requests that it has received and not answered yet."""
        return list(self._under_way.values())

    def forget(self) -> None:
        """Set all counters to 0: requests, also those by shard, operations, replica hits and misses, polls, accepted
        connections, and TLS handshakes."""
        self._requests.clear()
        self.replica_hits = self.replica_misses = 0
        self.operations.clear()
        self.polls.clear()
        self.server.reset_counters()

    # Dying and coming back

    def kill(self, *, still_listed: bool = False) -> None:
        """Close the listener and every connection at once, so that clients are refused, as if the process had died.

        `still_listed`: its peers still list it in ``/localnodes``, as real nodes do until they have noticed its end.
        """
        self._runtime.in_loop(self.server.kill)
        self.listed = still_listed

    def revive(self) -> None:
        """Listen again, and be listed again. A node that is up stays up."""
        self._runtime.in_loop(self.server.listen)
        self.listed = True

    def hang(self) -> None:
        """Accept connections, but do not answer requests, also not on open connections.

        Requests that come in the meantime are executed after `resume`, as a stopped process would do.
        """
        self._runtime.in_loop(self.server.hang)

    def resume(self) -> None:
        """End `hang`, and answer the requests that have waited."""
        self._runtime.in_loop(self.server.resume)

    def close_idle_connections(self) -> int:
        """Close the connections that wait for a request (FIN). Returns how many they were."""
        closed = self._runtime.in_loop(self.server.close_idle)
        self._runtime.in_loop(lambda: None)  # asyncio sends the FIN in the loop's next iteration: wait for it
        return closed

    def clear_faults(self) -> None:
        """End `lie`, `hang` and every fault. A killed node stays killed."""
        self._faults.clear()
        self._lie = None
        self.resume()

    # Topology

    def leave(self) -> None:
        """Leave the topology: no node lists it any more. It still answers every client that asks it."""
        self.joined = False

    def join(self) -> None:
        self.joined = True

    def lie(self, entries: Sequence[object] | bytes | str | None) -> None:
        """Answer ``/localnodes`` with these entries, or with this text as the whole body. None ends this."""
        if entries is None:
            self._lie = None
        elif isinstance(entries, bytes | str):
            self._lie = entries.encode() if isinstance(entries, str) else entries
        else:
            self._lie = orjson.dumps(list(entries))

    # A request

    async def respond(self, request: Request) -> Reply | None:
        """The reply to a request; None if the socket has to be closed without one. Only the node's server calls it."""
        try:
            return await self._respond(request)
        finally:
            self._under_way.pop(id(request), None)

    async def _respond(self, request: Request) -> Reply | None:
        begun = time.perf_counter()
        parsed: Parsed | None = None
        answer: Answer | None = None
        replica: bool | None = None
        if request.method == "POST" and request.path == "/":
            self._shards.received(request.shard)
            name = "?"
            try:
                parsed = await self._handler.read(request, self.host)
            except DialectError as refused:
                answer = refused.answer()
            else:
                name = parsed.operation
                self._note(request, parsed)
                replica = await self._count_replica(parsed)
        else:
            name = request.path
            self.polls[name] += 1
        server = self.server
        if server.hung:
            await server.until_resumed()
        effect = self._faults.strike(name)
        hop = self._handler.hop_delay if replica is False else 0.0
        if effect.delay or hop:
            await asyncio.sleep(effect.delay + hop)
        if effect.execute and answer is None:
            answer = await self._handler.execute(parsed) if parsed is not None else self._get(request)
        if effect.answer is not None:
            answer = effect.answer
        if effect.delay_after:
            await asyncio.sleep(effect.delay_after)
        if server.hung:
            await server.until_resumed()
        if effect.wire == "drop":
            answer = None
        if request_log.is_on() and request.method == "POST":
            self._log(request, name, parsed, answer, time.perf_counter() - begun, replica)
        if answer is None:
            return None
        body, encoding = await self._handler.encode(request, answer)
        return Reply(answer, body, encoding, effect)

    def _note(self, request: Request, parsed: Parsed) -> None:
        self._under_way[id(request)] = request
        self.operations[parsed.operation] += 1
        self._requests.append(
            Received(parsed.operation, parsed.table, parsed.partition_key, request.headers, len(request.body))
        )

    async def _count_replica(self, parsed: Parsed) -> bool | None:
        """Count a request as a hit or a miss. Returns True for a hit, False for a miss, None for other requests."""
        replica = await self._handler.is_replica(parsed, self)
        if replica is not None:
            self.replica_hits += replica
            self.replica_misses += not replica
        return replica

    def _log(
        self,
        request: Request,
        name: str,
        parsed: Parsed | None,
        answer: Answer | None,
        seconds: float,
        replica: bool | None,
    ) -> None:
        table, token = (None, None) if parsed is None else (parsed.table, self._handler.token(parsed))
        request_log.note(self.address, request.shard, name, table, token, answer, seconds, replica)

    def _get(self, request: Request) -> Answer:
        if self._lie is not None and request.method == "GET" and request.path == LOCALNODES:
            return Answer(200, self._lie, "application/json")
        return self._handler.get(request, self)
