"""Connections of a pool are used in turn, make room for new ones at their age, and are closed where none needs them."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.errors import NodeUnreachableError
from pynamodb_alternator.transport.http1 import Steps, StepwiseConnection
from pynamodb_alternator.transport.http1.steps import wait_for_any
from pynamodb_alternator.transport.pool import NodePool, Pools
from pynamodb_alternator.transport.pool_core import PoolStats
from pynamodb_alternator.transport.turnover import NEVER, Renewal, Spares

from .servers import Server, ok, read_request, until
from .test_pool import Clock, closing, in_threads, request

AGE = 600.0
EXACT = Renewal(AGE, lambda low, high: 1.0)
"""Without jitter."""


# ---- the rules ---------------------------------------------------------------------------------------------------


@given(st.floats(1e-3, 1e6), st.floats(0, 1e6), st.integers())
def test_a_tenth_more_or_less(age: float, now: float, seed: int) -> None:
    renewal = Renewal(age, random.Random(seed).uniform)
    assert now + age * 0.9 <= renewal.at(now, takes_place=True) + 1e-6 <= now + age * 1.1 + 2e-6
    assert now + age * 0.1 <= renewal.at(now, takes_place=False) + 1e-6 <= now + age + 2e-6


def test_connections_that_were_opened_together_do_not_end_together() -> None:
    renewal = Renewal(AGE, random.Random(1).uniform)
    ends = sorted(renewal.at(0.0, takes_place=True) for _ in range(50))
    assert ends[-1] - ends[0] > 100.0
    assert max(later - earlier for earlier, later in itertools.pairwise(ends)) < 20.0


def test_connections_that_a_fleet_opens_together_are_renewed_at_a_steady_rate() -> None:
    renewal, count = Renewal(AGE, random.Random(1).uniform), 10_000
    minutes: Counter[int] = Counter()
    for _ in range(count):
        moment = renewal.at(0.0, takes_place=False)
        while moment < 3 * AGE:
            minutes[int(moment // 60)] += 1
            moment = renewal.at(moment, takes_place=True)
    assert max(minutes.values()) < 1.25 * count * 60 / AGE  # and five times, if all lived for ten minutes at first


def test_without_an_age_no_connection_ends() -> None:
    assert (NEVER.at(5.0, takes_place=True), NEVER.after_failure(5.0)) == (math.inf, math.inf)


def test_what_always_lay_idle_is_spare() -> None:
    spares = Spares()
    assert spares.next(5) == 0  # needed a moment ago, at their opening
    spares.seen(3)
    spares.seen(4)
    assert spares.next(5) == 0  # a look later it may be a peak that has just ended
    spares.seen(2)
    assert spares.next(5) == 2
    spares.seen(1)
    assert spares.next(3) == 0  # in the time before, all were needed but those two
    assert spares.next(3) == 1


def test_what_lies_idle_now_is_all_that_can_be_spare() -> None:
    spares = Spares()
    spares.next(5)
    spares.next(5)
    assert spares.next(2) == 2


@given(st.lists(st.lists(st.integers(1, 12), max_size=8), min_size=3, max_size=12))
def test_no_more_are_kept_than_were_in_use_at_once_lately(times: list[list[int]]) -> None:
    """A pool in which requests come and go: each number is how many of them are under way at once."""
    spares, open_now = Spares(), 0
    most: deque[int] = deque(maxlen=2)
    for at_once in times:
        for number in at_once:
            open_now = max(open_now, number)
            spares.seen(open_now - number)
        most.append(max(at_once, default=0))
        before = open_now
        open_now -= spares.next(open_now)
        assert open_now >= max(most[-1], min(before, max(most)))
    assert open_now - spares.next(open_now) >= most[-1]
    spares.next(open_now)
    open_now -= spares.next(open_now)


# ---- in a pool ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def pool_of(server: Server, limit: int = 10, renewal: Renewal = EXACT) -> Iterator[tuple[NodePool, Clock]]:
    clock = Clock()
    pool = NodePool(server.node(), limit=limit, max_idle=1e6, clock=clock, renewal=renewal)
    yield pool, clock
    pool.close()


def opened(pool: NodePool, count: int) -> list[StepwiseConnection]:
    """So many connections, which lie idle in this order."""
    connections = [pool.acquire(5.0) for _ in range(count)]
    for connection in connections:
        pool.release(connection)
    return connections


def run_alone(steps: Steps[StepwiseConnection]) -> StepwiseConnection:
    """The result of the steps, without any other work."""
    try:
        awaited = next(steps)
        while True:
            awaited = steps.send(bool(wait_for_any([(awaited.fd, awaited.events)], awaited.seconds)))
    except StopIteration as end:
        connection: StepwiseConnection = end.value
        return connection


def refuse(server: Server) -> None:
    """The node accepts no connection any more, and serves those that it has."""
    server._listener.shutdown(socket.SHUT_RDWR)


def test_another_one_takes_its_place_at_its_age() -> None:
    ended: list[bytes] = []

    def note_the_end(sock: socket.socket) -> None:
        while (asked := read_request(sock)) is not None:
            sock.sendall(ok(asked[1]))
        ended.append(sock.recv(1))  # and no ConnectionResetError

    with Server(note_the_end) as server, pool_of(server) as (pool, clock):
        assert request(pool, pool.node) == b"{}"
        (old,) = pool.connections()
        clock.ahead = AGE - 10.0
        assert request(pool, pool.node) == b"{}"
        assert pool.connections() == [old]
        clock.ahead = AGE
        assert request(pool, pool.node) == b"{}"
        (fresh,) = pool.connections()
        assert fresh is not old
        assert pool.stats() == PoolStats(2, 1, 0)
        until(lambda: ended)
        assert ended == [b""]
        clock.ahead = AGE * 1.5
        assert request(pool, pool.node) == b"{}"
        assert pool.connections() == [fresh]


def test_the_new_one_is_opened_before_the_old_one_is_closed() -> None:
    """So that the node gives it to another core."""
    open_at_accept: list[int] = []
    with Server() as server, pool_of(server) as (pool, clock):
        opened(pool, 1)
        clock.ahead = AGE
        connect = StepwiseConnection.connect

        def looking(self: StepwiseConnection, **how: object) -> None:
            connect(self, **how)  # type: ignore[arg-type]
            open_at_accept.append(sum(each.reusable for each in pool.connections()))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StepwiseConnection, "connect", looking)
            request(pool, pool.node)
        assert open_at_accept == [2]
        assert pool.stats() == PoolStats(2, 1, 0)


def test_where_others_lie_idle_it_is_only_closed() -> None:
    with Server() as server, pool_of(server) as (pool, clock):
        first, second = opened(pool, 2)
        first.renew_at = 0.0
        assert pool.acquire(5.0) is second
        assert not first.reusable
        assert pool.stats() == PoolStats(2, 1, 1)
        pool.release(second)
        assert clock.ahead == 0.0


def test_not_under_a_request() -> None:
    with Server() as server, pool_of(server) as (pool, clock):
        connection = pool.acquire(5.0)
        clock.ahead = AGE * 2
        pool.tidy(clock())
        assert connection.reusable
        pool.release(connection)
        assert pool.stats() == PoolStats(1, 1, 0)


def test_in_a_full_pool_the_slot_changes_hands() -> None:
    """What has waited for it does not wait again, and the limit is kept."""
    with Server() as server, pool_of(server, limit=2) as (pool, clock):
        opened(pool, 2)
        clock.ahead = AGE
        pool.connections()[0].renew_at = math.inf
        held = [pool.acquire(5.0), pool.acquire(5.0)]
        assert pool.stats() == PoolStats(3, 2, 2)
        held[0].renew_at = held[1].renew_at = 0.0
        results: list[bytes] = []
        waiting = [
            threading.Thread(target=lambda: results.append(request(pool, pool.node)), daemon=True) for _ in range(8)
        ]
        for thread in waiting:
            thread.start()
        until(lambda: pool.stats().waiting == 8)
        pool.release(held.pop())
        for thread in waiting:
            thread.join(10.0)
        assert results == [b"{}"] * 8
        assert pool.stats() == PoolStats(4, 2, 1)
        pool.release(held.pop())


def test_the_old_one_serves_on_where_no_other_can_be_opened() -> None:
    with Server() as server, pool_of(server) as (pool, clock):
        request(pool, pool.node)
        (old,) = pool.connections()
        refuse(server)
        clock.ahead = AGE
        assert request(pool, pool.node) == b"{}"
        assert pool.connections() == [old]
        assert AGE * 0.05 < old.renew_at - clock() < AGE * 0.15
        clock.ahead = AGE * 2
        assert request(pool, pool.node) == b"{}"
        # In a full pool as well, only that it has to be closed first: then the request goes to another node.
        pool.set_limit(1)
        clock.ahead = AGE * 3
        with pytest.raises(NodeUnreachableError):
            request(pool, pool.node)
        assert pool.stats() == PoolStats(1, 0, 0)


def test_one_that_the_node_closes_meanwhile_does_not_serve_on() -> None:
    """A node that shuts down accepts no connection, and then closes those that it has: a request that went out on one
    of these might have been executed, for all that we know. One that was not sent goes to another node."""
    with Server() as server, pool_of(server) as (pool, clock):
        request(pool, pool.node)
        (old,) = pool.connections()
        clock.ahead = AGE

        def close_and_refuse(self: StepwiseConnection, **how: object) -> None:
            for sock in server.sockets:
                sock.shutdown(socket.SHUT_RDWR)
            until(old.is_stale)
            raise NodeUnreachableError("refused", node="a")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StepwiseConnection, "connect", close_and_refuse)
            with pytest.raises(NodeUnreachableError, match="refused"):
                request(pool, pool.node)
        assert pool.stats() == PoolStats(1, 0, 0)


def test_a_node_that_is_declared_down_meanwhile() -> None:
    with Server() as server, pool_of(server) as (pool, clock):
        opened(pool, 1)
        clock.ahead = AGE

        def cut(self: StepwiseConnection, **how: object) -> None:
            pool.cut("a test says so")
            raise NodeUnreachableError("cut", node="a", was_cut=True)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StepwiseConnection, "connect", cut)
            with pytest.raises(NodeUnreachableError):
                request(pool, pool.node)
        assert pool.stats()[1:] == (0, 0, 0)
        assert request(pool, pool.node) == b"{}"


@pytest.mark.parametrize("refuses", [False, True])
def test_connections_end_in_steps(refuses: bool) -> None:
    with Server() as server, closing(Pools(clock=(clock := Clock()), max_idle=1e6, renewal=EXACT)) as pools:
        node = server.node()
        request(pools, node)
        (old,) = pools.connections()
        clock.ahead = AGE
        if refuses:
            refuse(server)
        connection = run_alone(pools.acquire_in_steps(node, 5.0))
        assert (connection is old) is refuses
        pools.release(connection)
        assert pools.stats()[node.address] == PoolStats(1 if refuses else 2, 1, 0)
        assert request(pools, node) == b"{}"


def test_no_request_is_lost_by_it() -> None:
    """Threads, in a pool that is now full and now not, with connections that hardly become old."""
    with Server() as server:
        for limit in (3, 8):
            renewal = Renewal(0.002, random.Random(limit).uniform)
            pool = NodePool(server.node(), limit=limit, renewal=renewal)
            counts: list[int] = []

            def work(pool: NodePool = pool, counts: list[int] = counts) -> None:
                for number in range(100):
                    body = b"%d" % number
                    assert request(pool, pool.node, body) == body
                    counts.append(number)

            assert in_threads(8, work) == []
            stats = pool.stats()
            assert len(counts) == 800
            assert stats.opened > 50
            assert stats[2:] == (0, 0)
            assert stats.open <= limit
            pool.close()


# ---- after a peak ------------------------------------------------------------------------------------------------


def test_the_pool_shrinks_after_a_peak() -> None:
    """Though its connections are used in turn, so that none of them lies idle for long."""
    clock = Clock()
    with Server() as server, closing(Pools(max_idle=60.0, clock=clock)) as pools:
        node = server.node()
        peak = [pools.acquire(node, 5.0) for _ in range(20)]
        for connection in peak:
            pools.release(connection)
        for _ in range(12):
            clock.ahead += 5.0
            two = [pools.acquire(node, 5.0), pools.acquire(node, 5.0)]
            for connection in two:
                pools.release(connection)
        assert pools.stats()[node.address].open == 20  # it may come again
        for _ in range(8):
            clock.ahead += 5.0
            two = [pools.acquire(node, 5.0), pools.acquire(node, 5.0)]
            for connection in two:
                pools.release(connection)
        assert pools.stats()[node.address] == PoolStats(20, 2, 0)


def test_a_peak_that_comes_again_finds_its_connections() -> None:
    clock = Clock()
    with Server() as server, closing(Pools(max_idle=60.0, clock=clock)) as pools:
        node = server.node()
        for _ in range(30):
            peak = [pools.acquire(node, 5.0) for _ in range(10)]
            for connection in peak:
                pools.release(connection)
            for _ in range(9):
                clock.ahead += 5.0
                pools.release(pools.acquire(node, 5.0))
        assert pools.stats()[node.address] == PoolStats(10, 10, 0)
