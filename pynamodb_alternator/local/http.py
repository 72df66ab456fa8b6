"""HTTP/1.1 as Alternator's server speaks it: one `Connection` for each accepted socket.

asyncio passes the received bytes to a connection, and httptools parses them into requests, which wait in a queue. One
task answers them in their order: it gets the `Reply` from the `Owner`, and sends it whole or spoilt, by the reply's
effect. Bytes that are not HTTP are refused after the earlier requests were answered. Everything happens in the thread
of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Protocol

import httptools

from .answers import Answer, error_answer
from .faults import UNHARMED, Effect
from .shards import Seat

_PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    413: "Payload Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_RESET = struct.pack("ii", 1, 0)
_MOST_HEAD_BYTES = 64 * 1024
_CHUNK = 32 * 1024


@dataclass(slots=True)
class Request:
    """One request, with everything that the node needs."""

    method: str
    path: str
    query: bytes
    headers: dict[str, str]
    """Names in lower case; repeated headers joined by commas."""
    body: bytes
    keep_alive: bool
    certified: bool
    """Whether the client has presented a certificate of the cluster's authority."""
    shard: int
    """The shard to which its connection belongs."""
    client: tuple[str, int]
    """The address and port of the client."""
    secure: bool
    """Whether it came over TLS."""


@dataclass(slots=True)
class Reply:
    """Everything that is sent for one request."""

    answer: Answer
    body: bytes
    """The body of the answer as it is sent."""
    encoding: str | None = None
    """The Content-Encoding of the body."""
    effect: Effect = UNHARMED


class Owner(Protocol):
    """The node's side of a connection: the methods that a connection calls."""

    @property
    def max_body(self) -> int:
        """The longest body of a request, in bytes."""

    @property
    def server_header(self) -> bool:
        """Whether answers have a ``Server`` header."""

    def opened(self, connection: Connection) -> bool:
        """Add a connection that is ready. False if it must be closed at once."""

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""

    @property
    def respond(self) -> Callable[[Request], Awaitable[Reply | None]]:
        """Makes the reply to a request; None to close the socket without one."""

    def report(self, wrong: BaseException) -> None:
        """Record an error inside the cluster itself."""


