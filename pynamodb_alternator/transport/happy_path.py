"""The happy path of a request, which nearly every request takes: one function that reads from top to bottom.

It makes no object that is needed only in trouble. Any other request is handed over to the attempt loop: before the
first attempt, if the request or the cluster needs more than is done here; or after it, with its result (`Begun`). So
the rules for trouble stand in `attempts` alone.

Ordinary are: TLS, signatures, a total timeout, key route affinity, replicas, a pool that opens a connection, most
settings of models and blocks, load balancing, receivers of signals, and full pools. Out of the ordinary are: reads that
may be hedged, compression, writes that wait for their node, and any end of the attempt except a short answer below 300.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import signals
from ..errors import TransportError
from ..routing.idempotence import is_read
from ..routing.plan import FREE_TO_MOVE, QueryPlan
from ..settings.config import ClusterConfig
from ..settings.options import NO_OPTIONS, NOT_GIVEN, RequestOptions, current
from ..settings.values import Timeouts
from ..topology.node import Node
from ..topology.view import View
from . import emit
from .environment import Environment
from .hedging import may_be_hedged
from .http1 import Answer
from .large_answers import LARGE
from .parsing import loads, response_metadata

if TYPE_CHECKING:
    from ._calls import Operation
    from .endpoint import Prepare
    from .lanes import Sender

__all__ = ["Begun", "FirstAttempt", "HappyPath", "Request", "is_ordinary"]

_LONGEST_BODY = 64 * 1024
"""Bytes of a request body; those of a longer one take long enough to pay for the rest."""


_new = tuple.__new__
"""Makes a named tuple of all its fields, without the function in Python that takes them by name."""
_ROUTED, _COMPLETED, _FALLBACK = signals.request_routed, signals.request_completed, signals.affinity_fallback


class Terms(NamedTuple):
    """The effect of a request's options, worked out once for all requests of the cluster that have the same options.

    `timeouts`: with the cluster's. `allows_all`: whether they keep no request off the happy path, `allows_none`:
    whether they keep all requests off. `hedges`: whether reads may be hedged. `routes`: whether they say how.
    """

    options: RequestOptions
    timeouts: Timeouts
    allows_all: bool
    allows_none: bool
    hedges: bool
    routes: bool


class Request(NamedTuple):
    """One call of a client. `started`: on the monotonic clock. `options`: its own. `terms`: what these come to."""

    operation: Operation
    parameters: Mapping[str, Any]
    body: bytes
    started: float
    options: RequestOptions
    terms: Terms


class Told:
    """What the signals are told of a request with one attempt; see `emit`."""

    __slots__ = ("environment", "node", "operation", "parameters", "plan", "request_id", "started")
    count = 1
    is_lookup = False

    def __init__(self, environment: Environment, request: Request, plan: QueryPlan, node: Node) -> None:
        self.environment: Environment = environment
        self.operation: str = request.operation.name
        self.parameters: Mapping[str, Any] = request.parameters
        self.started: float = request.started
        self.plan: QueryPlan = plan
        self.node: Node = node
        self.request_id: str = emit.next_request_id()


class Begun(NamedTuple):
    """An attempt that has begun. `view`: what the plan was made for. `order`: what is left of the plan's order, if one
    was made. `waits`: whether it waits for a connection of this node alone. `told`: what the signals were told, if
    somebody listened. `head`: of the request; empty if it was not made."""

    plan: QueryPlan
    view: View
    node: Node
    generation: int
    waits: bool
    told: Told | None
    order: Iterator[Node] | None = None
    head: bytes = b""

    def rest(self) -> Iterator[Node]:
        """What is left of the plan's order, for an attempt that goes elsewhere."""
        if self.order is not None:
            return self.order
        return (node for node in self.plan.order(self.view) if node is not self.node)

    def with_head(self, head: bytes) -> Begun:
        """The same attempt, for which this head was made."""
        return self._replace(head=head)


