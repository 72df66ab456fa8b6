"""The attempts of one request: which node comes next, when to wait, and when to give up.

Nothing here waits or does I/O, so that a thread and an event loop can drive the same decisions:

    attempts = Attempts(...)
    while True:
        step = attempts.next()
        ...                      # wait, or exchange with the node
        attempts.failed(error)   # or: if attempts.answered(answer): return answer

What may be sent again is decided here and nowhere else. A request that surely never reached a server goes to the
next node. After that it is repeated only if repeating it cannot change the result. A write whose node went silent is
not: the node may execute it later, on top of newer writes (`OutcomeUnknownError.may_still_execute`).
"""

from __future__ import annotations

import itertools
import math
import os
import random as _random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from blinker import NamedSignal

from .. import signals
from ..errors import (
    ClusterClosedError,
    ConnectionLostError,
    ConnectTimeoutError,
    DeadlineAfterSendError,
    DeadlineBeforeSendError,
    NoNodesAvailableError,
    NotSentError,
    OutcomeUnknownError,
    PoolTimeoutError,
    RequestRefusedError,
    ServerFailureError,
    TlsError,
    TransportError,
)
from ..routing.idempotence import is_idempotent, is_read
from ..routing.plan import RANDOM, ROUND_ROBIN
from ..routing.router import Router
from ..settings.scopes import Scope
from ..settings.values import KeyRouteAffinity, Retries, Timeouts
from ..topology.membership import Membership
from ..topology.node import Node
from ..topology.view import View
from .budget import RetryBudget
from .counts import Counts
from .http1 import Answer
from .outcome import Verdict, judge

__all__ = ["Attempts", "Environment", "Wait"]

_request_numbers = itertools.count(1)
_FREE_TO_MOVE = (ROUND_ROBIN, RANDOM)
"""Policies under which any node serves a request as well as another."""
_MOST_MOVES = 10
"""Changes of the routing scope that one request follows for free: more than any chain of scopes is long."""