class Connection(asyncio.Protocol):
    """One accepted connection. Requests are answered one after the other, in their order."""

    def __init__(self, owner: Owner, seat: Seat) -> None:
        self.seat: Seat = seat
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._rejection: Answer | None = None
        self._deaf = False
        """Whether received bytes are ignored, because the connection is about to close."""
        self._certified = self._secure = False
        self._client = ("", 0)
        self.resumed: bool | None = None
        """Whether its TLS session was resumed; None without TLS."""
        self._begin()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # None if the client has already closed the connection.
        self._client = transport.get_extra_info("peername") or self._client
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._secure = True
            self.resumed = bool(tls.session_reused)
            self._certified = bool(tls.getpeercert())
        if not self._owner.opened(self):
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._deaf = True
        self._waiting.clear()
        self._owner.lost(self)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        # A received request is executed even if its client has closed the connection, as in the server. So a late write
        # may come after another write, which the client has sent to another node in the meantime.

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        head = self._headers
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400)
        except httptools.HttpParserError:
            if not self._deaf:
                self._refuse(400)
        if self._in_head and self._headers is head and not self._deaf:
            # All of these bytes belong to the head of a request, which has not ended yet.
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                self._refuse(400)

    def eof_received(self) -> bool:
        # A client that has closed its side gets the answers for which it still waits. (Not with TLS: asyncio cannot do
        # this.)
        self._deaf = True
        return self._task is not None and self.resumed is None

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # What httptools calls

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._in_head = True
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known},{text}"

    def on_headers_complete(self) -> None:
        self._in_head = False
        length = self._headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._owner.max_body:
            self._too_large()
        elif self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        if self._deaf:
            return
        self._size += len(data)
        if self._size > self._owner.max_body:
            self._too_large()
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        path, _, query = self._url.partition(b"?")
        request = Request(
            self._parser.get_method().decode("latin-1"),
            path.decode("latin-1"),
            query,
            self._headers,
            b"".join(self._body),
            self._parser.should_keep_alive(),
            self._certified,
            self.seat.shard,
            self._client,
            self._secure,
        )
        self._begin()
        self._waiting.append(request)
        if self._task is None:
            self._task = self._loop.create_task(self._serve())

    # Answers

    @property
    def idle(self) -> bool:
        return self._task is None and not self._size and not self._url

    async def _serve(self) -> None:
        try:
            while self._waiting:
                request = self._waiting.popleft()
                await self._send(request, await self._owner.respond(request))
        except Exception as wrong:
            self._owner.report(wrong)
            self.abort()
        finally:
            self._task = None
            if self._deaf:
                self._finish()

    async def _send(self, request: Request, reply: Reply | None) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if reply is None:
            self.close()
            return
        answer, body, effect = reply.answer, reply.body, reply.effect
        wire = effect.wire
        chunked = answer.chunked or wire == "cut_chunked"
        length = len(body) + (effect.length_error if wire == "wrong_length" else 0)
        head = self._head(answer, None if chunked else max(length, 0), reply.encoding)
        if chunked and wire in ("whole", "wrong_length"):
            await self._send_chunks(transport, head, body)
        elif wire in ("whole", "wrong_length"):
            transport.write(head + body)
            if self._writable is not None:
                await self._writable
        else:
            self._send_spoilt(transport, head, body, effect)
            return
        if answer.close or not request.keep_alive:
            self.close()

    def _head(self, answer: Answer, length: int | None, encoding: str | None) -> bytes:
        return response_head(answer, length, encoding, self._owner.server_header)

    async def _send_chunks(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        transport.write(head)
        for start in range(0, len(body), _CHUNK):
            part = body[start : start + _CHUNK]
            transport.write(b"%x\r\n%b\r\n" % (len(part), part))
            if self._writable is not None:
                await self._writable
        transport.write(b"0\r\n\r\n")

    def _send_spoilt(self, transport: asyncio.Transport, head: bytes, body: bytes, effect: Effect) -> None:
        half = body[: len(body) // 2]
        if effect.wire == "garbage":
            transport.write(effect.garbage)
        elif effect.wire == "cut_chunked":
            # The first chunk is whole, and the second one is announced: a client that ignores the missing end fails,
            # too.
            transport.write(head + b"%x\r\n%b\r\n%x\r\n" % (max(len(half), 1), half or b" ", len(body)))
        else:
            transport.write(head + half)
        self.close(reset=effect.wire == "reset")

    def _refuse(self, status: int) -> None:
        """Answer bytes that cannot be read as HTTP, and close."""
        self._reject(Answer(status, b"", "text/plain"))

    def _too_large(self) -> None:
        limit = self._owner.max_body
        self._reject(error_answer("PayloadTooLarge", f"Request content length limit exceeded: {limit} bytes", 413))

    def _reject(self, answer: Answer) -> None:
        """Send this answer before the request is read to its end, and close. Earlier requests are answered first."""
        self._deaf = True
        self._rejection = answer
        if self._task is None:
            self._finish()

    def _finish(self) -> None:
        transport, rejection = self._transport, self._rejection
        if transport is None:
            return
        if rejection is not None and not transport.is_closing():
            transport.write(self._head(rejection, len(rejection.body), None) + rejection.body)
        transport.close()

    def close(self, *, reset: bool = False) -> None:
        """Close when all written bytes are sent; with `reset`, close at once with a TCP reset."""
        self._deaf = True
        transport = self._transport
        if transport is None:
            return
        if reset:
            raw = transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        else:
            transport.close()

    def abort(self) -> None:
        """Close at once, as the kernel does for a process that died.

        `shutdown` is called first: a child process that was forked in the meantime has the socket too, and would keep
        it open.
        """
        self._deaf = True
        if self._task is not None:
            # Requests that wait for the end of a delay or a hang are cancelled, because the process that they imitate
            # has died.
            self._task.cancel()
        if self._transport is not None:
            # AttributeError: a TLS transport that has just been closed has no socket any more.
            with contextlib.suppress(OSError, AttributeError):
                raw: Any = self._transport.get_extra_info("socket")
                raw.shutdown(socket.SHUT_RDWR)
            self._transport.abort()


_date = (0, b"")


def response_head(answer: Answer, length: int | None, encoding: str | None, server: bool) -> bytes:
    """Status line and headers. `length` None means chunked."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True).encode())
    lines = [b"HTTP/1.1 %d %b" % (answer.status, _PHRASES.get(answer.status, "Unknown").encode())]
    lines.append(b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length)
    lines.append(b"Content-Type: " + answer.content_type.encode())
    if encoding is not None:
        lines.append(b"Content-Encoding: " + encoding.encode())
    lines.append(b"Date: " + _date[1])
    if server:
        lines.append(b"Server: Seastar httpd")
    return b"\r\n".join(lines) + b"\r\n\r\n"
