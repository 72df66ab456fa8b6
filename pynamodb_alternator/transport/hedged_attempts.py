"""The attempts of a read that may be hedged: one of them may have a second one beside it, the hedge.

`Attempts` knows one attempt at a time: its `node`, whose end `answered` and `failed` report. Here two may be under way,
and what runs them says which one is meant (`turn_to`) before it reports an end: `side_by_side` in a thread, and
`aio.side_by_side` in an event loop. Both wait for the two together:

    attempt = attempts.first()                            # the one that `next` has begun
    hedge = attempts.hedge()                              # once `hedge_at` has passed, and nothing has come
    attempts.failed_beside(attempt, error, hedge)         # or answered_beside: it ended badly, and the other goes on
    attempts.turn_to(hedge)                               # the last one: its end is reported as usual

**The hedge** goes to the next node of the same cycle of the plan, and so of the same scope, to which a connection can
be had without waiting, and which does not keep other reads waiting. It is an attempt as all others are, and one of
`Retries.max_attempts`. There is at most one in a call. While no node has a free connection, one is looked
for again and again: first after `LEAST` seconds, later every `_LONGEST_PAUSE` seconds.

**The node that kept the read waiting** becomes a suspect when the hedge is sent, or finds no free connection: that of
the attempt that loses is closed, and the monitor would not see that anything has waited. Until its probe has told, it
is the last for reads. That the attempt lost says nothing else of it: it counts neither as an answer nor as a
failure.

**If one of the two fails,** the other is the next attempt, and it goes on within its own timeouts. If both fail, the
request goes on as all others do.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from .. import signals
from ..errors import PoolTimeoutError, TransportError
from ..settings.values import Hedge
from ..topology.node import Node
from . import emit, outcome
from .attempts import Attempts, Wait
from .environment import Environment
from .hedging import LEAST, kind_of
from .http1 import Answer

__all__ = ["Attempt", "HedgedAttempts", "Lent"]

_LONGEST_PAUSE = 0.02
"""Seconds between two looks for a node with a free connection, at most: a look takes a few microseconds."""


class Attempt(NamedTuple):
    """One attempt: the node, and its generation when the attempt began."""

    node: Node
    generation: int
    is_hedge: bool = False


class Lent(Protocol):
    """A connection that an attempt uses."""

    @property
    def has_begun(self) -> bool:
        """Whether a byte of the answer has come."""


class HedgedAttempts(Attempts):
    """As `Attempts`, for a read that may be hedged. `hedge`: the settings.

    `hedge_at`: when the attempt under way is to be hedged, if no answer has begun; infinite for never.
    `connections`: what the attempts under way use, for an event loop that cannot see it otherwise.
    """

    hedge_at: float = math.inf
    node: Node | None
    pool_wait: float
    result: Answer | None
    _began = 0.0
    _hedge_outcome: str | None = None
    _pool_wait_before: float | None = None
    _pause = LEAST
    _has_told = False
    """That the attempt under way keeps the read waiting."""

    def __init__(
        self,
        environment: Environment,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        hedge: Hedge,
        has_room: Callable[[Node], bool],
        **settings: Any,
    ) -> None:
        super().__init__(environment, operation, parameters, has_room=has_room, **settings)
        self.connections: dict[Node, Lent] = {}
        self._hedge = hedge
        self._room_at = has_room
        self._kind = kind_of(operation, parameters)
        self._after = environment.hedging.begin(self._kind, hedge, self.started)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if signals.request_completed.receivers:
            emit.completed(self, self.result, error, hedge=self._hedge_outcome)

    # ---- beginning ---------------------------------------------------------------------------------------------

    def next(self) -> Node | Wait | Answer:
        if self._pool_wait_before is not None:
            self.pool_wait, self._pool_wait_before = min(self._pool_wait_before, self._pool_patience), None
        return super().next()

    def first(self) -> Attempt:
        """The attempt that `next` has just begun. The time to its hedge runs from here."""
        assert self.node is not None
        self._began = self.environment.clock()
        may_be_hedged = self._after is not None and self._hedge_outcome is None
        self.hedge_at = self._began + (self._after or 0.0) if may_be_hedged else math.inf
        self._pause, self._has_told = LEAST, False
        self._current = Attempt(self.node, self._generation)
        return self._current

    def hedge(self) -> Attempt | None:
        """Begin the hedge of the attempt under way. None if there is to be none, or can be none at this instant; then
        `hedge_at` says when to ask again."""
        self.hedge_at = math.inf
        environment, waited_for = self.environment, self._current.node
        if self._sends + 1 >= self._retries.max_attempts:
            return None
        node = self._next_with_room()
        if node is None:
            self._tell(waited_for)
            if self._full:
                self._ask_again()
            return None
        if not environment.hedging.may_hedge(self._hedge, environment.clock()):
            self._order = itertools.chain((node,), self._order)
            return None
        self._tell(waited_for)
        self._hedge_outcome = "lost"
        # It takes no connection for which it would have to wait.
        if self._pool_wait_before is None:
            self._pool_wait_before, self.pool_wait = self.pool_wait, 0.0
        self._nodes_in_cycle += 1
        self._tried.append(node.address)
        hedge = Attempt(node, environment.membership.generation(node), is_hedge=True)
        self.turn_to(hedge)
        if signals.request_routed.receivers:
            emit.routed(self, node, hedge=True)
        return hedge

    def _tell(self, waited_for: Node) -> None:
        if not self._has_told:
            self._has_told = True
            self.environment.membership.suspect(waited_for, hedged=True)

    def _ask_again(self) -> None:
        self.hedge_at = self.environment.clock() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _next_with_room(self) -> Node | None:
        membership = self.environment.membership
        for node in self._order:
            if membership.is_down(node):
                continue
            if self._may_take(node):
                return node
            self._leave_for_last(node)
        for node in tuple(self._full or ()):
            if not membership.is_down(node) and self._may_take(node):
                assert self._full is not None
                self._full.remove(node)
                return node
        return None

    def _may_take(self, node: Node) -> bool:
        return node not in self.environment.membership.view.hedged and self._room_at(node)

    # ---- ending ------------------------------------------------------------------------------------------------

    def turn_to(self, attempt: Attempt) -> None:
        """What is reported next is of this attempt."""
        self._current = attempt
        self.node, self._generation = attempt.node, attempt.generation

    @staticmethod
    def settles(answer: Answer) -> bool:
        """Whether an answer is the caller's, whatever becomes of the other attempt."""
        return answer.status < 300 or outcome.judge(answer) is outcome.Verdict.FINAL

    def answered(self, answer: Answer) -> bool:
        is_the_callers = super().answered(answer)
        if is_the_callers:
            environment = self.environment
            environment.hedging.answered(self._kind, environment.clock() - self._began)
            if self._current.is_hedge:
                self._hedge_outcome = "won"
        return is_the_callers

    def answered_beside(self, attempt: Attempt, answer: Answer, other: Attempt) -> None:
        """An answer has come that does not settle the request, and the other attempt goes on."""
        self.turn_to(attempt)
        super().answered(answer)
        self.result = None
        self._go_on(attempt, answer, other)

    def failed_beside(self, attempt: Attempt, error: TransportError, other: Attempt) -> None:
        """An attempt has failed, and the other one goes on."""
        self.turn_to(attempt)
        with contextlib.suppress(
            TransportError
        ):  # which says that no attempt may follow: this one is under way already
            self.failed(error)
        if attempt.is_hedge and isinstance(error, PoolTimeoutError):
            # Others took the connection, and nothing was sent: there may be a hedge yet.
            self._hedge_outcome = None
            self._ask_again()
        self._go_on(attempt, error, other)

    def _go_on(self, attempt: Attempt, why: TransportError | Answer, other: Attempt) -> None:
        self.turn_to(other)
        if other.is_hedge and signals.request_retried.receivers:
            emit.retried(self, attempt.node, other.node, why)