class FirstAttempt:
    """What the happy path of a thread and that of an event loop have in common: which requests may take it, and what
    comes before and after the exchange."""

    def __init__(
        self,
        config: ClusterConfig,
        environment: Environment,
        key: object,
        has_room: Callable[[Node], bool],
        any_has_room: Callable[[Iterable[Node]], bool],
    ) -> None:
        self._any_has_room = any_has_room
        self._key = key
        self._environment = environment
        self._membership = environment.membership
        self._plan, self._plan_of = environment.router.plan, environment.router.plan_of
        self._has_room = has_room
        self._timeouts = config.timeouts
        self._waits_for_writes = config.retries.silent_writes == "wait" and not config.retry_ambiguous_writes
        self._compresses = bool(config.request_compression or config.response_compression)
        self._hedges = config.hedge is not None
        self._without_options = self._of_others = self._terms_of(NO_OPTIONS)

    def request(self, operation: Operation, parameters: Mapping[str, Any], body: bytes) -> Request:
        """The request that is made here and now."""
        options = current(self._key)
        terms = self._without_options if options is NO_OPTIONS else self._of_others
        if terms.options is not options:
            # Kept for the next request, which may have the same.
            terms = self._of_others = self._terms_of(options)
        return _new(Request, (operation, parameters, body, self._environment.clock(), options, terms))

    def _terms_of(self, options: RequestOptions) -> Terms:
        hedges = self._hedges if options.hedge is NOT_GIVEN else options.hedge is not None
        allows_none = (
            self._compresses
            or options.request_compression is not NOT_GIVEN
            or options.response_compression is not None
            or options.silent_writes is not None
            or options.routing_scope is not None
            or options.is_lookup
        )
        routes = (options.consistent_node, options.key_route_affinity, options.token_aware) != (None, None, None)
        allows_all = not (allows_none or hedges or self._waits_for_writes)
        return Terms(options, options.timeouts(self._timeouts), allows_all, allows_none, hedges, routes)

    def allows(self, request: Request) -> bool:
        """Whether the request needs nothing beside one attempt after another, as far as is known before."""
        terms = request.terms
        if terms.allows_none or len(request.body) > _LONGEST_BODY:
            return False
        if terms.allows_all:
            return True
        if terms.hedges and may_be_hedged(request.operation.name, request.parameters):
            return False
        return not self._waits_for_writes or is_read(request.operation.name)

    def timeouts(self, request: Request) -> Timeouts:
        """Those of the request's options, or the cluster's."""
        return request.terms.timeouts

    def begin(self, request: Request, deadline: float | None) -> Begun | None:
        """The first attempt of the request; None if the request must leave the happy path."""
        if deadline is not None and self._environment.clock() >= deadline:
            return None
        operation, parameters, _, _, options, terms = request
        view = self._membership.view
        if view.returning or view.hedged:
            return None
        if terms.routes:
            plan = self._plan_of(operation.name, parameters, view, options)
        else:
            plan = self._plan(operation.name, parameters, view)
        node, order = self._environment.first(plan, view) if view.unproven else plan.first(view), None
        if node is None:
            return None
        waits = plan.policy not in FREE_TO_MOVE
        if not waits and not self._has_room(node):
            if self._any_has_room(view.topology.nodes):
                node, order, waits = self._with_room(plan.order(view))
            else:
                waits = True
        told = None
        if _ROUTED.receivers or _COMPLETED.receivers or _FALLBACK.receivers:
            told = Told(self._environment, request, plan, node)
            emit.affinity_fallback(told)
            if _ROUTED.receivers:
                emit.routed(told, node)
        return _new(Begun, (plan, view, node, self._membership.generation(node), waits, told, order, b""))

    def _with_room(self, order: Iterator[Node]) -> tuple[Node, Iterator[Node], bool]:
        """The first node that has room, and the rest of the order, with the full nodes last. If all are full: the first
        of all, and that the request has to wait for it."""
        full: list[Node] = []
        for node in order:
            if self._has_room(node):
                return node, itertools.chain(order, full), False
            full.append(node)
        return full[0], iter(full[1:]), True

    def pool_wait(self, begun: Begun, timeouts: Timeouts) -> float:
        """Seconds in which a connection of a full pool must come free: none while other nodes may have room."""
        if not begun.waits:
            return 0.0
        return math.inf if timeouts.pool is None else timeouts.pool

    def settled(self, begun: Begun, answer: Answer, parsed: dict[str, Any]) -> dict[str, Any]:
        """The caller's result of an attempt that went well."""
        environment, node = self._environment, begun.node
        environment.counts[node.address].answers += 1
        self._membership.succeeded(node, begun.generation)
        environment.budget.deposit()
        if begun.told is not None:
            emit.completed(begun.told, answer, None)
        parsed["ResponseMetadata"] = response_metadata(answer.status, answer.headers)
        return parsed


def is_ordinary(answer: Answer) -> bool:
    """Whether it is a success that is read in one go."""
    return answer.status < 300 and "content-encoding" not in answer.headers and len(answer.body) <= LARGE


class HappyPath(FirstAttempt):
    """Makes the requests of a cluster whose first attempt goes well.

    `hand_over`: makes a request as all others are made, which has been prepared. It takes the attempt that has begun,
    if one has, and its end.
    """

    def __init__(
        self,
        config: ClusterConfig,
        environment: Environment,
        sender: Sender,
        prepare: Prepare,
        hand_over: Callable[[Request, Begun | None, Answer | TransportError | None], Any],
    ) -> None:
        super().__init__(config, environment, sender.key, sender.has_room, sender.any_has_room)
        self._sender = sender
        self._prepare = prepare
        self._hand_over = hand_over

    def __call__(self, operation: Operation, parameters: Mapping[str, Any], body: bytes) -> Any:
        """The parsed answer, or what `hand_over` makes of the request."""
        request, sender = self.request(operation, parameters, body), self._sender
        _, _, _, started, options, terms = request
        timeouts = terms.timeouts
        total, deadline = timeouts.total, None
        self._prepare(started, total)
        if not self.allows(request):
            return self._hand_over(request, None, None)
        if total is not None:
            deadline = started + total
        begun = self.begin(request, deadline)
        if begun is None:
            return self._hand_over(request, None, None)
        node, head = begun.node, b""
        pool_wait = self.pool_wait(begun, timeouts) if begun.waits else 0.0
        try:
            head = sender.head(node, operation.target, body, sender.signers(options).current(), options)
            answer = sender.send(
                node, head, body, operation.name, timeouts, deadline, pool_wait, False, self._environment.loads
            )
            end: Answer | TransportError = answer
            parsed = loads(answer.body, operation.model) if is_ordinary(answer) else None
        except TransportError as error:
            end, parsed = error, None
        except BaseException as error:
            if begun.told is not None:
                emit.completed(begun.told, None, error)
            raise
        if parsed is None:
            return self._hand_over(request, begun.with_head(head), end)
        return self.settled(begun, answer, parsed)
