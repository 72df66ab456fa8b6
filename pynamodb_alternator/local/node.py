"""One node of the embedded cluster."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from ..errors import ConfigurationError
from ..settings import checks
from . import auth, compression, http
from .answers import JSON, Answer, DialectError, error_answer
from .dialect import QUICK, Parsed
from .faults import HEALTH, LOCALNODES, Effect, Fault, Faults, error_effect
from .placement import Place
from .virtual_tables import Member

if TYPE_CHECKING:
    from .cluster import LocalCluster

_MOST_KEPT = 50_000
_BACKLOG = 4096
_INLINE_BYTES = 64 * 1024


@dataclass(slots=True)
class Received:
    """One DynamoDB request that a node received, whether or not a fault struck it afterwards."""

    operation: str
    table: str | None
    """None also where a batch names several tables."""
    partition_key: Any
    """The typed value, such as ``{"S": "alice"}``; None for operations on more or less than one item."""
    headers: dict[str, str]
    """Names in lower case."""
    body_size: int
    """Bytes on the wire, before decompression."""


class LocalNode:
    """A node: where it stands, what it received, and the faults that can be put on it while it runs.

    All methods may be called from any thread, and have taken effect when they return.
    """

    def __init__(self, cluster: LocalCluster, place: Place, port: int) -> None:
        self._cluster = cluster
        self._options = cluster._options
        self._place = place
        self._port = port
        self._faults = Faults()
        self._listener: socket.socket | None = None
        self._placeholder: socket.socket | None = None
        self._open: set[http.Connection] = set()
        self._held: list[socket.socket] = []
        self._handshakes: set[asyncio.Task[bool]] = set()
        self._thawed: asyncio.Future[None] | None = None
        self._requests: deque[Received] = deque(maxlen=_MOST_KEPT)
        self._lie: bytes | None = None
        self.joined = True
        """Whether it is part of the topology."""
        self.listed = True
        """Whether its peers believe it to be up."""
        self.connections = 0
        """How many connections it has accepted so far."""
        self.operations: Counter[str] = Counter()
        """How many requests of each DynamoDB operation it received."""
        self.tls_handshakes = 0
        self.tls_resumed = 0
        """How many TLS handshakes it did, and how many of them resumed a session."""
        self.polls: Counter[str] = Counter()
        """How many ``GET /localnodes`` and ``GET /`` it received, by path."""

    def __repr__(self) -> str:
        state = "up" if self.up else "down"
        if self.hung:
            state = "hung"
        return f"<LocalNode {self.address} {self.datacenter}/{self.rack} {state}>"

    @property
    def host(self) -> str:
        return self._place.host

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        return f"{self.host}:{self._port}"

    @property
    def url(self) -> str:
        return f"{self._cluster.scheme}://{self.address}"

    @property
    def datacenter(self) -> str:
        return self._place.datacenter

    @property
    def rack(self) -> str:
        return self._place.rack

    @property
    def up(self) -> bool:
        """Whether it accepts connections."""
        return self._listener is not None

    @property
    def hung(self) -> bool:
        return self._thawed is not None

    @property
    def open_connections(self) -> int:
        return len(self._open) + len(self._held) + len(self._handshakes)

    @property
    def requests(self) -> list[Received]:
        """The DynamoDB requests received so far, oldest first (the last 50,000)."""
        return list(self._requests.copy())

    def forget(self) -> None:
        """Set the counters back: requests, operations, polls and accepted connections."""
        self._requests.clear()
        self.operations.clear()
        self.polls.clear()
        self.connections = self.tls_handshakes = self.tls_resumed = 0

    # Dying and coming back

    def kill(self, *, still_listed: bool = False) -> None:
        """Close the listener and every connection at once, so that clients are refused, as if the process had died.

        `still_listed`: its peers go on naming it in ``/localnodes``, as they do until they have noticed.
        """
        self._cluster._in_loop(self._kill)
        self.listed = still_listed

    def revive(self) -> None:
        """Listen again, and be listed again. A node that is up stays so."""
        self._cluster._in_loop(self._listen)
        self.listed = True

    def hang(self) -> None:
        """Accept connections and never answer, on open connections too.

        What was received meanwhile is executed after `resume`, as a stopped process would do.
        """
        self._cluster._in_loop(self._hang)

    def resume(self) -> None:
        """End `hang`: answer what has waited."""
        self._cluster._in_loop(self._resume)

    # Topology

    def leave(self) -> None:
        """Leave the topology: no node lists it any more. It goes on serving whoever asks."""
        self.joined = False

    def join(self) -> None:
        self.joined = True

    def lie(self, entries: Sequence[object] | bytes | str | None) -> None:
        """Answer ``/localnodes`` with these entries, or with this text as the whole body; None ends it."""
        if entries is None:
            self._lie = None
        elif isinstance(entries, bytes | str):
            self._lie = entries.encode() if isinstance(entries, str) else entries
        else:
            self._lie = orjson.dumps(list(entries))

    # Spoilt answers

    def delay(
        self,
        seconds: float,
        *,
        operation: str | Iterable[str] | None = None,
        times: int | None = None,
        after: bool = False,
    ) -> Fault:
        """Wait so long before executing a request (with `after`: between executing and answering it)."""
        checks.positive("LocalNode.delay: seconds", seconds)
        effect = Effect(delay_after=seconds) if after else Effect(delay=seconds)
        return self._faults.add("delay", effect, operation, times)

    def fail_with(
        self,
        error_type: str,
        *,
        status: int | None = None,
        message: str = "a fault on demand",
        times: int | None = None,
        executed: bool = False,
        operation: str | Iterable[str] | None = None,
    ) -> Fault:
        """Answer with an error, such as InternalServerError or RequestLimitExceeded.

        `executed`: the request is executed all the same, and the error lies. `status` is by default the one that
        Alternator gives with the type.
        """
        effect = error_effect(error_type, status, message, executed)
        return self._faults.add("fail_with", effect, operation, times)

    def reset_mid_answer(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Execute, send the head and half of the body, then reset the connection (RST)."""
        return self._faults.add("reset_mid_answer", Effect(wire="reset"), operation, times)

    def truncate_answer(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Execute, send the head and half of the body, then close the connection in order (FIN)."""
        return self._faults.add("truncate_answer", Effect(wire="truncate"), operation, times)

    def garbage_answer(
        self,
        times: int | None = 1,
        *,
        data: bytes = b"\x16\x03\x01 this is no HTTP \xff\xfe\r\n\r\n",
        operation: str | Iterable[str] | None = None,
    ) -> Fault:
        """Execute, send `data` in place of an HTTP answer, and close."""
        return self._faults.add("garbage_answer", Effect(wire="garbage", garbage=data), operation, times)

    def cut_chunked(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Execute, answer in chunks, and close in the middle of the second."""
        return self._faults.add("cut_chunked", Effect(wire="cut_chunked"), operation, times)

    def wrong_content_length(
        self, by: int = 10, times: int | None = 1, *, operation: str | Iterable[str] | None = None
    ) -> Fault:
        """Execute, and answer with a Content-Length that is wrong `by` so many bytes; the connection stays open."""
        if not isinstance(by, int) or isinstance(by, bool) or by == 0:
            raise ConfigurationError(f"LocalNode.wrong_content_length: by must be a whole number but 0 (got {by!r}).")
        return self._faults.add("wrong_content_length", Effect(wire="wrong_length", length_error=by), operation, times)

    def drop_after_execute(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Execute the request, then close the socket without an answer: the write whose outcome is unknown."""
        return self._faults.add("drop_after_execute", Effect(wire="drop"), operation, times)

    def drop_request(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Close the socket without executing the request and without an answer."""
        return self._faults.add("drop_request", Effect(wire="drop", execute=False), operation, times)

    def close_idle_connections(self) -> int:
        """Close, in order, the connections that wait for a request; how many they were."""
        return self._cluster._in_loop(self._close_idle)

    def clear_faults(self) -> None:
        """End `lie`, `hang` and every fault that spoils answers. A killed node stays so."""
        self._faults.clear()
        self._lie = None
        self.resume()

    # In the event loop

    def _bind(self) -> None:
        """Take the address without listening yet, so that nobody else gets it."""
        if self._placeholder is None and self._listener is None:
            self._placeholder = bound(self.host, self._port)

    def _listen(self) -> None:
        if self._listener is not None:
            return
        self._bind()
        listener, self._placeholder = self._placeholder, None
        assert listener is not None
        self._serve(listener)

    def _serve(self, listener: socket.socket) -> None:
        listener.listen(_BACKLOG)
        self._listener = listener
        self._cluster._loop.add_reader(listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(64):
            if self._listener is None:
                return
            try:
                accepted, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as wrong:
                self._cluster._report(wrong)
                return
            accepted.setblocking(False)
            self.connections += 1
            if self.hung and self._cluster._ssl is not None:
                # A stopped process does not shake hands either.
                self._held.append(accepted)
            else:
                self._take(accepted)

    def _take(self, accepted: socket.socket) -> None:
        task = self._cluster._loop.create_task(self._connect(accepted))
        self._handshakes.add(task)

        def done(task: asyncio.Task[bool]) -> None:
            self._handshakes.discard(task)
            if task.cancelled() or not task.result():
                accepted.close()

        # Here and not in the task: one that is cancelled before its first step never runs.
        task.add_done_callback(done)

    async def _connect(self, accepted: socket.socket) -> bool:
        """Hand an accepted socket to a connection, after its TLS handshake; whether there is a connection now."""
        try:
            await self._cluster._loop.connect_accepted_socket(
                lambda: http.Connection(self), accepted, ssl=self._cluster._ssl
            )
        except (OSError, EOFError):
            return False
        return True

    def _opened(self, connection: http.Connection) -> bool:
        if self._listener is None:
            return False
        self._open.add(connection)
        if connection.resumed is not None:
            self.tls_handshakes += 1
            self.tls_resumed += connection.resumed
        return True

    def _member(self) -> Member:
        return Member(self.host, self.datacenter, self.rack, self.up, self.joined)

    def _lost(self, connection: http.Connection) -> None:
        self._open.discard(connection)

    def _kill(self) -> None:
        self._close_listener()
        for connection in list(self._open):
            connection.abort()
        for task in list(self._handshakes):
            task.cancel()
        for held in self._held:
            held.close()
        self._held.clear()
        self._resume()
        self._bind()

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._cluster._loop.remove_reader(listener.fileno())
            # A child forked by the test has the socket too; shutdown() ends the listening for both.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _shut(self) -> None:
        """For the cluster's end: like `_kill`, and the address is given up."""
        self._kill()
        self._release()

    def _release(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def _hang(self) -> None:
        if self._thawed is None:
            self._thawed = self._cluster._loop.create_future()

    def _resume(self) -> None:
        thawed, self._thawed = self._thawed, None
        if thawed is not None:
            thawed.set_result(None)
        held, self._held = self._held, []
        for accepted in held:
            self._take(accepted)

    def _close_idle(self) -> int:
        idle = [connection for connection in self._open if connection.idle]
        for connection in idle:
            connection.close()
        return len(idle)

    # A request

    def _await_child(self) -> None:
        """For `ProcessNode`."""

    def _head(self, answer: Answer, length: int | None, encoding: str | None) -> bytes:
        return http.head(answer, length, encoding, self._options.server_header)

    def _encoding(self, request: http.Request, answer: Answer) -> str | None:
        """How the answer's body is to be compressed. Errors, discovery and health never are."""
        options = self._options
        if not options.compresses_answers or answer.is_error or answer.content_type != JSON:
            return None
        if len(answer.body) < options.compression_threshold and not answer.chunked:
            return None
        return compression.chosen_encoding(request.headers.get("accept-encoding", ""))

    async def _compress(self, request: http.Request, answer: Answer) -> tuple[bytes, str | None]:
        encoding = self._encoding(request, answer)
        if encoding is None:
            return answer.body, None
        if len(answer.body) < _INLINE_BYTES:
            return compression.compress(answer.body, encoding), encoding
        cluster = self._cluster
        body = await cluster._loop.run_in_executor(cluster._helpers, compression.compress, answer.body, encoding)
        return body, encoding

    async def _not_hung(self) -> None:
        while self._thawed is not None:
            await asyncio.shield(self._thawed)

    async def _respond(self, request: http.Request) -> tuple[Answer | None, Effect | None]:
        """The answer to a request and what is to be done to it; no answer at all where it was dropped."""
        parsed: Parsed | None = None
        refusal: Answer | None = None
        if request.method == "POST" and request.path == "/":
            try:
                parsed = await self._read(request)
            except DialectError as refused:
                refusal = refused.answer()
            name = parsed.operation if parsed is not None else "?"
        else:
            name = request.path
            self.polls[name] += 1
        await self._not_hung()
        effect = self._faults.strike(name)
        if effect is not None and effect.delay:
            await asyncio.sleep(effect.delay)
        answer = refusal
        if effect is None or effect.execute:
            if parsed is not None:
                answer = await self._execute(parsed)
            elif refusal is None:
                answer = self._get(request)
        if effect is not None:
            if effect.answer is not None:
                answer = effect.answer
            if effect.delay_after:
                await asyncio.sleep(effect.delay_after)
        await self._not_hung()
        return answer, effect

    async def _read(self, request: http.Request) -> Parsed:
        if len(request.body) < _INLINE_BYTES:
            parsed = self._parse(request)
        else:
            cluster = self._cluster
            parsed = await cluster._loop.run_in_executor(cluster._helpers, self._parse, request)
        self.operations[parsed.operation] += 1
        self._requests.append(
            Received(parsed.operation, parsed.table, parsed.partition_key, request.headers, len(request.body))
        )
        return parsed

    def _parse(self, request: http.Request) -> Parsed:
        options, headers, body = self._options, request.headers, request.body
        if options.credentials is not None and not (request.certified and options.certificate_is_login):
            # What is signed is what came over the wire, compressed or not.
            auth.verify(options.credentials, request.method, headers, body)
        encoding = headers.get("content-encoding")
        if encoding is not None and options.request_compression:
            body = compression.decompress(body, encoding, options.max_body)
        parsed = self._cluster._dialect.parse(headers.get("x-amz-target"), body)
        parsed.asked = self.host
        return parsed

    async def _execute(self, parsed: Parsed) -> Answer:
        cluster = self._cluster
        lock = cluster._engine_lock
        if lock is not None and parsed.operation in QUICK and not cluster._queued and lock.acquire(blocking=False):
            try:
                return _executed(cluster, parsed)
            finally:
                lock.release()
        # What may take long must not keep the other nodes from answering. While something is in the queue, quick
        # requests queue up behind it: they would overtake it for ever.
        cluster._queued += 1
        try:
            return await cluster._loop.run_in_executor(cluster._workers, _executed, cluster, parsed)
        finally:
            cluster._queued -= 1

    def _get(self, request: http.Request) -> Answer:
        if request.method == "GET" and request.path == HEALTH:
            return Answer(200, f"healthy: {request.headers.get('host', '')}".encode("latin-1"), "text/plain")
        if request.method == "GET" and request.path == LOCALNODES:
            return Answer(200, self._localnodes(request.query), "application/json")
        return Answer(404, b'{"message": "Not found", "code": 404}', "application/json")

    def _localnodes(self, query: bytes) -> bytes:
        if self._lie is not None:
            return self._lie
        given = parse_qs(query.decode("latin-1")) if self._options.rack_parameters else {}
        datacenter = given.get("dc", [""])[-1] or self.datacenter
        rack = given.get("rack", [""])[-1]
        return orjson.dumps(
            [
                node.host
                for node in self._cluster.nodes
                if node.joined and node.listed and node.datacenter == datacenter and rack in ("", node.rack)
            ]
        )


def _executed(cluster: LocalCluster, parsed: Parsed) -> Answer:
    try:
        return cluster._dialect.execute(parsed)
    except DialectError as refused:
        return refused.answer()
    except Exception as wrong:
        cluster._report(wrong)
        return error_answer("InternalServerError", f"the engine failed ({type(wrong).__name__}: {wrong})")


def bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
