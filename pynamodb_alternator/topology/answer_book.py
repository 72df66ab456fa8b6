"""The book-keeping of answers that failed, and of the nodes that are set aside for them.

It has no lock of its own: `Membership` holds its lock around each method that changes something. `next_change` may be
read without it.

A good answer costs nothing here: the answers of each node are counted elsewhere anyway, by one number that only grows.
When an answer has failed, these numbers are noted for all nodes, but at most once a second. A node is judged by the
answers that it has given since the oldest note in the window.
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
"""Tallies that are kept at the same time. A note has one tally for each node, so the notes of a large cluster are
further apart."""
_BETWEEN_LOOKS = 0.1
"""Seconds between two comparisons with the other nodes, at least. When many answers fail, each of them is a reason to
compare."""


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
        self._to_review: frozenset[Node] = frozenset()
        """The nodes whose time aside has not been ended by `review` yet."""
        self.next_change: float | None = None
        """The next time at which a node returns, or its trial ends. None while no node is set aside or on trial."""
        self.after_fork()

    def after_fork(self) -> None:
        """The counters and the window begin again. A node that is set aside stays so until its time is over."""
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
        """An answer of the node failed. Returns an `Aside` if the node is set aside because of this answer, and else
        None.

        `counted`: whether `answers_of` has counted this answer. `groups`: groups of nodes. In each of them, at least
        half of the nodes must not be set aside.
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
        self._to_review |= {node}  # first: whatever an exception leaves undone, the node is reviewed, and returns
        self._asides[node] = made
        self._plan_next_change(now)
        return made

    def review(
        self, now: float, members: Collection[Node], groups: Iterable[Collection[Node]]
    ) -> list[tuple[Node, Aside]]:
        """End the time aside of nodes whose time is over, and of some nodes if too many are aside. Returns these nodes,
        each with the `Aside` that has ended."""
        if not self._asides and not self._to_review:
            return []  # nearly always; the members are not looked at
        for node in in_excess(self._present(now, members), groups):
            self._asides[node] = self._asides[node]._replace(until=now)
        back = [(node, self._asides[node]) for node in self._to_review if self.aside(node, now) is None]
        for node, _ in back:
            self._forget_answers(node)
        self._to_review = self._to_review.difference(node for node, _ in back)
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

    def _tally(self, node: Node) -> Tally:
        """All answers of the node since the start."""
        return Tally(self._answers_of(node) + self._unreadable.get(node, 0), self._failed.get(node, 0))

    def _note(self, failing: Node, now: float, members: Collection[Node], counted: int) -> None:
        """Make sure that the window has a first note, and that this failed answer is counted after it."""
        notes = self._notes
        while notes and notes[0].at < now - WINDOW:
            notes.popleft()
        if not notes or notes[-1].at <= now - max(_BETWEEN_NOTES, WINDOW * len(members) / _MOST_NOTED):
            notes.append(_Note(now, {node: self._tally(node) for node in members}))
        elif any(failing in note.tallies for note in notes):
            return
        # No earlier note in the window has this node. Its failed answer is counted already, but must come after the
        # note.
        note = notes[-1]
        if note is notes[0] or not any(failing in earlier.tallies for earlier in notes if earlier is not note):
            tally = self._tally(failing)
            note.tallies[failing] = Tally(tally.answers - counted, tally.failed)

    def _in_window(self, node: Node) -> Tally:
        """What the node has answered in the window, or since its return."""
        first = next((note.tallies[node] for note in self._notes if node in note.tallies), None)
        if first is None:
            return Tally()
        last = self._tally(node)
        return Tally(last.answers - first.answers, last.failed - first.failed)

    def _forget_answers(self, node: Node) -> None:
        """Begin the window of this node anew."""
        for note in self._notes:
            note.tallies.pop(node, None)
