"""A node list that has not changed costs nothing but its bytes: what is counted here is work, and not time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.topology import discovery, health_book, localnodes, membership, published
from pynamodb_alternator.topology.discovery import READINGS_PER_LOOK_OUTSIDE, READINGS_PER_SOURCE
from pynamodb_alternator.topology.node import Node

from .fakes import FakeListener, FakeNetwork, World, hosts

DC1 = {f"10.0.0.{number}": ("dc1", f"r{number % 3}") for number in range(1, 41)}
DC2 = {f"10.0.1.{number}": ("dc2", "r0") for number in range(1, 11)}
BOTH = ["10.0.0.1", "10.0.1.1"]
FIRST, LAST = "10.0.0.1", "10.0.0.40"


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each thing was done that costs more the more nodes there are."""
    done: Counter[str] = Counter()

    def counted(place: Any, name: str) -> None:
        stock = getattr(place, name)

        def call(*arguments: Any, **named: Any) -> Any:
            done[name] += 1
            return stock(*arguments, **named)

        monkeypatch.setattr(place, name, call)

    counted(discovery, "read_answer")
    counted(discovery, "SourceWalk")
    counted(localnodes.NodeFilter, "_make")
    counted(published, "next_view")
    counted(membership, "with_names")
    counted(health_book.HealthBook, "admit")
    counted(Node, "__hash__")
    # Which looks at all nodes.
    monkeypatch.setattr(FakeListener, "_unlocked", lambda listener: None)
    return done


def started(places: dict[str, tuple[str, str]], seeds: Any = None, **settings: Any) -> World:
    """A world whose readings have found everything that there is to find."""
    world = World(FakeNetwork(**places), seeds, **settings)
    world.start()
    settle(world)
    return world


def settle(world: World) -> None:
    for _ in range(READINGS_PER_LOOK_OUTSIDE + 2):
        read(world)


def read(world: World) -> None:
    world.clock.now += 1
    assert world.membership.refresh()


def read_in_vain(world: World, work: Counter[str], times: int = 1) -> None:
    """Read the lists so often, and see that nothing is done with them."""
    view, members = world.membership.view, world.membership.snapshot().members
    work.clear()
    for _ in range(times):
        read(world)
    seen = Counter(work)  # before the snapshot that follows
    assert world.membership.view is view
    assert world.membership.snapshot().members is members
    sources = seen.pop("__hash__", 0)
    assert seen == {}
    assert sources <= 12 * times, "work for each node"


class TestWhatNothingCosts:
    @pytest.mark.parametrize(
        "scope",
        [
            ClusterScope(),
            DatacenterScope("dc1"),
            RackScope("dc1", "r1", fallback=DatacenterScope("dc1", fallback=ClusterScope())),
        ],
        ids=str,
    )
    def test_the_same_bytes_are_not_even_parsed(self, scope: Any, work: Counter[str]) -> None:
        world = started(DC1, routing_scope=scope)
        read_in_vain(world, work, READINGS_PER_LOOK_OUTSIDE)

    def test_a_node_that_becomes_active_causes_no_new_reading(self, work: Counter[str]) -> None:
        world = started(DC1)
        world.network.places["10.0.0.50"] = ("dc1", "r0")
        settle(world)
        late = world.node("10.0.0.50")
        assert late in world.membership.view.unproven
        assert world.membership.probe(late, 1.0)
        view, members = world.membership.view, world.membership.snapshot().members
        assert late not in view.unproven
        work.clear()
        read(world)
        del work["__hash__"]
        assert dict(work) == {}
        assert world.membership.view is view
        assert world.membership.snapshot().members is members

    def test_each_list_is_asked_for_once(self) -> None:
        scope = RackScope("dc1", "r1", fallback=ClusterScope())
        world = started({**DC1, **DC2}, BOTH, routing_scope=scope)
        world.network.log.clear()
        read(world)
        # The rack, its datacenter, and each datacenter by itself.
        paths = [path for _, path in world.network.log]
        assert sorted(paths) == ["/localnodes"] * 2 + ["/localnodes?dc=dc1", "/localnodes?dc=dc1&rack=r1"]

    def test_what_is_told_of_it_stays_the_same(self) -> None:
        world = started(DC1)
        world.listener.clear()
        read(world)
        (told,) = world.listener.of("topology-refreshed")
        assert told["nodes"] == sorted(f"{host}:8000" for host in DC1)
        assert (told["added"], told["removed"]) == ([], [])
        assert world.listener.members == []
        told["nodes"].clear()  # a receiver may do what it likes with it
        read(world)
        assert len(world.listener.of("topology-refreshed")[1]["nodes"]) == len(DC1)

    def test_seeds_outside_are_looked_at_as_often_as_before(self, work: Counter[str]) -> None:
        world = started({**DC1, "10.0.9.1": ("dc9", "r")}, [FIRST, "10.0.9.1"], routing_scope=DatacenterScope("dc1"))
        work.clear()
        for _ in range(READINGS_PER_LOOK_OUTSIDE):
            read(world)
        assert work["SourceWalk"] == 2
        # A list that is read again makes no nodes.
        assert work["_make"] == work["next_view"] == 0

    def test_another_order_makes_no_nodes(self, work: Counter[str]) -> None:
        world = started(DC1)
        view = world.membership.view
        work.clear()
        world.network.places = dict(reversed(world.network.places.items()))
        read(world)
        assert (work["SourceWalk"], work["_make"], work["next_view"]) == (1, 0, 0)
        assert world.membership.view is view

    def test_a_node_that_comes_is_the_only_one_that_is_made(self, work: Counter[str]) -> None:
        world = started(DC1)
        work.clear()
        world.network.places["10.0.0.99"] = ("dc1", "r0")
        read(world)
        assert work["_make"] == 1
        assert "10.0.0.99" in hosts(world.membership.snapshot().members)


