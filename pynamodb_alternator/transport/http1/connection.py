"""One HTTP/1.1 connection over one socket: it sends a request in one piece, and then reads the answer.

The socket never blocks. `poll` waits, with a time that is computed anew for each wait. So a read timeout and a deadline
cost no system call of their own, and gevent, which replaces `socket` and `select`, sees each wait.

A connection belongs to one thread at a time, except for `cut` and `reclaim`, which any thread may call.

An exception may come between any two steps: gevent's Timeout, KeyboardInterrupt, an error of a signal handler. So a
connection is not `reusable` while an exchange is under way, and is never marked busy after the exchange, however it
ended. Its socket closes itself when nothing holds the connection any more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...errors import TlsError
from . import sockets
from .protocol import MAX_BODY, Answer, AnswerReader, Clock, ResponseRules, TlsSource
from .reader import whole_answer

if TYPE_CHECKING:
    from ...topology.node import Node

__all__ = ["Connection"]

_RECEIVE = 64 * 1024
"""Bytes that are read from the kernel at once."""
_JOIN_UP_TO = 64 * 1024
"""Bodies of up to so many bytes are copied after their head: one fast copy saves the kernel a gathering send."""
_LONGEST_WAIT, _LONGEST_POLL = 86_400.0, 86_400_000.0
"""Seconds, and as many milliseconds; `poll` takes a C int of them."""
_LATE = 0.25
"""Seconds. If a timeout is noticed later than this, the thread was delayed, and not the node."""
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection(ResponseRules):
    """One connection to one node, for one thread at a time."""

    __slots__ = (
        "_fd",
        "_guard",
        "_pending",
        "_poller",
        "_recv",
        "_send",
        "_send_error",
        "_send_pieces",
        "_sock",
        "_unsent",
    )

    def __init__(self, node: Node, *, clock: Clock = time.monotonic) -> None:
        super().__init__(node, clock)
        self._sock: socket.socket | None = None
        self._unsent: memoryview | None = None
        self._send_error: OSError | None = None
        self._pending: Callable[[], int] | None = None
        # Another thread calls `cut`. Without this lock it could shut down a descriptor that was just closed here, and
        # that already belongs to another file.
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
    ) -> Connection:
        """A connection that is ready for a request. See `connect` for what it raises."""
        connection = cls(node, clock=clock)
        connection.connect(connect_timeout=connect_timeout, deadline=deadline, tls=tls)
        return connection

    # ---- connecting --------------------------------------------------------------------------------------------

    def connect(self, *, connect_timeout: float, deadline: float | None = None, tls: TlsSource | None = None) -> None:
        """Connect, with TLS if `tls` is given, within `connect_timeout` seconds and before `deadline`.

        Raises `NodeUnreachableError`, `ConnectTimeoutError`, `TlsError`; then the connection is closed.
        """
        with self._connecting(connect_timeout, deadline) as until:
            self._get_ready(self._connect_tcp(until) if tls is None else self._connect_tls(until, tls))

    @contextlib.contextmanager
    def _connecting(self, connect_timeout: float, deadline: float | None) -> Iterator[float]:
        """A ``with`` block that connects: its errors become ours, and leave no socket open. Yields its deadline."""
        now = self._clock()
        if deadline is not None:
            connect_timeout = min(connect_timeout, max(0.0, deadline - now))
        until = now + connect_timeout
        try:
            self.busy_since = now
            yield until
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
            raise self._unreachable(sockets.words_of(error)) from error
        except BaseException:
            self.close()
            raise
        finally:
            self.busy_since = None

    def _connect_tcp(self, until: float) -> socket.socket:
        return sockets.connect_any(
            self.node.host,
            self.node.port,
            check=self.node.check_peer,
            time_left=lambda: self._time_left(until),
            keep=self._keep,
        )

    def _connect_tls(self, until: float, tls: TlsSource) -> ssl.SSLSocket:
        sock, self._tls = self._connect_tcp(until), tls
        handshakes = tls.handshakes(self.node)
        while True:
            sock.settimeout(self._time_left(until))
            secured = handshakes.wrap(sock, self._keep)
            if secured is not None:
                self._pending = secured.pending
                return secured
            sock = self._connect_tcp(until)

    def _keep(self, sock: socket.socket) -> None:
        # Kept before it connects, so that `cut` and `abandon` also reach a socket that is still connecting.
        with self._guard:
            before, self._sock = self._sock, sock
        if before is not None:
            # The socket before it was for another address of the same name, or for another certificate name. If it
            # became a TLS socket, nothing of it is left to close.
            before.close()
        if self._cut_reason is not None:
            raise OSError(self._cut_reason)

    def _get_ready(self, sock: socket.socket) -> None:
        sock.settimeout(0.0)
        self._send = sock.send
        self._recv = sock.recv
        # Neither TLS nor Windows has a gathering send.
        self._send_pieces = getattr(sock, "sendmsg", None) if self._tls is None else None
        self._fd = sock.fileno()
        self._poller = sockets.new_poller(self._fd)
        self._reader = AnswerReader()
        self.connected = True
        self.reusable: bool = self._cut_reason is None

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
        max_body: int = MAX_BODY,
    ) -> Answer:
        """Send one request and read its answer.

        `read_timeout`: seconds until the next bytes of the answer (or until the node takes more of the request).
        `deadline`: on the connection's clock; limits the whole exchange.
        `patient`: `cut` does not end the exchange, once it has begun.
        `max_body`: bytes that the answer's body may have, as it is sent.

        Raises `NodeUnreachableError` and `DeadlineBeforeSendError` if nothing was sent for certain, and otherwise
        `ConnectionLostError`, `ReadTimeoutError` or `MalformedAnswerError`. A TLS alert with which the node refuses our
        certificate is a `TlsError`: then the node has not read the request.
        """
        try:
            reader = self._begin(head, body, deadline, patient, max_body)
            return self._read(reader, read_timeout, deadline)
        finally:
            self.busy_since = None

    def _begin(self, head: bytes, body: bytes, deadline: float | None, patient: bool, max_body: int) -> AnswerReader:
        """Send as much of the request as the kernel takes. The rest is left in `_unsent`.

        The caller resets `busy_since`, however this ends.
        """
        now = self._clock()
        if deadline is not None and now >= deadline:
            raise self._too_late()
        self.busy_since = now  # before `reusable` is read: see `reclaim`
        usable, self.reusable = self.reusable, False
        reader = self._reader
        if patient:
            with self._guard:  # either `cut` was called before, or it sees that this is set
                self._patient = True
                usable = usable and self._cut_reason is None
        if not usable or reader is None:
            raise self._unreachable("its connection was closed")
        self._max_body, self._received, self._unsent = max_body, 0, None
        try:
            if len(body) <= _JOIN_UP_TO or self._send_pieces is None:
                request = head + body
                sent = self._send(request)
            else:
                request = body
                sent = self._send_pieces((head, body)) - len(head)
                if sent < 0:
                    request, sent = head + body, sent + len(head)
        except _WOULD_BLOCK:
            request, sent = head + body, 0
        except OSError as error:
            # Nothing was sent. For no other failure of an open connection is this certain.
            raise self._refusal() or self._unreachable(sockets.words_of(error)) from error
        if sent < len(request):
            self._unsent = memoryview(request)[sent:]
            self._send_more()
        return reader

    def _ended(self, answer: Answer, reusable: bool) -> Answer:
        """The exchange is complete, and this is its answer. `reusable`: whether the node keeps the connection open."""
        self._patient = False
        if self._tls is not None and not self._exchanges:
            # By now the tickets of TLS 1.3, which follow the handshake, have been read.
            self._tls.remember(self.node, self._sock)  # type: ignore[arg-type]
        self._exchanges += 1
        self.reusable = reusable and self._unsent is None and self._cut_reason is None
        return answer

    def _refusal(self) -> TlsError | None:
        """The node's refusal of our certificate, if it sent one before it closed a new TLS connection."""
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
                # The node may have answered before it closed its side, because the body is too long or it sheds load.
                # The answer can still be read. `_unsent` shows that this connection must not be used again.
                self._send_error = error
                break
        self._unsent = unsent or None

    def _read(self, reader: AnswerReader, read_timeout: float, deadline: float | None) -> Answer:
        """Read until the answer is complete."""
        pending = self._pending
        while True:
            wait = read_timeout if deadline is None else self._time_to_wait(read_timeout, deadline)
            # TLS may hold bytes that it has already read from the socket.
            if pending is None or not pending():
                milliseconds = wait * 1000.0 if wait < _LONGEST_WAIT else _LONGEST_POLL
                if not (self._poller.poll(milliseconds) if self._unsent is None else self._wait_for_both(milliseconds)):
                    raise self._read_timeout(read_timeout, deadline, self._received)
            answer = self._receive(reader)
            if answer is not None:
                return answer

    def _time_to_wait(self, read_timeout: float, deadline: float | None) -> float:
        """Seconds to wait for the next bytes. Raises `ReadTimeoutError` at the deadline, even if bytes still come."""
        wait = read_timeout if deadline is None else min(read_timeout, deadline - self._clock())
        if wait <= 0:
            raise self._read_timeout(read_timeout, deadline, self._received)
        return wait

    def _receive(self, reader: AnswerReader) -> Answer | None:
        """Read what has come, without waiting. Returns the answer if it is complete."""
        try:
            data = self._recv(_RECEIVE)
        except _WOULD_BLOCK:
            if self._unsent is not None and self._send_error is None:
                self._send_more()
            return None
        except OSError as error:
            self._look_after_cut(self._received)
            raise self._lost(error, self._received) from error
        if not data:
            if reader.ends_with_connection:
                return self._ended(reader.take(), False)
            self._look_after_cut(self._received)
            raise self._lost(self._send_error, self._received)
        if not self._received and (answer := whole_answer(data)) is not None:
            return self._ended(answer, True)
        self._received = received = self._received + len(data)
        if not self._take(reader, data, received):
            return None
        reusable = reader.reusable
        return self._ended(reader.take(), reusable)

    def _look_after_cut(self, received: int) -> None:
        """Check for a moment whether the node ends the connection itself."""
        if self._cut_reason is not None and not received and self._sock is not None:
            self._ended_by_node = sockets.was_ended_by_peer(self._sock)

    def _wait_for_both(self, milliseconds: float) -> Any:
        """Wait until there is something to read, or room for unsent bytes. Returns nothing if the time is up first."""
        if self._send_error is not None:
            return self._poller.poll(milliseconds)  # the node takes no more bytes
        self._poller.modify(self._fd, sockets.READ | sockets.WRITE)
        try:
            return self._poller.poll(milliseconds)
        finally:
            self._poller.modify(self._fd, sockets.READ)

    # ---- between exchanges, and the end ------------------------------------------------------------------------

    def is_stale(self) -> bool:
        """Whether the node has closed this idle connection, or sent bytes without a request. Does not wait."""
        if not self.reusable:
            return True
        try:
            if self._pending is None:
                return bool(self._poller.poll(0))
            if not self._pending() and not self._poller.poll(0):
                return False
            # The bytes may be a TLS record without data, such as another session ticket.
            self._recv(1)
        except _WOULD_BLOCK:
            return False
        except OSError:
            return True
        return True

    def cut(self, reason: str = "it was declared down") -> None:
        """End the exchange of another thread on this connection: it fails at once, and the error says why.

        A `patient` exchange is not ended: it goes on until its answer comes or its time is up.
        """
        with self._guard:
            if self._patient:
                return
            self.reusable = False
            self._cut_reason = reason
            if self._sock is not None:
                # The plain socket's method: a TLS socket's own would turn it into a plain one while a thread reads it.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._sock, sockets.SHUT)

    def close(self) -> None:
        """Close the socket. May be called any number of times. Never raises or waits."""
        self.reusable = False
        with self._guard:
            if self._sock is not None:
                with contextlib.suppress(OSError):
                    self._sock.close()
                self._sock = None
        self._let_go()

    def give_socket(self) -> socket.socket | None:
        """The socket, for another owner. This connection is closed then."""
        with self._guard:
            sock, self._sock = self._sock, None
        self.close()
        return sock

    def abandon(self) -> None:
        """Drop the socket in a forked child and send the node nothing: the parent goes on using the connection."""
        self.reusable = False
        # No lock: a thread of the parent may have held it at the fork, and no thread of the child can release it.
        self._guard = threading.Lock()
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                os.close(sock.detach())
        self._let_go()

    def _bytes_unsent(self) -> int:
        return 0 if self._unsent is None else len(self._unsent)

    def __repr__(self) -> str:
        return f"<Connection to {self.node}, {'open' if self._sock is not None else 'closed'}>"
