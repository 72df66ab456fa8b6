"""One HTTP/1.1 connection over one socket: a request goes out in one piece, its answer is read straight back.

The socket never blocks; waiting is done by `poll`, with a time that is computed anew for each wait. So a read timeout
and a deadline cost no system call of their own, and gevent, which replaces `socket` and `select`, sees each wait.

A connection belongs to one thread at a time, except for `cut`, which any thread may call.

Sources: RFC 9112 (HTTP/1.1); what the parser accepts is llhttp's strict mode.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from ..errors import (
    ConnectionLostError,
    ConnectTimeoutError,
    DeadlineBeforeSendError,
    MalformedAnswerError,
    NodeUnreachableError,
    ReadTimeoutError,
    TlsError,
)
from .resolver import look_up

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["Answer", "Clock", "Connection", "ResponseRules", "TlsSource"]

Clock = Callable[[], float]
"""Seconds that only grow, as `time.monotonic` gives them."""

_RECEIVE = 64 * 1024
"""Bytes asked of the kernel at once."""
_JOIN_UP_TO = 64 * 1024
"""Bodies up to this many bytes are copied behind their head: one cheap copy saves the kernel a gathering send."""
_MAX_HEAD = 64 * 1024
_MAX_BODY = 256 * 1024 * 1024
_LONGEST_POLL = 86_400_000.0
_LATE = 0.25
"""Seconds after which a timeout was noticed late: this thread was held up, and not the node."""
"""Milliseconds; `poll` takes a C int."""

_BY_THE_NODE = (ConnectionResetError, BrokenPipeError, ssl.SSLError)
"""Errors of a connection that the node has closed, or reset, or ended with an alert of TLS."""
_TCP_CLOSE, _TCP_CLOSE_WAIT = 7, 8
"""States of a connection as Linux tells them: the other side has reset it, or closed it."""
_SHUT = socket.SHUT_RD if hasattr(socket, "TCP_INFO") else socket.SHUT_RDWR
"""How `cut` wakes a reader. Where the platform tells whether the node ends the connection, it must not be our own end
that makes it do so."""
GRACE = 0.05
"""Seconds after a cut in which the node may still end the connection itself. The kernel of a process that died closes
its listener and its connections one after the other: a probe may be refused before a connection is reset."""
_GLANCES = 25
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_READ, _WRITE = getattr(select, "POLLIN", 1), getattr(select, "POLLOUT", 4)

_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Socket options (as far as the platform has them) by which the kernel finds out in a minute that a peer is gone,
and by which firewalls go on remembering a quiet connection."""


