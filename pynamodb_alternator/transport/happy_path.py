"""The happy path of a request, which nearly every request takes: one function without a loop.

It makes no object that only a failure needs. All other requests are handed over to the attempt loop: before the first
attempt, if the request or the cluster needs more than this module does; or after it, with its result (`Begun`). So only
`attempts` has the rules for failures.

The happy path handles TLS, signatures, a total timeout, key route affinity, replicas, a pool that opens a connection,
most settings of models and blocks, load balancing, receivers of signals, and full pools. It does not handle reads that
may be hedged, compression, writes that wait for their node, and any end of the attempt except a short answer with a
status below 300.
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
"""The largest body in bytes. A longer one takes so long that the happy path would not save anything."""


_new = tuple.__new__
"""Makes a named tuple from all its fields in order, which is faster than its constructor, a function in Python."""
_ROUTED, _COMPLETED, _FALLBACK = signals.request_routed, signals.request_completed, signals.affinity_fallback


class Terms(NamedTuple):
    """The effect of a request's options, computed once for all requests of the cluster that have the same options.

    `timeouts`: the timeouts of the options and the cluster. `allows_all`: whether all requests with these options may
    take the happy path. `allows_none`: whether none may. `hedges`: whether reads may be hedged. `routes`: whether the
    options change the routing.
    """

    options: RequestOptions
    timeouts: Timeouts
    allows_all: bool
    allows_none: bool
    hedges: bool
    routes: bool


class Request(NamedTuple):
    """One call of a client. `started`: a time of the monotonic clock. `options`: its own options. `terms`: their
    effect."""

    operation: Operation
    parameters: Mapping[str, Any]
    body: bytes
    started: float
    options: RequestOptions
    terms: Terms


class Told:
    """The data of a request with one attempt that the signals need; see `emit`."""

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
    """An attempt that has begun. `view`: the view for which the plan was made. `order`: the rest of the plan's order,
    if it was made. `waits`: whether it waits for a connection of this node only. `told`: the data that the signals got;
    None if they have no receivers. `head`: the head of the request; empty if it was not made."""

    plan: QueryPlan
    view: View
    node: Node
    generation: int
    waits: bool
    told: Told | None
    order: Iterator[Node] | None = None
    head: bytes = b""

    def rest(self) -> Iterator[Node]:
        """The rest of the plan's order, for an attempt at another node."""
        if self.order is not None:
            return self.order
        return (node for node in self.plan.order(self.view) if node is not self.node)

    def with_head(self, head: bytes) -> Begun:
        """This attempt with the head of its request."""
        return self._replace(head=head)


class FirstAttempt:
    """The common base of the happy paths of threads and event loops: it decides which requests may take the happy path,
    and does the work before and after the exchange."""

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
        """The request, with the present options and time."""
        options = current(self._key)
        terms = self._without_options if options is NO_OPTIONS else self._of_others
        if terms.options is not options:
            # Cached for the next request, which may have the same options.
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
        """Whether the request may take the happy path, by what is known before its first attempt."""
        terms = request.terms
        if terms.allows_none or len(request.body) > _LONGEST_BODY:
            return False
        if terms.allows_all:
            return True
        if terms.hedges and may_be_hedged(request.operation.name, request.parameters):
            return False
        return not self._waits_for_writes or is_read(request.operation.name)

    def timeouts(self, request: Request) -> Timeouts:
        """The timeouts of the request's options, or of the cluster."""
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
        """The first node whose pool has room, the rest of the order with the full nodes last, and whether the request
        must wait for the node. It must if all are full: then the node is the first one of all."""
        full: list[Node] = []
        for node in order:
            if self._has_room(node):
                return node, itertools.chain(order, full), False
            full.append(node)
        return full[0], iter(full[1:]), True

    def pool_wait(self, begun: Begun, timeouts: Timeouts) -> float:
        """Seconds that the attempt waits for a connection of a full pool; 0 while other nodes may have room."""
        if not begun.waits:
            return 0.0
        return math.inf if timeouts.pool is None else timeouts.pool

    def settled(self, begun: Begun, answer: Answer, parsed: dict[str, Any]) -> dict[str, Any]:
        """The result for the caller, after an attempt that went well."""
        environment, node = self._environment, begun.node
        environment.counts[node.address].answers += 1
        self._membership.succeeded(node, begun.generation)
        environment.budget.deposit()
        if begun.told is not None:
            emit.completed(begun.told, answer, None)
        parsed["ResponseMetadata"] = response_metadata(answer.status, answer.headers)
        return parsed


def is_ordinary(answer: Answer) -> bool:
    """Whether the answer is a success that is read in one step."""
    return answer.status < 300 and "content-encoding" not in answer.headers and len(answer.body) <= LARGE


class HappyPath(FirstAttempt):
    """Makes the requests of a cluster whose first attempt goes well.

    `hand_over`: makes a request by the attempt loop. `prepare` has been called for the request already. It gets the
    attempt that has begun, and its end, or None and None.
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
        """Make the request. Returns the parsed answer, or the result of `hand_over`."""
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
