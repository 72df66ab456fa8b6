"""Nodes and users in a virtual time, over the real router and figures: each user sends one request after another."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable

from pynamodb_alternator.routing.least_busy import LeastBusyRouter
from pynamodb_alternator.routing.tables import Tables
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.values import KeyRouteAffinity
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.replicas import Replicas
from pynamodb_alternator.topology.view import Topology, View, ring_order
from pynamodb_alternator.transport.loads import Loads

__all__ = ["Simulation", "Takes"]

Takes = Callable[[int, str, float], float | None]
"""From the number of a node, an operation and the time to the seconds that an answer takes; None for a failure, which
takes no time."""


class Simulation:
    """`nodes`: how many. `takes`: how long answers take; by default 4 ms, and 40 ms of the first node."""

    def __init__(
        self, nodes: int, takes: Takes | None = None, *, seed: int = 5, replicas: Replicas | None = None
    ) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self.nodes = ring_order(Node("http", f"10.0.0.{number:03}", 8000) for number in range(1, nodes + 1))
        self.view = View(Topology(self.nodes, self.nodes, self.nodes))
        self.takes = takes or (lambda number, operation, now: 0.04 if number == 0 else 0.004)
        self.under_way: Counter[Node] = Counter()
        self.loads = Loads(lambda node: self.under_way[node], lambda: self.now)
        config = ClusterConfig(
            "10.0.0.1", load_balancing="least_busy", key_route_affinity=KeyRouteAffinity.NONE, token_aware=True
        )
        self.tables = Tables(config, lambda table, what: None)
        self.router = LeastBusyRouter(config, self.tables, self.random, replicas, load=self.loads)
        self.sent: Counter[int] = Counter()
        """Requests by the number of the node."""

    def run(
        self, seconds: float, users: int = 1, operations: tuple[str, ...] = ("GetItem",), pause: float = 0.0
    ) -> None:
        """Let the users make requests for so long, each the operations in turn, with a pause after each."""
        end, order = self.now + seconds, itertools.count()
        turns = [itertools.cycle(operations) for _ in range(users)]
        events: list[tuple[float, int, int, tuple[Node, str, float, bool] | None]] = []
        for user in range(users):
            heapq.heappush(events, (self.now, next(order), user, None))
        while events[0][0] < end:
            self.now, _, user, request = heapq.heappop(events)
            if request is None:
                request = self._begin(next(turns[user]))
                at = request[2] + self._seconds(request)
                heapq.heappush(events, (at, next(order), user, request))
            else:
                self._end(*request)
                heapq.heappush(events, (self.now + pause, next(order), user, None))
        for _, _, _, request in events:
            if request is not None:
                self.under_way[request[0]] -= 1
        self.now = end

    def share(self, number: int = 0) -> float:
        """The part of all requests that a node got."""
        return self.sent[number] / self.sent.total()

    def _begin(self, operation: str) -> tuple[Node, str, float, bool]:
        parameters = {"TableName": "t", "Key": {"id": {"S": str(self.random.random())}}}
        node = next(self.router.plan(operation, parameters, self.view).order(self.view))
        number = self.nodes.index(node)
        self.sent[number] += 1
        self.under_way[node] += 1
        return node, operation, self.now, self.takes(number, operation, self.now) is not None

    def _seconds(self, request: tuple[Node, str, float, bool]) -> float:
        seconds = self.takes(self.nodes.index(request[0]), request[1], request[2])
        return 0.0002 if seconds is None else seconds * self.random.uniform(0.7, 1.3)

    def _end(self, node: Node, operation: str, began: float, is_well: bool) -> None:
        self.under_way[node] -= 1
        self.loads.ended(node, operation, began, 200 if is_well else None)
        if not is_well:
            self.loads.failed(node, operation)