class Answer:
    """An HTTP answer, whole: `status`, `headers` (names in lower case), `body` as it was sent."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


class TlsSource(Protocol):
    """What makes a connected socket a TLS one: see `transport.tls`."""

    def wrap(self, sock: socket.socket, node: Node, keep: Callable[[socket.socket], None]) -> ssl.SSLSocket:
        """The TLS socket that takes the place of `sock`, after its handshake.

        `sock` has a timeout, which bounds the handshake. `keep` is called with the new socket before it.
        Raises `TlsError`, TimeoutError, and other OSErrors where the connection broke.
        """

    def remember(self, node: Node, sock: ssl.SSLSocket) -> None:
        """Keep the socket's session for the node's next connection."""

    def refused(self, node: Node, error: ssl.SSLError) -> TlsError | None:
        """What to raise if `error`, met while the first answer was awaited, refuses our certificate; else None."""


class ResponseRules:
    """What connections of threads and event loops have in common: the rules for an answer, and the errors in words."""

    __slots__ = ()

    node: Node
    _clock: Clock
    _max_body: int
    _tls: TlsSource | None
    _cut_reason: str | None
    _ended_by_node: bool
    _exchanges: int

    def _bytes_unsent(self) -> int:
        raise NotImplementedError

    def _take(self, reader: _Reader, data: bytes, received: int) -> bool:
        """Take the next bytes of the answer, after which it has so many. True if it is complete.

        Raises `MalformedAnswerError`.
        """
        try:
            reader.feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if isinstance(error, HttpParserCallbackError) and not isinstance(error.__context__, _Refused):
                # A KeyboardInterrupt, or gevent's Timeout, that came while a callback ran.
                raise (error.__context__ or error) from None
            # After a whole answer it is only what follows that is wrong.
            reader.reusable = False
            if not reader.complete:
                raise self._malformed(_parser_words(error)) from error
        if reader.complete:
            return True
        limit = _MAX_HEAD
        if reader.head_is_complete:
            limit += self._max_body
            problem = reader.problem(self._max_body)
            if problem:
                raise self._malformed(problem)
        if received > limit:
            what = f"a body of more than {self._max_body}" if reader.head_is_complete else f"more than {_MAX_HEAD}"
            raise self._malformed(f"{what} bytes{'' if reader.head_is_complete else ' of headers'}")
        return False

    def _unreachable(self, why: str) -> NodeUnreachableError:
        what, was_cut = f"Node {self.node} cannot be reached: {self._cut_reason or why}", self._cut_reason is not None
        return NodeUnreachableError(what, node=self.node.address, was_cut=was_cut)

    def _connect_timeout(self, seconds: float, deadline: float | None = None) -> ConnectTimeoutError:
        if self._cut_reason is not None:
            what = f"Node {self.node} cannot be reached: {self._cut_reason}"
            return ConnectTimeoutError(what, node=self.node.address, was_cut=True)
        what = f"Node {self.node} did not accept the connection within {seconds:g} s"
        if deadline is not None and self._clock() >= deadline:
            # Not a word about how long the node had: something may have held this thread or event loop.
            what = f"The connection to node {self.node} was not open at the deadline of the call"
        return ConnectTimeoutError(what, node=self.node.address)

    def _read_timeout(self, read_timeout: float, deadline: float | None, received: int) -> ReadTimeoutError:
        if deadline is not None and self._clock() >= deadline:
            when = "before the deadline of the call"
        else:
            when = f"within the read timeout of {read_timeout:g} s"
        unsent = self._bytes_unsent()
        if unsent and not received:
            what = f"took no more of the request ({unsent} bytes are left)"
        elif received:
            how = "went silent in" if when.startswith("within") else "did not complete"  # it may be a slow one
            what = f"{how} its answer (after {received} bytes)"
        else:
            what = "did not answer"
        error = ReadTimeoutError(f"Node {self.node} {what} {when}", node=self.node.address)
        error.may_still_execute = not received
        return error

    def _lost(self, error: OSError | None, received: int) -> ConnectionLostError | TlsError:
        address = self.node.address
        if isinstance(error, ssl.SSLError) and self._tls is not None and not received and not self._exchanges:
            refused = self._tls.refused(self.node, error)
            if refused is not None:
                return refused
        if self._cut_reason is not None:
            what = f"Node {address}: the connection was cut: {self._cut_reason}"
            cut = ConnectionLostError(what, node=address, was_cut=True)
            ended = self._ended_by_node and (error is None or isinstance(error, _BY_THE_NODE))
            cut.may_still_execute = not (received or ended or isinstance(error, ConnectionResetError))
            return cut
        how = "the node closed it" if error is None else _words(error)
        when = f"after {received} bytes of the answer" if received else "before the answer"
        lost = ConnectionLostError(f"Node {address}: the connection was lost {when} ({how})", node=address)
        lost.was_idle = self._exchanges > 0 and not received
        # What is not known to have come from the node is our own kernel's word, after it has heard nothing for long.
        lost.may_still_execute = not received and error is not None and not isinstance(error, _BY_THE_NODE)
        return lost

    def _malformed(self, what: str) -> MalformedAnswerError:
        error = MalformedAnswerError(
            f"Node {self.node} answered with something that is not valid HTTP: {what}", node=self.node.address
        )
        error.may_still_execute = False
        return error


class Connection(ResponseRules):
    """One connection to one node.

    `reusable`: whether another request may follow. It is False from the moment an exchange begins until it has ended
    well, so whatever breaks an exchange, KeyboardInterrupt too, leaves a connection that nobody uses again.
    `busy_since`: when the exchange or the connecting under way began; None in between.
    `idle_since`: for the pool's own use.
    """

    __slots__ = (
        "_clock",
        "_cut_reason",
        "_ended_by_node",
        "_exchanges",
        "_fd",
        "_guard",
        "_max_body",
        "_patient",
        "_pending",
        "_poller",
        "_reader",
        "_recv",
        "_send",
        "_send_error",
        "_send_pieces",
        "_sock",
        "_tls",
        "_unsent",
        "busy_since",
        "idle_since",
        "node",
        "reusable",
    )

    def __init__(self, node: Node, *, clock: Clock = time.monotonic, max_body: int = _MAX_BODY) -> None:
        self.node = node
        self.reusable = False
        self.busy_since: float | None = clock()
        self.idle_since = 0.0
        self._clock = clock
        self._max_body = max_body
        self._sock: socket.socket | None = None
        self._reader: _Reader | None = None
        self._unsent: memoryview | None = None
        self._send_error: OSError | None = None
        self._tls: TlsSource | None = None
        self._pending: Callable[[], int] | None = None
        self._cut_reason: str | None = None
        self._ended_by_node = False
        self._patient = False
        self._exchanges = 0
        # `cut` comes from another thread. Without this it could shut down a descriptor that was just closed here,
        # and that already belongs to somebody else.
        self._guard = threading.Lock()

    @classmethod
    def open(
        cls,
        node: Node,
        *,
        connect_timeout: float,
        deadline: float | None = None,
        tls: TlsSource | None = None,
        clock: Clock = time.monotonic,
        max_body: int = _MAX_BODY,
    ) -> Connection:
        """A connection that is ready for a request. See `connect` for what it raises."""
        connection = cls(node, clock=clock, max_body=max_body)
        connection.connect(connect_timeout=connect_timeout, deadline=deadline, tls=tls)
        return connection

    # ---- connecting --------------------------------------------------------------------------------------------

    def connect(self, *, connect_timeout: float, deadline: float | None = None, tls: TlsSource | None = None) -> None:
        """Connect, with TLS if `tls` is given, within `connect_timeout` seconds and before `deadline`.

        Raises `NodeUnreachableError`, `ConnectTimeoutError`, `TlsError`. The connection is closed then.
        """
        now = self._clock()
        if deadline is not None:
            connect_timeout = min(connect_timeout, max(0.0, deadline - now))
        until = now + connect_timeout
        try:
            sock = self._connect_any(until)
            if tls is not None:
                sock.settimeout(self._time_left(until))
                self._tls = tls
                secured = tls.wrap(sock, self.node, self._keep)
                self._pending = secured.pending
                sock = secured
            self._get_ready(sock)
        except TlsError:  # an OSError too, for botocore's sake
            self.close()
            raise
        except TimeoutError:
            self.close()
            timed_out = self._connect_timeout(connect_timeout, deadline)
            timed_out.late = self._clock() > until + _LATE
            raise timed_out from None
        except OSError as error:
            self.close()
            raise self._unreachable(_words(error)) from error
        except BaseException:
            self.close()
            raise

    def _connect_any(self, until: float) -> socket.socket:
        """A socket connected to one of the node's addresses; a name may have several, and each gets its share."""
        host, port = self.node.host, self.node.port
        try:
            addresses = look_up(host, port, self._time_left(until))
        except UnicodeError as error:
            raise OSError(f"{host!r} is not the name of a host") from error
        for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            left = len(addresses) - number
            try:
                sock = socket.socket(family, kind, protocol)
                self._keep(sock)
                _set_options(sock)
                sock.settimeout(self._time_left(until) / (left + 1))
                sock.connect(address)
                # A loopback port from which we connect to itself answers with our own bytes. TCP allows it.
                if sock.getsockname() == sock.getpeername():
                    raise ConnectionRefusedError("nothing listens there")
                return sock
            except OSError:
                if not left or self._cut_reason is not None:
                    raise
                self._drop()
        raise OSError(f"{host} has no address")

    def _keep(self, sock: socket.socket) -> None:
        # Known from the first moment, so that `cut` and `abandon` reach a socket that is still connecting.
        with self._guard:
            self._sock = sock
        if self._cut_reason is not None:
            raise OSError(self._cut_reason)

    def _get_ready(self, sock: socket.socket) -> None:
        sock.settimeout(0.0)
        self._send = sock.send
        self._recv = sock.recv
        # TLS has no gathering send, and Windows neither.
        self._send_pieces = getattr(sock, "sendmsg", None) if self._tls is None else None
        self._fd = sock.fileno()
        self._poller = _new_poller(self._fd)
        self._reader = _Reader()
        self.busy_since = None
        self.reusable = self._cut_reason is None

    def _time_left(self, until: float) -> float:
        left = until - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    # ---- one exchange ------------------------------------------------------------------------------------------

    def exchange(
        self,
        head: bytes,
        body: bytes,
        *,
        read_timeout: float,
        deadline: float | None = None,
        patient: bool = False,
    ) -> Answer:
        """Send one request and read its answer.

        `read_timeout`: seconds for the next bytes of the answer (or for the node to take more of the request).
        `deadline`: on the connection's clock; bounds the whole exchange.
        `patient`: `cut` does not end the exchange, once it has begun.

        Raises `NodeUnreachableError` and `DeadlineBeforeSendError` if surely nothing was sent, and otherwise
        `ConnectionLostError`, `ReadTimeoutError` or `MalformedAnswerError`. A TLS alert with which the node refuses
        our certificate is a `TlsError`: it has not looked at the request then.
        """
        now = self._clock()
        if deadline is not None and now >= deadline:
            raise DeadlineBeforeSendError(
                f"Node {self.node}: the deadline of the call passed before the request was sent",
                node=self.node.address,
            )
        usable, self.reusable, self.busy_since = self.reusable, False, now
        reader = self._reader
        if patient:
            with self._guard:  # either `cut` came before, or it finds this set
                self._patient = True
                usable = usable and self._cut_reason is None
        if not usable or reader is None:
            raise self._unreachable("its connection was closed")
        self._start_sending(head, body)
        self._read(reader, read_timeout, deadline)
        self._patient = False
        reusable = reader.reusable and self._unsent is None
        answer = reader.take()
        if self._tls is not None and not self._exchanges:
            # By now the tickets of TLS 1.3, which follow the handshake, have been read.
            self._tls.remember(self.node, self._sock)  # type: ignore[arg-type]
        self._exchanges += 1
        self.busy_since = None
        self.reusable = reusable and self._cut_reason is None
        return answer

    def _start_sending(self, head: bytes, body: bytes) -> None:
        """Hand the kernel as much as it takes; what it does not take is left in `_unsent`."""
        self._unsent = None
        try:
            if len(body) <= _JOIN_UP_TO or self._send_pieces is None:
                request: bytes = head + body if body else head
                sent = self._send(request)
            else:
                request = body
                sent = self._send_pieces((head, body)) - len(head)
                if sent < 0:
                    request, sent = head + body, sent + len(head)
        except _WOULD_BLOCK:
            request, sent = head + body, 0
        except OSError as error:
            # Not one byte has left: this and only this failure of an open connection says so for sure.
            raise self._refusal() or self._unreachable(_words(error)) from error
        if sent < len(request):
            self._unsent = memoryview(request)[sent:]
            self._send_more()

    def _refusal(self) -> TlsError | None:
        """What the node said before it closed a fresh TLS connection on us, if that was about our certificate."""
        if self._tls is not None and not self._exchanges:
            try:
                self._recv(1)
            except ssl.SSLError as alert:
                return self._tls.refused(self.node, alert)
            except OSError:
                pass
        return None

    def _send_more(self) -> None:
        unsent = self._unsent
        while unsent:
            try:
                unsent = unsent[self._send(unsent) :]
            except _WOULD_BLOCK:
                break
            except OSError as error:
                # The node may have answered before it closed its side: a body that is too long, or load it sheds.
                # What it said is still to be read; `_unsent` says that this connection is not used again.
                self._send_error = error
                break
        self._unsent = unsent or None

    def _read(self, reader: _Reader, read_timeout: float, deadline: float | None) -> None:
        """Read until the answer is complete."""
        recv, pending = self._recv, self._pending
        received, wait = 0, read_timeout
        while True:
            if deadline is not None:
                wait = min(read_timeout, deadline - self._clock())
                if wait <= 0:  # also of an answer that never ends to come
                    raise self._read_timeout(read_timeout, deadline, received)
            # TLS may hold bytes that it has already taken from the socket.
            if (pending is None or not pending()) and not self._wait(wait):
                raise self._read_timeout(read_timeout, deadline, received)
            try:
                data = recv(_RECEIVE)
            except _WOULD_BLOCK:
                if self._unsent is not None and self._send_error is None:
                    self._send_more()
                continue
            except OSError as error:
                self._look_after_cut(received)
                raise self._lost(error, received) from error
            if not data:
                if reader.ends_with_connection:
                    return
                self._look_after_cut(received)
                raise self._lost(self._send_error, received)
            received += len(data)
            if self._take(reader, data, received):
                return

    def _look_after_cut(self, received: int) -> None:
        """See for a moment whether the node ends the connection itself: a process that died does, a frozen one not."""
        sock = self._sock
        if self._cut_reason is None or received or sock is None:
            return
        for _ in range(_GLANCES):
            state = _tcp_state(sock)
            if state == _TCP_CLOSE:
                # 0: a reset behind an end. Others are our own kernel's, such as ETIMEDOUT.
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self._ended_by_node = error in (0, errno.ECONNRESET, errno.EPIPE)
            elif state == _TCP_CLOSE_WAIT:
                self._ended_by_node = True
            if state in (None, _TCP_CLOSE, _TCP_CLOSE_WAIT):
                return
            time.sleep(GRACE / _GLANCES)

    def _wait(self, seconds: float) -> bool:
        """Wait until there is something to read, or room for what is unsent. False if nothing came in that time."""
        milliseconds = min(seconds * 1000.0, _LONGEST_POLL)
        if self._unsent is None or self._send_error is not None:
            return bool(self._poller.poll(milliseconds))
        self._poller.modify(self._fd, _READ | _WRITE)
        try:
            return bool(self._poller.poll(milliseconds))
        finally:
            self._poller.modify(self._fd, _READ)

    # ---- between exchanges, and the end ------------------------------------------------------------------------

    def is_stale(self) -> bool:
        """Whether the node has closed this idle connection, or sent what nobody asked for. Does not wait."""
        if not self.reusable:
            return True
        try:
            if self._pending is None:
                return bool(self._poller.poll(0))
            if not self._pending() and not self._poller.poll(0):
                return False
            # What can be read may be a TLS record without data, such as another session ticket.
            self._recv(1)
        except _WOULD_BLOCK:
            return False
        except OSError:
            return True
        return True

    def cut(self, reason: str = "it was declared down") -> None:
        """End what another thread does on this connection: its exchange fails at once, and the error says why.

        Not an exchange that asked to be spared: it goes on until its answer comes or its time is up.
        """
        with self._guard:
            if self._patient:
                return
            self.reusable = False
            self._cut_reason = reason
            if self._sock is not None:
                # The plain socket's method: that of a TLS socket would make it a plain one under the reader's hands.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._sock, _SHUT)

    def close(self) -> None:
        """Close the socket. Any number of times; never raises, never waits."""
        self.reusable = False
        self._drop()
        self._let_go()

    def _drop(self) -> None:
        with self._guard:
            sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def abandon(self) -> None:
        """Drop the socket in a forked child, without a word to the node: the parent goes on using it."""
        self.reusable = False
        # No lock: a thread of the parent may have held it, and here is none that could let it go.
        self._guard = threading.Lock()
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                os.close(sock.detach())
        self._let_go()

    def _let_go(self) -> None:
        # Parser and reader hold each other: they need not wait for the garbage collector.
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.let_go()

    def _bytes_unsent(self) -> int:
        return 0 if self._unsent is None else len(self._unsent)

    def __repr__(self) -> str:
        return f"<Connection to {self.node}, {'open' if self._sock is not None else 'closed'}>"


