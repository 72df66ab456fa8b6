"""Nodes that are set aside: what requests, people and signals see, and that the nodes return."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.topology import answer_book, published, set_aside
from pynamodb_alternator.topology import membership as membership_module
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.set_aside import PERIOD, TRIAL

from .fakes import FakeNetwork, World, hosts
from .interrupting import interruptions

N1, N2, N3 = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def three(**settings: object) -> World:
    world = World(FakeNetwork(**{N1: ("dc1", "r1"), N2: ("dc1", "r1"), N3: ("dc1", "r2")}), **settings)
    world.start()
    return world


@pytest.fixture
def world() -> World:
    return three()


def pass_time(world: World, seconds: float) -> None:
    world.clock.now += seconds
    world.membership.review(world.clock())


def test_a_node_whose_answers_fail_is_set_aside_and_stays_active_and_in_the_ring(world: World) -> None:
    topology = world.membership.view.topology
    world.fail_answers(N2)
    view = world.membership.view
    assert hosts(view.set_aside) == [N2]
    assert view.topology is topology
    assert (view.down, view.quarantined, view.returning) == (frozenset(), frozenset(), frozenset())
    assert world.state(N2) is State.ACTIVE
    assert world.listener.suspicions == []


def test_signals_say_why_and_for_how_long_a_node_is_set_aside(world: World) -> None:
    world.fail_answers(N2)
    assert world.listener.told == [
        (
            "node-set-aside",
            {"node": f"{N2}:8000", "error": "status 503", "answers": 20, "failed": 20, "period": 5.0, "times": 1},
        )
    ]
    pass_time(world, PERIOD)
    assert world.listener.of("node-restored") == [{"node": f"{N2}:8000", "set_aside_for": PERIOD}]


def test_nodes_show_that_they_are_set_aside(world: World) -> None:
    world.fail_answers(N2)
    world.clock.now += 2.0
    info = {node.address: node for node in world.membership.nodes()}[f"{N2}:8000"]
    assert (info.set_aside_for, info.condition) == (3.0, "set_aside")
    assert info.set_aside_because == "20 of its last 20 answers failed: status 503"
    others = [node for node in world.membership.nodes() if node is not info and node.address != info.address]
    assert {(node.set_aside_for, node.set_aside_because, node.condition) for node in others} == {(None, None, "active")}


def test_it_returns_in_two_steps(world: World) -> None:
    world.fail_answers(N2)
    pass_time(world, PERIOD - 0.1)
    assert hosts(world.membership.view.set_aside) == [N2]
    pass_time(world, 0.2)
    view = world.membership.view
    assert (hosts(view.set_aside), hosts(view.returning)) == ([], [N2])
    assert hosts(view.seen_by(is_read=True, may_repeat=False).set_aside) == [N2]
    pass_time(world, TRIAL)
    assert world.membership.view.returning == frozenset()


def test_a_request_with_a_scope_of_its_own_sees_it() -> None:
    world = three(routing_scope=RackScope("dc1", "r1", DatacenterScope("dc1", ClusterScope())))
    world.fail_answers(N1)
    assert hosts(world.membership.view_for(DatacenterScope("dc1")).set_aside) == [N1]


def test_the_only_node_of_a_rack_is_not_set_aside() -> None:
    world = three(routing_scope=RackScope("dc1", "r2", DatacenterScope("dc1")))
    world.fail_answers(N3, times=100)
    assert world.membership.view.set_aside == frozenset()


def test_no_node_is_set_aside_if_all_fail_alike(world: World) -> None:
    world.fail_answers(N1, N2, N3, times=200)
    assert world.membership.view.set_aside == frozenset()
    assert world.listener.told == []


def test_health_goes_on_meanwhile(world: World) -> None:
    world.fail_answers(N2)
    world.down(N2)
    assert hosts(world.membership.view.down) == hosts(world.membership.view.set_aside) == [N2]
    info = {node.address: node for node in world.membership.nodes()}[f"{N2}:8000"]
    assert info.condition == "down"
    world.up(N2)
    assert world.membership.view.down == frozenset()
    assert hosts(world.membership.view.set_aside) == [N2]


def test_a_list_that_is_read_meanwhile_changes_nothing(world: World) -> None:
    world.fail_answers(N2)
    before = world.membership.view.topology
    assert world.membership.refresh()
    assert world.membership.view.topology is before
    assert hosts(world.membership.view.set_aside) == [N2]


def test_if_half_would_not_be_left_when_nodes_leave_it_returns(world: World) -> None:
    world.fail_answers(N2)
    del world.network.places[N1]
    del world.network.places[N3]
    world.network.dead.update([N1, N3])
    assert world.membership.refresh()
    assert world.in_scope == [N2]
    assert world.membership.view.set_aside == frozenset()
    assert [payload["node"] for payload in world.listener.of("node-restored")] == [f"{N2}:8000"]


def test_a_node_that_is_not_a_member_any_more_is_not_judged(world: World) -> None:
    gone = world.node(N3)
    del world.network.places[N3]
    assert world.membership.refresh()
    for _ in range(50):
        world.answers[gone] += 1
        world.membership.answer_failed(gone, "status 503")
    world.fail_answers()
    assert world.membership.view.set_aside == frozenset()


def test_while_none_is_set_aside_a_review_takes_no_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.membership, "_lock", None)
    world.membership.review(world.clock())


@pytest.mark.parametrize("moment", ["set aside", "return"])
def test_an_exception_at_any_place_heals_with_the_next_reading(moment: str) -> None:
    worlds: list[World] = []

    def prepare() -> Callable[[], object]:
        world = three()
        worlds.append(world)
        world.fail_answers(N2, times=19)
        node = world.node(N2)
        world.answers[node] += 1
        if moment == "set aside":
            return lambda: world.membership.answer_failed(node, "status 503")
        world.membership.answer_failed(node, "status 503")
        world.clock.now += PERIOD
        return lambda: world.membership.review(world.clock())

    places = 0
    for _ in interruptions(prepare, membership_module, answer_book, set_aside, published):
        world = worlds.pop()
        places += 1
        assert world.membership.refresh()
        view, shown = world.membership.view, world.membership.nodes()
        assert hosts(view.set_aside) == [
            node.address.removesuffix(":8000") for node in shown if node.set_aside_for is not None
        ]
        pass_time(world, PERIOD)
        pass_time(world, TRIAL)
        assert world.membership.view.set_aside == world.membership.view.returning == frozenset()
        world.clock.now += 100.0
        world.fail_answers(N2)
        assert hosts(world.membership.view.set_aside) == [N2]
    assert places > 20
