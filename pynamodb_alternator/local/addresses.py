"""The addresses of the nodes: 127.0.0.1, 127.0.0.2, …, all with one port. They are bound before a node listens."""

from __future__ import annotations

import errno
import random
import socket
import sys
from collections.abc import Sequence

from ..errors import ConfigurationError

_PORTS = (10_240, 32_000)
"""A free port is chosen from this range. It is below the ports that the kernel gives to outgoing connections: such a
connection could otherwise get the port of a killed node."""


def host_of(number: int) -> str:
    """The loopback address of the node with that number, counted from 1: 127.0.0.1, …, 127.0.0.254, 127.0.1.1, …"""
    high, low = divmod(number - 1, 254)
    return f"127.0.{high}.{low + 1}"


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address and does not listen yet. Raises `OSError`."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def take(host: str, port: int) -> socket.socket:
    """Like `bound`, but raises `ConfigurationError`, which says what to do."""
    try:
        return bound(host, port)
    except OSError as wrong:
        raise _cannot_bind(host, port, wrong) from wrong


def reserve(hosts: Sequence[str], port: int | None) -> list[socket.socket]:
    """A bound socket for each host: all on `port`, or, if it is None, on one port that is free on every host.

    Raises `ConfigurationError`, which says what to do, if one of them cannot be bound. Then all sockets are closed.
    """
    attempts = [port] if port is not None else random.sample(range(*_PORTS), 50)
    for number, candidate in enumerate(attempts, start=1):
        sockets: list[socket.socket] = []
        try:
            for host in hosts:
                sockets.append(bound(host, candidate))
            return sockets
        except BaseException as wrong:
            for taken in sockets:
                taken.close()
            if not isinstance(wrong, OSError):
                raise
            if wrong.errno != errno.EADDRINUSE or number == len(attempts):
                raise _cannot_bind(hosts[len(sockets)], candidate, wrong) from wrong
    raise AssertionError("unreachable")


def _cannot_bind(host: str, port: int, wrong: OSError) -> ConfigurationError:
    text = f"LocalCluster: cannot bind {host}:{port}: {wrong.strerror or wrong}."
    if wrong.errno == errno.EADDRNOTAVAIL:
        # macOS has only 127.0.0.1.
        text += f" This system has no such address. Add it: sudo ifconfig lo0 alias {host} up"
        if sys.platform.startswith("linux"):
            text += f" (on Linux: sudo ip address add {host}/8 dev lo)"
    elif wrong.errno == errno.EADDRINUSE:
        text += " Another program listens there. Leave out `port`, and a free port is taken."
    elif wrong.errno == errno.EMFILE:
        text += " Too many open files: raise the limit with `ulimit -n`."
    return ConfigurationError(text)
