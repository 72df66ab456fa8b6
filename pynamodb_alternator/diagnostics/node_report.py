"""One node as diagnostics see it: whether it answers, how fast, and what it says of the others."""

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

    `error`: why it did not answer. `status`: of its answer to ``GET /``. `latency`: seconds of that exchange. `skew`:
    seconds by which our clock is ahead of the node's, None if it tells no time. `lists`, `refused`: the nodes that it
    lists, and the entries that cannot be one, each with the reason. `list_error`: why it gave no list. `rack_support`:
    whether it honours racks, None if that is not known.
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
    """See whether the node answers, and how fast."""
    try:
        questions.get(node, PROBE_PATH)
        # The second one goes over an open connection, and so tells the way there and back.
        started, before = time.monotonic(), wall_clock()
        answer = questions.get(node, PROBE_PATH)
    except (TransportError, OSError) as error:
        return NodeReport(node, error=error)
    latency = time.monotonic() - started
    return NodeReport(
        node, status=answer.status, latency=latency, skew=_clock_skew(answer, before=before, after=wall_clock())
    )


def look_at(questions: Questions, node: Node, wall_clock: Callable[[], float]) -> NodeReport:
    """`reach`, and what the node lists."""
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
    """By how many seconds our clock is ahead of the node's, as far as a Date header without fractions tells."""
    date = answer.headers.get("date")
    if date is None:
        return None
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    # Their second began at `theirs`: anything within it, and within the exchange, is not a skew.
    if before > theirs + 1:
        return before - theirs - 1
    if after < theirs:
        return after - theirs
    return 0.0
