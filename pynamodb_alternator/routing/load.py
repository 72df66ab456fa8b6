"""How busy a node is, and which of two is the less busy one. Pure: the figures come from outside.

What counts is ``(requests in flight + 1) * average latency`` of the operation. The rule compares two nodes, so that of
the latencies only their ratio matters:

- A ratio below `NOISE` counts as 1. Otherwise the luck of a few answers would give all requests of a process to one of
  equal nodes.
- An average of which there is no newer answer fades: what the ratio has above 1 shrinks to a third every `FADES_IN`
  seconds, and after `FORGOTTEN_AFTER` seconds it is 1. So a node that was slow is tried again.
- It is tried with one request at a time: the ratio does not fade while the slow node has requests in flight.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["FADES_IN", "FORGOTTEN_AFTER", "NOISE", "Load", "slowness"]

NOISE = 2.0
"""Averages of which one is less than so many times the other count as equal."""
FADES_IN = 2.0
"""Seconds without an answer in which e times less is left of what an average differs by."""
FORGOTTEN_AFTER = 10.0
"""Seconds without an answer after which an average counts for nothing."""


class Load(Protocol):
    def is_less_busy(self, first: Node, second: Node, operation: str) -> bool:
        """Whether a request for `operation` is to go to `first` rather than to `second`, at this moment. Of equally
        busy nodes it is not."""


def slowness(ratio: float, age: float, in_flight: int) -> float:
    """How many times slower than another node a node counts as.

    `ratio`: of their averages. `age`: seconds since the last answer of the node of which there was none for longer.
    `in_flight`: requests under way at the slower node.
    """
    if age >= FORGOTTEN_AFTER:
        return 1.0
    if not in_flight:
        ratio = 1.0 + (ratio - 1.0) * math.exp(-age / FADES_IN)
    return 1.0 if ratio < NOISE else ratio
