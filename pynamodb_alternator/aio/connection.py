"""One HTTP/1.1 connection in an event loop: what `transport.http1` is for threads.

The rules for an answer and the errors are the same, in `ResponseRules`. Only the waiting differs: asyncio calls
`buffer_updated`, and the task that waits is woken when the answer is complete.
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
"""Seconds, in which an event loop looks at all of its sockets."""
_FIRST, _MORE = 8 * 1024, 64 * 1024
"""Bytes that are asked of the kernel at once: for the beginning of an answer, and for the rest of a long one. Each
connection keeps a buffer for the first: memory from the system for each answer would cost more than reading it."""
_left_behind: list[object] = []
"""Transports of the parent, kept in a forked child: when one is collected, it would warn that its socket is closed
already."""


class AsyncConnection(ConnectingProtocol):
    """One connection to one node, for one task at a time. All methods are called in its event loop.

    An exchange has no timer of its own. The connection has one, which runs for as long as an exchange may wait, and is
    then set anew. Most answers come long before that.
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
        self._look_at = math.inf  # when the timer goes off, on the clock
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
        """Send one request and read its answer; as `transport.http1.Connection.exchange`.

        A task that is cancelled meanwhile leaves a closed connection, because the answer may still come.
        """
        now = self._clock()
        if deadline is not None and now >= deadline:
            raise self._too_late()
        try:
            self.busy_since = now  # before the look at `reusable`: see `reclaim`
            usable, self.reusable = self.reusable, False
            reader, transport = self._reader, self._transport
            if not usable or reader is None or transport is None:
                raise self._refusal() or self._unreachable("its connection was closed")
            self._read_within, self._deadline, self._patient = read_timeout, deadline, patient
            self._max_body, self._received, self._error, self._patience = max_body, 0, None, None
            transport.write(head + body if body else head)
            if transport.is_closing():
                # asyncio sends at once, and without TLS it says so here if not one byte has left.
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
            # Before the answer is taken, which makes the reader forget it.
            reusable = reader.reusable and self._cut_reason is None
            answer = reader.take()
            if not self._exchanges:
                self._remember_session()
            self._exchanges += 1
            # The whole request has left, and the connection stands.
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
        """TLS only: by now the tickets, which follow the handshake, have been read."""
        if self._tls is not None and self._transport is not None:
            secured = self._transport.get_extra_info("ssl_object")
            if secured is not None:
                self._tls.remember(self.node, secured)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        waiter, reader = self._waiter, self._reader
        if waiter is None or reader is None or waiter.done():
            self.reusable = False  # nobody asked for it
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
        """Whether the end of the stream is the node's own word. In TLS it is where a close_notify came; anybody can end
        the TCP connection, and asyncio tells us of both in the same way."""
        secured = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        if secured is None:
            return True
        try:
            return not secured.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            return False  # it waits for more, or the stream is broken

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        reason = error if isinstance(error, OSError) else None
        self._ended_by_node = True  # or by our own kernel, as `reason` tells
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self._end(self._lost(reason, self._received))
        if self._error is None:
            self._error = reason
        self._transport = self._poller = None

    def _look(self) -> None:
        """Whether the answer has been waited for long enough, and when to look next."""
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
            # The event loop did not have the time to read what has come. An endless answer gets this moment only once.
            self._looked_last = True
            left = _MOMENT
        elif left > 0.0:
            self._looked_last = False
        if left > 0.0:
            self._set_timer(now, now + left)
        else:
            self._end(self._read_timeout(self._read_within, self._deadline, self._received))

    def _end(self, error: Exception) -> None:
        """Wake the task, which raises `error`. The future does not hold the exception: if the task is cancelled at the
        same moment, asyncio would complain that nothing has read it."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            self._error = error
            waiter.set_result(None)

    def _refusal(self) -> TlsError | None:
        """What the node said before it closed a fresh TLS connection on us, if that was about our certificate."""
        if self._tls is not None and not self._exchanges and isinstance(self._error, ssl.SSLError):
            return self._tls.refused(self.node, self._error)
        return None

    def _bytes_unsent(self) -> int:
        return 0 if self._transport is None else int(self._transport.get_write_buffer_size())

    # ---- between exchanges, and the end ------------------------------------------------------------------------

    def is_stale(self) -> bool:
        """Whether the node has closed this idle connection, or sent what nobody asked for. Does not wait.

        The kernel is asked, because the event loop may not have had time to look.
        """
        return not self.reusable or self._poller is None or bool(self._poller.poll(0))

    def cut(self, reason: str = "it was declared down") -> None:
        """End what a task does on this connection: it fails in a moment, and the error says why.

        An exchange that must not be cut goes on until its answer comes or its time is up.
        """
        if self._patient:
            return
        self.reusable = False
        self._cut_reason = reason
        self._stop_connecting()
        if self._waiter is not None:
            self._stop_timer()
            # What the node has said meanwhile, and the event loop has not read yet, comes first.
            self._timer = self._loop.call_later(GRACE, self._end_cut)

    def _end_cut(self) -> None:
        self._end(self._lost(None, self._received))

    def close(self) -> None:
        """Close the socket. Any number of times; never raises, never waits."""
        self.reusable = False
        self._stop_timer()
        transport = self._transport
        if transport is not None:
            # Not `close`: TLS would wait for the node's farewell.
            transport.abort()
        self._let_go()

    async def wait_closed(self) -> None:
        """After `close`: until the event loop has given up the socket, which it does a moment later."""
        if self._transport is not None:
            self._gone = self._loop.create_future()
            await self._gone

    def abandon(self) -> None:
        """Drop the socket in a forked child, and tell the node nothing. The parent's loop must not be touched: it would
        forget the parent's own sockets."""
        self.reusable = False
        transport, self._transport = self._transport, None
        if transport is not None:
            _left_behind.append(transport)
            sock = getattr(transport.get_extra_info("socket"), "_sock", None)
            if sock is not None:
                with contextlib.suppress(OSError):
                    os.close(sock.detach())
        self._let_go()

    def __repr__(self) -> str:
        return f"<AsyncConnection to {self.node}, {'open' if self._transport is not None else 'closed'}>"
