"""A connection of a thread that can also connect and exchange in steps, while another connection does the same.

The meaning of an exchange, its timeouts and its errors are those of `Connection`. Only the waiting differs: see
`steps`.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

from . import sockets
from .connection import Connection
from .protocol import MAX_BODY, Answer, TlsSource
from .steps import Ready, Steps

__all__ = ["StepwiseConnection"]

_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)
"""The kernel's errors for connecting that is under way, and not refused at once. The last one is for Windows."""


class StepwiseConnection(Connection):
    """A `Connection` for one thread at a time, which may wait for another connection meanwhile."""

    __slots__ = ()

    busy_since: float | None

    def connect_in_steps(
        self, *, connect_timeout: float, deadline: float | None = None, tls: TlsSource | None = None
    ) -> Steps[None]:
        """The same as `connect`, in steps. Only the look-up of a name blocks, for at most `connect_timeout` seconds."""
        with self._connecting(connect_timeout, deadline) as until:
            sock = yield from self._connect_tcp_in_steps(until)
            self._get_ready(sock if tls is None else (yield from self._shake_hands(sock, until, tls)))

    def _connect_tcp_in_steps(self, until: float) -> Steps[socket.socket]:
        """The same as `sockets.connect_any`, in steps."""
        node = self.node
        for left, address in sockets.addresses_of(node.host, node.port, self._time_left(until)):
            try:
                sock = sockets.unconnected(address, node.check_peer, self._keep)
                yield from _connect(sock, address[4], self._time_left(until) / (left + 1))
                sockets.refuse_itself(sock.getsockname(), sock.getpeername())
                return sock
            except OSError:
                if not left:
                    raise
        raise OSError(f"{node.host} has no address")

    def _shake_hands(self, sock: socket.socket, until: float, tls: TlsSource) -> Steps[ssl.SSLSocket]:
        self._tls = tls
        handshakes = tls.handshakes(self.node)
        while True:
            sock.settimeout(0.0)
            try:
                secured = handshakes.begin(sock, self._keep)
                yield from self._shake(secured, until)
            except ssl.SSLError as error:
                failure = handshakes.failed(error)
                if failure is not None:
                    raise failure from error
                sock = yield from self._connect_tcp_in_steps(until)
            else:
                handshakes.succeeded()
                self._pending = secured.pending
                return secured

    def _shake(self, secured: ssl.SSLSocket, until: float) -> Steps[None]:
        while True:
            try:
                secured.do_handshake()
                return
            except ssl.SSLWantReadError:
                events = sockets.READ
            except ssl.SSLWantWriteError:
                events = sockets.WRITE
            if not (yield Ready(secured.fileno(), events, self._time_left(until))):
                raise TimeoutError

    def exchange_in_steps(
        self, head: bytes, body: bytes, *, read_timeout: float, deadline: float | None = None, max_body: int = MAX_BODY
    ) -> Steps[Answer]:
        """The same as `exchange`, in steps."""
        try:
            reader = self._begin(head, body, deadline, False, max_body)
            while True:
                wait = self._time_to_wait(read_timeout, deadline)
                if (self._pending is None or not self._pending()) and not (yield self._ready(wait)):
                    raise self._read_timeout(read_timeout, deadline, self._received)
                answer = self._receive(reader)
                if answer is not None:
                    return answer
        finally:
            self.busy_since = None

    def _ready(self, seconds: float) -> Ready:
        """The socket is ready: for more of the answer, or for unsent bytes of the request."""
        has_unsent = self._unsent is not None and self._send_error is None
        events = sockets.READ | sockets.WRITE if has_unsent else sockets.READ
        return Ready(self._fd, events, seconds, has_begun=self.has_begun)


def _connect(sock: socket.socket, address: object, seconds: float) -> Steps[None]:
    """Connect `sock` in steps. Raises TimeoutError after so many seconds, and other OSErrors."""
    sock.settimeout(0.0)
    failure = sock.connect_ex(address)  # type: ignore[arg-type]  # as the resolver has given it
    if failure in _UNDER_WAY:
        if failure and not (yield Ready(sock.fileno(), sockets.WRITE, seconds)):
            raise TimeoutError
        failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failure:
        raise OSError(failure, os.strerror(failure))