class _Refused(Exception):
    """What llhttp takes and we do not; the text says what."""


class _Reader:
    """What llhttp finds in the bytes of one answer. httptools calls the ``on_...`` methods.

    `reusable`: the answer is whole, nothing followed it, and the node keeps the connection open.
    """

    __slots__ = ("_chunks", "_parser", "complete", "feed", "head_is_complete", "headers", "reusable", "status")

    def __init__(self) -> None:
        self._parser: Any = HttpResponseParser(self)
        self.feed: Callable[[bytes], None] = self._parser.feed_data
        self._start_over()

    def _start_over(self) -> None:
        self.complete = self.head_is_complete = self.reusable = False
        self.headers: dict[str, str] = {}
        self.status = 0
        self._chunks: list[bytes] = []

    def on_message_begin(self) -> None:
        if self.complete:
            raise _Refused("bytes after its end")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_is_complete:
            return  # a trailer, behind the last chunk
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers = self.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        self.head_is_complete = True
        self.status = self._parser.get_status_code()
        if not 100 <= self.status <= 599:
            raise _Refused(f"the status {self.status}")
        coding = self.headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise _Refused(f"the transfer coding {coding[:40]!r}")

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        if 100 <= self.status < 200:
            self._start_over()  # such as 100 Continue: the answer itself is still to come
            return
        self.complete = True
        self.reusable = self._parser.should_keep_alive()

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body lasts until the node closes, and the node has said that it will."""
        headers = self.headers
        if not self.head_is_complete or "content-length" in headers or "transfer-encoding" in headers:
            return False
        # Without such words a connection that broke would look like the end of the answer.
        return self._parser.get_http_version() == "1.0" or "close" in headers.get("connection", "").lower()

    def problem(self, most: int) -> str | None:
        """What is wrong with the head of an answer whose body is not complete yet."""
        length = self.headers.get("content-length")
        if length is not None:
            return f"a body of {length} bytes, where {most} are allowed" if int(length) > most else None
        if "transfer-encoding" in self.headers or self.ends_with_connection:
            return None
        return "a body without Content-Length, chunks, or Connection: close"

    def take(self) -> Answer:
        """The answer that was read. An idle connection keeps nothing of it: it may be large."""
        chunks = self._chunks
        answer = Answer(self.status, self.headers, chunks[0] if len(chunks) == 1 else b"".join(chunks))
        self._start_over()
        return answer

    def let_go(self) -> None:
        del self._parser, self.feed


class _SelectPoller:
    """`poll` by `select`, for platforms and event loops that have no `select.poll`."""

    def __init__(self) -> None:
        self._fd, self._events = -1, 0

    def register(self, fd: int, events: int) -> None:
        self._fd, self._events = fd, events

    modify = register

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        fd = [self._fd]
        writing = fd if self._events & _WRITE else []
        found = select.select(fd, writing, [], milliseconds / 1000.0)
        return [(self._fd, 0)] if found[0] or found[1] else []


def _new_poller(fd: int) -> Any:
    # Looked up now, and not when this module is imported: gevent puts its own in the place of these.
    make = getattr(select, "poll", _SelectPoller)
    poller = make()
    poller.register(fd, _READ)
    return poller


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _tcp_state(sock: Any) -> int | None:
    """The state of a connected socket; None where the platform does not tell it."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return None
    try:
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, option, 1)
    except OSError:
        return None
    return info[0]


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _parser_words(error: Exception) -> str:
    cause = error.__context__
    if isinstance(cause, _Refused):
        return str(cause)
    return str(error) or type(error).__name__
