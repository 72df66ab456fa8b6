"""Subsets: a process uses only some of many nodes, so that not every process of a fleet connects to every node.

Each process puts the nodes in an order of its own, by rendezvous hashing: by the hash of its name and the node's
endpoint. Its subset is the first nodes of this order. So over many processes each node is in as many subsets as any
other, and a node that comes or goes changes one node in the subsets that it joins or leaves, and no other subset.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from hashlib import blake2b
from random import Random

from .node import Node

__all__ = ["Subset", "rendezvous", "subset_of"]


def rendezvous(nodes: Sequence[Node], name: str) -> tuple[Node, ...]:
    """The nodes in the order of the process of this name."""
    begun = blake2b(name.encode(), digest_size=8)

    def score(node: Node) -> bytes:
        hashed = begun.copy()
        hashed.update(node.endpoint.encode())
        return hashed.digest()

    return tuple(sorted(nodes, key=score))


def subset_of(
    order: Sequence[Node], size: int, *, down: Collection[Node], unsettled: Collection[Node]
) -> frozenset[Node]:
    """The first `size` nodes of `order` that are not down; if all are, the first ones.

    As long as some of these are `unsettled`, the next ones that are settled stand in for them, so that there are `size`
    settled nodes. There are at most twice as many as `size`.
    """
    usable = [node for node in order if node not in down] or order
    settled = [node for node in usable if node not in unsettled]
    return frozenset((*usable[:size], *settled[:size]))


class Subset:
    """The subset of this process.

    `size`: how many nodes; None for all. `number`: names the process; without one it is named at random. After a fork
    the child has another name than its parent.
    """

    def __init__(self, size: int | None, number: int | None, random: Random) -> None:
        self._size = size
        self._pid = os.getpid()
        self._name = self._first_name = str(random.getrandbits(64) if size and number is None else number)
        self._last: tuple[tuple[Node, ...], tuple[Node, ...]] = ((), ())

    def after_fork(self) -> None:
        pid = os.getpid()
        if pid != self._pid:
            self._pid = pid
            self._name = f"{self._first_name}, process {pid}"
            self._last = ((), ())

    def among(self, nodes: tuple[Node, ...], down: Collection[Node], unsettled: Collection[Node]) -> tuple[Node, ...]:
        """Those of the nodes that this process uses, in their order; empty if it uses all of them."""
        if self._size is None or self._size >= len(nodes):
            return ()
        # Topologies live for long. One tuple is read and written as a whole, so threads never see halves of two.
        known, order = self._last
        if known is not nodes:
            order = rendezvous(nodes, self._name)
            self._last = (nodes, order)
        chosen = subset_of(order, self._size, down=down, unsettled=unsettled)
        return () if len(chosen) == len(nodes) else tuple(node for node in nodes if node in chosen)
