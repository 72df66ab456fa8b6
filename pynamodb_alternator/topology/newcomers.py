"""New nodes: which of them are probed before a request names them, and how many of the named ones are probed.

It has no lock of its own: `Membership` holds its lock around each method.
"""

from __future__ import annotations

from itertools import chain
from random import Random

from .calm import Wave, next_in_wave, unasked
from .health import State
from .health_book import HealthBook
from .node import Node
from .published import Published
from .reading import Reading

__all__ = ["Newcomers"]


class Newcomers:
    """Requests the probes of unproven nodes (see `View.unproven`). The rules are those of `calm`."""

    def __init__(self, health: HealthBook, random: Random) -> None:
        self._health = health
        self._random = random
        self._wave = Wave(float("-inf"))

    def listed(self, published: Published, reading: Reading, now: float, *, starts: bool) -> None:
        """Node lists were read. `published`: the state before. `starts`: whether no list was read before."""
        if not published.view.unproven:
            self._wave = Wave(now)
        health, lists = self._health, published.lists(reading)
        everyone = chain.from_iterable(reading.members.values())
        picked = unasked(
            lists,
            everyone,
            own=published.own_nodes(reading) if starts else (),
            starts=starts,
            is_tried=health.is_tried,
            serves=self._serves,
            random=self._random,
        )
        health.ask(picked, now)

    def may_probe(self, now: float) -> bool:
        """Whether one more node that a request has named may be probed now. See `next_in_wave`."""
        wave = next_in_wave(self._wave, now)
        self._wave = wave or self._wave
        return wave is not None

    def _serves(self, node: Node) -> bool:
        return self._health.state_of(node) is State.ACTIVE
