"""The rules by which a node is set aside because its answers fail far more often than the answers of other nodes.
Values and pure functions.

A node that answers `GET /` can fail every request: a proxy in front of it has lost it, or its own disk is sick. The
node's health does not show that, because health is about answers that do not come. So a node whose answers failed is
compared with the others. A fixed limit alone would not do: a cluster that has lost its quorum fails everywhere, and
then going to another node does not help.

A node that is set aside is last in query plans, for a time. Then it *returns*, and its failures are counted anew. At
first it gets only requests that can be sent again if they fail, so that no caller gets an error because of the trial. A
little later it gets all requests. Nothing here changes the affinity ring or the health of a node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from .node import Node

__all__ = ["LONGEST", "PERIOD", "TRIAL", "WINDOW", "Aside", "Tally", "fails_far_more", "in_excess", "next_aside"]

WINDOW = 10.0
"""The answers of the last so many seconds are counted."""
PERIOD = 5.0
"""Seconds for which a node is set aside the first time; two times as many the second time in a row, three times as many
the third time, and so on up to `LONGEST`."""
LONGEST = 60.0
"""Seconds for which a node is set aside, at most."""
TRIAL = 5.0
"""Seconds after its return in which a node gets only requests that can be sent again."""
_MEMORY = 60.0
"""If a node fails again within so many seconds after its return, that counts as another time in a row."""
_LEAST_ANSWERS = 20
_LEAST_SHARE = 0.5
_TIMES_THE_OTHERS = 5


class Tally(NamedTuple):
    """What a node answered in the window: `failed` of `answers`."""

    answers: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        """The part of the answers that failed, from 0 to 1."""
        return self.failed / self.answers if self.answers else 0.0

    @property
    def is_bad(self) -> bool:
        """Whether enough answers failed to set the node aside, if the other nodes are better."""
        return self.answers >= _LEAST_ANSWERS and self.share >= _LEAST_SHARE


class Aside(NamedTuple):
    """Why and how long a node is set aside, or was a short time ago. Times are in seconds of the monotonic clock.

    `times`: how many times in a row. `tally`: the answers for which it was set aside. `error`: what its last failed
    answer said.
    """

    since: float
    until: float
    times: int
    tally: Tally
    error: str

    @property
    def trial_until(self) -> float:
        return self.until + TRIAL

    @property
    def remembered_until(self) -> float:
        return self.until + _MEMORY

    @property
    def reason(self) -> str:
        """The reason in words, for people."""
        return f"{self.tally.failed} of its last {self.tally.answers} answers failed: {self.error}"


def fails_far_more(tally: Tally, others: Iterable[Tally]) -> bool:
    """Whether a node with this tally is bad, and far worse than the others.

    Nodes that have not answered in the window are left out. If no other node has answered, the node cannot be compared.
    """
    if not tally.is_bad:
        return False
    shares = [other.share for other in others if other.answers]
    return bool(shares) and tally.share >= _TIMES_THE_OTHERS * _median(shares)


def _median(values: Sequence[float]) -> float:
    # The module `statistics` is not imported for this one function, because it imports `fractions` and so takes long.
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def next_aside(before: Aside | None, tally: Tally, error: str, now: float) -> Aside:
    """The `Aside` of a node that is set aside now. `before`: its last one, if it is still remembered."""
    times = before.times + 1 if before is not None and now <= before.remembered_until else 1
    return Aside(now, now + min(PERIOD * times, LONGEST), times, tally, error)


def in_excess(asides: Mapping[Node, Aside], groups: Iterable[Collection[Node]]) -> set[Node]:
    """The nodes of `asides` that must not be set aside, so that at least half of each group is not set aside.

    `groups`: see `Published.groups`. The nodes that were set aside last are chosen first.
    """
    latest = sorted(asides, key=lambda node: (-asides[node].since, node.endpoint))
    excess: set[Node] = set()
    for group in groups:
        members = set(group)
        aside = [node for node in latest if node in members and node not in excess]
        excess.update(aside[: max(0, len(aside) - len(members) // 2)])
    return excess
