"""The network as this room sees it: two functions, which are passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .node import Node

__all__ = ["Fetch", "Network", "Resolve"]

Fetch = Callable[[Node, str, float], tuple[int, bytes]]
"""``fetch(node, path, timeout)`` makes a GET request and returns status and body, or raises an exception."""
Resolve = Callable[[str], Sequence[str]]
"""``resolve(name)`` returns the addresses of a host name, or raises OSError."""


class Network(Protocol):
    """What a cluster needs of the network to know its nodes: sockets, or a fake of a test."""

    def fetch(self, node: Node, path: str, timeout: float) -> tuple[int, bytes]:
        """See `Fetch`."""

    def resolve(self, name: str) -> Sequence[str]:
        """See `Resolve`."""
