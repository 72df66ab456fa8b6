"""How often each node has answered and failed, counted where every attempt ends."""

from __future__ import annotations

from collections.abc import Iterable

from ..topology.node import Node

__all__ = ["Counts", "NodeCounts"]

_HISTORY = 1_000
"""Nodes that have left and are remembered, in case they come back."""


class NodeCounts:
    """`answers`: attempts that got any answer. `failures`: attempts that got none."""

    __slots__ = ("answers", "failures")

    def __init__(self) -> None:
        self.answers: int = 0
        self.failures: int = 0


class Counts(dict[str, NodeCounts]):
    """By node address. A node that is not in it yet gets its counts when it is looked up.

    There is no lock: a request must not pay for one. CPython with its lock adds to an attribute in one piece.
    """

    def __missing__(self, address: str) -> NodeCounts:
        return self.setdefault(address, NodeCounts())

    def answers_of(self, node: Node) -> int:
        """How many answers the node has given."""
        counts = self.get(node.address)
        return 0 if counts is None else counts.answers

    def forget_others(self, addresses: Iterable[str]) -> None:
        """Forget nodes that are none of these, when they have become many."""
        known = set(addresses)
        for address in [other for other in list(self) if other not in known][_HISTORY:]:
            self.pop(address, None)
