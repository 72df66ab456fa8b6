"""Whose turn it is while nodes start slowly: a node that starts takes a part of the turns that fall to it.

The others are taken by nodes that are settled, each as many as any other. Which turns a node takes is computed from
their number, so that no state is kept and no random number is drawn: the parts of the multiples of the golden ratio
behind the point are spread evenly over 0 to 1, whichever of them are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..topology.node import Node

__all__ = ["eased", "scattered", "takes_turn"]

_GOLDEN = 0x9E3779B97F4A7C15
"""The golden ratio behind the point, of 64 bits."""
_MASK = (1 << 64) - 1


def takes_turn(share: float, turn: int) -> bool:
    """Whether a node takes this turn that takes `share` of them, from 0 to 1."""
    return scattered(turn) < share * (1 << 64)


def scattered(turn: int) -> int:
    """A number of 64 bits for this turn. Those of successive turns, or of each nth, are spread evenly."""
    return turn * _GOLDEN & _MASK


def eased(
    order: Iterator[Node], shares: Mapping[Node, float], settled: Sequence[Node], turn: int, size: int
) -> Iterator[Node]:
    """The same order, before which a node that is settled goes where the first one starts and does not take the turn.

    `shares`: of the turns of the nodes that start. `settled`: at least one. `turn`: the number that the order was made
    from. `size`: of how many successive turns one falls to a node; 1 where turns are random numbers.
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