class Emit(Protocol):
    def __call__(self, signal: NamedSignal, **payload: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Environment:
    """What all requests of a cluster share."""

    membership: Membership
    router: Router
    budget: RetryBudget
    emit: Emit
    clock: Callable[[], float]
    random: _random.Random
    retry_ambiguous_writes: bool = False
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for so many seconds before the next step."""

    seconds: float


class Attempts:
    """One request on its way through its query plan.

    Raises from `next` and `failed` the error that the caller shall get, with the nodes that were tried.
    """

    def __init__(
        self,
        environment: Environment,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        started: float,
        timeouts: Timeouts,
        retries: Retries,
        affinity: KeyRouteAffinity | None = None,
        routing_scope: Scope | None = None,
        consistent_node: int | None = None,
        has_room: Callable[[Node], bool] | None = None,
    ) -> None:
        """`has_room`: whether a connection to a node can be had without waiting for one that is in use."""
        self._env = environment
        self._operation = operation
        self._parameters = parameters
        self._retries = retries
        self.started = started
        self.timeouts = timeouts
        self.deadline = None if timeouts.total is None else self.started + timeouts.total
        self._pool_patience = math.inf if timeouts.pool is None else timeouts.pool
        self.pool_wait = self._pool_patience
        """Seconds in which a connection of a full pool must come free: once per call, and not once per node. 0 while
        other nodes may have room."""
        self.patient = (
            retries.silent_writes == "wait" and not environment.retry_ambiguous_writes and not is_read(operation)
        )
        """Whether an exchange goes on when its node is declared down, and waits for the node's own answer."""
        self._own_scope = routing_scope
        view = self._view()
        self._scope = view.topology.scope
        if consistent_node is None or consistent_node is False:
            self._plan = environment.router.plan(operation, parameters, view, affinity=affinity)
        else:
            self._plan = environment.router.plan_for_one_node(consistent_node)
        self._order: Iterator[Node] = self._plan.order(view)
        self._has_room = has_room if self._plan.policy in _FREE_TO_MOVE else None
        self._full: deque[Node] = deque()
        self.node: Node | None = None
        self._generation = 0
        self._tried: list[str] = []
        self._sends = 0
        self._cycles = 0
        self._moves = 0
        self._nodes_in_cycle = 0
        self._hopeless_in_cycle = 0
        self._ended = False
        self._error: TransportError | None = None
        self._answer: Answer | None = None
        self._ask_for_pause = False
        self._maybe_executed: TransportError | Answer | None = None
        self._answered_by: str | None = None
        self._may_still_execute = False
        self._number = 0
        environment.budget.deposit()
        if self._plan.wanted_affinity and self._plan.reason is not None:
            self._emit(signals.affinity_fallback, reason=self._plan.reason)

    @property
    def count(self) -> int:
        """How many attempts were made."""
        return len(self._tried)

    def _view(self) -> View:
        membership = self._env.membership
        return membership.view if self._own_scope is None else membership.view_for(self._own_scope)

    def next(self) -> Node | Wait | Answer:
        """The node to try now, or a time to wait first, or the last answer if no other attempt is to be made."""
        if self.deadline is not None and self._env.clock() >= self.deadline:
            self._out_of_time()
        if self._ended:
            return self._give_up()
        if self._ask_for_pause:
            self._ask_for_pause = False
            return self._wait()
        membership, has_room = self._env.membership, self._has_room
        for node in self._order:
            if membership.is_down(node):
                continue  # it went down since this cycle began
            if has_room is not None:
                if not has_room(node):
                    self._full.append(node)
                    continue
                self.pool_wait = 0.0
            return self._try(node)
        while self._full:
            # All of them are full: wait at the one that the plan names first.
            node = self._full.popleft()
            if not membership.is_down(node):
                self.pool_wait, self._has_room = self._pool_patience, None
                return self._try(node)
        return self._next_cycle()

    def _try(self, node: Node) -> Node:
        self._nodes_in_cycle += 1
        before, self.node = self.node, node
        self._generation = self._env.membership.generation(node)
        self._tried.append(node.address)
        if before is not None and signals.request_retried.receivers:
            error = self._error if self._answer is None else f"status {self._answer.status}"
            self._emit(
                signals.request_retried,
                from_node=before.address,
                to_node=node.address,
                attempt=self.count,
                error=error,
            )
        if signals.request_routed.receivers:
            self._emit(
                signals.request_routed,
                node=node.address,
                attempt=self.count,
                policy=self._plan.policy,
                reason=self._plan.reason,
            )
        return node

    def _next_cycle(self) -> Node | Wait | Answer:
        view = self._view()
        if view.topology.scope != self._scope and self._moves < _MOST_MOVES:
            # The nodes of another scope are fresh ones: they cost no cycle and no wait.
            self._moves += 1
            self._nodes_in_cycle = self._hopeless_in_cycle = 0
            self._scope = view.topology.scope
            self._order = self._plan.order(view)
            return self.next()
        self._cycles += 1
        found_some = self._nodes_in_cycle > 0
        # A certificate does not get better by trying again. Full pools may, but a whole cycle of waiting is enough.
        hopeless = found_some and self._hopeless_in_cycle == self._nodes_in_cycle
        self._nodes_in_cycle = self._hopeless_in_cycle = 0
        if not found_some and self._cycles == 1:
            self._emit(signals.no_nodes_available, scope=str(self._scope), error=self._why_no_node())
        if hopeless or self._cycles >= self._retries.max_attempts:
            return self._give_up()
        self._order = self._plan.order(view)
        return self._wait()

    def _wait(self) -> Wait | Answer:
        most = min(
            self._retries.backoff_max, self._retries.backoff_base * 2.0 ** max(0, self._cycles + self._sends - 1)
        )
        seconds = self._env.random.uniform(0.0, most)
        if self.deadline is not None and self._env.clock() + seconds >= self.deadline:
            self._out_of_time()
        return Wait(seconds)

    # ---- what became of an attempt -----------------------------------------------------------------------------

    def answered(self, answer: Answer) -> bool:
        """Take the node's answer. True if it is the caller's; False if another attempt is to be made."""
        membership, node = self._env.membership, self.node
        assert node is not None
        self._env.counts[node.address].answers += 1
        verdict = Verdict.FINAL if answer.status < 400 else judge(answer.status, answer.body)
        leaves_it_open = verdict in (Verdict.UNKNOWN, Verdict.FOREIGN)
        if not leaves_it_open:
            membership.succeeded(node, self._generation)
        if verdict is Verdict.FINAL:
            return True
        self._answer, self._error = answer, None
        self._sends += 1
        if leaves_it_open:
            is_silent = verdict is Verdict.FOREIGN
            self._maybe_executed, self._answered_by = answer, node.address
            self._may_still_execute |= is_silent
            if not self._may_repeat(is_silent):
                return True
        else:
            self._ask_for_pause = True
        # An earlier attempt may have been executed, and then this answer is not the whole truth: `_give_up` knows.
        self._ended = self._sends >= self._retries.max_attempts or not self._env.budget.withdraw()
        return self._ended and self._maybe_executed in (None, answer)

    def failed(self, error: TransportError) -> None:
        """Take a failure of the exchange. Raises it if no other attempt is to be made."""
        membership, node = self._env.membership, self.node
        assert node is not None
        if isinstance(error, PoolTimeoutError):
            if self._has_room is not None:
                # Others took the last free connection just now: as if the pool had been seen full.
                self._full.append(node)
                self._tried.pop()
                self._nodes_in_cycle -= 1
                return
            if isinstance(self._error, PoolTimeoutError):
                error = self._error  # which says how long was waited
            self.pool_wait = self._pool_patience = 0.0
        self._env.counts[node.address].failures += 1
        self._error, self._answer = error, None
        if isinstance(error, ClusterClosedError | RequestRefusedError):
            # Neither is about the node, and no other one could do better.
            self._ended = True
            return
        if error.node is None:
            error.node = node.address  # of an answer that only its parser has found wanting
        out_of_time = self.deadline is not None and self._env.clock() >= self.deadline
        if not isinstance(error, PoolTimeoutError):
            # A full pool says nothing of the node. A deadline that ends the wait early says little, and neither does
            # a kept-alive connection that turns out to be dead, nor a timeout that we noticed late: a probe will tell.
            counts = not out_of_time and not (isinstance(error, ConnectionLostError) and error.was_idle)
            counts = counts and not (isinstance(error, ConnectTimeoutError) and error.late)
            membership.failed(node, self._generation, error, counts=counts)
        if isinstance(error, NotSentError):
            self._hopeless_in_cycle += isinstance(error, TlsError | PoolTimeoutError)
            return
        self._sends += 1
        self._maybe_executed = error
        # What is neither "not sent" nor "unknown" would be a kind that this place does not know: be careful.
        is_silent = not isinstance(error, OutcomeUnknownError) or error.may_still_execute
        self._may_still_execute |= is_silent
        if out_of_time:
            self._out_of_time()
        if (
            not self._may_repeat(is_silent)
            or self._sends >= self._retries.max_attempts
            or not self._env.budget.withdraw()
        ):
            self._raise(error)

    def finished(self, answer: Answer | None, error: BaseException | None) -> None:
        """The caller gets this answer or this error: tell it."""
        if not signals.request_completed.receivers:
            return
        self._emit(
            signals.request_completed,
            node=None if self.node is None else self.node.address,
            attempts=self.count,
            status=None if answer is None else answer.status,
            error=error,
            duration=self._env.clock() - self.started,
            policy=self._plan.policy,
        )

    def _may_repeat(self, is_silent: bool) -> bool:
        """Whether the request may be sent again after an attempt that may have been executed.

        `is_silent`: the node may also execute it later, and then another copy of it would have been acknowledged.
        """
        if self._env.retry_ambiguous_writes:
            return True
        if is_silent and self._retries.silent_writes != "repeat" and not is_read(self._operation):
            return False
        return is_idempotent(self._operation, self._parameters)

    def leaves_open(self, answer: Answer) -> bool:
        """Whether this answer is the caller's, and does not tell if his write was executed."""
        return answer is self._maybe_executed and not is_read(self._operation)

    def open_outcome(self, parsed: Mapping[str, Any], kind: type[ServerFailureError]) -> ServerFailureError:
        """The error of this `kind` that the caller gets for such an answer; `parsed` is what botocore makes of it."""
        error = kind.of(parsed, self._operation, self._answered_by, self._may_still_execute)
        self._finish(error)
        return error

    # ---- the end -----------------------------------------------------------------------------------------------

    def _give_up(self) -> Answer:  # noqa: RET503 (_raise never returns)
        # A later attempt that was refused or shed does not undo an earlier one that may have been executed.
        if isinstance(self._maybe_executed, TransportError):
            self._raise(self._maybe_executed)
        last = self._maybe_executed or self._answer
        if last is not None:
            return last
        self._raise(self._error or NoNodesAvailableError(self._why_no_node()))

    def _out_of_time(self) -> NoReturn:
        total = self.timeouts.total
        reason = f"The call took longer than its total timeout of {total:g} s"
        last = self._error if self._error is not None else self._maybe_executed
        if isinstance(last, TransportError):
            reason += f"; the last attempt said: {last.reason}"
        kind = DeadlineBeforeSendError if self._maybe_executed is None else DeadlineAfterSendError
        self._raise(kind(reason, node=None if self.node is None else self.node.address))

    def _raise(self, error: TransportError) -> NoReturn:
        self._finish(error)
        raise error

    def _finish(self, error: TransportError) -> None:
        """What all attempts together have to say."""
        error.tried(list(dict.fromkeys(self._tried)))
        if isinstance(error, OutcomeUnknownError):
            error.may_still_execute = self._may_still_execute

    def _why_no_node(self) -> str:
        membership = self._env.membership
        if not membership.view.topology.ring:
            return (
                "No node is known: no seed answered or can be resolved, or the routing scope "
                f"({self._own_scope or membership.config.routing_scope}) has no node. "
                f"Seeds: {', '.join(membership.config.seeds)}"
            )
        in_scope = {node.address for node in self._view().topology.nodes}
        found = [one for one in membership.nodes() if one.address in in_scope]
        troubles = [
            one.error if one.error.startswith("Node ") else f"{one.address}: {one.error}" for one in found if one.error
        ]
        more = f", and {len(troubles) - 3} more" if len(troubles) > 3 else ""
        return f"No node of the routing scope {self._scope} is usable ({'; '.join(troubles[:3])}{more})"

    def _emit(self, signal: NamedSignal, **payload: Any) -> None:
        if not signal.receivers:
            return
        if not self._number:
            self._number = next(_request_numbers)
        self._env.emit(
            signal,
            operation=self._operation,
            table_name=table_name(self._parameters),
            request_id=f"{os.getpid():x}-{self._number:x}",
            **payload,
        )


def table_name(parameters: Mapping[str, Any]) -> str | None:
    """The table that a request is about; several of one batch are joined with commas."""
    name = parameters.get("TableName")
    if name is not None:
        return str(name)
    items = parameters.get("RequestItems")
    if isinstance(items, Mapping):
        return ",".join(str(table) for table in items)
    return None
