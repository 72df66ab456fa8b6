"""Slow starts: how the share of a node grows after it has returned or joined. Pure rules, and the class that remembers
which nodes start.

A node that comes back has cold caches, and every process sees it come back at the same moment. So it does not get its
full share of the requests that any node may serve at once. It takes only a part of its turns, which grows in `STEPS`
equal steps, and settled nodes take the other turns. So a starting node never gets more than its share.

A node starts slowly when it becomes active after it was down, or after it has joined the node list. The nodes of the
first list do not start slowly: the process is new then, and not the nodes, and no settled node could take their turns.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from .health import State
from .node import Node

__all__ = ["NO_SHARES", "STEPS", "SlowStarts", "earliest", "next_step", "share"]

STEPS = 10
"""The steps in which a share grows. The first one begins at once."""
_ROUNDING = 1e-6
"""The part of a step by which a time may be too small, because numbers are rounded."""
NO_SHARES: Final[Mapping[Node, float]] = MappingProxyType({})


def share(age: float, period: float) -> float:
    """The part of its turns that a node takes after `age` seconds of being active: greater than 0, and at most 1.

    `period`: seconds after which it takes all of them.
    """
    return min(1.0, (_step(age, period) + 1) / (STEPS + 1))


def next_step(age: float, period: float) -> float | None:
    """The age at which the share grows next; None if it is complete."""
    step = _step(age, period) + 1
    return step * period / STEPS if step <= STEPS else None


def _step(age: float, period: float) -> int:
    return STEPS if age >= period else max(0, math.floor(age / period * STEPS + _ROUNDING))


def earliest(*times: float | None) -> float | None:
    """The earliest of these times; None if there is none."""
    return min((time for time in times if time is not None), default=None)


class SlowStarts:
    """Which nodes start now, and since when. `period`: seconds that a start takes; 0 for none.

    It has no lock of its own: `Membership` holds its lock around each method that changes something. `next_change` may
    be read without it.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._since: dict[Node, float] = {}
        self._will_start: set[Node] = set()
        self._left: dict[Node, float] = {}
        self.next_change: float | None = None
        """When the share of a node grows next. None while no node starts."""

    def shares(self, now: float) -> Mapping[Node, float]:
        """For each node in its slow start: the part of its turns that it takes. Nodes whose share is complete are
        removed."""
        shares = {node: share(now - since, self._period) for node, since in self._since.items()}
        self._since = {node: since for node, since in self._since.items() if shares[node] < 1.0}
        steps = (next_step(now - since, self._period) for since in self._since.values())
        changes = [since + step for since, step in zip(self._since.values(), steps, strict=True) if step is not None]
        self.next_change = min(changes, default=None)
        return MappingProxyType({node: shares[node] for node in self._since}) if self._since else NO_SHARES

    def seconds_left(self, node: Node, now: float) -> float | None:
        """For how many more seconds the slow start of the node lasts; None if it is not in a slow start."""
        since = self._since.get(node)
        return None if since is None or now - since >= self._period else self._period - (now - since)

    def state_changed(self, node: Node, state: State, now: float) -> None:
        if not self._period:
            return
        if state is State.DOWN:
            self._will_start.add(node)
            self._since.pop(node, None)
        elif state is State.ACTIVE and node in self._will_start:
            self._since[node] = now
            self._will_start.discard(node)

    def members_changed(
        self, before: Collection[Node], after: Collection[Node], active: Iterable[Node], now: float
    ) -> None:
        """The node list has changed. `active`: nodes that are active already.

        A node that was missing for less than `period` has not joined: a source did not know it for a moment.
        """
        if not self._period:
            return
        self._left = {node: at for node, at in self._left.items() if now - at < self._period}
        joined = {node for node in after if node not in before and node not in self._left}
        for node in before:
            if node not in after:
                self._left[node] = now
        self._will_start |= joined
        for node in active:
            self.state_changed(node, State.ACTIVE, now)
        self._will_start.intersection_update({*after, *self._left})
        self._since = {node: since for node, since in self._since.items() if node in after or node in self._left}
