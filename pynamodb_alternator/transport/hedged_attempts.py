"""The attempts of a read that may be hedged: while one of them waits, a second one may be sent, the hedge.

`Attempts` knows only one attempt at a time: its `node`, whose end `answered` and `failed` report. Here two attempts may
be under way. The code that runs them (`side_by_side` in a thread, `aio.side_by_side` in an event loop) waits for both,
and names one of them by `turn_to` before it reports its end:

    attempt = attempts.first()                            # the one that `next` has begun
    hedge = attempts.hedge()                              # when `hedge_at` has passed without an answer
    attempts.failed_beside(attempt, error, hedge)         # or answered_beside: it failed, and the other goes on
    attempts.turn_to(hedge)                               # the last attempt: its end is reported as usual

**The hedge** goes to the next node of the same cycle of the plan, and so of the same scope, that has a free connection,
and does not keep other reads waiting. It counts as an attempt for `Retries.max_attempts`. A call has at most one hedge.
While no node has a free connection, the search is repeated: first after `LEAST` seconds, later every `_LONGEST_PAUSE`
seconds.

**The node that kept the read waiting** becomes a suspect when the hedge is sent, or finds no free connection. The
monitor would not notice this wait, because the connection of the attempt that loses is closed. Until the node's probe
has a result, the node is last for reads. An attempt that loses does not count as an answer or as a failure.

**If one of the two fails,** the other one counts as the next attempt, and goes on within its own timeouts. If both
fail, the request goes on like all others.
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
"""The largest number of seconds between two searches for a node with a free connection. A search takes a few
microseconds."""


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
    """The `Attempts` of a read that may be hedged. `hedge`: the settings.

    `hedge_at`: the time at which the attempt under way is hedged, if no answer has begun; infinite for never.
    `connections`: the connections of the attempts under way, for an event loop, which cannot see them otherwise.
    """

    hedge_at: float = math.inf
    node: Node | None
    pool_wait: float
    result: Answer | None
    _began = 0.0
    _hedge_outcome: str | None = None
    _pool_wait_before: float | None = None
    _pause = LEAST
    _has_suspected = False
    """Whether the node of the attempt under way was made a suspect, because it keeps the read waiting."""

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
        """The attempt that `next` has just begun. The time until its hedge begins now."""
        assert self.node is not None
        self._began = self.environment.clock()
        may_be_hedged = self._after is not None and self._hedge_outcome is None
        self.hedge_at = self._began + (self._after or 0.0) if may_be_hedged else math.inf
        self._pause, self._has_suspected = LEAST, False
        self._current = Attempt(self.node, self._generation)
        return self._current

    def hedge(self) -> Attempt | None:
        """Begin the hedge of the attempt under way. None if there must be no hedge, or if no node has a free connection
        now. In the second case `hedge_at` is the time to call this again."""
        self.hedge_at = math.inf
        environment, waited_for = self.environment, self._current.node
        if self._sends + 1 >= self._retries.max_attempts:
            return None
        node = self._next_with_room()
        if node is None:
            self._suspect(waited_for)
            if self._full:
                self._ask_again()
            return None
        if not environment.hedging.may_hedge(self._hedge, environment.clock()):
            self._order = itertools.chain((node,), self._order)
            return None
        self._suspect(waited_for)
        self._hedge_outcome = "lost"
        # The hedge must not wait for a connection.
        if self._pool_wait_before is None:
            self._pool_wait_before, self.pool_wait = self.pool_wait, 0.0
        self._nodes_in_cycle += 1
        self._tried.append(node.address)
        hedge = Attempt(node, environment.membership.generation(node), is_hedge=True)
        self.turn_to(hedge)
        if signals.request_routed.receivers:
            emit.routed(self, node, hedge=True)
        return hedge

    def _suspect(self, waited_for: Node) -> None:
        if not self._has_suspected:
            self._has_suspected = True
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
        """The next report belongs to this attempt."""
        self._current = attempt
        self.node, self._generation = attempt.node, attempt.generation

    @staticmethod
    def settles(answer: Answer) -> bool:
        """Whether an answer goes to the caller, whatever the result of the other attempt is."""
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
        ):  # raised if no other attempt may follow; but the other one is under way already
            self.failed(error)
        if attempt.is_hedge and isinstance(error, PoolTimeoutError):
            # Another request has taken the connection, and nothing was sent: there may still be a hedge.
            self._hedge_outcome = None
            self._ask_again()
        self._go_on(attempt, error, other)

    def _go_on(self, attempt: Attempt, why: TransportError | Answer, other: Attempt) -> None:
        self.turn_to(other)
        if other.is_hedge and signals.request_retried.receivers:
            emit.retried(self, attempt.node, other.node, why)
