"""A guard against traffic that leaves the machine, for the tests and for the scripts that they run."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

__all__ = ["check", "install"]


def check(address: Any) -> None:
    """Raise AssertionError for an address of another machine."""
    if not isinstance(address, tuple):
        return  # a Unix socket
    host = str(address[0]).partition("%")[0]
    try:
        at = ipaddress.ip_address(host)
        is_here = at.is_loopback or at.is_unspecified  # which the kernel takes for this machine
    except ValueError:
        is_here = host == "localhost"
    assert is_here, f"a test wanted to connect to {address[0]}, which is not this machine"


def install() -> None:
    """Guard the sockets of this process for good, asyncio's too: its loops call `connect` of the socket."""
    stock = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        check(address)
        stock(self, address)

    socket.socket.connect = connect  # type: ignore[method-assign]
