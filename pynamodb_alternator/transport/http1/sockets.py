"""What a connection needs from sockets and the kernel: connecting, options, polling, and texts of errors."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from ..resolver import look_up

__all__ = [
    "GRACE",
    "READ",
    "SHUT",
    "WRITE",
    "addresses_of",
    "connect_any",
    "new_poller",
    "refuse_itself",
    "self_closing",
    "set_options",
    "unconnected",
    "was_ended_by_peer",
    "words_of",
]

READ, WRITE = getattr(select, "POLLIN", 1), getattr(select, "POLLOUT", 4)
SHUT = socket.SHUT_RD if hasattr(socket, "TCP_INFO") else socket.SHUT_RDWR
"""How a cut wakes a reader. Where the platform shows whether the node ends the connection, we must not end our side:
that would make the node end the connection too."""
GRACE = 0.05
"""Seconds after a cut in which the node may still end the connection itself. When a process dies, its kernel closes the
listener and the connections one after the other: a probe may be refused before a connection is reset."""
_GLANCES = 25
_TCP_CLOSE, _TCP_CLOSE_WAIT = 7, 8
"""States of a connection in Linux: the other side has reset it, or closed it."""

_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Socket options, as far as the platform has them. With them the kernel notices within a minute that a peer is gone,
and firewalls do not forget a quiet connection."""


# ---- connecting --------------------------------------------------------------------------------------------------


def connect_any(
    host: str,
    port: int,
    *,
    check: Callable[[str], None],
    time_left: Callable[[], float],
    keep: Callable[[socket.socket], None],
) -> socket.socket:
    """A socket connected to one of the addresses of `host`; a name may have several, and each gets its share of time.

    `check`: is called with each address; raises OSError if we must not connect to it. `time_left`: seconds; raises
    TimeoutError if the time is up. `keep`: is called with each socket before it connects; raises OSError if the
    connection is no longer wanted. Raises OSError.
    """
    for left, address in addresses_of(host, port, time_left()):
        try:
            sock = unconnected(address, check, keep)
            sock.settimeout(time_left() / (left + 1))
            sock.connect(address[4])
            refuse_itself(sock.getsockname(), sock.getpeername())
            return sock
        except OSError:
            if not left:
                raise
    raise OSError(f"{host} has no address")


def addresses_of(host: str, port: int, within: float) -> list[tuple[int, Any]]:
    """The addresses of `host`, as ``getaddrinfo`` gives them, each with the number that follow. Raises OSError."""
    try:
        addresses = look_up(host, port, within)
    except UnicodeError as error:
        raise OSError(f"{host!r} is not the name of a host") from error
    return [(len(addresses) - number, address) for number, address in enumerate(addresses, 1)]


def unconnected(address: Any, check: Callable[[str], None], keep: Callable[[socket.socket], None]) -> socket.socket:
    """A socket that can be connected to the address. For the arguments see `connect_any`. Raises OSError."""
    family, kind, protocol, _, of_host = address
    sock = self_closing(socket.socket)(family, kind, protocol)
    keep(sock)
    set_options(sock)
    check(str(of_host[0]))
    return sock


def refuse_itself(own: object, peer: object) -> None:
    """Raise ConnectionRefusedError if a socket is connected to itself.

    TCP allows that on loopback, when the port that we connect from is the port that we connect to. Such a socket
    answers with our own bytes.
    """
    if own == peer:
        raise ConnectionRefusedError("nothing listens there")


@functools.cache
def self_closing(base: type[socket.socket]) -> type[socket.socket]:
    """A subclass of `base` that closes itself when nothing refers to it any more, such as after an exception.

    Python would close it too, but with a ResourceWarning, although a timeout that comes as an exception is not a
    mistake. C's own `close` closes it, during which no other exception can come and be lost.
    """
    # gevent replaces these sockets by its own.
    close: Any = socket.SocketType.close if issubclass(base, socket.SocketType) else base.close
    return type(f"SelfClosing{base.__name__}", (base,), {"__slots__": (), "__del__": close})


def set_options(sock: socket.socket) -> None:
    """Send at once, and let the kernel notice that the peer is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


# ---- polling -----------------------------------------------------------------------------------------------------


class _SelectPoller:
    """`poll` by `select`, for platforms and event loops that have no `select.poll`."""

    def __init__(self) -> None:
        self._fd, self._events = -1, 0

    def register(self, fd: int, events: int) -> None:
        self._fd, self._events = fd, events

    modify = register

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        fd = [self._fd]
        writing = fd if self._events & WRITE else []
        readable, writable, _ = select.select(fd, writing, [], milliseconds / 1000.0)
        return [(self._fd, 0)] if readable or writable else []


def new_poller(fd: int) -> Any:
    """An object with the methods of `select.poll()`, which waits until `fd` has something to read."""
    # Looked up now, and not when this module is imported: gevent replaces these by its own.
    make = getattr(select, "poll", _SelectPoller)
    poller = make()
    poller.register(fd, READ)
    return poller


# ---- what the kernel knows ---------------------------------------------------------------------------------------


def was_ended_by_peer(sock: socket.socket) -> bool:
    """Whether the other side ends the connection, or has ended it. A process that died does, a frozen one does not.

    Waits for `GRACE` seconds at most, until the answer is clear.
    """
    for _ in range(_GLANCES):
        state = _tcp_state(sock)
        if state == _TCP_CLOSE_WAIT:
            return True
        if state == _TCP_CLOSE:
            # 0: a reset after an end. Other errors come from our own kernel, such as ETIMEDOUT.
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNRESET, errno.EPIPE)
        if state is None:
            return False
        time.sleep(GRACE / _GLANCES)
    return False


def _tcp_state(sock: Any) -> int | None:
    """The state of a connected socket; None where the platform does not show it."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return None
    try:
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, option, 1)
    except OSError:
        return None
    return info[0]


def words_of(error: OSError) -> str:
    """The text of an error of the kernel, for our own errors."""
    # asyncio replaces the kernel's text by its own. Error numbers of TLS and of the resolver are not the kernel's.
    words = error.strerror
    if error.errno is not None and not isinstance(error, ssl.SSLError | socket.gaierror | socket.herror):
        words = os.strerror(error.errno)
    return words or str(error) or type(error).__name__
