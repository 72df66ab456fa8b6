"""One HTTP/1.1 connection in an event loop: what `transport.http1` is for threads.

The rules for an answer and the errors are the same, in `ResponseRules`. Only the waiting differs: asyncio calls
`data_received`, and the task that waits is woken when the answer is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from typing import TYPE_CHECKING, Any

from ..errors import TlsError, TransportError
from ..transport.http1.protocol import MAX_BODY, Answer, AnswerReader, Clock, ResponseRules
from ..transport.http1.sockets import GRACE, new_poller, refuse_itself, set_options, words_of
from ..transport.patience import Patience
from ..transport.resolver import no_answer
from .resolver import resolve

if TYPE_CHECKING:
    from ..topology.node import Node
    from ..transport.tls import TlsContexts

__all__ = ["AsyncConnection"]

_PARTS = 16
"""How often a wait for the node is looked at: more often than an event loop turns while it connects with TLS."""
_NEVER = 1e6
"""Seconds. asyncio's own limit for a TLS handshake would count time in which the event loop was held."""
_MOMENT = 0.001
"""Seconds, in which an event loop looks at all of its sockets."""
_left_behind: list[object] = []
"""Transports of the parent, in a forked child. Their own farewell would warn of a socket that is closed already."""


class AsyncConnection(ResponseRules, asyncio.Protocol):
    """One connection to one node, for one task at a time. All methods are called in its event loop."""

    __slots__ = (
        "_connecting",
        "_deadline",
        "_error",
        "_gone",
        "_looked_last",
        "_looks_up",
        "_loop",
        "_patience",
        "_poller",
        "_progress",
        "_read_within",
        "_timer",
        "_transport",
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
        super().__init__(node, clock)
        self._loop = loop
        self._connecting: asyncio.Timeout | None = None
        self._transport: Any = None
        self._reader = AnswerReader()
        self._poller: Any = None
        self._gone: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._unsent = 0
        self._progress = 0.0
        self._read_within = 0.0
        self._patience: Patience | None = None
        self._deadline: float | None = None
        self._looked_last = False
        self._looks_up = False

    # ---- connecting --------------------------------------------------------------------------------------------

    async def connect(
        self, *, connect_timeout: float, deadline: float | None = None, tls: TlsContexts | None = None
    ) -> None:
        """Connect, with TLS if `tls` is given, within `connect_timeout` seconds and before `deadline`.

        Raises `NodeUnreachableError`, `ConnectTimeoutError`, `TlsError`. The connection is closed then, and also if
        the task is cancelled.
        """
        now = self._clock()
        if deadline is not None:
            connect_timeout = min(connect_timeout, max(0.0, deadline - now))
        self._patience, self._deadline = Patience(connect_timeout, now, parts=_PARTS), deadline
        try:
            self.busy_since = now
            async with asyncio.timeout(None) as self._connecting:
                self._look_at_connecting()
                await self._connect(tls)
        except TlsError:  # an OSError too, for botocore's sake
            self.close()
            raise
        except TimeoutError:
            self.close()
            if self._cut_reason is not None or self._looks_up:
                raise self._unreachable(str(no_answer(self.node.host, connect_timeout))) from None
            raise self._connect_timeout(connect_timeout, deadline) from None
        except OSError as error:
            self.close()
            raise self._unreachable(words_of(error)) from error
        except BaseException:
            self.close()
            raise
        finally:
            self.busy_since = self._connecting = None
            if self._timer is not None:
                self._timer.cancel()
        self.connected = True
        self.reusable: bool = self._cut_reason is None and self._error is None

    def _look_at_connecting(self) -> None:
        assert self._patience is not None
        left = self._time_left(self._patience.left(self._clock()))
        if left > 0.0:
            self._timer = self._loop.call_later(left, self._look_at_connecting)
        else:
            self._stop_connecting()

    def _stop_connecting(self) -> None:
        if self._connecting is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._connecting.reschedule(self._loop.time())

    def _time_left(self, left: float) -> float:
        """Seconds until the next look, which is not after the deadline."""
        return left if self._deadline is None else min(left, self._deadline - self._clock())

    async def _connect(self, tls: TlsContexts | None) -> None:
        if tls is None:
            await self._create_connection()
        else:
            await self._connect_tls(tls)
        ours, theirs = (self._transport.get_extra_info(name) for name in ("sockname", "peername"))
        if ours is None or theirs is None:
            raise ConnectionResetError("the connection ended before it was ready")
        self.node.check_peer(theirs[0])
        refuse_itself(ours, theirs)

    async def _connect_tls(self, tls: TlsContexts) -> None:
        self._tls = tls
        handshakes = tls.handshakes(self.node)
        while True:
            try:
                await self._create_connection(
                    ssl=handshakes.for_event_loop(), server_hostname=handshakes.name, ssl_handshake_timeout=_NEVER
                )
            except ssl.SSLError as error:
                failure = handshakes.failed(error)
                if failure is not None:
                    raise failure from error
            else:
                handshakes.succeeded()
                return

    async def _create_connection(self, **settings: Any) -> None:
        self._looks_up = True
        addresses = await resolve(self.node.host, self.node.port)
        self._looks_up = False
        for number, address in enumerate(addresses, 1):
            try:
                self.node.check_peer(address)
                await self._loop.create_connection(lambda: self, address, self.node.port, **settings)
                return
            except OSError as error:
                if number == len(addresses) or isinstance(error, ssl.SSLError):
                    raise

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            set_options(sock)
        self._poller = new_poller(sock.fileno())

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
            reader = self._reader
            if not usable or reader is None:
                raise self._refusal() or self._unreachable("its connection was closed")
            self._read_within, self._deadline, self._patient = read_timeout, deadline, patient
            self._max_body = max_body
            self._start(head, body, now)
            await self._waiter  # type: ignore[misc]  # it was made just now
            if self._error is not None:
                raise self._error
            # Before the answer is taken, which makes the reader forget it.
            reusable = reader.reusable and self._cut_reason is None
            answer = reader.take()
            if self._tls is not None and not self._exchanges and self._transport is not None:
                secured = self._transport.get_extra_info("ssl_object")
                if secured is not None:
                    self._tls.remember(self.node, secured)
            self._exchanges += 1
            self.reusable = reusable and self._is_clear()
        except BaseException:
            self.close()
            raise
        finally:
            self.busy_since = self._waiter = None
            self._patient = False
            if self._timer is not None:
                self._timer.cancel()
        return answer

    def _start(self, head: bytes, body: bytes, now: float) -> None:
        """Send the request, as far as the kernel takes it, and set the clock."""
        self._received, self._error, self._patience, transport = 0, None, None, self._transport
        transport.write(head + body if body else head)
        if transport.is_closing():
            # asyncio sends at once, and without TLS it says so here if not one byte has left.
            raise self._unreachable("its connection was closed")
        self._unsent = transport.get_write_buffer_size()
        self._progress, self._looked_last = now, False
        self._waiter = self._loop.create_future()
        part, deadline = self._read_within / _PARTS, self._deadline
        self._timer = self._loop.call_later(part if deadline is None else min(part, deadline - now), self._look)

    def _is_clear(self) -> bool:
        """Whether the whole request has left, and the connection stands."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and not transport.get_write_buffer_size()

    def data_received(self, data: bytes) -> None:
        waiter, reader = self._waiter, self._reader
        if waiter is None or waiter.done() or reader is None:
            self.reusable = False  # nobody asked for it
            if reader is not None:
                reader.reusable = False
            return
        self._received += len(data)
        self._progress = self._clock()
        try:
            if self._take(reader, data, self._received):
                waiter.set_result(None)
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
        now = self._clock()
        unsent = self._bytes_unsent()
        if unsent < self._unsent:
            self._unsent, self._progress = unsent, now
        if self._patience is None:
            self._patience = Patience(self._read_within, self.busy_since or now, parts=_PARTS)
        left = self._time_left(self._patience.left(now, self._progress))
        if left <= 0.0 and not self._looked_last and self._poller is not None and self._poller.poll(0):
            # The event loop did not have the time to read what has come. An endless answer gets this moment only once.
            self._looked_last = True
            left = _MOMENT
        elif left > 0.0:
            self._looked_last = False
        if left > 0.0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._end(self._read_timeout(self._read_within, self._deadline, self._received))

    def _end(self, error: Exception) -> None:
        """Wake the task, to raise `error`. It is not the future's exception: a task that is cancelled at the same
        moment would leave that behind, for asyncio to complain of."""
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

        Not an exchange that asked to be spared: it goes on until its answer comes or its time is up.
        """
        if self._patient:
            return
        self.reusable = False
        self._cut_reason = reason
        self._stop_connecting()
        if self._timer is not None and self._waiter is not None:
            self._timer.cancel()
            # What the node has said meanwhile, and the event loop has not read yet, comes first.
            self._timer = self._loop.call_later(GRACE, self._end_cut)

    def _end_cut(self) -> None:
        self._end(self._lost(None, self._received))

    def close(self) -> None:
        """Close the socket. Any number of times; never raises, never waits."""
        self.reusable = False
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
        """Drop the socket in a forked child, without a word to the node. The parent's loop must not be touched: it
        would forget the parent's own sockets."""
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
