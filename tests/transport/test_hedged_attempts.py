"""The accounts of a read of which two attempts are under way: no socket, no thread, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from pynamodb_alternator import signals
from pynamodb_alternator.errors import ConnectionLostError, NodeUnreachableError, PoolTimeoutError
from pynamodb_alternator.settings.values import Hedge, Retries, Timeouts
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.budget import RetryBudget
from pynamodb_alternator.transport.hedged_attempts import HedgedAttempts
from pynamodb_alternator.transport.hedging import RESERVE, Hedging

from .request_world import OK, PAGE, READS, SHED, SICK, A, B, C, World

SOON = Hedge(after=0.05)


def lost(node: Node = A) -> ConnectionLostError:
    return ConnectionLostError("it broke", node=node.address)


def attempts(
    world: World,
    hedge: Hedge = SOON,
    has_room: Callable[[Node], bool] = lambda _: True,
    **settings: Any,
) -> HedgedAttempts:
    operation, parameters = READS["get"]
    settings = {"timeouts": Timeouts(), "retries": Retries(), **settings}
    return HedgedAttempts(
        world.environment, operation, parameters, hedge=hedge, has_room=has_room, started=world.now, **settings
    )


def begin(world: World, **settings: Any) -> HedgedAttempts:
    request = attempts(world, **settings)
    assert request.next() == A
    return request


def test_the_hedge_goes_to_the_next_node_and_the_first_becomes_a_suspect() -> None:
    world = World()
    request = begin(world)
    first = request.first()
    assert (first.node, first.is_hedge, request.hedge_at) == (A, False, world.now + 0.05)
    hedge = request.hedge()
    assert hedge is not None
    assert (hedge.node, hedge.is_hedge, request.hedge_at, request.count) == (B, True, math.inf, 2)
    assert world.membership.said == [("suspect", A, True)]
    assert request.answered(OK)
    assert world.membership.said[1:] == [("succeeded", B, 0)]
    counts = world.environment.counts
    assert {address: (of.answers, of.failures) for address, of in counts.items()} == {B.address: (1, 0)}


@pytest.mark.parametrize(
    ("end", "expected"),
    [("hedge", "won"), ("first", "lost"), ("both fail", "lost"), ("none", None)],
)
def test_what_the_signals_say(end: str, expected: str | None) -> None:
    world = World()
    receive = lambda *_, **__: None  # noqa: E731
    heard = signals.request_completed.connected_to(receive), signals.request_routed.connected_to(receive)
    with heard[0], heard[1], begin(world) as request:
        first = request.first()
        hedge = None if end == "none" else request.hedge()
        if end == "both fail":
            assert hedge is not None
            request.failed_beside(first, lost(), hedge)
            request.failed(lost(B))
            assert request.next() == C
            assert request.first().node == C
            assert request.hedge_at == math.inf, "one hedge in a call"
        else:
            request.turn_to(hedge if end == "hedge" and hedge is not None else first)
        assert request.answered(OK)
    name, done = world.told[-1]
    assert (name, done["hedge"], done["node"]) == (
        "request-completed",
        expected,
        {"hedge": B, "first": A, "both fail": C, "none": A}[end].address,
    )
    routed = [(of["node"], of["attempt"], of["hedge"]) for name, of in world.told if name == "request-routed"]
    assert routed[: 2 if hedge else 1] == [(A.address, 1, False), (B.address, 2, True)][: 2 if hedge else 1]


@pytest.mark.parametrize(("sends", "expected"), [(1, False), (2, True), (4, True)])
def test_a_hedge_is_one_of_the_attempts(sends: int, expected: bool) -> None:
    world = World()
    request = begin(world, retries=Retries(max_attempts=sends))
    request.first()
    assert (request.hedge() is not None) == expected
    assert bool(world.membership.said) == expected


def test_after_as_many_attempts_as_there_may_be_the_error_of_the_last_one_is_raised() -> None:
    request = begin(World(), retries=Retries(max_attempts=2))
    first, hedge = request.first(), request.hedge()
    assert hedge is not None
    request.failed_beside(first, lost(), hedge)
    with pytest.raises(ConnectionLostError) as raised:
        request.failed(lost(B))
    assert raised.value.nodes_tried == (A.address, B.address)


@pytest.mark.parametrize("answer", [SHED, SICK, PAGE])
def test_an_answer_that_settles_nothing_leaves_it_to_the_other(answer: Any) -> None:
    world = World()
    request = begin(world, retries=Retries(max_attempts=2))
    first, hedge = request.first(), request.hedge()
    assert hedge is not None
    assert request.settles(OK)
    assert not request.settles(answer)
    request.answered_beside(first, answer, hedge)
    assert (request.node, request.result) == (B, None)
    assert request.answered(OK)
    assert request.result is OK


def test_it_takes_no_node_without_room_that_is_down_or_that_keeps_others_waiting() -> None:
    ring = (A, B, C)
    for excluded in ring[1:]:
        (left,) = {B, C} - {excluded}
        world = World()
        world.membership.take_down(excluded)
        request = begin(world)
        request.first()
        hedge = request.hedge()
        assert hedge is not None
        assert hedge.node == left
        request = begin(World(), has_room=lambda node, excluded=excluded: node != excluded)
        request.first()
        hedge = request.hedge()
        assert hedge is not None
        assert hedge.node == left
    world = World()
    request = begin(world)
    request.first()
    for node in (B, C):
        world.membership.suspect(node, hedged=True)
    assert request.hedge() is None
    # They are left for the attempts that follow, if the first one fails.
    request.failed(lost())
    assert request.next() == B


def test_without_a_free_connection_it_is_asked_for_again_and_the_first_is_a_suspect() -> None:
    world, full = World(), {B, C}
    request = begin(world, has_room=lambda node: node not in full)
    request.first()
    pauses = []
    for _ in range(9):
        world.now = request.hedge_at
        assert request.hedge() is None
        assert world.membership.said == [("suspect", A, True)]
        pauses.append(request.hedge_at - world.now)
    assert pauses[0] == pytest.approx(0.002)
    assert max(pauses) == pytest.approx(0.02)
    world.membership.take_down(B)
    full.clear()
    world.now = request.hedge_at
    hedge = request.hedge()
    assert hedge is not None
    assert (hedge.node, request.hedge_at, request.count) == (C, math.inf, 2)
    assert world.membership.said == [("suspect", A, True)]


def test_alone_it_is_asked_once() -> None:
    world = World((A,))
    request = begin(world)
    request.first()
    assert request.hedge() is None
    assert request.hedge_at == math.inf
    assert world.membership.said == [("suspect", A, True)]


def test_a_hedge_whose_connection_others_took_is_asked_for_again() -> None:
    world = World()
    request = begin(world)
    first, hedge = request.first(), request.hedge()
    assert hedge is not None
    request.failed_beside(hedge, PoolTimeoutError("full"), first)
    assert world.now < request.hedge_at < world.now + 0.01
    again = request.hedge()
    assert again is not None
    assert (again.node, request.count) == (C, 2)
    request.failed_beside(again, lost(C), first)
    assert request.hedge_at == math.inf
    assert world.membership.said[0] == ("suspect", A, True)
    request.failed(lost())
    assert request.next() == B  # which was full, and is waited for
    assert request.pool_wait > 0.0


def test_it_waits_for_no_connection() -> None:
    request = begin(World(), timeouts=Timeouts(pool=7.0), has_room=lambda node: node != C)
    request._has_room = None  # a plan that is bound to its nodes: each is waited for
    request.pool_wait = 7.0
    first, hedge = request.first(), request.hedge()
    assert hedge is not None
    assert request.pool_wait == 0.0
    request.failed_beside(hedge, NodeUnreachableError("refused"), first)
    request.failed(lost())
    assert request.next() == C
    assert request.pool_wait == 7.0


def test_a_full_pool_does_not_count_as_an_attempt() -> None:
    request = begin(World())
    first, hedge = request.first(), request.hedge()
    assert hedge is not None
    request.failed_beside(hedge, PoolTimeoutError("full"), first)
    assert (request.node, request.count) == (A, 1)
    assert request.answered(OK)


def test_the_budget_is_asked_last() -> None:
    world = World()
    for _ in range(RESERVE):
        request = begin(world, hedge=Hedge(after=0.05, max_extra=0.0), retries=Retries(max_attempts=3))
        request._order = iter([B])
        request.first()
        assert request.hedge() is not None
        world.membership.view = World().membership.view
    world.membership.said.clear()
    request = begin(world, hedge=Hedge(after=0.05, max_extra=0.0))
    request.first()
    assert request.hedge() is None
    assert world.membership.said == []
    request.failed(lost())
    assert request.next() == B


def test_the_other_goes_on_where_no_retry_would() -> None:
    world = World(budget=RetryBudget(ratio=0.0, reserve=0.0))
    request = begin(world)
    first, hedge = request.first(), request.hedge()
    assert hedge is not None
    request.failed_beside(first, lost(), hedge)
    with pytest.raises(ConnectionLostError):
        request.failed(lost(B))


@pytest.mark.parametrize(("ends", "expected"), [("hedge wins", 3.0), ("first fails beside", 3.0), ("retried", 2.0)])
def test_how_long_an_answer_took(ends: str, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(Hedging, "answered", lambda self, operation, seconds: told.append(seconds))
    world = World()
    request = begin(world)
    first = request.first()
    world.now += 1.0
    if ends == "retried":
        request.failed(lost())
        assert request.next() == B
        request.first()
    else:
        hedge = request.hedge()
        assert hedge is not None
        if ends == "first fails beside":
            request.failed_beside(first, lost(), hedge)
    world.now += 2.0
    assert request.answered(OK)
    assert told == [pytest.approx(expected)]


def test_p99_needs_answers() -> None:
    world = World()
    for _ in range(100):
        request = begin(world, hedge=Hedge())
        request.first()
        assert request.hedge_at == math.inf
        world.now += 0.02
        assert request.answered(OK)
        world.environment.router.plan = lambda *_, **__: World().environment.router.plan("GetItem", {}, None)  # type: ignore[method-assign,arg-type]
    request = begin(world, hedge=Hedge())
    request.first()
    assert request.hedge_at == pytest.approx(world.now + 0.02)
