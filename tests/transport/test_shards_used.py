"""How evenly the cores of nodes are used, in a virtual time: real pools, over nodes with shards as Seastar has them."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from typing import Any

import pytest

from pynamodb_alternator.local.shards import Shards
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.pool import NodePool
from pynamodb_alternator.transport.turnover import NEVER, Renewal

_MAX_IDLE = 60.0


class _Connection:
    """What a pool needs of a connection. It takes a seat at a shard of its node, and no time."""

    def __init__(self, node: Node, shards: Shards) -> None:
        self.node = node
        self.reusable = self.connected = False
        self.busy_since: float | None = None
        self.idle_since = 0.0
        self.lent_by: object = None
        self.renew_at = math.inf
        self.predecessor: Any = None
        self._shards = shards

    def connect(self, **_: object) -> None:
        self.seat = self._shards.take()
        self.reusable = self.connected = True

    def is_stale(self) -> bool:
        return not self.reusable

    def close(self) -> None:
        self.reusable = False
        self._shards.leave(self.seat)


class _Pool(NodePool):
    def __init__(self, number: int, world: World) -> None:
        super().__init__(
            Node("http", f"10.0.0.{number}", 8000),
            max_idle=_MAX_IDLE,
            clock=lambda: world.now,
            renewal=world.renewal,
        )
        self.shards = Shards(world.shards)
        self.shards.take()  # that of the node list and probes
        if world.last_first:
            self._idle = _LastFirst()

    def _new_connection(self) -> Any:
        return _Connection(self.node, self.shards)


class _LastFirst(list[Any]):
    """The order that pools had before: the connection used last is used next."""

    def pop(self, index: Any = -1) -> Any:
        return super().pop()


class World:
    """Threads that make one request after another, each of a random node."""

    def __init__(
        self, *, nodes: int = 3, shards: int = 8, age: float = math.inf, last_first: bool = False, seed: int = 1
    ) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self.shards, self.last_first = shards, last_first
        self.renewal = NEVER if age == math.inf else Renewal.of(age, self.random)
        self.pools = [_Pool(number, self) for number in range(1, nodes + 1)]
        self.requests: Counter[tuple[Node, int]] = Counter()

    def run(self, seconds: float, threads: int, answer: float = 0.02, pause: float = 0.01) -> None:
        """For so long. `answer`, `pause`: seconds, on the average; the latter is between two requests of a thread."""
        order, end, tidying = itertools.count(), self.now + seconds, self.now
        events: list[tuple[float, int, _Pool | None, Any]] = [(self.now, next(order), None, None)] * threads
        while events[0][0] < end:
            self.now, _, pool, connection = heapq.heappop(events)
            if self.now >= tidying and not self.last_first:
                tidying = self.now + _MAX_IDLE / 2
                for each in self.pools:
                    each.tidy(self.now)
            if pool is None:
                pool = self.random.choice(self.pools)
                connection = pool.acquire(1.0)
                self.requests[pool.node, connection.seat.shard] += 1
                after = self.random.expovariate(1.0 / answer)
                heapq.heappush(events, (self.now + after, next(order), pool, connection))
            else:
                pool.release(connection)
                after = self.random.expovariate(1.0 / pause)
                heapq.heappush(events, (self.now + after, next(order), None, None))
        for _, _, pool, connection in events:
            if pool is not None:
                pool.release(connection)

    def busiest_within_a_second(self, threads: int, seconds: int = 60) -> float:
        """The mean of so many seconds: over minutes a connection may be the last one now and then."""
        total = 0.0
        for _ in range(seconds):
            self.requests.clear()
            self.run(1.0, threads)
            total += self.busiest()
        return total / seconds

    def busiest(self) -> float:
        """The requests of the busiest shard, as a multiple of the mean of all shards."""
        return max(self.requests.values()) / (self.requests.total() / len(self.pools) / self.shards)


@pytest.mark.parametrize("age", [math.inf, 600.0, 60.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_eight_threads_use_all_cores_of_three_nodes(age: float, seed: int) -> None:
    world = World(age=age, seed=seed)
    world.run(30.0, threads=8)
    world.requests.clear()
    assert world.busiest_within_a_second(threads=8) <= 2.0
    world.requests.clear()
    world.run(270.0, threads=8)
    assert world.busiest() <= 2.0
    assert len(world.requests) >= 3 * 6


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_that_the_last_one_is_used_first_loads_few(seed: int) -> None:
    """For the comparison, and to see that the test above would find it."""
    world = World(last_first=True, seed=seed)
    world.run(30.0, threads=8)
    assert world.busiest_within_a_second(threads=8) > 2.1


def test_one_thread_alone_moves_on() -> None:
    """It has one connection to each node, and another core of it after each renewal."""
    world = World(age=600.0)
    world.run(3600.0, threads=1, pause=0.1)
    assert [len(pool.connections()) for pool in world.pools] == [1, 1, 1]
    assert all(pool.stats().opened in (6, 7, 8) for pool in world.pools)
    assert len(world.requests) >= 6


def test_many_processes_with_one_thread_each() -> None:
    """The server spreads their connections, of which each has one to a node."""
    shards = Shards(8)
    for _ in range(100):
        shards.take()
    assert max(shards.connections) - min(shards.connections) <= 1
