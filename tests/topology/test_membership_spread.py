"""What requests see of nodes in their slow start and of the subset: which nodes, when it changes, and the signals."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pynamodb_alternator.settings.scopes import DatacenterScope, RackScope
from pynamodb_alternator.topology import membership as membership_module
from pynamodb_alternator.topology import published, slow_start, subset
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.subset import rendezvous
from pynamodb_alternator.topology.view import ring_order

from .fakes import FakeNetwork, World, hosts
from .interrupting import interruptions

N1, N2, N3, N4 = (f"10.0.0.{number}" for number in (1, 2, 3, 4))


def world_of(count: int = 3, **settings: Any) -> World:
    places = {f"10.0.0.{number}": ("dc1", f"r{number % 3 + 1}") for number in range(1, count + 1)}
    world = World(FakeNetwork(**places), **settings)
    world.start()
    return world


def pass_time(world: World, seconds: float) -> None:
    world.clock.now += seconds
    world.membership.review(world.clock())


def starting(world: World) -> dict[str, float]:
    return {node.host: share for node, share in world.membership.view.starting.items()}


def settled(world: World) -> list[str]:
    return hosts(world.membership.view.settled)


class TestSlowStart:
    def test_no_node_of_the_first_list_starts_slowly(self) -> None:
        view = world_of().membership.view
        assert (dict(view.starting), view.settled, view.subset) == ({}, (), ())

    def test_one_that_returns_does_and_its_share_grows_as_time_passes(self) -> None:
        world = world_of()
        world.down(N2)
        assert starting(world) == {}
        world.up(N2)
        assert (starting(world), settled(world)) == ({N2: 1 / 11}, [N1, N3])
        for half_seconds in range(1, 20):
            pass_time(world, 0.5)
            assert starting(world) == {N2: (half_seconds // 2 + 1) / 11}
        pass_time(world, 0.5)
        assert (starting(world), settled(world), world.membership.review(world.clock())) == ({}, [], None)

    def test_review_returns_when_the_share_grows_next(self) -> None:
        world = world_of()
        world.down(N2)
        world.up(N2)
        began = world.clock()
        assert world.membership.review(began) == began + 1.0
        world.clock.now += 3.5
        assert world.membership.review(world.clock()) == began + 4.0

    def test_one_that_joins_does(self) -> None:
        world = world_of()
        world.network.places[N4] = ("dc1", "r1")
        world.membership.refresh()
        assert starting(world) == {}  # it has not answered a probe, and gets nothing
        world.prove_all()
        assert (starting(world), settled(world)) == ({N4: 1 / 11}, [N1, N2, N3])

    def test_without_a_monitor_one_that_joins_starts_when_it_is_proven(self) -> None:
        world = world_of(monitor=False)
        assert starting(world) == {}
        world.network.places[N4] = ("dc1", "r1")
        world.membership.refresh()
        world.prove_all()
        assert starting(world) == {N4: 1 / 11}

    def test_a_seed_that_was_down_at_the_start_does(self) -> None:
        network = FakeNetwork(**{N1: ("dc1", "r1"), N2: ("dc1", "r1")})
        network.dead.add(N2)
        world = World(network, [N1, N2])
        world.start()
        world.down(N2)
        world.up(N2)
        assert starting(world) == {N2: 1 / 11}

    def test_where_none_is_settled_none_starts(self) -> None:
        world = world_of()
        world.down(N1, N2, N3)
        world.up(N1)
        world.up(N2)
        assert (starting(world), settled(world)) == ({}, [])
        world.up(N3)
        pass_time(world, 5.0)
        assert starting(world) == {}

    @pytest.mark.parametrize(("period", "expected"), [(0, {}), (2.0, {N2: 6 / 11})])
    def test_the_period_is_a_setting(self, period: float, expected: dict[str, float]) -> None:
        world = world_of(slow_start=period)
        world.down(N2)
        world.up(N2)
        pass_time(world, 1.0)
        assert starting(world) == expected

    def test_a_node_that_is_set_aside_takes_no_turns_of_others(self) -> None:
        world = world_of(4)
        world.down(N2)
        world.up(N2)
        world.fail_answers(N3)
        assert settled(world) == [N1, N4]

    def test_requests_with_a_scope_of_their_own_see_it_too(self) -> None:
        world = world_of(6, routing_scope=RackScope("dc1", "r1", fallback=DatacenterScope("dc1")))
        world.down(N3)
        world.up(N3)
        assert (starting(world), settled(world)) == ({N3: 1 / 11}, ["10.0.0.6"])
        seen = world.membership.view_for(DatacenterScope("dc1"))
        assert hosts(seen.settled) == [N1, N2, N4, "10.0.0.5", "10.0.0.6"]

    def test_nodes_tell_it(self) -> None:
        world = world_of()
        world.down(N2)
        world.up(N2)
        pass_time(world, 3.0)
        infos = {node.address.split(":")[0]: node for node in world.membership.nodes()}
        assert (infos[N2].starts_for, infos[N2].share) == (7.0, 4 / 11)
        assert (infos[N1].starts_for, infos[N1].share) == (None, 1.0)

    def test_an_exception_between_any_two_lines_leaves_nothing_that_does_not_pass(self) -> None:
        def prepared() -> Any:
            world = world_of()
            world.down(N2)
            world.up(N2)
            world.clock.now += 4.0
            worlds.append(world)
            return lambda: world.membership.review(world.clock())

        worlds: list[World] = []
        for _ in interruptions(prepared, membership_module, published, slow_start):
            world = worlds.pop()
            pass_time(world, 1.0)
            assert starting(world).get(N2, 1.0) >= 5 / 11
            pass_time(world, 10.0)
            assert starting(world) == {}


class TestSubset:
    def ranked(self, world: World, number: int) -> tuple[Node, ...]:
        return rendezvous(world.membership.view.topology.nodes, str(number))

    def test_it_is_the_first_nodes_in_the_order_of_the_process(self) -> None:
        world = world_of(9, subset=3, process_number=5)
        view = world.membership.view
        assert view.subset == view.spread_over == ring_order(self.ranked(world, 5)[:3])
        assert len(view.topology.nodes) == 9

    def test_a_node_that_is_down_leaves_its_place_to_the_next_until_it_is_back_and_has_started(self) -> None:
        world = world_of(9, subset=3, process_number=5)
        ranked = self.ranked(world, 5)
        world.down(ranked[1].host)
        assert set(world.membership.view.subset) == {ranked[0], *ranked[2:4]}
        world.up(ranked[1].host)
        view = world.membership.view
        assert set(view.subset) == set(ranked[:4])
        assert view.settled == ring_order((ranked[0], *ranked[2:4]))
        pass_time(world, 10.0)
        assert set(world.membership.view.subset) == set(ranked[:3])

    def test_a_scope_with_fewer_nodes_is_used_as_a_whole(self) -> None:
        world = world_of(
            9, subset=3, process_number=5, routing_scope=RackScope("dc1", "r1", fallback=DatacenterScope("dc1"))
        )
        view = world.membership.view
        assert (view.subset, len(view.spread_over)) == ((), 3)
        wide = world.membership.view_for(DatacenterScope("dc1"))
        assert len(wide.subset) == 3
        world.down(*hosts(view.topology.nodes))
        assert len(world.membership.view.subset) == 3  # of the fallback
        assert not set(world.membership.view.subset) & world.membership.view.down

    def test_nodes_tell_it(self) -> None:
        world = world_of(9, subset=3, process_number=5)
        used = {node.address for node in self.ranked(world, 5)[:3]}
        assert {node.address for node in world.membership.nodes() if node.in_subset} == used
        assert all(node.in_subset for node in world_of().membership.nodes())

    def test_a_forked_child_has_another_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = world_of(30, subset=3, process_number=5)
        before, own_pid = world.membership.view.subset, os.getpid()
        world.membership.after_fork()
        assert world.membership.view.subset == before
        monkeypatch.setattr(subset.os, "getpid", lambda: own_pid + 1)
        world.membership.after_fork()
        assert len(world.membership.view.subset) == 3
        assert world.membership.view.subset != before
