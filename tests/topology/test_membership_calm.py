"""What a membership does of the rules of calm: over a fake network, with time that is the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope
from pynamodb_alternator.settings.values import Discovery
from pynamodb_alternator.topology.health import State

from .fakes import FakeNetwork, World, hosts

N1, N2, N3, N4 = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"
MANY = [f"10.0.1.{number}" for number in range(1, 101)]


def world_of(*names: str, seeds: Any = None, **settings: Any) -> World:
    return World(FakeNetwork(**dict.fromkeys(names, ("dc1", "r1"))), seeds, **settings)


def due(world: World, name: str) -> float:
    """Seconds until the node is probed."""
    return world.membership.snapshot().next_probes[world.node(name)] - world.clock()


class TestProbesOfADeadNode:
    def test_they_back_off_while_others_serve(self) -> None:
        world = world_of(N1, N2, N3)
        world.start()
        world.down(N2)
        for least, most in ((0.5, 1.5), (1.0, 3.0), (2.75, 8.25), (2.75, 8.25)):
            assert least <= due(world, N2) <= most
            world.clock.now += due(world, N2)
            assert not world.membership.probe(world.node(N2), 1.0)

    def test_one_that_goes_silent_has_others_probed_and_one_that_refuses_has_not(self) -> None:
        world = world_of(*MANY)
        world.start()
        world.down(MANY[0])
        assert world.membership.suspects() == ()
        world.network.silent.update(MANY[1:3])
        node = world.node(MANY[1])
        world.membership.failed(node, 0, OSError("traffic failed"))
        world.membership.probe(node, 1.0)
        suspects = set(world.membership.suspects())
        assert len(suspects) == 8
        assert suspects.isdisjoint(map(world.node, MANY[:2]))  # which are down already
        for suspect in suspects - {world.node(MANY[2])}:
            assert world.membership.probe(suspect, 1.0)
        world.membership.suspect(world.node(MANY[2]))
        assert not world.membership.probe(world.node(MANY[2]), 1.0)
        assert len(world.membership.suspects()) == 8  # it has others probed in turn
        assert sorted(world.listener.cut) == sorted(MANY[:3])

    def test_they_do_not_while_none_serves(self) -> None:
        world = world_of(N1, N2)
        world.start()
        world.down(N1, N2)
        for _ in range(6):
            assert not world.membership.probe(world.node(N2), 1.0)
            assert due(world, N2) <= 1.5

    def test_the_last_node_that_serves_goes_down_and_the_others_are_probed_soon(self) -> None:
        world = world_of(N1, N2)
        world.start()
        world.down(N2)
        for _ in range(5):
            world.membership.probe(world.node(N2), 1.0)
        assert due(world, N2) > 1.5
        world.down(N1)
        assert due(world, N2) <= 0.75

    def test_a_request_that_has_no_other_node_has_them_probed_soon(self) -> None:
        world = world_of(N1, N2)
        world.start()
        world.down(N2)
        for _ in range(5):
            world.membership.probe(world.node(N2), 1.0)
        assert not world.membership.needed([world.node(N2)]), "it has to answer more than once"
        assert due(world, N2) <= 0.75

    def test_a_node_that_the_cluster_lists_again_is_probed_soon(self) -> None:
        """The nodes list those of which they know that they live."""
        world = world_of(N1, N2, N3)
        world.start()
        world.down(N2)
        for _ in range(5):
            world.membership.probe(world.node(N2), 1.0)
        del world.network.places[N2]
        assert world.membership.refresh()
        assert world.membership.probes_due(world.clock() + 100) == []
        world.network.places[N2] = ("dc1", "r1")
        assert world.membership.refresh()
        assert due(world, N2) <= 0.75

    def test_a_node_that_came_back_starts_with_short_intervals(self) -> None:
        world = world_of(N1, N2, N3)
        world.start()
        for _ in range(2):
            world.down(N2)
            world.membership.probe(world.node(N2), 1.0)
            assert 1.0 <= due(world, N2) <= 3.0
            world.up(N2)


class TestNewNodes:
    def test_eight_are_probed_at_the_start_seeds_included(self) -> None:
        world = world_of(*MANY, seeds=MANY[:3])
        world.membership.begin()
        world.probe_all()
        world.membership.refresh()
        world.probe_all()
        assert world.membership.probes_due(world.clock() + 100) == []
        assert len(world.network.asked("/")) - len(world.network.asked("/localnodes")) == 8
        view = world.membership.view
        assert (len(view.unproven), len(view.down), len(view.quarantined)) == (92, 92, 0)

    def test_of_many_seeds_eight_are_probed_and_then_a_few_more_if_none_answers(self) -> None:
        world = world_of(*MANY, seeds=MANY[:50])
        world.network.dead.update(MANY)
        world.membership.begin()
        world.probe_all()
        assert len(world.network.log) == 8
        for number in range(1, 4):
            assert not world.membership.refresh()
            assert len(world.membership.probes_due(world.clock())) == 2 * number

    def test_each_fallback_has_nodes_that_can_take_over(self) -> None:
        places = {**dict.fromkeys(MANY, ("dc1", "r1")), N1: ("dc2", "r1"), N2: ("dc2", "r1"), N3: ("dc2", "r1")}
        world = World(FakeNetwork(**places), MANY[:1], routing_scope=DatacenterScope("dc1", DatacenterScope("dc2")))
        world.membership.begin()
        world.probe_all()
        world.membership.refresh()
        world.probe_all()
        proven = world.membership.snapshot().members - world.membership.view.unproven
        assert len(proven & {world.node(name) for name in (N1, N2, N3)}) == 2

    def test_one_that_is_listed_later_is_probed_when_it_is_named(self) -> None:
        world = world_of(N1, N2)
        world.start()
        world.network.places[N3] = ("dc1", "r1")
        assert world.membership.refresh()
        node = world.node(N3)
        assert world.membership.probes_due(world.clock() + 100) == []
        assert node in world.membership.view.down
        world.membership.named(node)
        world.membership.named(node)
        assert world.listener.suspicions == [node]
        world.membership.probe(node, 1.0)
        assert world.membership.view.down == frozenset()

    def test_one_that_fails_the_probe_for_which_it_was_named_is_down(self) -> None:
        world = world_of(N1, N2)
        world.start()
        world.network.places[N3] = ("dc1", "r1")
        world.network.dead.add(N3)
        assert world.membership.refresh()
        world.membership.named(world.node(N3))
        world.membership.probe(world.node(N3), 1.0)
        assert world.state(N3) is State.DOWN
        assert world.membership.view.unproven == frozenset()

    def test_not_all_are_probed_in_the_second_in_which_all_are_named(self) -> None:
        world = world_of(*MANY, seeds=MANY[:1])
        world.start(probe=False)
        for node in tuple(world.membership.view.unproven):
            world.membership.named(node)
        assert len(world.listener.suspicions) == 3
        world.clock.now += 5.0
        for node in tuple(world.membership.view.unproven):
            world.membership.named(node)
        assert len(world.listener.suspicions) == 8

    def test_all_that_a_request_needs_are_probed(self) -> None:
        world = world_of(*MANY, seeds=MANY[:1])
        world.start(probe=False)
        nodes = world.membership.view.topology.nodes
        assert world.membership.needed(nodes)
        assert len(world.membership.suspects()) == 100

    def test_a_better_scope_is_used_again_even_if_no_request_names_its_nodes(self) -> None:
        scope = DatacenterScope("dc1", ClusterScope())
        world = World(FakeNetwork(**{N1: ("dc2", "r1")}), [N1], routing_scope=scope, discovery=Discovery(interval=1.0))
        world.start()
        world.network.places.update({N2: ("dc1", "r1"), N3: ("dc1", "r1"), N4: ("dc1", "r1")})
        for _ in range(8):
            world.clock.now += 1.0
            world.membership.refresh()
            world.probe_all()
        assert world.membership.view.topology.scope == scope
        assert len(world.membership.view.unproven) == 1, "two were enough"


class TestReadings:
    def test_from_the_second_one_on_any_node_is_asked(self) -> None:
        first, second = set(), set()
        for number in range(40):
            world = world_of(*MANY, seeds=MANY[:1])
            world.membership._discovery._random.seed(number)  # type: ignore[attr-defined]
            world.membership.begin()
            world.probe_all()
            world.membership.refresh()
            world.probe_all()
            world.membership.refresh()
            asked = world.network.asked("/localnodes")
            first.add(asked[0])
            second.add(asked[1])
        assert first == {MANY[0]}
        assert len(second) > 20

    def test_the_interval_grows_and_trouble_ends_that(self) -> None:
        world = world_of(N1, N2, N3, discovery=Discovery(interval=1.0, active_interval_max=30.0))
        world.start()
        pace = world.membership.pace
        for _ in range(12):
            world.clock.now += pace.interval
            assert world.membership.refresh()
        assert pace.interval == 30.0
        world.clock.now += 10.0
        node = world.node(N2)
        world.membership.failed(node, world.membership.generation(node), OSError("failed"))
        assert 10.0 <= pace.interval <= 11.0, "it is due within a second"
        assert world.membership.refresh()
        assert pace.interval == 1.0

    @pytest.mark.parametrize("what", ["joins", "fails", "is down"])
    def test_it_does_not_grow_while_something_happens(self, what: str) -> None:
        world = world_of(N1, N2, N3, discovery=Discovery(interval=1.0, active_interval_max=30.0))
        world.start()
        for _ in range(12):
            assert world.membership.refresh()
        if what == "joins":
            world.network.places[N4] = ("dc1", "r1")
        elif what == "fails":
            world.network.dead.update((N1, N2, N3))
        else:
            world.down(N2)
        for _ in range(2 if what == "fails" else 1):
            world.membership.refresh()
        assert world.membership.pace.interval == 1.0

    def test_a_node_that_is_not_proven_is_no_trouble(self) -> None:
        world = world_of(*MANY, seeds=MANY[:1], discovery=Discovery(interval=1.0, active_interval_max=30.0))
        world.start(probe=False)
        world.probe_all()
        for _ in range(20):
            assert world.membership.refresh()
        assert world.membership.pace.interval == 30.0


def test_the_list_alone_proves_no_node() -> None:
    world = world_of(N1, N2)
    world.network.ill[N1] = 503
    world.membership.begin()
    world.probe_all()
    for _ in range(3):
        assert world.membership.refresh()
    assert N1 in hosts(world.membership.view.down)


def test_a_seed_that_is_asked_for_lack_of_others_is_not_asked_for_long() -> None:
    world = world_of(*MANY, seeds=MANY[:1])
    world.membership.begin()
    world.membership.probe(world.node(MANY[0]), 1.0)
    for _ in range(5):
        assert world.membership.refresh()
    assert set(world.network.asked("/localnodes")) == {MANY[0]}
    world.probe_all()
    world.network.log.clear()
    for _ in range(5):
        assert world.membership.refresh()
    assert len(set(world.network.asked("/localnodes")) - {MANY[0]}) == 1
