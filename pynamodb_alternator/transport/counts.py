"""How often each node has answered and failed, counted at the end of each attempt."""

from __future__ import annotations

from collections.abc import Iterable

from ..topology.node import Node

__all__ = ["Counts", "NodeCounts"]

_HISTORY = 1_000
"""How many nodes that have left are remembered, in case they come back."""


class NodeCounts:
    """The counts of one node. `answers`: attempts that got an answer, also an error. `failures`: attempts that got
    none."""

    __slots__ = ("answers", "failures")

    def __init__(self) -> None:
        self.answers: int = 0
        self.failures: int = 0


class Counts(dict[str, NodeCounts]):
    """By node address. A node that is not in it yet gets its counts when it is looked up.

    There is no lock, because it would slow down each request. With CPython's own lock, no count is lost.
    """

    def __missing__(self, address: str) -> NodeCounts:
        return self.setdefault(address, NodeCounts())

    def answers_of(self, node: Node) -> int:
        """How many answers the node has given."""
        counts = self.get(node.address)
        return 0 if counts is None else counts.answers

    def forget_others(self, addresses: Iterable[str]) -> None:
        """Forget the nodes that are not in `addresses`, when there are many of them."""
        known = set(addresses)
        for address in [other for other in list(self) if other not in known][_HISTORY:]:
            self.pop(address, None)
