"""Subsets: a process uses only some of many nodes, so that not every process of a fleet connects to every node.

Each process puts the nodes in an order of its own by rendezvous hashing: it sorts them by the hash of the process's
name and the node's endpoint. Its subset is the first nodes of this order. So with many processes, all nodes are in
about as many subsets. A node that comes or goes replaces one node in the subsets that it joins or leaves, and does not
change other subsets.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from hashlib import blake2b
from random import Random

from .node import Node

__all__ = ["Subset", "rendezvous", "subset_of"]


def rendezvous(nodes: Sequence[Node], name: str) -> tuple[Node, ...]:
    """The nodes in the order of the process with this name."""
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

    While some of these are `unsettled`, the next settled nodes are added, so that there are `size` settled nodes. The
    result has at most twice `size` nodes.
    """
    usable = [node for node in order if node not in down] or order
    settled = [node for node in usable if node not in unsettled]
    return frozenset((*usable[:size], *settled[:size]))


class Subset:
    """The subset of this process.

    `size`: how many nodes; None for all. `number`: names the process; without a number it gets a random name. After a
    fork the child has another name than its parent.
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
        """The nodes that this process uses, in the order of `nodes`; empty if it uses all of them."""
        if self._size is None or self._size >= len(nodes):
            return ()
        # Topologies live for long. One tuple is read and written as a whole, so threads never see a mix of two.
        known, order = self._last
        if known is not nodes:
            order = rendezvous(nodes, self._name)
            self._last = (nodes, order)
        chosen = subset_of(order, self._size, down=down, unsettled=unsettled)
        return () if len(chosen) == len(nodes) else tuple(node for node in nodes if node in chosen)
