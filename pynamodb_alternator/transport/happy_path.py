"""The happy path of a request: what nearly every request takes, in one function that reads from top to bottom.

It makes no object that only trouble needs. What is out of the ordinary is handed over to the attempt loop, which every
request takes that is not here: before the first attempt, where the request, the cluster or a listener needs more than
is done here; or after it, with what became of it (`Begun`). So the rules for trouble stand in `attempts` alone.

Ordinary are: TLS, signatures, a total timeout, key route affinity, replicas, a pool that opens a connection. Out of the
ordinary are: options of a model or block, hedging, load balancing by load, receivers of a request's signals,
compression, a full pool, and any end of the attempt except a short answer below 300.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import signals
from ..errors import TransportError
from ..routing.idempotence import is_read
from ..routing.plan import QueryPlan
from ..settings.config import ClusterConfig
from ..settings.options import NO_OPTIONS, current
from ..topology.node import Node
from .environment import Environment
from .http1 import Answer
from .large_answers import LARGE
from .parsing import loads, response_metadata

if TYPE_CHECKING:
    from ._calls import Operation
    from .endpoint import Prepare
    from .lanes import Sender

__all__ = ["Begun", "HappyPath", "Request", "Rules", "is_ordinary"]

_LONGEST_BODY = 64 * 1024
"""Bytes of a request body; those of a longer one take long enough to pay for the rest."""


class Request(NamedTuple):
    """One call of a client. `started`: on the monotonic clock."""

    operation: Operation
    parameters: Mapping[str, Any]
    body: bytes
    started: float


class Begun(NamedTuple):
    """An attempt that has begun: the plan, what is left of its order, the node, its generation, and the request's head
    (empty if it was not made)."""

    plan: QueryPlan
    order: Iterator[Node]
    node: Node
    generation: int
    head: bytes


class Rules:
    """What decides, for all requests of a cluster alike, whether they may take the happy path."""

    def __init__(self, config: ClusterConfig, environment: Environment, key: object) -> None:
        self._key = key
        self._waits_for_writes = config.retries.silent_writes == "wait" and not config.retry_ambiguous_writes
        self._never = bool(
            config.request_compression or config.response_compression or config.hedge or environment.loads
        )
        self._membership = environment.membership

    def allow(self, operation: str, body: bytes) -> bool:
        """Whether nothing is known that a request needs beside one attempt after another."""
        view = self._membership.view
        return not (
            self._never
            or view.returning
            or view.hedged
            or signals.request_completed.receivers
            or signals.request_routed.receivers
            or signals.request_retried.receivers
            or signals.affinity_fallback.receivers
            or signals.no_nodes_available.receivers
            or len(body) > _LONGEST_BODY
            or (self._waits_for_writes and not is_read(operation))
            or current(self._key) is not NO_OPTIONS
        )


def is_ordinary(answer: Answer) -> bool:
    """Whether it is a success that is read in one go."""
    return answer.status < 300 and "content-encoding" not in answer.headers and len(answer.body) <= LARGE


class HappyPath:
    """Makes the requests of a cluster whose first attempt goes well.

    `hand_over`: makes a request as all others are made. It takes the attempt that has begun, if one has, and its end.
    """

    def __init__(
        self,
        config: ClusterConfig,
        environment: Environment,
        sender: Sender,
        prepare: Prepare,
        hand_over: Callable[[Request, Begun | None, Answer | TransportError | None], Any],
    ) -> None:
        self._rules = Rules(config, environment, sender.key)
        self._timeouts = config.timeouts
        self._pool_patience = math.inf if config.timeouts.pool is None else config.timeouts.pool
        self._environment = environment
        self._sender = sender
        self._has_room = sender.has_room
        self._prepare = prepare
        self._hand_over = hand_over

    def __call__(self, operation: Operation, parameters: Mapping[str, Any], body: bytes) -> Any:
        """The parsed answer, or what `hand_over` makes of the request."""
        environment, timeouts = self._environment, self._timeouts
        started = environment.clock()
        request = Request(operation, parameters, body, started)
        if not self._rules.allow(operation.name, body):
            return self._hand_over(request, None, None)
        self._prepare(started, timeouts.total)
        membership = environment.membership
        plan = environment.router.plan(operation.name, parameters, membership.view)
        order = plan.order(membership.view)
        node = next(order, None)
        if node is None or not self._has_room(node):
            return self._hand_over(request, None, None)
        generation, head = membership.generation(node), b""
        deadline = None if timeouts.total is None else started + timeouts.total
        try:
            head = self._sender.head(node, operation.target, body, self._sender.signer())
            answer = self._sender.send(node, head, body, operation.name, timeouts, deadline, self._pool_patience)
            end: Answer | TransportError = answer
            parsed = loads(answer.body, operation.model) if is_ordinary(answer) else None
        except TransportError as error:
            end, parsed = error, None
        if parsed is None:
            return self._hand_over(request, Begun(plan, order, node, generation, head), end)
        environment.counts[node.address].answers += 1
        membership.succeeded(node, generation)
        environment.budget.deposit()
        parsed["ResponseMetadata"] = response_metadata(answer.status, answer.headers)
        return parsed
