"""The attempts of one request: which node comes next, when to wait, and when to give up.

Nothing here waits or does I/O, so that a thread and an event loop can drive the same decisions:

    with Attempts(...) as attempts:      # at its end the signals are sent
        while True:
            step = attempts.next()
            ...                          # wait, or exchange with the node
            attempts.failed(error)       # or: if attempts.answered(answer): return answer

**Nodes.** The router has made a query plan, an order of nodes. `next` goes through it, node after node: this is one
*cycle*, and each cycle gets a new order from the plan. Nodes that went down meanwhile are left out. If any node may
serve the request, nodes whose pool is full come last. If no node took the request in a cycle, a wait follows, which
grows from cycle to cycle, and then the next cycle, up to `Retries.max_attempts`.

**Ends of attempts.** Each attempt ends with `answered` or `failed`. `outcome` says what an answer or a failure means.
If a request certainly never reached a server, it goes to the next node of the cycle at once. In all other cases it was
*sent*: to send it again takes one retry of the retry budget, and a request is sent at most `Retries.max_attempts`
times.

**What may be sent again** is decided here and nowhere else (`_may_repeat`). A request that may have been executed is
sent again only if this cannot change the result. A write whose node went silent is not sent again, because the node may
execute it later, on top of newer writes (`OutcomeUnknownError.may_still_execute`).

**What the caller gets** is the last answer or failure, with one exception: if an earlier attempt may have been
executed, a later refusal does not undo it. Then the caller gets an error that says that the outcome of the write is
open (`_give_up`, `open_outcome`). `emit` sends the signals.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from .. import signals
from ..errors import (
    DeadlineAfterSendError,
    DeadlineBeforeSendError,
    NoNodesAvailableError,
    NotSentError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ServerFailureError,
    TlsError,
    TransportError,
)
from ..routing.idempotence import is_idempotent, is_read
from ..routing.plan import FREE_TO_MOVE, QueryPlan
from ..settings.options import NO_OPTIONS, RequestOptions
from ..settings.values import Retries, Timeouts
from ..topology.node import Node
from ..topology.view import View
from . import emit, outcome
from .environment import PROOF_PAUSE, Environment
from .http1 import Answer

if TYPE_CHECKING:
    from .happy_path import Begun

__all__ = ["Attempts", "Wait"]

_MOST_MOVES = 10
"""How many changes of the routing scope one request follows without a wait: more than any chain of scopes has."""


class Wait(NamedTuple):
    """Wait for so many seconds before the next step."""

    seconds: float


class Attempts:
    """The state of one request while it goes through its query plan.

    `next` and `failed` raise the error for the caller, with the nodes that were tried.
    """

    # These initial values are set in the class, because setting them in `__init__` would slow down every request.
    node: Node | None = None
    """The node of the last attempt."""
    result: Answer | None = None
    """The answer that the caller gets; None as long as it is not known."""
    _request_id: str | None = None
    _generation = 0
    _sends = 0
    _cycles = 0
    _moves = 0
    _nodes_in_cycle = 0
    _hopeless_in_cycle = 0
    _ended = False
    _error: TransportError | None = None
    _answer: Answer | None = None
    _ask_for_pause = False
    _maybe_executed: TransportError | Answer | None = None
    _answered_by: str | None = None
    _may_still_execute = False
    _open_outcome: ServerFailureError | None = None
    _full: deque[Node] | None = None
    """Nodes of this cycle whose pools were full, in the plan's order."""

    def __init__(
        self,
        environment: Environment,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        started: float,
        timeouts: Timeouts,
        retries: Retries,
        options: RequestOptions = NO_OPTIONS,
        has_room: Callable[[Node], bool] | None = None,
        begun: Begun | None = None,
    ) -> None:
        """`has_room`: whether a request can get a connection to a node without a wait for one that is in use. `begun`:
        the attempt that is under way already, whose end will be reported."""
        self.environment = environment
        self.operation = operation
        self.parameters = parameters
        self._retries = retries
        self.started = started
        self.timeouts = timeouts
        self.deadline: float | None = None if timeouts.total is None else self.started + timeouts.total
        self._pool_patience = math.inf if timeouts.pool is None else timeouts.pool
        self.pool_wait: float = self._pool_patience
        """Seconds that a call waits for full pools, for all nodes together. 0 while other nodes may have room."""
        self.patient: bool = (
            retries.silent_writes == "wait" and not environment.retry_ambiguous_writes and not is_read(operation)
        )
        """Whether an exchange goes on when its node is declared down, and waits for the node's own answer."""
        self._own_scope = options.routing_scope
        self.is_lookup: bool = options.is_lookup  # a request of the library itself
        self._tried: list[str] = []
        view = self._view()
        self._scope = view.topology.scope
        waits = False
        if begun is None:
            self.plan: QueryPlan = environment.router.plan_of(operation, parameters, view, options)
            self._order: Iterator[Node] = self.plan.order(view)
            environment.named(self.plan, view)
            emit.affinity_fallback(self)
        else:
            self.plan, self._order, self.node, self._generation = begun.plan, begun.rest(), begun.node, begun.generation
            waits, self._request_id = begun.waits, None if begun.told is None else begun.told.request_id
            self._tried.append(begun.node.address)
            self._nodes_in_cycle = 1
        self._has_room = has_room if self.plan.policy in FREE_TO_MOVE and not waits else None
        environment.budget.deposit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if signals.request_completed.receivers:
            emit.completed(self, self.result, self._open_outcome if error is None else error)

    @property
    def count(self) -> int:
        """How many attempts were made."""
        return len(self._tried)

    @property
    def are_used_up(self) -> bool:
        """Whether `Retries.max_attempts` allows no other attempt."""
        return max(self._sends, self._cycles) >= self._retries.max_attempts

    @property
    def request_id(self) -> str:
        """See `emit.next_request_id`."""
        if self._request_id is None:
            self._request_id = emit.next_request_id()
        return self._request_id

    def _view(self) -> View:
        membership = self.environment.membership
        view = membership.view if self._own_scope is None else membership.view_for(self._own_scope)
        if view.returning or view.hedged:
            return view.seen_by(is_read=is_read(self.operation), may_repeat=self._may_repeat(may_come_later=True))
        return view

    def next(self) -> Node | Wait | Answer:
        """The node to try now, or a time to wait first, or the last answer if there must be no other attempt."""
        if self.deadline is not None and self.environment.clock() >= self.deadline:
            self._out_of_time()
        if self._ended:
            return self._give_up()
        if self._ask_for_pause:
            self._ask_for_pause = False
            return self._wait()
        membership, has_room = self.environment.membership, self._has_room
        for node in self._order:
            if membership.is_down(node):
                continue  # it went down since this cycle began
            if has_room is not None:
                if not has_room(node):
                    self._leave_for_last(node)
                    continue
                self.pool_wait = 0.0
            return self._try(node)
        while self._full:
            # All pools are full: wait at the first node of the plan.
            node = self._full.popleft()
            if not membership.is_down(node):
                self.pool_wait, self._has_room = self._pool_patience, None
                return self._try(node)
        return self._next_cycle()

    def _leave_for_last(self, node: Node) -> None:
        self._full = self._full or deque()
        self._full.append(node)

    def _try(self, node: Node) -> Node:
        self._nodes_in_cycle += 1
        before, self.node = self.node, node
        self._generation = self.environment.membership.generation(node)
        self._tried.append(node.address)
        if before is not None and signals.request_retried.receivers:
            emit.retried(self, before, node, self._error if self._answer is None else self._answer)
        if signals.request_routed.receivers:
            emit.routed(self, node)
        return node

    def _next_cycle(self) -> Node | Wait | Answer:
        view = self._view()
        if view.topology.scope != self._scope and self._moves < _MOST_MOVES:
            # The nodes of another scope have not been tried, so this is neither a new cycle nor a reason to wait.
            self._moves += 1
            self._nodes_in_cycle = self._hopeless_in_cycle = 0
            self._scope = view.topology.scope
            self._order = self.plan.order(view)
            return self.next()
        found_some = self._nodes_in_cycle > 0
        if not found_some and self.environment.is_proof_coming(view, self.started + self.timeouts.connect):
            self._order = (node for _ in (0,) for node in self.plan.order(self._view()))  # the view after the wait
            return Wait(PROOF_PAUSE)
        self._cycles += 1
        # Another cycle does not help against a wrong certificate. For full pools, one cycle is enough.
        hopeless = found_some and self._hopeless_in_cycle == self._nodes_in_cycle
        self._nodes_in_cycle = self._hopeless_in_cycle = 0
        if not found_some and self._cycles == 1 and signals.no_nodes_available.receivers:
            emit.no_nodes_available(self, self._scope, self._why_no_node())
        if hopeless or self._cycles >= self._retries.max_attempts:
            return self._give_up()
        self._order = self.plan.order(view)
        return self._wait()

    def _wait(self) -> Wait | Answer:
        retries, rounds = self._retries, max(0, self._cycles + self._sends - 1)
        most = min(retries.backoff_max, retries.backoff_base * 2.0**rounds)
        seconds = self.environment.random.uniform(0.0, most)
        if self.deadline is not None and self.environment.clock() + seconds >= self.deadline:
            self._out_of_time()
        return Wait(seconds)

    # ---- what became of an attempt -----------------------------------------------------------------------------

    def answered(self, answer: Answer) -> bool:
        """Take the node's answer. True if it is the caller's; False if another attempt must follow."""
        membership, node = self.environment.membership, self.node
        assert node is not None
        self.environment.counts[node.address].answers += 1
        verdict = None if answer.status < 300 else outcome.judge(answer)
        leaves_it_open = verdict is not None and verdict.leaves_it_open
        if not leaves_it_open:
            membership.succeeded(node, self._generation)
        elif not self.is_lookup:
            against = outcome.complaint(answer, repeatable=is_idempotent(self.operation, self.parameters))
            if against is not None:
                membership.answer_failed(node, against)
        if verdict is None or verdict is outcome.Verdict.FINAL:
            if verdict is not None and self._maybe_executed is not None and not outcome.speaks_of_the_item(answer):
                self._maybe_executed, self._answered_by = answer, node.address  # an earlier attempt is not undone
            self.result = answer
            return True
        self.environment.failed_at(node, self.operation, answer)
        self._answer, self._error = answer, None
        self._sends += 1
        if leaves_it_open:
            may_come_later = verdict is outcome.Verdict.FOREIGN
            self._maybe_executed, self._answered_by = answer, node.address
            self._may_still_execute |= may_come_later
            if not self._may_repeat(may_come_later):
                self.result = answer
                return True
        else:
            self._ask_for_pause = True
        # If an earlier attempt may have been executed, `_give_up` must tell the caller, and not this answer alone.
        self._ended = self.are_used_up or not self.environment.budget.withdraw()
        if self._ended and self._maybe_executed in (None, answer):
            self.result = answer
            return True
        return False

    def failed(self, error: TransportError) -> None:
        """Take a failure of the exchange. Raises it if there must be no other attempt."""
        membership, node = self.environment.membership, self.node
        assert node is not None
        if isinstance(error, PoolTimeoutError):
            if self._has_room is not None:
                # Another request has taken the last free connection: continue as for a full pool.
                self._leave_for_last(node)
                self._tried.pop()
                self._nodes_in_cycle -= 1
                return
            if isinstance(self._error, PoolTimeoutError):
                error = self._error  # its text has the time of the wait
            self.pool_wait = self._pool_patience = 0.0
        self._error, self._answer = error, None
        if outcome.ends_the_call(error):
            self._ended = True
            return
        if not self.is_lookup:
            self.environment.counts[node.address].failures += 1
            self.environment.failed_at(node, self.operation, error)
        if error.node is None:
            error.node = node.address  # for an answer that its parser could not read
        out_of_time = self.deadline is not None and self.environment.clock() >= self.deadline
        if outcome.makes_suspect(error):
            counts = not self.is_lookup and outcome.counts_against_node(error, out_of_time=out_of_time)
            membership.failed(node, self._generation, error, counts=counts)
        if outcome.is_foreign(error) and not self.is_lookup:
            membership.answer_failed(node, error.reason, counted=False)
        if isinstance(error, NotSentError):
            self._hopeless_in_cycle += isinstance(error, TlsError | PoolTimeoutError)
            return
        self._sends += 1
        self._maybe_executed = error
        may_come_later = outcome.is_silent(error)
        self._may_still_execute |= may_come_later
        if out_of_time:
            self._out_of_time()
        if not self._may_repeat(may_come_later) or self.are_used_up or not self.environment.budget.withdraw():
            self._raise(error)

    def _may_repeat(self, may_come_later: bool) -> bool:
        """Whether the request may be sent again after an attempt that may have been executed.

        `may_come_later`: whether the node may also execute it later, after another node has acknowledged its copy.
        """
        if self.environment.retry_ambiguous_writes:
            return True
        if may_come_later and self._retries.silent_writes != "repeat" and not is_read(self.operation):
            return False
        return is_idempotent(self.operation, self.parameters)

    def leaves_open(self, answer: Answer) -> bool:
        """Whether this answer goes to the caller, but does not tell whether its write was executed."""
        return answer is self._maybe_executed and not is_read(self.operation)

    def open_outcome(self, parsed: Mapping[str, Any], kind: type[ServerFailureError]) -> ServerFailureError:
        """The error of this `kind` for an answer that leaves the outcome open. `parsed`: the answer as botocore parses
        it."""
        refused = self.result is not None and outcome.judge(self.result) is outcome.Verdict.FINAL
        error = kind.of(parsed, self.operation, self._answered_by, self._may_still_execute, refused=refused)
        self._finish(error)
        self._open_outcome = error
        return error

    # ---- the end -----------------------------------------------------------------------------------------------

    def _give_up(self) -> Answer:  # noqa: RET503 (_raise never returns)
        # An earlier attempt may have been executed, even if a later one was refused.
        if isinstance(self._maybe_executed, TransportError):
            self._raise(self._maybe_executed)
        last = self._maybe_executed or self._answer
        if last is not None:
            self.result = last
            return last
        self._raise(self._error or NoNodesAvailableError(self._why_no_node()))

    def _out_of_time(self) -> NoReturn:
        reason = f"The call took longer than its total timeout of {self.timeouts.total:g} s"
        last = self._error if self._error is not None else self._maybe_executed
        if isinstance(last, TransportError):
            reason += f"; the last attempt said: {last.reason}"
        elif self.node is None and (awaited := self.environment.awaited(self._view())):
            reason += f"; {awaited}"
        kind = DeadlineBeforeSendError if self._maybe_executed is None else DeadlineAfterSendError
        self._raise(kind(reason, node=None if self.node is None else self.node.address))

    def _raise(self, error: TransportError) -> NoReturn:
        self._finish(error)
        raise error

    def _finish(self, error: TransportError) -> None:
        """Complete the text of the error from all attempts."""
        if isinstance(error, OutcomeUnknownError):
            error.may_still_execute = self._may_still_execute
            if not is_read(self.operation) and not isinstance(error, ServerFailureError):
                may = "may still execute it" if self._may_still_execute else "executes nothing later"
                error.reason = f"{error.reason.rstrip('.')}. The write may have been executed; if not, the node {may}"
        error.tried(list(dict.fromkeys(self._tried)))

    def _why_no_node(self) -> str:
        return self.environment.why_no_node(self._view(), self._own_scope)
