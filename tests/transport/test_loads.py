"""How busy nodes are: averages, failures, and the share that a slow node gets, in a virtual time."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import socket
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.errors import (
    ConnectionLostError,
    ConnectTimeoutError,
    CredentialsError,
    MalformedAnswerError,
    NodeUnreachableError,
    PoolTimeoutError,
    ReadTimeoutError,
)
from pynamodb_alternator.routing.load import FORGOTTEN_AFTER
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.replicas import ANY_PORT, Replicas, TokenRange, make_ring
from pynamodb_alternator.transport import loads as loads_module
from pynamodb_alternator.transport.all_pools import AllPools
from pynamodb_alternator.transport.http1 import Answer, Connection
from pynamodb_alternator.transport.lanes import Sender
from pynamodb_alternator.transport.loads import Loads
from pynamodb_alternator.transport.outcome import HandlerAnswer, counts_as_slow
from pynamodb_alternator.transport.pool import Pools
from pynamodb_alternator.transport.request import build_head
from tests.topology.interrupting import interruptions

from .interruptions import Interruption, Tracer
from .interruptions import interruptions as instructions
from .request_world import OK, READS, SHED, SICK, World, error_answer
from .servers import Server, ok, read_request
from .simulated_load import Simulation

A, B, C = (Node("http", f"10.0.0.{number}", 8000) for number in (1, 2, 3))
GET = "GetItem"


class Figures:
    """Loads whose clock and whose requests in flight a test sets."""

    def __init__(self) -> None:
        self.now = 50.0
        self.in_flight = {A: 0, B: 0, C: 0}
        self.loads = Loads(lambda node: self.in_flight[node], lambda: self.now)

    def answers(self, node: Node, seconds: float, count: int = 1, operation: str = GET) -> None:
        for _ in range(count):
            self.loads.ended(node, operation, self.now - seconds, 200)

    def prefers(self, node: Node, other: Node, operation: str = GET) -> bool:
        return self.loads.is_less_busy(node, other, operation)

    def average(self, node: Node, operation: str = GET) -> float | None:
        return self.loads.latencies().get(node.address, {}).get(operation)


@pytest.fixture
def figures() -> Figures:
    return Figures()


# ---- which of two ----------------------------------------------------------------------------------------------------


def test_unknown_nodes_are_compared_by_requests_in_flight(figures: Figures) -> None:
    assert not figures.prefers(A, B)
    assert not figures.prefers(B, A)
    figures.in_flight[B] = 1
    assert figures.prefers(A, B)
    assert not figures.prefers(B, A)
    figures.answers(A, 100.0)
    assert figures.prefers(A, B)  # of B there is no average


def test_a_slow_node_gets_a_request_when_the_other_has_many(figures: Figures) -> None:
    figures.answers(A, 0.001)
    figures.answers(B, 0.010)
    for in_flight, is_b in ((0, False), (8, False), (10, True), (100, True)):
        figures.in_flight[A] = in_flight
        assert figures.prefers(B, A) == is_b, in_flight
        assert figures.prefers(A, B) != is_b, in_flight


def test_operations_have_averages_of_their_own(figures: Figures) -> None:
    figures.answers(A, 0.5, operation="Scan")
    figures.answers(A, 0.001)
    figures.answers(B, 0.001)
    assert not figures.prefers(B, A)
    figures.answers(B, 0.01, operation="Scan")
    assert figures.prefers(B, A, "Scan")
    assert not figures.prefers(B, A)


def test_it_is_tried_again(figures: Figures) -> None:
    figures.answers(A, 0.001, 20)
    figures.answers(B, 0.010)
    figures.in_flight[A] = 1
    figures.now += 3.0
    assert not figures.prefers(B, A)
    figures.now += 2.0
    assert figures.prefers(B, A)
    figures.in_flight = {A: 9, B: 1, C: 0}
    assert not figures.prefers(B, A)  # one at a time
    figures.now = 50.0 + FORGOTTEN_AFTER
    assert figures.prefers(B, A)
    assert figures.loads.latencies() == {}


# ---- averages --------------------------------------------------------------------------------------------------------


def test_the_average_moves(figures: Figures) -> None:
    figures.answers(A, 1.0)
    figures.answers(A, 2.0)
    assert figures.average(A) == pytest.approx(1.5)
    figures.answers(A, 1.0, 1000)
    assert figures.average(A) == pytest.approx(1.0, abs=0.01)
    # A hundred answers weigh no more than that: a change is soon seen.
    figures.answers(A, 10.0, 20)
    assert figures.average(A) > 2.5  # type: ignore[operator]
    # And old ones weigh little.
    figures.now += 5.0
    figures.answers(A, 1.0)
    assert figures.average(A) == pytest.approx(1.9, abs=1.0)
    figures.now += FORGOTTEN_AFTER
    assert figures.average(A) is None
    figures.answers(A, 7.0)
    assert figures.average(A) == 7.0


def test_one_answer_of_many_that_takes_long_says_little(figures: Figures) -> None:
    figures.answers(A, 0.001, 200)
    figures.answers(B, 0.001, 200)
    figures.answers(B, 0.05)
    assert not figures.prefers(A, B)


def test_a_clock_that_stands_still(figures: Figures) -> None:
    figures.answers(A, 0.0)
    figures.answers(B, 0.0)
    assert not figures.prefers(A, B)
    assert not figures.prefers(B, A)
    figures.answers(C, 1.0)
    assert figures.prefers(A, C)


def test_an_exchange_that_was_broken_off_takes_at_least_as_long_as_it_took(figures: Figures) -> None:
    figures.loads.ended(A, GET, figures.now - 5.0, None)
    assert figures.average(A) is None  # 5 seconds may be nothing
    figures.answers(B, 0.1)
    figures.loads.ended(A, GET, figures.now - 0.05, None)
    assert figures.average(A) is None
    figures.loads.ended(A, GET, figures.now - 5.0, None)
    assert figures.average(A) == pytest.approx(5.0)
    figures.loads.ended(A, GET, figures.now - 1.0, None)
    assert figures.average(A) == pytest.approx(5.0)
    assert figures.prefers(B, A)


def test_failures_are_kept_apart_from_averages(figures: Figures) -> None:
    figures.loads.failed(A, GET)
    assert figures.average(A) == 1.0  # nobody has answered
    figures.answers(B, 0.001, 500)
    figures.answers(C, 0.002, 500)
    figures.loads.failed(C, GET)
    assert figures.average(C) == pytest.approx(0.003, rel=0.05)  # one of a hundred
    figures.loads.ended(C, GET, figures.now, 500)  # an error that was quick
    assert figures.average(C) == pytest.approx(0.003, rel=0.05)
    figures.loads.ended(C, GET, figures.now - 1.0, 400)  # the user's own
    assert figures.average(C) == pytest.approx(0.013, rel=0.05)


def test_failures_of_all_nodes_leave_nothing_behind(figures: Figures) -> None:
    figures.answers(A, 0.001, 100)
    figures.answers(B, 0.001, 100)
    for _ in range(100_000):
        figures.now += 0.001
        figures.loads.failed(A, GET)
        figures.loads.failed(B, GET)
    for node in (A, B):
        assert figures.average(node) == pytest.approx(0.1)  # a hundred answers
    assert not figures.prefers(A, B)
    assert not figures.prefers(B, A)
    figures.answers(A, 0.001, 1000)
    assert figures.average(A) == pytest.approx(0.001, rel=0.01)
    assert figures.prefers(A, B)
    figures.now += FORGOTTEN_AFTER - 0.5
    figures.answers(A, 0.001)
    figures.in_flight[A] = 1
    assert figures.prefers(B, A)
    figures.now += 0.5
    assert figures.average(B) is None
    figures.answers(B, 0.001)
    assert figures.average(B) == pytest.approx(0.001)


ENDS = st.one_of(st.none(), st.floats(1e-5, 10.0), st.floats(1e-5, 10.0).map(lambda seconds: -seconds))
"""None for a failure; seconds of an answer; the same with a minus for an exchange that was broken off."""


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), ENDS, st.floats(0.0, 15.0), st.integers(0, 60)), max_size=60))
def test_figures_stay_within_bounds(ends: list[tuple[Node, float | None, float, int]]) -> None:
    """With any answers in any order, an average is never outside of the measured values, except after a failure, which
    counts as a hundred answers, or as a second if nothing is known. Ten seconds after the last answer, all nodes are
    equal."""
    figures = Figures()
    told = [end for _, end, _, _ in ends if end is not None]
    slowest = max([1.0, *(100 * abs(end) for end in told)])
    for node, end, pause, times in ends:
        for _ in range(times):
            if end is None:
                figures.loads.failed(node, GET)
            else:
                figures.loads.ended(node, GET, figures.now - abs(end), 200 if end > 0 else None)
        for averages in figures.loads.latencies().values():
            assert 0.0 < averages[GET] <= slowest * (1 + 1e-9)
            assert math.isfinite(averages[GET])
        figures.in_flight[node] = times
        for first, second in itertools.permutations([A, B, C], 2):
            assert not (figures.prefers(first, second) and figures.prefers(second, first))
            # A node counts as a hundred times slower at most.
            busy = figures.in_flight[second]
            figures.in_flight[second] = 100 * (figures.in_flight[first] + 1)
            assert figures.prefers(first, second)
            figures.in_flight[second] = busy
        figures.now += pause
    figures.now += FORGOTTEN_AFTER + 1e-6  # sums of floats are not exact
    assert figures.loads.latencies() == {}
    for first, second in itertools.permutations([A, B, C], 2):
        assert figures.prefers(first, second) == (figures.in_flight[first] < figures.in_flight[second])


def test_nodes_that_left_are_forgotten_and_so_is_all_after_a_fork(figures: Figures) -> None:
    for node in (A, B):
        for operation in ("GetItem", "Scan"):
            figures.answers(node, 0.001, operation=operation)
    figures.loads.keep_only([B, C])
    assert set(figures.loads.latencies()) == {B.address}
    figures.loads.after_fork()
    assert figures.loads.latencies() == {}


@pytest.mark.parametrize(
    ("by", "counts"),
    [
        (NodeUnreachableError("x"), True),
        (NodeUnreachableError("x", was_cut=True), False),
        (ConnectTimeoutError("x"), True),
        (ReadTimeoutError("x"), True),
        (ConnectionLostError("x"), True),
        (MalformedAnswerError("x"), True),
        (PoolTimeoutError("x"), False),
        (CredentialsError("x"), False),
        (SICK, True),
        (SHED, True),
        (HandlerAnswer(500, {}, b""), False),
    ],
)
def test_what_counts_as_slow(by: object, counts: bool) -> None:
    assert counts_as_slow(by) == counts  # type: ignore[arg-type]


def test_what_says_little_of_a_node_does_not_count_as_slow() -> None:
    lost, late = ConnectionLostError("x"), ConnectTimeoutError("x")
    lost.was_idle = late.late = True
    assert not counts_as_slow(lost)
    assert not counts_as_slow(late)


@pytest.mark.parametrize(
    ("script", "nodes"),
    [
        ((OK,), 0),
        ((error_answer("ValidationException"),), 0),
        ((SICK, OK), 1),
        ((SHED, OK), 1),
        ((NodeUnreachableError, ReadTimeoutError, OK), 2),
    ],
)
def test_attempts_report_failures(script: tuple[object, ...], nodes: int) -> None:
    loads = Loads(lambda node: 0, lambda: 100.0)
    World(loads=loads).run(READS["get"], *script)
    assert len(loads.latencies()) == nodes
    World().run(READS["get"], *script)  # and nobody is there to be told


def test_an_exception_at_any_place_leaves_figures_that_work() -> None:
    made: list[Figures] = []

    def prepare() -> object:
        figures = Figures()
        figures.answers(B, 0.001)
        made.append(figures)

        def work() -> None:
            figures.answers(A, 0.01, 3)
            figures.loads.failed(A, GET)
            figures.loads.is_less_busy(A, B, GET)
            figures.loads.keep_only([A, B])

        return work

    for _ in interruptions(prepare, loads_module):  # type: ignore[arg-type]
        figures = made.pop()
        assert set(figures.loads.latencies()) >= {B.address}
        figures.answers(A, 0.01, 100)
        assert figures.prefers(B, A)
        figures.answers(A, 0.0001, 1000)
        assert figures.prefers(A, B)


def test_an_exception_at_any_place_of_an_exchange_leaves_nothing_in_flight() -> None:
    def answer(sock: socket.socket) -> None:
        while (asked := read_request(sock)) is not None:
            sock.sendall(ok(asked[1]))

    with Server(answer) as server:
        node, pools = server.node(), Pools(2)
        in_flight = AllPools(pools).in_flight
        loads = Loads(in_flight, time.monotonic)
        sender = Sender(ClusterConfig("h"), pools)
        during: list[int] = []
        original = Connection.exchange

        def exchange(connection: Connection, *parts: Any, **settings: Any) -> Answer:
            during.append(in_flight(node))
            return original(connection, *parts, **settings)

        def send() -> None:
            attempts = World(loads=loads).attempts(READS["get"])
            sender.exchange(node, build_head("a.B", "h", 2), b"{}", attempts)

        def attempt(tracer: Tracer) -> bool:
            with contextlib.suppress(Interruption), tracer:
                send()
            assert in_flight(node) == 0
            return tracer.came

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Connection, "exchange", exchange)
            send()
            assert during == [1]
        assert loads.latencies()[node.address].keys() == {GET}
        assert len(list(instructions(attempt))) > 100
        send()
        pools.close()


# ---- shares ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("users", [1, 3, 16])
@pytest.mark.parametrize("nodes", [2, 3, 5, 12])
def test_a_node_with_ten_times_the_latency_gets_at_most_a_fifth_of_its_share(nodes: int, users: int) -> None:
    world = Simulation(nodes)
    world.run(12.0, users)
    assert 0 < world.share() <= 1 / nodes / 5
    fair = 1 / (nodes - 1)
    assert all(0.9 * fair < world.share(number) < 1.1 * fair for number in range(1, nodes))


@pytest.mark.parametrize("users", [1, 16])
@pytest.mark.parametrize("nodes", [2, 3, 12])
def test_equal_nodes_get_equal_shares(nodes: int, users: int) -> None:
    chance = random.Random(3)

    def takes(number: int, operation: str, now: float) -> float:
        """Now and then one takes fifty times as long."""
        return 0.004 * chance.lognormvariate(0.0, 0.4) * (50.0 if chance.random() < 0.001 else 1.0)

    world = Simulation(nodes, takes)
    world.run(10.0, users)
    assert all(0.7 < world.share(number) * nodes < 1.3 for number in range(nodes))


@pytest.mark.parametrize("users", [1, 16])
def test_a_node_that_becomes_slow_is_soon_seen_and_one_that_is_fast_again_within_ten_seconds(users: int) -> None:
    slow_from, slow_to = 1005.0, 1025.0
    world = Simulation(3, lambda number, _, now: 0.04 if number == 0 and slow_from <= now < slow_to else 0.004)
    world.run(5.0, users)
    assert 0.3 < world.share() < 0.37
    world.sent.clear()
    world.run(20.0, users)
    assert world.share() < 1 / 15
    world.run(10.0, users)
    world.sent.clear()
    world.run(5.0, users)
    assert 0.3 < world.share() < 0.37


@pytest.mark.parametrize("users", [1, 16])
@pytest.mark.parametrize("nodes", [2, 3, 12])
def test_a_node_that_fails_at_once_counts_as_slow(nodes: int, users: int) -> None:
    world = Simulation(nodes, lambda number, operation, now: None if number == 0 and now < 1030.0 else 0.004)
    world.run(30.0, users)
    assert 0 < world.share() <= 1 / nodes / 5
    world.run(10.0, users)
    world.sent.clear()
    world.run(5.0, users)
    assert 0.8 / nodes < world.share() < 1.2 / nodes


@pytest.mark.parametrize(
    ("nodes", "users", "seconds"), [(2, 1, 0.5), (3, 1, 5.0), (3, 4, 15.0), (12, 1, 5.0), (12, 16, 0.5)]
)
def test_after_a_time_in_which_all_nodes_fail_all_is_as_before(nodes: int, users: int, seconds: float) -> None:
    fail_until = 1002.0 + seconds
    world = Simulation(nodes, lambda number, operation, now: None if 1002.0 <= now < fail_until else 0.004)
    world.run(2.0 + seconds, users, pause=0.001)
    world.run(10.0, users)
    world.sent.clear()
    world.run(5.0, users)
    assert all(0.6 < world.share(number) * nodes < 1.4 for number in range(nodes))
    world.takes = lambda number, operation, now: 0.04 if number == 0 else 0.004
    world.run(2.0, users)
    world.sent.clear()
    world.run(10.0, users)
    assert 0 < world.share() <= 1 / nodes / 5


@pytest.mark.parametrize("users", [1, 4])
@pytest.mark.parametrize("nodes", [2, 3, 5, 12])
@pytest.mark.parametrize("seconds", [0.02, 0.1])
def test_so_it_is_where_each_answer_takes_long(nodes: int, users: int, seconds: float) -> None:
    """The slow node is tried at longer intervals then, but within ten seconds."""
    world = Simulation(nodes, lambda number, operation, now: 10 * seconds if number == 0 else seconds)
    world.run(20.0, users)
    world.sent.clear()
    world.run(6000 * seconds, users)
    assert 600 * seconds < world.sent[0] <= world.sent.total() / nodes / 5


def test_a_slow_operation_makes_no_node_slow() -> None:
    """Scans take long everywhere, and on the first node queries do: its share of the rest is as usual."""

    def takes(number: int, operation: str, now: float) -> float:
        return {"Scan": 0.1, "Query": 0.05 if number == 0 else 0.005}.get(operation, 0.004)

    world = Simulation(3, takes)
    world.run(10.0, 10, ("Query", "Query"))
    assert world.share() < 1 / 15
    world.sent.clear()
    world.run(10.0, 1, ("GetItem",))
    assert 0.3 < world.share() < 0.37
    world.sent.clear()
    world.run(20.0, 10, ("GetItem", "Scan"))
    assert 0.25 < world.share() < 0.4


@pytest.mark.parametrize("users", [1, 16])
@pytest.mark.parametrize("copies", [2, 3])
def test_a_slow_replica_gets_at_most_a_fifth_of_its_share(copies: int, users: int) -> None:
    """All requests are reads of keys that the first nodes hold."""
    replicas = Replicas(1000)
    world = Simulation(6, replicas=replicas)
    world.tables.register("t", "id")
    holders = world.nodes[:copies]
    ring = make_ring([TokenRange(-(2**63), 2**63 - 1, (node.host, ANY_PORT)) for node in holders], 1.0)
    assert ring is not None
    replicas.publish("t", ring)
    world.run(12.0, users)
    assert set(world.sent) == set(range(copies))
    assert 0 < world.share() <= 1 / copies / 5


def test_few_requests_are_spread_too() -> None:
    """One each second: what is known of a node has nearly faded when the next one comes."""
    world = Simulation(3, lambda number, operation, now: 0.004)
    world.run(3000.0, 1, pause=1.0)
    assert all(0.28 < world.share(number) < 0.39 for number in range(3))


def test_figures_stay_valid_in_any_order_of_answers() -> None:
    chance = random.Random(11)
    figures = Figures()
    for _ in range(3000):
        node = chance.choice([A, B, C])
        figures.now += chance.choice([0.0, 1e-6, 0.01, 1.0, 20.0])
        action = chance.randrange(4)
        if action == 0:
            figures.loads.failed(node, GET)
        elif action == 1:
            figures.loads.ended(node, GET, figures.now - chance.expovariate(100.0), None)
        else:
            figures.answers(node, chance.expovariate(100.0))
        figures.in_flight[node] = chance.randrange(60)
        for first, second in itertools.permutations([A, B, C], 2):
            assert not (figures.prefers(first, second) and figures.prefers(second, first))
