"""The book-keeping of answers that failed, and of the nodes that are set aside for them.

It has no lock of its own: `Membership` holds its lock around each method that changes something. `next_change` may be
read without it.

A good answer costs nothing here: the answers of each node are counted elsewhere anyway, by one number that only grows.
When an answer has failed, at most once a second, these numbers are noted for all nodes. The answers that count are
those since the oldest note in the window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from .node import Node
from .set_aside import WINDOW, Aside, Tally, fails_far_more, in_excess, next_aside

__all__ = ["AnswerBook"]

_BETWEEN_NOTES = 1.0
"""Seconds between two notes, at least."""
_MOST_NOTED = 3_000
"""Tallies that are kept at once: a note has one for each node, so those of a large cluster are further apart."""
_BETWEEN_LOOKS = 0.1
"""Seconds between two comparisons with the others, at least: in a storm, every answer is a reason for one."""


class _Note(NamedTuple):
    """The tallies of all nodes at one moment, since the start."""

    at: float
    tallies: dict[Node, Tally]


class AnswerBook:
    """Which nodes are set aside, and what is known of the answers that failed.

    `answers_of`: how many answers a node has given, a number that only grows. `sets_aside`: False for never.
    """

    def __init__(self, answers_of: Callable[[Node], int], *, sets_aside: bool = True) -> None:
        self._answers_of = answers_of
        self._sets_aside = sets_aside
        self._asides: dict[Node, Aside] = {}
        self._out: frozenset[Node] = frozenset()
        self.next_change: float | None = None
        """When a node is due to return, or its trial to end. None while there is none."""
        self.after_fork()

    def after_fork(self) -> None:
        """The counters begin again, and so does the window. What is aside stays so for its time."""
        self._failed: dict[Node, int] = {}
        self._unreadable: dict[Node, int] = {}
        self._notes: deque[_Note] = deque()
        self._look_again_at = float("-inf")

    # ---- what is read ------------------------------------------------------------------------------------------

    def aside(self, node: Node, now: float) -> Aside | None:
        """Why and for how long a node is set aside; None if it is not."""
        aside = self._asides.get(node)
        return aside if aside is not None and now < aside.until else None

    def set_aside(self, now: float) -> frozenset[Node]:
        """The nodes that go last in query plans."""
        return frozenset(node for node, aside in self._asides.items() if now < aside.until)

    def returning(self, now: float) -> frozenset[Node]:
        """The nodes that go last in plans of requests that cannot be sent again."""
        return frozenset(node for node, aside in self._asides.items() if aside.until <= now < aside.trial_until)

    # ---- what changes it ---------------------------------------------------------------------------------------

    def failed(
        self,
        node: Node,
        error: str,
        now: float,
        members: Collection[Node],
        groups: Iterable[Collection[Node]],
        *,
        counted: bool,
    ) -> Aside | None:
        """An answer of the node failed. Gives what it is set aside for, if it is set aside now.

        `counted`: whether `answers_of` has counted this answer. `groups`: of which at least half are not set aside.
        """
        if node not in members or not self._sets_aside:
            return None
        self._note(node, now, members, 1 if counted else 0)
        if not counted:
            self._unreadable[node] = self._unreadable.get(node, 0) + 1
        self._failed[node] = self._failed.get(node, 0) + 1
        if self.aside(node, now) is not None or now < self._look_again_at:
            return None
        tally = self._in_window(node)
        if not tally.is_bad:
            return None
        self._look_again_at = now + _BETWEEN_LOOKS
        if not fails_far_more(tally, (self._in_window(other) for other in members if other != node)):
            return None
        made = next_aside(self._asides.get(node), tally, error, now)
        if in_excess({**self._present(now, members), node: made}, groups):
            return None
        self._out |= {node}  # first: whatever an exception leaves undone, the node is reviewed, and returns
        self._asides[node] = made
        self._plan_next_change(now)
        return made

    def review(
        self, now: float, members: Collection[Node], groups: Iterable[Collection[Node]]
    ) -> list[tuple[Node, Aside]]:
        """Have nodes return whose time is over, or of which too many are aside now. Gives these, as they were."""
        if not self._asides and not self._out:
            return []  # as nearly always, and without a look at all members
        for node in in_excess(self._present(now, members), groups):
            self._asides[node] = self._asides[node]._replace(until=now)
        back = [(node, self._asides[node]) for node in self._out if self.aside(node, now) is None]
        for node, _ in back:
            self._judge_anew(node)
        self._out = self._out.difference(node for node, _ in back)
        self._plan_next_change(now)
        return [(node, aside) for node, aside in back if node in members]

    def _present(self, now: float, members: Collection[Node]) -> dict[Node, Aside]:
        """The members that are set aside now."""
        return {node: aside for node, aside in self._asides.items() if now < aside.until and node in members}

    def _plan_next_change(self, now: float) -> None:
        for node in [node for node, aside in self._asides.items() if aside.remembered_until < now]:
            del self._asides[node]
        times = [at for aside in self._asides.values() for at in (aside.until, aside.trial_until) if at > now]
        self.next_change = min(times, default=None)

    # ---- the window --------------------------------------------------------------------------------------------

    def _now(self, node: Node) -> Tally:
        return Tally(self._answers_of(node) + self._unreadable.get(node, 0), self._failed.get(node, 0))

    def _note(self, failing: Node, now: float, members: Collection[Node], counted: int) -> None:
        """See to it that the window has a beginning, and this answer of the failing node is after it."""
        notes = self._notes
        while notes and notes[0].at < now - WINDOW:
            notes.popleft()
        if not notes or notes[-1].at <= now - max(_BETWEEN_NOTES, WINDOW * len(members) / _MOST_NOTED):
            notes.append(_Note(now, {node: self._now(node) for node in members}))
        elif any(failing in note.tallies for note in notes):
            return
        # The first note of this node that is in the window: its answer is counted already, and must be after it.
        note = notes[-1]
        if note is notes[0] or not any(failing in earlier.tallies for earlier in notes if earlier is not note):
            tally = self._now(failing)
            note.tallies[failing] = Tally(tally.answers - counted, tally.failed)

    def _in_window(self, node: Node) -> Tally:
        """What the node has answered in the window, or since its return."""
        first = next((note.tallies[node] for note in self._notes if node in note.tallies), None)
        if first is None:
            return Tally()
        last = self._now(node)
        return Tally(last.answers - first.answers, last.failed - first.failed)

    def _judge_anew(self, node: Node) -> None:
        for note in self._notes:
            note.tallies.pop(node, None)
