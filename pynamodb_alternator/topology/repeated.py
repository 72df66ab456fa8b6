"""Repeating a reading cheaply: as long as all of its sources tell the same bytes, its result is the same.

A full reading of thousands of nodes takes milliseconds, and nearly all of them find what was known. So `Discovery`
remembers what it asked in a reading that went smoothly and changed nothing, and asks these sources for the same lists.
If all answers have the same bytes, and no node has gone down or come back, a full reading would have the same result as
the last one. If something differs, a full reading follows, and uses the answers that have come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from ..errors import ClusterClosedError
from ..settings.scopes import Scope
from .health_book import States
from .node import Node
from .reading import Reading

__all__ = ["Answer", "Questions", "Repeatable"]


class Answer(NamedTuple):
    """The answer of a node that was asked for the nodes of a scope."""

    node: Node
    scope: Scope
    status: int
    body: bytes


class Repeatable(NamedTuple):
    """What a reading began with: the reading before it, and the `states` of the nodes; and its answers in the order of
    the questions.

    `is_closed`: whether the seeds are among the members, so that no other node has to be asked.
    """

    reading: Reading
    states: States
    answers: Sequence[Answer]
    is_closed: bool

    @staticmethod
    def of(
        reading: Reading, states: States, answers: Iterable[Answer], seeds: Collection[Node] | None
    ) -> Repeatable | None:
        """Make it of a reading that went smoothly and changed nothing. None if the reading had to ask nodes that are
        not active. `seeds`: None if their names must be resolved to know them."""
        kept, active = tuple(answers), frozenset(states.active)
        if not kept or not all(answer.node in active for answer in kept):
            return None
        return Repeatable(reading, states, kept, seeds is not None and active.issuperset(seeds))

    def begins_with(self, reading: Reading, states: States) -> bool:
        """Whether a reading that begins with these values would ask the same questions. It would, even if more nodes
        are active now."""
        if reading is not self.reading or states.down != self.states.down:
            return False
        if states == self.states:
            return True
        active = set(map(id, states.active))  # a hash of each node would cost more
        return all(id(answer.node) in active for answer in self.answers)


class Questions:
    """The questions of one reading. A question that was asked before the walk (see `tells_again`) is not asked again in
    it.

    `ask`: asks a node; raises whatever the network raises. `answers`: what the walk was told, in order.
    """

    def __init__(self, ask: Callable[[Node, Scope], Answer]) -> None:
        self.answers: list[Answer] = []
        self._ask = ask
        self._early: dict[tuple[Node, Scope], Answer | Exception] = {}

    def tells_again(self, answer: Answer) -> bool:
        """Ask the same question again, before the walk. Returns whether the answer is the same."""
        question = (answer.node, answer.scope)
        try:
            told = self._early[question] = self._ask(*question)
        except ClusterClosedError:
            raise
        except Exception as error:
            self._early[question] = error
            return False
        return (told.status, told.body) == (answer.status, answer.body)

    def asked_early(self) -> Collection[Node]:
        """The nodes that were asked before the walk."""
        return {node for node, _ in self._early}

    def answer(self, node: Node, scope: Scope) -> Answer:
        """The answer to a question of the walk. Raises whatever the network raises."""
        told = self._early.pop((node, scope), None)
        if isinstance(told, Exception):
            raise told
        answer = told or self._ask(node, scope)
        self.answers.append(answer)
        return answer
