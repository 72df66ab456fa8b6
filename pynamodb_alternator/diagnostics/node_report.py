"""The report on one node: whether it answers, how fast, and which nodes it lists."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import TransportError
from ..settings.scopes import ClusterScope
from ..topology.health import PROBE_PATH, is_well
from ..topology.localnodes import IMPOSSIBLE_RACK_PATH, path_for
from ..topology.node import Node

if TYPE_CHECKING:
    from ..transport.http1 import Answer
    from .questions import Questions

__all__ = ["NodeReport", "look_at", "reach"]


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What is known of one node.

    `error`: why it did not answer. `status`: of its answer to ``GET /``. `latency`: seconds of this exchange. `skew`:
    by how many seconds our clock is ahead of the node's; None if the node does not tell its time. `lists`: the nodes
    that it lists. `refused`: the listed entries that cannot be nodes, each with the reason. `list_error`: why it did
    not give a list. `rack_support`: whether it honours racks; None if this is not known.
    """

    node: Node
    error: Exception | None = None
    status: int = 0
    latency: float = 0.0
    skew: float | None = None
    lists: tuple[Node, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    list_error: str = ""
    rack_support: bool | None = None

    @property
    def subject(self) -> str:
        return self.node.address

    @property
    def is_well(self) -> bool:
        return self.error is None and is_well(self.status)


def reach(questions: Questions, node: Node, wall_clock: Callable[[], float]) -> NodeReport:
    """Find out whether the node answers, and how fast."""
    try:
        questions.get(node, PROBE_PATH)
        # The second request uses the open connection, so its time is that of one round trip.
        started, before = time.monotonic(), wall_clock()
        answer = questions.get(node, PROBE_PATH)
    except (TransportError, OSError) as error:
        return NodeReport(node, error=error)
    latency = time.monotonic() - started
    return NodeReport(
        node, status=answer.status, latency=latency, skew=_clock_skew(answer, before=before, after=wall_clock())
    )


def look_at(questions: Questions, node: Node, wall_clock: Callable[[], float]) -> NodeReport:
    """Like `reach`, and also read the node's list."""
    report = reach(questions, node, wall_clock)
    if not report.is_well:
        return report
    scope = ClusterScope()
    try:
        listing = questions.node_list(node, path_for(scope), scope)
        report = replace(report, lists=listing.nodes, refused=listing.refused)
        return replace(report, rack_support=questions.node_list(node, IMPOSSIBLE_RACK_PATH, scope).is_empty)
    except (TransportError, OSError, ValueError) as error:
        return replace(report, list_error=str(error))


def _clock_skew(answer: Answer, *, before: float, after: float) -> float | None:
    """By how many seconds our clock is ahead of the node's, by a Date header, which has no fractions of seconds."""
    date = answer.headers.get("date")
    if date is None:
        return None
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    # The node's second began at `theirs`. A difference within this second, or within the exchange, is not a skew.
    if before > theirs + 1:
        return before - theirs - 1
    if after < theirs:
        return after - theirs
    return 0.0
