"""Name resolution, by the machine's own resolver."""

from __future__ import annotations

import socket
from collections.abc import Sequence

__all__ = ["resolve"]


def resolve(name: str) -> Sequence[str]:
    """The addresses of a host name, in the resolver's order. Raises OSError."""
    answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[4][0]) for address in answers))
