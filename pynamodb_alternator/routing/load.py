"""How busy a node is, and which of two is the less busy one. Pure functions: the figures are passed in.

What counts is ``(requests in flight + 1) * average latency`` of the operation. The rule compares two nodes, so only the
ratio of their latencies matters:

- A ratio below `NOISE` counts as 1. Otherwise the luck of a few answers would give all requests of a process to one of
  equal nodes.
- An average fades while no newer answer comes: the part of the ratio above 1 shrinks to a third every `FADES_IN`
  seconds, and after `FORGOTTEN_AFTER` seconds the ratio is 1. So a node that was slow is tried again.
- It is tried with one request at a time: the ratio does not fade while the slow node has requests in flight.
- It is not tried before each node would have had about `BETWEEN_TRIALS` requests, or `FORGOTTEN_AFTER` seconds have
  passed: where answers take long, a trial every few seconds would be a large part of all requests.
- A failure counts as `FAILURE` answers of the faster one of the two, and is forgotten `FORGOTTEN_AFTER` seconds later,
  whatever has come since. It is not mixed into the latencies: they would grow without end while all nodes fail.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["BETWEEN_TRIALS", "FADES_IN", "FAILURE", "FORGOTTEN_AFTER", "NOISE", "Load", "slowness", "with_failures"]

NOISE = 2.0
"""Two averages count as equal if the larger one is less than so many times the smaller one."""
FADES_IN = 2.0
"""Seconds without an answer in which the difference of an average is divided by e."""
FORGOTTEN_AFTER = 10.0
"""Seconds without an answer after which an average counts for nothing."""
FAILURE = 100.0
"""How many answers of the faster node a failure counts as. No node counts as slower than that."""
BETWEEN_TRIALS = 6.0
"""Requests that each node would have had, in equal shares, between two trials of a slow one. With 5 of them the slow
one gets a fifth of its share."""


class Load(Protocol):
    def is_less_busy(self, first: Node, second: Node, operation: str) -> bool:
        """Whether a request for `operation` is to go to `first` rather than to `second`, at this moment. False if both
        are equally busy."""


def slowness(ratio: float, age: float, in_flight: int, requests: float) -> float:
    """How many times slower than another node a node counts as, from 1 to `FAILURE`.

    `ratio`: of their averages. `age`: seconds since the older one of the two nodes' last answers.
    `in_flight`: requests under way at the slower node. `requests`: how many each node would have had in that time.
    """
    if age >= FORGOTTEN_AFTER:
        return 1.0
    ratio = min(ratio, FAILURE)
    if not in_flight and requests >= BETWEEN_TRIALS:
        ratio = 1.0 + (ratio - 1.0) * math.exp(-age / FADES_IN)
    return 1.0 if ratio < NOISE else ratio


def with_failures(slowness: float, part: float, age: float, in_flight: int) -> float:
    """The same of a node of which some attempts fail, from 1 to `FAILURE`.

    `slowness`: of its answers. `part`: of its attempts that failed, from 0 to 1. `age`: seconds since the last of them.
    `in_flight`: requests under way at the node.
    """
    if age >= FORGOTTEN_AFTER:
        return slowness
    if not in_flight:
        part *= math.exp(-age / FADES_IN)
    return slowness + (FAILURE - slowness) * part
