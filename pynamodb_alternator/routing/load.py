"""How busy a node is, and which of two nodes is less busy. Pure functions: the figures are passed in.

The load of a node is ``(requests in flight + 1) * average latency`` of the operation. The rule compares two nodes, so
only the ratio of their latencies matters:

- A ratio below `NOISE` counts as 1. Otherwise the luck of a few answers would give all requests of a process to one of
  equal nodes.
- An average fades while no newer answer comes: the part of the ratio above 1 shrinks to a third every `FADES_IN`
  seconds, and after `FORGOTTEN_AFTER` seconds the ratio is 1. So a node that was slow is tried again.
- It is tried with one request at a time: the ratio does not fade while the slow node has requests in flight.
- It is not tried before each node would have had about `BETWEEN_TRIALS` requests, or `FORGOTTEN_AFTER` seconds have
  passed: where answers take long, a trial every few seconds would be a large part of all requests.
- A failure counts as `FAILURE` answers of the faster node, and is forgotten after `FORGOTTEN_AFTER` seconds in
  any case. It is not mixed into the latencies: they would grow without end while all nodes fail.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["BETWEEN_TRIALS", "FADES_IN", "FAILURE", "FORGOTTEN_AFTER", "NOISE", "Load", "slowness", "with_failures"]

NOISE = 2.0
"""Two averages count as equal if the larger one is less than `NOISE` times the smaller one."""
FADES_IN = 2.0
"""Seconds without an answer in which the part of the ratio above 1 is divided by e."""
FORGOTTEN_AFTER = 10.0
"""Seconds without an answer after which an average does not count any more."""
FAILURE = 100.0
"""A failure counts as so many answers of the faster node. This is also the largest ratio."""
BETWEEN_TRIALS = 6.0
"""The number of requests that each node would have had between two trials of a slow node, if all nodes had equal
shares. With 5, the slow node would get a fifth of its share."""


class Load(Protocol):
    def is_less_busy(self, first: Node, second: Node, operation: str) -> bool:
        """Whether `first` is less busy than `second` now, for a request of `operation`. False if both are equally
        busy."""


def slowness(ratio: float, age: float, in_flight: int, requests: float) -> float:
    """By which factor a node counts as slower than another node, from 1 to `FAILURE`.

    `ratio`: of their average latencies. `age`: seconds since the last answer of the node that has not answered for
    longer.
    `in_flight`: requests under way at the slower node. `requests`: how many requests each node would have had in `age`
    seconds.
    """
    if age >= FORGOTTEN_AFTER:
        return 1.0
    ratio = min(ratio, FAILURE)
    if not in_flight and requests >= BETWEEN_TRIALS:
        ratio = 1.0 + (ratio - 1.0) * math.exp(-age / FADES_IN)
    return 1.0 if ratio < NOISE else ratio


def with_failures(slowness: float, part: float, age: float, in_flight: int) -> float:
    """The factor for a node if some of its attempts fail, from 1 to `FAILURE`.

    `slowness`: the factor by its answers alone. `part`: the part of its attempts that failed, from 0 to 1. `age`:
    seconds since its last failure. `in_flight`: requests under way at the node.
    """
    if age >= FORGOTTEN_AFTER:
        return slowness
    if not in_flight:
        part *= math.exp(-age / FADES_IN)
    return slowness + (FAILURE - slowness) * part
