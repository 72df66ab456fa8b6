"""Which node takes a turn while nodes start slowly: a node that starts takes only a part of its turns.

The settled nodes take the other turns, in equal shares. Which turns a node takes is computed from the number of the
turn, so that no state is kept and no random number is drawn: the fractional parts of the multiples of the golden ratio
are spread evenly over 0 to 1, and so are those of each nth multiple.
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
    """A number of 64 bits for this turn. Those of successive turns, or of each nth, are spread evenly."""
    return turn * _GOLDEN & _MASK


def eased(
    order: Iterator[Node], shares: Mapping[Node, float], settled: Sequence[Node], turn: int, size: int
) -> Iterator[Node]:
    """The same order; but if its first node starts slowly and does not take this turn, a settled node goes before it.

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
