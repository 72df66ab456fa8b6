"""One request of every kind, and everything around it: no socket, no thread, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Any

from blinker import NamedSignal

from pynamodb_alternator.errors import (
    ConnectionLostError,
    ConnectTimeoutError,
    MalformedAnswerError,
    NodeUnreachableError,
    PoolTimeoutError,
    ReadTimeoutError,
    TlsError,
)
from pynamodb_alternator.routing.plan import QueryPlan
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.options import RequestOptions
from pynamodb_alternator.settings.values import Retries, Timeouts
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.view import Topology, View, ring_order
from pynamodb_alternator.transport.attempts import Attempts, Wait
from pynamodb_alternator.transport.budget import RetryBudget
from pynamodb_alternator.transport.environment import Environment
from pynamodb_alternator.transport.http1 import Answer

A, B, C = RING = ring_order(Node("http", f"10.0.0.{number}", 8000) for number in (1, 2, 3))
KEY = {"id": {"S": "alice"}}

READS: dict[str, tuple[str, dict[str, Any]]] = {
    "get": ("GetItem", {"TableName": "t", "Key": KEY}),
    "query": ("Query", {"TableName": "t"}),
    "scan": ("Scan", {"TableName": "t"}),
    "batch get": ("BatchGetItem", {"RequestItems": {"t": {"Keys": [KEY]}}}),
    "describe": ("DescribeTable", {"TableName": "t"}),
}
REPEATABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "put": ("PutItem", {"TableName": "t", "Item": KEY}),
    "delete": ("DeleteItem", {"TableName": "t", "Key": KEY}),
    "batch write": ("BatchWriteItem", {"RequestItems": {"t": [{"PutRequest": {"Item": KEY}}]}}),
    "set": (
        "UpdateItem",
        {
            "TableName": "t",
            "Key": KEY,
            "UpdateExpression": "SET a = :a",
            "ExpressionAttributeValues": {":a": {"N": "1"}},
        },
    ),
}
ONCE_ONLY: dict[str, tuple[str, dict[str, Any]]] = {
    "increment": (
        "UpdateItem",
        {
            "TableName": "t",
            "Key": KEY,
            "UpdateExpression": "SET a = a + :a",
            "ExpressionAttributeValues": {":a": {"N": "1"}},
        },
    ),
    "add": (
        "UpdateItem",
        {
            "TableName": "t",
            "Key": KEY,
            "UpdateExpression": "ADD a :a",
            "ExpressionAttributeValues": {":a": {"N": "1"}},
        },
    ),
    "conditional put": ("PutItem", {"TableName": "t", "Item": KEY, "ConditionExpression": "attribute_not_exists(id)"}),
    "put for its old item": ("PutItem", {"TableName": "t", "Item": KEY, "ReturnValues": "ALL_OLD"}),
    "conditional delete": ("DeleteItem", {"TableName": "t", "Key": KEY, "ConditionExpression": "attribute_exists(id)"}),
    "create table": ("CreateTable", {"TableName": "t"}),
}
SAFE = {**READS, **REPEATABLE}
ALL = {**SAFE, **ONCE_ONLY}

NOT_SENT = [NodeUnreachableError, ConnectTimeoutError, TlsError, PoolTimeoutError]
UNKNOWN = [ReadTimeoutError, ConnectionLostError, MalformedAnswerError]
CLOSED = [ConnectionLostError]

OK = Answer(200, {}, b"{}")


def error_answer(kind: str, status: int = 400) -> Answer:
    return Answer(status, {}, b'{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":""}' % kind.encode())


SHED = error_answer("RequestLimitExceeded")
SICK = error_answer("InternalServerError", 500)
PAGE = Answer(500, {}, b"<html>")
SILENT: list[Any] = [
    ReadTimeoutError,
    MalformedAnswerError,
    PAGE,
    *(Answer(status, {}, b"<html>") for status in (302, 400, 404, 413, 429, 501, 503)),
    Answer(404, {}, b""),
    *(error_answer("InternalServerError", status) for status in (502, 503, 504)),
]
"""After these the node may still execute the request."""
ENDED: list[Any] = [*CLOSED, SICK]
"""After these it executes nothing later."""


class FakeMembership:
    def __init__(self, ring: tuple[Node, ...]) -> None:
        self.config = ClusterConfig("10.0.0.1")
        self.view = View(Topology(ring, ring, ring))
        self.said: list[tuple[Any, ...]] = []
        self.generations: dict[Node, int] = {}

    def generation(self, node: Node) -> int:
        return self.generations.get(node, 0)

    def is_down(self, node: Node) -> bool:
        return node in self.view.down

    def named(self, node: Node) -> None:
        self.said.append(("named", node))

    def needed(self, nodes: Collection[Node]) -> bool:
        return not self.view.unproven.isdisjoint(nodes)

    def take_down(self, *nodes: Node) -> None:
        self.view = View(self.view.topology, self.view.down | set(nodes))

    def succeeded(self, node: Node, generation: int) -> None:
        self.said.append(("succeeded", node, generation))

    def failed(self, node: Node, generation: int, error: Exception, *, counts: bool = True) -> None:
        self.said.append(("failed" if counts else "suspected", node, generation))

    def answer_failed(self, node: Node, error: str, *, counted: bool = True) -> None:
        self.said.append(("answer failed" if counted else "unreadable answer", node, error))

    def suspect(self, node: Node, *, hedged: bool = False) -> None:
        self.said.append(("suspect", node, hedged))
        if hedged:
            self.view = self.view._replace(hedged=self.view.hedged | {node})

    def nodes(self) -> tuple[Any, ...]:
        return ()

    def stranger_that_tells(self) -> str | None:
        return None


class FakeRouter:
    def plan_of(self, operation: str, parameters: Any, view: View, options: RequestOptions) -> QueryPlan:
        return QueryPlan("round_robin", "affinity_off", False, (0,))


class World:
    """Everything around one request. `script`: what each attempt meets, in order; the last one goes on for ever."""

    def __init__(self, ring: tuple[Node, ...] = RING, budget: RetryBudget | None = None, **settings: Any) -> None:
        self.now = 100.0
        self.membership = FakeMembership(ring)
        self.told: list[tuple[str, dict[str, Any]]] = []
        membership: Any = self.membership
        router: Any = FakeRouter()
        self.environment = Environment(
            membership=membership,
            router=router,
            budget=budget or RetryBudget(),
            emit=self.emit,
            clock=lambda: self.now,
            random=random.Random(4),
            **settings,
        )
        self.sent: list[Node] = []
        self.waits: list[float] = []
        self.takes = 0.0

    def emit(self, signal: NamedSignal, **payload: Any) -> None:
        self.told.append((signal.name, payload))

    def attempts(
        self,
        what: tuple[str, dict[str, Any]],
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        has_room: Callable[[Node], bool] | None = None,
        is_lookup: bool = False,
    ) -> Attempts:
        operation, parameters = what
        return Attempts(
            self.environment,
            operation,
            parameters,
            started=self.now,
            timeouts=timeouts or Timeouts(),
            retries=retries or Retries(),
            has_room=has_room,
            options=RequestOptions(is_lookup=is_lookup),
        )

    def run(self, what: tuple[str, dict[str, Any]], *script: Any, **settings: Any) -> Answer:
        """What the caller gets. The script has exceptions (classes or instances) and answers."""
        attempts = self.attempts(what, **settings)
        outcomes = iter(script)
        outcome = None
        while True:
            step = attempts.next()
            if isinstance(step, Wait):
                self.waits.append(step.seconds)
                self.now += step.seconds
            elif isinstance(step, Answer):
                return step
            else:
                self.sent.append(step)
                self.now += self.takes
                outcome = next(outcomes, outcome)
                assert outcome is not None
                if isinstance(outcome, Answer):
                    if attempts.answered(outcome):
                        return outcome
                else:
                    made = outcome("it broke", node=step.address) if isinstance(outcome, type) else outcome
                    attempts.failed(made)
