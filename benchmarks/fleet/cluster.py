"""The nodes of a simulated cluster, and their events. These are fixed before, so that clients can run separately."""

from __future__ import annotations

import enum
import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["NODE_PORT", "Cluster", "Event", "State"]

NODE_PORT = 8000
RACKS = 3


class State(enum.Enum):
    UP = "up"
    REFUSES = "refuses"
    """Its process is dead, but its machine lives: each new connection is refused at once."""
    SILENT = "silent"
    """Its machine or its network is gone: there is no answer."""
    ABSENT = "absent"
    """It does not exist yet, or no longer exists."""


class Event(NamedTuple):
    """From `at` on, in seconds after the start, these nodes are in this state. `listed`: whether the other nodes list
    them."""

    at: float
    nodes: Sequence[int]
    state: State
    listed: bool = True


class _Change(NamedTuple):
    at: float
    state: State
    boots: int
    """How often the node has restarted. Connections do not survive a restart."""


class Cluster:
    """Nodes 0 to `size` - 1, in racks in turn. `events`: in the order of their times. `first`: how many nodes exist at
    the start; events add the others."""

    def __init__(self, size: int, events: Iterable[Event] = (), *, first: int | None = None) -> None:
        self.size = size
        self.hosts: list[str] = [
            f"10.{number // 10_000}.{number // 100 % 100}.{number % 100 + 1}" for number in range(size)
        ]
        self.number: dict[str, int] = {host: number for number, host in enumerate(self.hosts)}
        first = size if first is None else first
        self._changes: dict[int, list[_Change]] = {
            number: [_Change(0.0, State.ABSENT, 0)] for number in range(first, size)
        }
        self._lists: list[tuple[float, bytes]] = []
        listed = set(range(first))
        self._list(0.0, listed)
        for event in events:
            for number in event.nodes:
                before = self._changes.setdefault(number, [_Change(0.0, State.UP, 0)])
                # The process of a silent node lives on, and so do its connections.
                anew = State.SILENT not in (event.state, before[-1].state)
                before.append(_Change(event.at, event.state, before[-1].boots + anew))
                (listed.add if event.listed else listed.discard)(number)
            self._list(event.at, listed)
        self._times = [at for at, _ in self._lists]

    def _list(self, at: float, listed: Iterable[int]) -> None:
        body = json.dumps([self.hosts[number] for number in sorted(listed)], separators=(",", ":")).encode()
        if not self._lists or self._lists[-1][1] != body:
            self._lists.append((at, body))

    def racks(self) -> list[list[int]]:
        """The nodes of each rack."""
        return [list(range(rack, self.size, RACKS)) for rack in range(RACKS)]

    def node_list(self, now: float) -> bytes:
        """The answer of ``/localnodes``."""
        return self._lists[bisect_right(self._times, now) - 1][1]

    def at(self, number: int, now: float) -> tuple[State, int]:
        """The state of a node, and how often it has restarted."""
        changes = self._changes.get(number)
        if changes is None:
            return State.UP, 0
        change = next(change for change in reversed(changes) if change.at <= now)
        return change.state, change.boots
