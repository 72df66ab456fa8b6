"""The sockets of one node: its address, its listener, its connections.

A `NodeServer` always has its address. While the node is up, the listener is bound to it. While the node is killed, a
socket that does not listen is bound to it (the placeholder), so that clients are refused and no other program gets the
address. `shut` releases the address at the end.

*Killed* imitates a process that died: the listener and all connections are closed at once. *Hung* imitates a process
that was stopped: the kernel accepts connections, but requests are not answered. They wait in `until_resumed`, and with
TLS the handshake waits too.

All methods are called in the event loop, unless they say otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .addresses import bound
from .http import Connection, Reply, Request
from .runtime import Runtime
from .shards import Seat, Shards

_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings for the sockets of all nodes of a cluster."""

    max_body: int
    server_header: bool
    tls: ssl.SSLContext | None = None
    shards: int = 8


class NodeServer:
    """`placeholder`: a socket that is bound to the node's address. `respond`: makes the replies. It returns None to
    close the socket without a reply.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: ServerSettings,
        placeholder: socket.socket,
        respond: Callable[[Request], Awaitable[Reply | None]],
    ) -> None:
        self.host: str
        self.port: int
        self.host, self.port = _address(placeholder)
        self.max_body: int = settings.max_body
        self.server_header: bool = settings.server_header
        self.respond = respond
        self.report: Callable[[BaseException], None] = runtime.report
        self.accepted: int = 0
        """How many connections it has accepted so far."""
        self.tls_handshakes: int = 0
        self.tls_resumed: int = 0
        """`tls_handshakes`: how many TLS handshakes it did. `tls_resumed`: how many of them resumed a session."""
        self.shards: Shards = Shards(settings.shards)
        """The shards of the node, with their connections and requests."""
        self._runtime = runtime
        self._tls = settings.tls
        self._placeholder: socket.socket | None = placeholder
        self._listener: socket.socket | None = None
        self._open: set[Connection] = set()
        self._held: list[tuple[socket.socket, Seat]] = []
        self._handshakes: set[asyncio.Task[bool]] = set()
        self._resumed: asyncio.Future[None] | None = None

    # What it is (from any thread)

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self._tls is not None

    @property
    def up(self) -> bool:
        """Whether it accepts connections."""
        return self._listener is not None

    @property
    def hung(self) -> bool:
        return self._resumed is not None

    @property
    def open_connections(self) -> int:
        return len(self._open) + len(self._held) + len(self._handshakes)

    def reset_counters(self) -> None:
        self.accepted = self.tls_handshakes = self.tls_resumed = 0
        self.shards.forget_requests()

    # Coming and going

    def listen(self) -> None:
        """Accept connections. A server that is up stays up."""
        if self._listener is None:
            self._accept_on(self._take_placeholder())

    def await_ready(self) -> None:
        """Wait until clients can connect. Call it after `listen`, in a thread that may wait."""

    def _take_placeholder(self) -> socket.socket:
        self._bind()
        placeholder, self._placeholder = self._placeholder, None
        assert placeholder is not None
        return placeholder

    def _bind(self) -> None:
        """Bind a placeholder to the address, unless a socket is bound to it already."""
        if self._placeholder is None and self._listener is None:
            self._placeholder = bound(self.host, self.port)

    def kill(self) -> None:
        """Close the listener and every connection at once, and keep the address. This also ends a hang."""
        self._close_listener()
        for connection in list(self._open):
            connection.abort()
        for task in list(self._handshakes):
            task.cancel()
        for held, seat in self._held:
            held.close()
            self.shards.leave(seat)
        self._held.clear()
        self.resume()
        self._bind()

    def shut(self) -> None:
        """Like `kill`, but also release the address. For the end of the cluster."""
        self.kill()
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def hang(self) -> None:
        """Accept connections, but do not answer requests until `resume`."""
        if self._resumed is None:
            self._resumed = self._runtime.loop.create_future()

    def resume(self) -> None:
        """End a hang: requests and handshakes that have waited continue."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.set_result(None)
        held, self._held = self._held, []
        for accepted, seat in held:
            self._take(accepted, seat)

    async def until_resumed(self) -> None:
        """Wait for the end of a hang, if there is one."""
        while self._resumed is not None:
            await asyncio.shield(self._resumed)

    def close_idle(self) -> int:
        """Close the connections that wait for a request (FIN). Returns how many they were."""
        idle = [connection for connection in self._open if connection.idle]
        for connection in idle:
            connection.close()
        return len(idle)

    # Accepting

    def _accept_on(self, listener: socket.socket) -> None:
        listener.listen(_BACKLOG)
        self._listener = listener
        self._runtime.loop.add_reader(listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(64):
            if self._listener is None:
                return
            try:
                accepted, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as wrong:
                self.report(wrong)
                return
            accepted.setblocking(False)
            self.accepted += 1
            seat = self.shards.take()
            if self.hung and self._tls is not None:
                # A stopped process does not do TLS handshakes either.
                self._held.append((accepted, seat))
            else:
                self._take(accepted, seat)

    def _take(self, accepted: socket.socket, seat: Seat) -> None:
        task = self._runtime.loop.create_task(self._connect(accepted, seat))
        self._handshakes.add(task)

        def done(task: asyncio.Task[bool]) -> None:
            self._handshakes.discard(task)
            if task.cancelled() or not task.result():
                accepted.close()
                self.shards.leave(seat)

        # This is not done in the task itself: a task that is cancelled before its first step never runs.
        task.add_done_callback(done)

    async def _connect(self, accepted: socket.socket, seat: Seat) -> bool:
        """Make a connection for an accepted socket, after its TLS handshake. Returns whether there is a connection
        now."""
        try:
            await self._runtime.loop.connect_accepted_socket(lambda: Connection(self, seat), accepted, ssl=self._tls)
        except (OSError, EOFError):
            return False
        return True

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._runtime.loop.remove_reader(listener.fileno())
            # A child that the test has forked has the socket too. shutdown() ends the listening for both processes.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    # For connections

    def opened(self, connection: Connection) -> bool:
        if self._listener is None:
            return False
        self._open.add(connection)
        if connection.resumed is not None:
            self.tls_handshakes += 1
            self.tls_resumed += connection.resumed
        return True

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self.shards.leave(connection.seat)


def _address(placeholder: socket.socket) -> tuple[str, int]:
    host, port = placeholder.getsockname()
    return host, port
