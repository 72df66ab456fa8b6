"""Decides which node takes a turn during slow starts: a starting node takes only a part of its turns.

The settled nodes take the other turns, in equal shares. Which turns a node takes is computed from the number of the
turn, so no state is stored and no random number is drawn. The number is multiplied by the golden ratio: the fractional
parts of these products are spread evenly from 0 to 1, also if only each nth turn is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..topology.node import Node

__all__ = ["eased", "scattered", "takes_turn"]

_GOLDEN = 0x9E3779B97F4A7C15
"""The fractional part of the golden ratio, as a number of 64 bits."""
_MASK = (1 << 64) - 1


def takes_turn(share: float, turn: int) -> bool:
    """Whether a node takes this turn, if it takes the part `share` of its turns, from 0 to 1."""
    return scattered(turn) < share * (1 << 64)


def scattered(turn: int) -> int:
    """A number of 64 bits for this turn. The numbers of successive turns are spread evenly, and also those of each nth
    turn."""
    return turn * _GOLDEN & _MASK


def eased(
    order: Iterator[Node], shares: Mapping[Node, float], settled: Sequence[Node], turn: int, size: int
) -> Iterator[Node]:
    """The nodes in this order. But if the first node is in its slow start and does not take this turn, a settled node
    comes before it.

    `shares`: for each node in its slow start, the part of its turns that it takes. `settled`: at least one node.
    `turn`: the number from which the order was made. `size`: a node is first in one of so many successive turns; 1 if
    turns are random numbers.
    """
    first = next(order, None)
    if first is None:
        return
    share = shares.get(first)
    if share is not None and not takes_turn(share, turn // size):
        stand_in = settled[(turn // size + turn % size) % len(settled)]
        yield stand_in
        order = (node for node in order if node != stand_in)
    yield first
    yield from order
