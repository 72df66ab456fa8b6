"""One HTTP/1.1 connection of an event loop, like `transport.http1` for threads.

The rules for an answer and the errors are the same, in `ResponseRules`. Only the waiting differs: asyncio calls
`buffer_updated`, and the waiting task is woken when the answer is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import ssl
import time
from typing import TYPE_CHECKING

from ..errors import TlsError, TransportError
from ..transport.http1.protocol import MAX_BODY, Answer, Clock
from ..transport.http1.sockets import GRACE
from ..transport.patience import Patience
from .connecting import PARTS, ConnectingProtocol

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["AsyncConnection"]

_MOMENT = 0.001
"""Seconds in which an event loop checks all of its sockets."""
_FIRST, _MORE = 8 * 1024, 64 * 1024
"""Bytes that are read from the kernel at once: for the beginning of an answer, and for the rest of a long one. Each
connection keeps a buffer for the beginning, because to allocate memory for each answer would take longer than to read
it."""
_left_behind: list[object] = []
"""In a forked child: the parent's transports. They are kept, because a transport that is collected would warn that its
socket is closed already."""


class AsyncConnection(ConnectingProtocol):
    """One connection to one node, for one task at a time. All methods are called in its event loop.

    An exchange has no timer of its own. The connection has one timer, which runs as long as an exchange may wait, and
    is then set again. Most answers come long before.
    """

    __slots__ = (
        "_buffer",
        "_first_buffer",
        "_gone",
        "_look_at",
        "_looked_last",
        "_progress",
        "_read_within",
        "_unsent",
        "_waiter",
    )

    def __init__(
        self,
        node: Node,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(node, loop, clock)
        self._first_buffer = self._buffer = memoryview(bytearray(_FIRST))
        self._gone: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._look_at = math.inf  # when the timer fires, on the clock
        self._unsent = 0
        self._progress = 0.0
        self._read_within = 0.0
        self._looked_last = False

    # ---- one exchange ------------------------------------------------------------------------------------------

    async def exchange(
        self,
        head: bytes,
        body: bytes,
        *,
        read_timeout: float,
        deadline: float | None = None,
        patient: bool = False,
        max_body: int = MAX_BODY,
    ) -> Answer:
        """Send one request and read its answer, like `transport.http1.Connection.exchange`.

        If the task is cancelled meanwhile, the connection is closed, because the answer may still come.
        """
        now = self._clock()
        if deadline is not None and now >= deadline:
            raise self._too_late()
        try:
            self.busy_since = now  # before `reusable` is read: see `reclaim`
            usable, self.reusable = self.reusable, False
            reader, transport = self._reader, self._transport
            if not usable or reader is None or transport is None:
                raise self._refusal() or self._unreachable("its connection was closed")
            self._read_within, self._deadline, self._patient = read_timeout, deadline, patient
            self._max_body, self._received, self._error, self._patience = max_body, 0, None, None
            transport.write(head + body if body else head)
            if transport.is_closing():
                # asyncio sends at once. Without TLS, the transport is closing now if nothing could be sent.
                raise self._unreachable("its connection was closed")
            self._unsent, self._progress, self._looked_last = transport.get_write_buffer_size(), now, False
            waiter = self._waiter = self._loop.create_future()
            look_at = now + read_timeout / PARTS
            if deadline is not None and deadline < look_at:
                look_at = deadline
            if look_at < self._look_at:
                self._set_timer(now, look_at)
            await waiter
            if self._error is not None:
                raise self._error
            # This must be read before the answer is taken, because the reader forgets it then.
            reusable = reader.reusable and self._cut_reason is None
            answer = reader.take()
            if not self._exchanges:
                self._remember_session()
            self._exchanges += 1
            # The whole request was sent, and the connection is still open.
            self.reusable: bool = (
                reusable
                and self._transport is not None
                and not transport.is_closing()
                and not (self._unsent and transport.get_write_buffer_size())
            )
        except BaseException:
            self.close()
            raise
        finally:
            self.busy_since = self._waiter = None
            self._patient = False
        return answer

    def _set_timer(self, now: float, look_at: float) -> None:
        self._stop_timer()
        self._timer, self._look_at = self._loop.call_later(look_at - now, self._look), look_at

    def _stop_timer(self) -> None:
        self._look_at = math.inf
        super()._stop_timer()

    def _remember_session(self) -> None:
        """For TLS: store the session. The tickets, which come after the handshake, have been read now."""
        if self._tls is not None and self._transport is not None:
            secured = self._transport.get_extra_info("ssl_object")
            if secured is not None:
                self._tls.remember(self.node, secured)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        waiter, reader = self._waiter, self._reader
        if waiter is None or reader is None or waiter.done():
            self.reusable = False  # these bytes do not belong to a request
            if reader is not None:
                reader.reusable = False
            return
        received = self._received = self._received + nbytes
        try:
            if self._take(reader, bytes(self._buffer[:nbytes]), received):
                self._buffer = self._first_buffer
                waiter.set_result(None)
            else:
                self._progress = self._clock()
                if self._buffer is self._first_buffer and nbytes == _FIRST:
                    self._buffer = memoryview(bytearray(_MORE))
        except TransportError as error:
            self._end(error)

    def eof_received(self) -> None:
        reader = self._reader
        self.reusable = False
        if reader is not None:
            reader.reusable = False
            waiting = self._waiter is not None and not self._waiter.done()
            if waiting and reader.ends_with_connection and self._said_farewell():
                self._waiter.set_result(None)  # type: ignore[union-attr]  # it is waiting

    def _said_farewell(self) -> bool:
        """Whether the node itself has ended the stream. With TLS, it has if a close_notify came. An attacker could end
        the TCP connection, and asyncio reports both ends in the same way."""
        secured = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        if secured is None:
            return True
        try:
            return not secured.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            return False  # no close_notify has come, or the stream is broken

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        reason = error if isinstance(error, OSError) else None
        self._ended_by_node = True  # or by our own kernel; `reason` tells which
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self._end(self._lost(reason, self._received))
        if self._error is None:
            self._error = reason
        self._transport = self._poller = None

    def _look(self) -> None:
        """Check whether the wait for the answer has timed out. If not, set the timer for the next look."""
        self._look_at = math.inf
        if self._waiter is None or self._waiter.done():
            return  # the next exchange sets the timer
        now = self._clock()
        unsent = self._bytes_unsent()
        if unsent < self._unsent:
            self._unsent, self._progress = unsent, now
        if self._patience is None:
            self._patience = Patience(self._read_within, self.busy_since or now, parts=PARTS)
        left = self._time_left(self._patience.left(now, self._progress))
        if left <= 0.0 and not self._looked_last and self._poller is not None and self._poller.poll(0):
            # The event loop has not had time to read the bytes that have come. An endless answer gets this time only
            # once.
            self._looked_last = True
            left = _MOMENT
        elif left > 0.0:
            self._looked_last = False
        if left > 0.0:
            self._set_timer(now, now + left)
        else:
            self._end(self._read_timeout(self._read_within, self._deadline, self._received))

    def _end(self, error: Exception) -> None:
        """Wake the task, which raises `error`. The future does not contain the exception: if the task is cancelled at
        the same moment, asyncio would log that the exception was never retrieved."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            self._error = error
            waiter.set_result(None)

    def _refusal(self) -> TlsError | None:
        """The node's refusal of our certificate, if it sent one before it closed a new TLS connection."""
        if self._tls is not None and not self._exchanges and isinstance(self._error, ssl.SSLError):
            return self._tls.refused(self.node, self._error)
        return None

    def _bytes_unsent(self) -> int:
        return 0 if self._transport is None else int(self._transport.get_write_buffer_size())

    # ---- between exchanges, and the end ------------------------------------------------------------------------

    def is_stale(self) -> bool:
        """Whether the node has closed this idle connection, or sent bytes without a request. Does not wait.

        This asks the kernel, because the event loop may not have had time to check the socket.
        """
        return not self.reusable or self._poller is None or bool(self._poller.poll(0))

    def cut(self, reason: str = "it was declared down") -> None:
        """End the exchange of a task on this connection: it fails a moment later, and the error says why.

        An exchange that must not be cut goes on until its answer comes or its time is up.
        """
        if self._patient:
            return
        self.reusable = False
        self._cut_reason = reason
        self._stop_connecting()
        if self._waiter is not None:
            self._stop_timer()
            # Bytes of the node that the event loop has not read yet are read first.
            self._timer = self._loop.call_later(GRACE, self._end_cut)

    def _end_cut(self) -> None:
        self._end(self._lost(None, self._received))

    def close(self) -> None:
        """Close the socket. May be called any number of times. Never raises or waits."""
        if self._loop.is_closed():
            self.abandon()
            return
        self.reusable = False
        self._stop_timer()
        transport = self._transport
        if transport is not None:
            # `close` is not used: with TLS it would wait for the node's close_notify.
            transport.abort()
        self._let_go()

    async def wait_closed(self) -> None:
        """After `close`: wait until the event loop has released the socket, a moment later."""
        if self._transport is not None:
            self._gone = self._loop.create_future()
            await self._gone

    def abandon(self) -> None:
        """Drop the socket in a forked child, or when the event loop is closed, without sending anything. The parent's
        event loop must not be used here: it would forget the parent's sockets."""
        self.reusable = False
        transport, self._transport = self._transport, None
        if transport is not None:
            if not self._loop.is_closed():
                _left_behind.append(transport)
            sock = getattr(transport.get_extra_info("socket"), "_sock", None)
            if sock is not None:
                with contextlib.suppress(OSError):
                    os.close(sock.detach())
        self._let_go()

    def __repr__(self) -> str:
        return f"<AsyncConnection to {self.node}, {'open' if self._transport is not None else 'closed'}>"