class TestWhatIsNoticedAllTheSame:
    @pytest.mark.parametrize("scope", [ClusterScope(), DatacenterScope("dc1")], ids=str)
    def test_a_node_that_comes_or_goes(self, scope: Any) -> None:
        world = started(DC1, routing_scope=scope)
        world.network.places["10.0.0.99"] = ("dc1", "r0")
        del world.network.places[LAST]
        read(world)
        assert hosts(world.membership.snapshot().members) == sorted({*DC1, "10.0.0.99"} - {LAST})
        assert world.listener.members[-1] == sorted({*DC1, "10.0.0.99"} - {LAST})

    def test_a_source_that_fails_is_asked_once_and_suspected(self) -> None:
        world = started(DC1)
        world.network.log.clear()
        read(world)
        (source,) = world.network.asked()
        world.network.dead.add(source)
        world.network.log.clear()
        world.listener.suspicions.clear()
        read(world)
        asked = world.network.asked()
        assert asked[0] == source
        assert len(asked) == len(set(asked)) == 2
        assert hosts(world.listener.suspicions) == [source]

    @pytest.mark.parametrize("answer", [b"[]", b"junk", (500, b""), b'["::1%x y"]'])
    def test_another_source_is_asked_after_a_wrong_answer(self, answer: Any) -> None:
        world = started(DC1)
        read(world)
        source = world.network.asked()[-1]
        world.network.answers[source] = answer
        world.network.log.clear()
        read(world)
        assert len(world.network.asked()) == 2
        assert hosts(world.membership.snapshot().members) == sorted(DC1)

    def test_a_node_that_goes_down_and_comes_back(self) -> None:
        world = started(DC1)
        world.down(LAST)
        read(world)
        assert hosts(world.membership.view.down) == [LAST]
        world.up(LAST)
        read(world)
        assert world.membership.view.down == frozenset()

    def test_a_state_that_did_not_reach_the_view_gets_there(self) -> None:
        """As an exception may leave it, between two lines."""
        world = started(DC1)
        node = world.node(LAST)
        world.membership.failed(node, 0, OSError("it fails"))
        view = world.membership.view
        world.down(LAST)
        world.membership._published._publish(view)  # type: ignore[attr-defined]
        assert world.membership.view.down == frozenset()
        read(world)
        assert hosts(world.membership.view.down) == [LAST]

    def test_a_source_is_used_for_no_longer_than_before(self) -> None:
        world = started({**DC1, **DC2}, BOTH)
        world.network.log.clear()
        for _ in range(2 * READINGS_PER_SOURCE + 2):
            read(world)
        assert len({host for host in world.network.asked() if host in DC1}) > 1
        assert len({host for host in world.network.asked() if host in DC2}) > 1

    def test_a_translator_may_return_another_address_later(self) -> None:
        moved = {"10.0.0.2": "10.9.0.2"}
        where: dict[str, str] = {}
        world = started({**DC1, "10.9.0.2": ("dc1", "r2")}, address_translator=lambda listed: where.get(listed, listed))
        where.update(moved)
        read(world)
        assert "10.0.0.2" not in hosts(world.membership.snapshot().members)

    def test_names_may_lead_elsewhere(self) -> None:
        network = FakeNetwork(**DC1)
        network.names["cluster.test"] = [FIRST]
        world = World(network, ["cluster.test"], scheme="https")
        world.start()
        settle(world)
        network.names["cluster.test"] = [FIRST, LAST]
        settle(world)
        named = {node.host for node in world.membership.snapshot().members if node.server_name == "cluster.test"}
        assert {FIRST, LAST} <= named

    def test_a_list_with_other_places_of_nodes(self) -> None:
        world = started(DC1, routing_scope=RackScope("dc1", "r1", fallback=DatacenterScope("dc1")))
        world.network.places["10.0.0.2"] = ("dc1", "r1")
        world.network.places["10.0.0.1"] = ("dc1", "r0")
        read(world)
        expected = sorted(host for host, (_, rack) in world.network.places.items() if rack == "r1")
        assert world.in_scope == expected

    def test_the_time_that_a_better_scope_has_been_good_for(self) -> None:
        scope = RackScope("dc1", "r1", fallback=DatacenterScope("dc1"))
        world = started(DC1, routing_scope=scope)
        rack = [host for host, (_, name) in DC1.items() if name == "r1"]
        world.down(*rack)
        assert len(world.in_scope) == len(DC1)
        world.up(*rack)
        for _ in range(6):
            read(world)
        assert world.in_scope == sorted(rack)
