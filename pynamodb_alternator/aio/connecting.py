"""Makes a connection of an event loop: addresses, TLS, and time limits.

`aio.connection` has the exchanges on the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

from ..errors import TlsError
from ..transport.http1.protocol import AnswerReader, Clock, ResponseRules
from ..transport.http1.sockets import new_poller, refuse_itself, set_options, words_of
from ..transport.patience import Patience
from ..transport.resolver import no_answer
from .resolver import resolve

if TYPE_CHECKING:
    from ..topology.node import Node
    from ..transport.tls import TlsContexts

__all__ = ["PARTS", "ConnectingProtocol"]

PARTS = 16
"""How many times a wait for the node is checked. This is more often than an event loop runs its callbacks while it
connects with TLS."""
_NEVER = 1e6
"""Seconds, for asyncio's own limit for a TLS handshake. A shorter one would count time in which the event loop was
blocked."""


class ConnectingProtocol(ResponseRules, asyncio.BufferedProtocol):
    """A connection to one node, until it is connected. All methods are called in its event loop."""

    __slots__ = (
        "_connecting",
        "_deadline",
        "_error",
        "_looks_up",
        "_loop",
        "_patience",
        "_poller",
        "_timer",
        "_transport",
    )

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        super().__init__(node, clock)
        self._loop = loop
        self._connecting: asyncio.Timeout | None = None
        self._transport: Any = None
        self._reader = AnswerReader()
        self._poller: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._patience: Patience | None = None
        self._deadline: float | None = None
        self._looks_up = False

    async def connect(
        self,
        *,
        connect_timeout: float,
        deadline: float | None = None,
        tls: TlsContexts | None = None,
        sock: socket.socket | None = None,
    ) -> None:
        """Connect, with TLS if `tls` is given, within `connect_timeout` seconds and before `deadline`. `sock`: one that
        is connected and was used, without TLS, which is taken over.

        Raises `NodeUnreachableError`, `ConnectTimeoutError`, `TlsError`. The connection is closed then, and also if
        the task is cancelled.
        """
        now = self._clock()
        if deadline is not None:
            connect_timeout = min(connect_timeout, max(0.0, deadline - now))
        self._patience, self._deadline = Patience(connect_timeout, now, parts=PARTS), deadline
        try:
            self.busy_since = now
            async with asyncio.timeout(None) as self._connecting:
                self._look_at_connecting()
                await self._connect(tls, sock)
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
            self._stop_timer()
        self.connected = True
        self.reusable: bool = self._cut_reason is None and self._error is None

    def _look_at_connecting(self) -> None:
        assert self._patience is not None
        left = self._time_left(self._patience.left(self._clock()))
        if left > 0.0:
            self._timer = self._loop.call_later(left, self._look_at_connecting)
        else:
            self._stop_connecting()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _stop_connecting(self) -> None:
        if self._connecting is not None:
            with contextlib.suppress(RuntimeError):  # the task has just ended
                self._connecting.reschedule(self._loop.time())

    def _time_left(self, left: float) -> float:
        """Seconds until the next look, which is not after the deadline."""
        return left if self._deadline is None else min(left, self._deadline - self._clock())

    async def _connect(self, tls: TlsContexts | None, sock: socket.socket | None) -> None:
        if sock is not None:
            self._exchanges = 1
            await self._open(sock=sock)
        elif tls is None:
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
                await self._open(address, self.node.port, **settings)
                return
            except OSError as error:
                if number == len(addresses) or isinstance(error, ssl.SSLError):
                    raise

    async def _open(self, *address: Any, **settings: Any) -> None:
        try:
            await self._loop.create_connection(lambda: self, *address, **settings)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            # The task is thrown away, because its event loop has ended. asyncio then closes the new transport by this
            # loop, and the error would hide that the task ends.
            raise GeneratorExit from None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            set_options(sock)
        self._poller = new_poller(sock.fileno())
