"""Nodes, their health and the scope in use, as one process sees them: what changes, and which signals report it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pynamodb_alternator.errors import ClusterClosedError
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.settings.values import Discovery, Health
from pynamodb_alternator.topology import health, health_book, published, selection
from pynamodb_alternator.topology import membership as membership_module
from pynamodb_alternator.topology.health import HealthStatus, State
from pynamodb_alternator.topology.node import Node

from .fakes import PATIENCE, FakeNetwork, World, finished, hosts, in_thread, locks_of, will_be_probed
from .interrupting import Interrupted, interruptions

N1, N2, N3 = "10.0.0.1", "10.0.0.2", "10.0.0.3"
B1, B2 = "10.1.0.1", "10.1.0.2"
RACK = RackScope("dc1", "r1", DatacenterScope("dc1", ClusterScope()))


def three(seeds: Any = None, **settings: Any) -> World:
    return World(FakeNetwork(**{N1: ("dc1", "r1"), N2: ("dc1", "r2"), N3: ("dc1", "r3")}), seeds, **settings)


def two_datacenters(**settings: Any) -> World:
    places = {N1: ("dc1", "r1"), N2: ("dc1", "r2"), B1: ("dc2", "r1"), B2: ("dc2", "r2")}
    return World(FakeNetwork(**places), [N1, B1], **settings)


class TestStart:
    def test_nothing_is_known_before_it_begins(self) -> None:
        world = three()
        assert world.membership.nodes() == ()
        assert world.membership.view.topology.nodes == ()
        assert world.network.log == []

    def test_the_seeds_stand_in_for_the_nodes(self) -> None:
        world = three([N1, "10.9.9.9"], routing_scope=RACK)
        world.membership.begin()
        assert world.in_scope == [N1, "10.9.9.9"]
        assert {node.state for node in world.membership.nodes()} == {State.QUARANTINED}
        assert world.listener.names() == []
        assert hosts(world.membership.probes_due(world.clock())) == [N1, "10.9.9.9"]

    def test_the_membership_begins_once(self) -> None:
        world = three()
        world.start()
        before = world.membership.view
        world.membership.begin()
        assert world.membership.view is before

    def test_it_begins_again_if_no_seed_could_be_resolved(self) -> None:
        world = three(["db.example.com"])
        world.membership.begin()
        assert world.in_scope == []
        world.network.names["db.example.com"] = [N1, N2]
        world.membership.begin()
        assert world.in_scope == [N1, N2]

    def test_the_first_list_replaces_the_seeds(self) -> None:
        world = three([N1, "10.9.9.9"])
        world.network.dead.add("10.9.9.9")
        world.membership.begin()
        world.probe_all()
        world.listener.clear()
        assert world.membership.refresh()
        assert world.in_scope == [N1, N2, N3]
        (payload,) = world.listener.of("topology-refreshed")
        addresses = [f"{name}:8000" for name in (N1, N2, N3)]
        assert (payload["nodes"], payload["added"], payload["removed"]) == (addresses, addresses, [])
        assert (payload["scope"], payload["source"], payload["duration"]) == ("cluster", f"{N1}:8000", 0)
        assert [event["node"] for event in world.listener.of("node-added")] == addresses
        assert world.listener.of("node-removed") == []
        assert world.listener.members == [[N1, N2, N3]]

    def test_who_told_the_list_is_on_trial_as_all_others_until_a_probe_is_answered(self) -> None:
        """It may be that it answers the one and not the other, and signed requests go where ``GET /`` is answered."""
        world = three()
        world.membership.begin()
        assert world.membership.refresh()
        assert {node.state for node in world.membership.nodes()} == {State.QUARANTINED}
        assert hosts(world.membership.view.unproven) == hosts(world.membership.view.down) == [N1, N2, N3]
        world.probe_all()
        assert world.membership.view.unproven == world.membership.view.down == frozenset()
        assert world.membership.probes_due(world.clock()) == []
        assert {event["down_for"] for event in world.listener.of("node-up")} == {0.0}

    @pytest.mark.parametrize("monitor", [True, False])
    def test_no_node_is_trusted_because_it_is_listed(self, monitor: bool) -> None:
        """It was, where there is no monitor: a request was signed for whatever address a list named."""
        world = three([N1, N2, N3], monitor=monitor)
        world.membership.begin()
        world.membership.refresh()
        assert hosts(world.membership.view.down) == [N1, N2, N3]

    def test_the_location_of_a_node_is_shown_even_if_all_nodes_are_seeds(self) -> None:
        """Seen: nodes are equal by endpoint, so the first list did not replace the seeds, which stand nowhere."""
        world = three([N1, N2, N3], routing_scope=DatacenterScope("dc1"))
        world.start()
        assert {node.datacenter for node in world.membership.nodes()} == {"dc1"}


class TestRefresh:
    def test_without_news_the_topology_stays_the_same_object(self) -> None:
        world = three()
        world.start()
        before = world.membership.view.topology
        for _ in range(3):
            assert world.membership.refresh()
        assert world.membership.view.topology is before
        assert world.listener.names() == ["topology-refreshed"] * 3
        assert world.listener.of("topology-refreshed")[0]["added"] == []
        assert world.listener.members == []

    def test_nodes_come_and_go(self) -> None:
        world = three()
        world.start()
        version = world.membership.view.topology.version
        world.network.places["10.0.0.4"] = ("dc1", "r1")
        del world.network.places[N3]
        world.membership.refresh()
        assert world.in_scope == [N1, N2, "10.0.0.4"]
        assert world.membership.view.topology.version == version + 1
        (told,) = world.listener.of("topology-refreshed")
        assert (told["added"], told["removed"]) == (["10.0.0.4:8000"], [f"{N3}:8000"])
        assert world.listener.of("node-added") == [{"node": "10.0.0.4:8000"}]
        assert world.listener.of("node-removed") == [{"node": f"{N3}:8000"}]
        assert world.listener.members == [[N1, N2, "10.0.0.4"]]
        assert world.state("10.0.0.4") is State.QUARANTINED

    def test_a_node_that_left_and_returns_has_its_history(self) -> None:
        world = three()
        world.start()
        world.down(N3)
        generation = world.membership.generation(world.node(N3))
        del world.network.places[N3]
        world.membership.refresh()
        assert world.membership.view.down == frozenset()
        assert world.membership.probes_due(world.clock() + 100) == []
        world.network.places[N3] = ("dc1", "r3")
        world.membership.refresh()
        assert world.state(N3) is State.DOWN
        assert world.membership.generation(world.node(N3)) == generation
        assert hosts(world.membership.probes_due(world.clock() + 100)) == [N3]

    def test_history_is_bounded(self) -> None:
        world = three(history=5)
        world.start()
        for number in range(50):
            world.network.places[f"10.2.0.{number}"] = ("dc1", "r1")
            world.membership.refresh()
            del world.network.places[f"10.2.0.{number}"]
            world.membership.refresh()
        snapshot = world.membership.snapshot()
        assert 3 + 5 <= len(snapshot.statuses) <= 3 + 5 + 1
        assert len(snapshot.next_probes) <= 3 + 5 + 1

    def test_a_failed_reading_keeps_the_list_and_sends_a_signal(self, caplog: pytest.LogCaptureFixture) -> None:
        world = three()
        world.start()
        world.network.dead = {N1, N2, N3}
        with caplog.at_level(logging.INFO, "pynamodb_alternator.cluster"):
            for seconds in (0, 2, 5):
                world.clock.now += seconds
                assert not world.membership.refresh()
            assert world.in_scope == [N1, N2, N3]
            told = world.listener.of("discovery-failed")
            assert [(event["consecutive"], event["stale_for"]) for event in told] == [(1, 0), (2, 2), (3, 7)]
            assert sorted(told[0]["tried"]) == [f"{name}:8000" for name in (N1, N2, N3)]
            assert "refused" in told[0]["error"]
            assert len(caplog.records) == 1, "one line when it begins"
            world.network.dead.clear()
            assert world.membership.refresh()
            assert world.membership.refresh()
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        world.network.dead = {N1, N2, N3}
        world.membership.refresh()
        assert world.listener.of("discovery-failed")[-1]["consecutive"] == 1

    def test_never_read_at_all(self) -> None:
        world = three()
        world.network.dead = {N1}
        world.membership.begin()
        assert not world.membership.refresh()
        assert world.listener.of("discovery-failed")[0]["stale_for"] is None
        assert world.in_scope == [N1]

    def test_a_sudden_shrink_to_nothing_keeps_the_last_list(self) -> None:
        world = three()
        world.start()
        world.network.answers = dict.fromkeys((N1, N2, N3), b"[]")
        assert not world.membership.refresh()
        assert world.in_scope == [N1, N2, N3]
        assert "lists no node" in world.listener.of("discovery-failed")[0]["error"]
        assert world.listener.members == []

    @pytest.mark.parametrize("scope", [ClusterScope(), DatacenterScope("dc1"), RackScope("dc1", "r1")], ids=str)
    def test_nodes_that_serve_stay_until_a_listed_one_does(self, scope: Any) -> None:
        world = three(routing_scope=scope)
        world.start()
        served = world.in_scope
        world.network.places = dict.fromkeys(("10.0.0.8", "10.0.0.9"), ("dc1", "r1"))
        world.network.answers = dict.fromkeys((N1, N2, N3), b'["10.0.0.8", "10.0.0.9"]')
        for _ in range(3):
            world.clock.now += 1
            assert world.membership.refresh()
            assert world.in_scope == sorted([*served, "10.0.0.8", "10.0.0.9"])
        assert world.listener.of("node-removed") == []
        # The listed ones are probed although nothing is wrong with the others.
        assert hosts(world.membership.probes_due(world.clock())) == ["10.0.0.8", "10.0.0.9"]
        world.membership.probe(world.node("10.0.0.8"), 1.0)
        assert world.membership.refresh()
        assert world.in_scope == ["10.0.0.8", "10.0.0.9"]
        assert world.listener.members[-1] == ["10.0.0.8", "10.0.0.9"]

    def test_only_nodes_that_serve_stay(self) -> None:
        world = three()
        world.start()
        world.down(N3)
        world.network.answers = dict.fromkeys((N1, N2), b'["10.0.0.9"]')
        world.network.dead.add("10.0.0.9")
        assert world.membership.refresh()
        assert world.in_scope == [N1, N2, "10.0.0.9"]
        world.down(N1)
        assert world.membership.refresh()
        assert world.in_scope == [N2, "10.0.0.9"]
        world.network.answers.clear()
        assert world.membership.refresh()
        assert world.in_scope == [N1, N2, N3]

    def test_a_node_that_stayed_goes_when_it_is_dead_and_a_listed_one_serves(self) -> None:
        world = three()
        world.membership.begin()
        world.probe_all()  # the seed alone: no request has named the others
        world.membership.refresh()
        del world.network.places[N1]
        world.network.answers[N1] = f'["{N2}", "{N3}"]'.encode()
        assert world.membership.refresh()
        assert world.in_scope == [N1, N2, N3]
        world.down(N1)
        world.membership.probe(world.node(N2), 1.0)
        assert world.membership.refresh()
        assert world.in_scope == [N2, N3]

    def test_nodes_of_two_datacenters_stay_and_are_asked(self) -> None:
        world = two_datacenters()
        world.start()
        world.network.answers = dict.fromkeys((N1, N2, B1, B2), b'["10.0.0.9"]')
        world.network.dead.add("10.0.0.9")
        for _ in range(3):
            assert world.membership.refresh()
            assert world.in_scope == sorted([N1, N2, B1, B2, "10.0.0.9"])
        world.network.answers.clear()
        assert world.membership.refresh()
        assert world.in_scope == [N1, N2, B1, B2]

    @pytest.mark.parametrize(
        ("scope", "stay"),
        [
            (DatacenterScope("dc1", DatacenterScope("dc2")), [N1, N2]),
            (RackScope("dc1", "r1", DatacenterScope("dc1", ClusterScope())), [N1]),
        ],
        ids=["datacenter", "rack"],
    )
    def test_a_fallback_that_serves_does_not_take_the_place_of_nodes_that_serve(
        self, scope: Any, stay: list[str]
    ) -> None:
        """Requests would leave the datacenter because of one wrong list."""
        world = two_datacenters(routing_scope=scope)
        world.start()
        world.network.answers = dict.fromkeys((N1, N2), world.network.lists)
        world.network.places = {"10.0.0.9": ("dc1", "r1"), B1: ("dc2", "r1"), B2: ("dc2", "r2")}
        world.network.dead.add("10.0.0.9")
        for _ in range(3):
            assert world.membership.refresh()
            world.probe_all()
            assert world.in_scope == sorted([*stay, "10.0.0.9"])
        assert world.listener.of("scope-fallback") == []
        world.network.dead.clear()
        world.up("10.0.0.9")
        assert world.membership.refresh()
        assert world.in_scope == ["10.0.0.9"]
        assert hosts(world.membership.view.topology.ring) == ["10.0.0.9", B1, B2]

    def test_a_datacenter_that_lists_no_node_any_more_is_left(self) -> None:
        world = two_datacenters(routing_scope=DatacenterScope("dc1", DatacenterScope("dc2")))
        world.start()
        world.network.answers = dict.fromkeys((N1, N2), world.network.lists)
        world.network.places = {B1: ("dc2", "r1"), B2: ("dc2", "r2")}
        assert world.membership.refresh()
        assert world.in_scope == [B1, B2]

    def test_nodes_that_moved_to_another_datacenter_do_not_stay(self) -> None:
        world = two_datacenters(routing_scope=DatacenterScope("dc1", DatacenterScope("dc2")))
        world.start()
        world.network.places = {"10.0.0.9": ("dc1", "r1"), N1: ("dc2", "r1"), N2: ("dc2", "r2"), B1: ("dc2", "r1")}
        assert world.membership.refresh()
        assert world.in_scope == ["10.0.0.9"]

    def test_a_list_of_a_node_that_is_down_does_not_replace_those_that_serve(self) -> None:
        world = three()
        world.start()
        world.down(N3)
        world.network.answers = dict.fromkeys((N1, N2, N3), f'["{N3}"]'.encode())
        assert world.membership.refresh()
        assert world.in_scope == [N1, N2, N3]
        world.up(N3)
        assert world.membership.refresh()
        assert world.in_scope == [N3]

    def test_a_good_refresh_logs_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        world = three()
        world.start()
        with caplog.at_level(logging.DEBUG, "pynamodb_alternator"):
            for _ in range(5):
                world.membership.refresh()
        assert caplog.records == []

    def test_one_at_a_time_and_those_who_wait_get_its_result(self) -> None:
        world = three()
        world.start()
        entered, let_go = threading.Event(), threading.Event()

        def block(node: Node, path: str) -> None:
            entered.set()
            assert let_go.wait(PATIENCE)

        world.network.before = block
        first, first_result = in_thread(world.membership.refresh)
        assert entered.wait(PATIENCE)
        assert world.membership.refresh(wait=False), "who does not wait gets what is known"
        waiters = [in_thread(world.membership.refresh) for _ in range(3)]
        view = world.membership.view
        world.membership.succeeded(world.node(N1), 0)
        assert world.membership.view is view, "nobody who only reads has to wait"
        let_go.set()
        finished(first)
        for thread, result in waiters:
            finished(thread)
            assert result == [True]
        assert first_result == [True]

    def test_those_who_wait_learn_of_a_failure(self) -> None:
        world = three()
        world.start()
        entered, let_go = threading.Event(), threading.Event()

        def block(node: Node, path: str) -> None:
            entered.set()
            assert let_go.wait(PATIENCE)
            raise OSError("gone")

        world.network.before = block
        first, first_result = in_thread(world.membership.refresh)
        assert entered.wait(PATIENCE)
        second, second_result = in_thread(world.membership.refresh)
        let_go.set()
        finished(first)
        finished(second)
        assert (first_result, second_result) == ([False], [False])

    def test_a_receiver_may_ask_for_a_refresh(self) -> None:
        """Seen: it waited for itself, for a minute."""
        world = three()
        results: list[bool] = []

        def on_emit(name: str, payload: dict[str, Any]) -> None:
            if name == "topology-refreshed":
                results.append(world.membership.refresh())

        world.listener.on_emit = on_emit
        world.membership.begin()
        thread, result = in_thread(world.membership.refresh)
        finished(thread)
        assert (result, results) == ([True], [True])

    def test_a_refresh_that_breaks_does_not_block_the_next(self) -> None:
        world = three()
        world.start()

        def interrupt(*_: Any) -> None:
            raise Interrupted

        world.network.before = interrupt
        with pytest.raises(Interrupted):
            world.membership.refresh()
        world.network.before = lambda *_: None
        assert world.membership.refresh(wait=False)
        assert world.listener.names() == ["topology-refreshed"]


class TestNames:
    """What a node's certificate may be issued for may change, while the node stays the same."""

    def world(self) -> World:
        # The name of each node is another one than its address.
        network = FakeNetwork(**{"10.0.0.1": ("dc1", "r1"), "10.0.0.2": ("dc1", "r1")})
        network.names.update({"n1.test": ["10.0.0.1"], "n2.test": ["10.0.0.2"]})
        return World(network, ["n1.test", "n2.test"], scheme="https", port=8043)

    def test_connections_are_told_though_the_nodes_are_the_same(self) -> None:
        world = self.world()
        told: list[dict[str, tuple[str, ...]]] = []
        tell = world.listener.members_changed

        def members_changed(nodes: Any) -> None:
            told.append({node.host: node.certificate_names for node in nodes})
            tell(nodes)

        world.listener.members_changed = members_changed  # type: ignore[method-assign]
        world.membership.begin()
        assert {node.certificate_names for node in world.membership.view.topology.ring} == {("n1.test",), ("n2.test",)}
        version = world.membership.view.topology.version
        assert world.membership.refresh()
        source = "n1.test" if told[0]["10.0.0.1"][0] == "n1.test" else "n2.test"
        expected = {
            host: tuple(dict.fromkeys((source, name, host)))
            for host, name in (("10.0.0.1", "n1.test"), ("10.0.0.2", "n2.test"))
        }
        assert told == [expected]
        assert world.membership.view.topology.version > version
        for _ in range(3):
            assert world.membership.refresh()
        assert told == [expected]

    def test_a_probe_follows_the_last_list(self) -> None:
        world = self.world()
        world.membership.begin()
        seed = next(node for node in world.membership.view.topology.ring if node.host == "10.0.0.2")
        assert world.membership.refresh()
        asked: list[Node] = []
        world.network.before = lambda node, path: asked.append(node)
        world.membership.probe(seed, 1.0)
        assert seed.certificate_names == ("n2.test",)
        assert asked[0].certificate_names[-2:] == ("n2.test", "10.0.0.2")
        asked.clear()
        assert world.membership.refresh()
        assert asked[0].certificate_names[-1] == asked[0].host


class TestHealth:
    def test_failures_add_up_and_take_a_node_out(self) -> None:
        world = three()
        world.start()
        node = world.node(N2)
        threshold = world.membership.config.health.active_failure_threshold
        for count in range(1, threshold):
            world.membership.failed(node, 0, OSError("reset"))
            assert world.membership.nodes()[1].failures == count
            assert not world.membership.is_down(node)
        world.membership.failed(node, 0, OSError("reset by peer"))
        assert world.membership.is_down(node)
        (told,) = world.listener.of("node-down")
        assert told == {"node": f"{N2}:8000", "failures": threshold, "error": "reset by peer"}
        assert world.listener.cut == [N2]
        info = world.membership.nodes()[1]
        assert (info.state, info.error, info.down_for, info.in_scope) == (State.DOWN, "reset by peer", 0, True)

    def test_a_node_that_goes_down_is_always_probed_and_found_down(self) -> None:
        """An exception in the thread of the request that failed, at any place of the change."""
        worlds: list[World] = []

        def prepare() -> Callable[[], object]:
            world = three()
            world.start()
            node, threshold = world.node(N2), world.membership.config.health.active_failure_threshold
            for _ in range(threshold - 1):
                world.membership.failed(node, 0, OSError("reset"))
            worlds.append(world)
            return lambda: world.membership.failed(node, 0, OSError("reset"))

        downs = 0
        for _ in interruptions(prepare, membership_module, health_book, health, published, selection):
            world = worlds.pop()
            assert will_be_probed(world.membership)
            downs += world.state(N2) is State.DOWN
            assert world.membership.refresh()
            check(world)
        assert downs > 5

    def test_connections_are_cut_before_signals_are_sent(self) -> None:
        """Who waits for the node is not to wait for a slow receiver as well."""
        world = three()
        world.start()
        world.listener.clear()
        world.down(N2)
        assert world.listener.order == ["went_down", "node-down"]

    def test_a_success_forgets_failures(self) -> None:
        world = three()
        world.start()
        node = world.node(N2)
        for _ in range(10):
            world.membership.failed(node, 0, OSError())
            world.membership.failed(node, 0, OSError())
            world.membership.succeeded(node, 0)
        assert world.state(N2) is State.ACTIVE

    def test_a_failure_that_does_not_count_still_raises_a_suspicion(self) -> None:
        world = three()
        world.start()
        for _ in range(10):
            world.membership.failed(world.node(N2), 0, OSError(), counts=False)
        assert world.membership.nodes()[1].failures == 0
        assert hosts(world.listener.suspicions) == [N2]

    def test_the_first_failure_has_the_node_probed_and_a_second_one_waits_for_it(self) -> None:
        world = three()
        world.start()
        node = world.node(N2)
        world.membership.failed(node, 0, OSError())
        world.membership.failed(node, 0, OSError())
        assert world.listener.suspicions == [node]
        world.membership.probe(node, 1.0)
        assert world.state(N2) is State.ACTIVE
        world.membership.suspect(node)
        assert world.listener.suspicions == [node, node]

    def test_a_confirmed_suspicion_takes_the_node_out_for_everybody(self) -> None:
        world = three()
        world.start()
        world.network.dead.add(N2)
        world.membership.failed(world.node(N2), 0, OSError("reset"))
        assert not world.membership.probe(world.node(N2), 1.0)
        assert hosts(world.membership.view.down) == [N2]
        assert world.listener.of("node-down")[0]["failures"] == 2
        assert "refused" in world.listener.of("node-down")[0]["error"]

    def test_a_failed_probe_alone_takes_no_node_out(self) -> None:
        world = three()
        world.start()
        world.network.dead.add(N2)
        for _ in range(5):
            assert not world.membership.probe(world.node(N2), 1.0)
        assert world.state(N2) is State.ACTIVE

    def test_a_suspicion_during_a_probe_is_settled_by_it(self) -> None:
        """Seen: the suspicion was dropped, because the node was being probed, and that probe did not count as one."""
        world = three()
        world.start()
        node = world.node(N2)
        world.network.dead.add(N2)
        world.network.before = lambda *_: world.membership.suspect(node)
        world.membership.probe(node, 1.0)
        assert world.state(N2) is State.DOWN

    def test_a_probe_during_which_this_process_stood_still_is_made_again(self) -> None:
        world = three()
        world.start()
        asked = []

        def stall(node: Node, path: str) -> None:
            asked.append(node.host)
            if len(asked) == 1:
                world.clock.now += 60.0
                raise OSError("no time was left")

        world.network.before = stall
        world.membership.suspect(world.node(N3))
        assert world.membership.probe(world.node(N3), 1.0)
        assert asked == [N3, N3]
        assert world.state(N3) is State.ACTIVE

    def test_an_answer_other_than_200_is_a_failed_probe(self) -> None:
        world = three()
        world.start()
        world.network.ill[N2] = 503
        world.membership.suspect(world.node(N2))
        assert not world.membership.probe(world.node(N2), 1.0)
        assert world.state(N2) is State.DOWN
        assert "503" in world.listener.of("node-down")[0]["error"]

    def test_a_node_goes_down_and_comes_back(self, caplog: pytest.LogCaptureFixture) -> None:
        world = three()
        world.start()
        with caplog.at_level(logging.INFO, "pynamodb_alternator.cluster"):
            world.down(N2)
            assert hosts(world.membership.probes_due(world.clock() + 1.5)) == [N2]
            world.clock.now += 1.0
            world.membership.probe(world.node(N2), 1.0)
            world.clock.now += 1.0
            world.network.dead.clear()
            assert world.membership.probe(world.node(N2), 1.0)
            assert world.state(N2) is State.DOWN
            due = world.membership.next_probe_at(world.clock())
            assert due is not None
            assert due - world.clock() < 0.5, "a node that begins to answer is asked again soon"
            world.membership.probe(world.node(N2), 1.0)
            assert world.state(N2) is State.QUARANTINED
            world.clock.now += 1.0
            world.membership.probe(world.node(N2), 1.0)
            assert world.state(N2) is State.ACTIVE
        assert [name for name in world.listener.names() if name.startswith("node-")] == [
            *("node-down", "node-quarantined", "node-up"),
        ]
        assert world.listener.of("node-up") == [{"node": f"{N2}:8000", "down_for": 3.0}]
        assert world.membership.probes_due(world.clock() + 100) == []
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert world.membership.nodes()[1].error is None

    def test_late_results_are_void(self) -> None:
        world = three()
        world.start()
        node = world.node(N2)
        before = world.membership.generation(node)
        world.down(N2)
        world.up(N2)
        assert world.membership.generation(node) == before + 1
        for _ in range(20):
            world.membership.failed(node, before, OSError("from long ago"))
        assert world.state(N2) is State.ACTIVE
        assert world.membership.nodes()[1].failures == 0

    def test_a_late_success_does_not_forget_failures(self) -> None:
        world = three()
        world.start()
        node = world.node(N2)
        world.down(N2)
        world.up(N2)
        world.membership.failed(node, 1, OSError())
        world.membership.succeeded(node, 0)
        assert world.membership.nodes()[1].failures == 1

    def test_a_probe_that_began_before_the_node_went_down_is_void(self) -> None:
        world = three()
        world.start()
        node = world.node(N2)

        def meanwhile(*_: Any) -> None:
            world.network.before = lambda *_: None
            for _ in range(world.membership.config.health.active_failure_threshold):
                world.membership.failed(node, 0, OSError())

        world.network.before = meanwhile
        assert world.membership.probe(node, 1.0)
        status = world.membership.snapshot().statuses[node]
        assert (status.state, status.successes) == (State.DOWN, 0)

    def test_a_list_that_was_asked_for_before_its_source_went_down_is_no_credit(self) -> None:
        """Seen: it counted as the first of the probes that bring the node back."""
        world = three()
        world.start()
        node = world.node(N1)
        for other in (N2, N3):
            world.down(other)
        world.network.dead.clear()

        def meanwhile(*_: Any) -> None:
            world.network.before = lambda *_: None
            for _ in range(world.membership.config.health.active_failure_threshold):
                world.membership.failed(node, 0, OSError())

        world.network.before = meanwhile
        world.membership.refresh()
        status = world.membership.snapshot().statuses[node]
        assert (status.state, status.successes) == (State.DOWN, 0)

    def test_strangers_change_nothing(self) -> None:
        world = three()
        world.start()
        stranger = world.node("10.7.7.7")
        world.network.places["10.7.7.7"] = ("dc1", "r1")
        world.membership.failed(stranger, 0, OSError())
        world.membership.succeeded(stranger, 0)
        world.membership.suspect(stranger)
        world.membership.probe(stranger, 1.0)
        assert world.membership.generation(stranger) == 0
        assert not world.membership.is_down(stranger)
        assert world.listener.told == []
        assert stranger not in world.membership.snapshot().next_probes

    def test_a_suspicion_of_a_down_node_is_known_already(self) -> None:
        world = three()
        world.start()
        world.down(N2)
        world.listener.clear()
        world.membership.suspect(world.node(N2))
        assert world.listener.suspicions == []

    def test_health_never_changes_the_ring(self) -> None:
        world = three()
        world.start()
        topology = world.membership.view.topology
        world.down(N1, N2, N3)
        assert world.membership.view.topology is topology
        assert hosts(world.membership.view.down) == [N1, N2, N3]

    def test_discovery_suspects_a_source_that_fails(self) -> None:
        world = three()
        world.start()
        assert world.membership.refresh()
        source = world.listener.of("topology-refreshed")[-1]["source"].removesuffix(":8000")
        world.network.dead.add(source)
        assert world.membership.refresh()
        assert hosts(world.listener.suspicions) == [source]


class TestScopes:
    def rack(self) -> World:
        world = two_datacenters(routing_scope=RACK)
        world.start()
        assert world.in_scope == [N1]
        return world

    def test_a_rack_that_dies_falls_back_at_once(self, caplog: pytest.LogCaptureFixture) -> None:
        world = self.rack()
        with caplog.at_level(logging.WARNING, "pynamodb_alternator.cluster"):
            world.down(N1)
        assert world.in_scope == [N1, N2]
        (told,) = world.listener.of("scope-fallback")
        assert told == {
            "from_scope": "rack r1 of datacenter dc1",
            "to_scope": "datacenter dc1",
            "reason": "no_usable_node",
        }
        assert [record.getMessage().split(": ", 1)[1] for record in caplog.records][-1] == (
            "routing scope is now datacenter dc1 instead of rack r1 of datacenter dc1"
        )
        world.down(N2)
        assert world.in_scope == sorted([N1, N2, B1, B2])
        assert world.membership.view.topology.datacenters

    def test_it_is_restored_when_its_time_has_come_and_nothing_else_changes(self) -> None:
        world = self.rack()
        world.down(N1)
        world.clock.now += 100
        world.up(N1)
        assert world.in_scope == [N1, N2]
        world.clock.now += 2.9
        world.membership.refresh()
        assert world.in_scope == [N1, N2]
        world.clock.now += 0.1
        world.listener.clear()
        world.membership.refresh()
        assert world.in_scope == [N1]
        (told,) = world.listener.of("scope-restored")
        assert (told["to_scope"], told["reason"]) == ("rack r1 of datacenter dc1", "usable_again")

    def test_the_scope_is_restored_even_if_no_list_is_read(self) -> None:
        world = self.rack()
        world.down(N1)
        world.up(N1)
        world.network.answers = dict.fromkeys(world.network.places, (500, b""))
        world.clock.now += 5
        assert not world.membership.refresh()
        assert world.in_scope == [N1]
        assert world.listener.names()[-2:] == ["scope-restored", "discovery-failed"]

    def test_half_way_back_is_not_restored(self) -> None:
        world = self.rack()
        world.down(N1, N2)
        world.listener.clear()
        world.up(N2)
        world.clock.now += 5
        world.membership.refresh()
        (told,) = world.listener.of("scope-fallback")
        assert (told["from_scope"], told["to_scope"]) == ("cluster", "datacenter dc1")
        assert world.listener.of("scope-restored") == []

    def test_a_strict_scope_stays_empty(self) -> None:
        world = two_datacenters(routing_scope=RackScope("dc1", "r1"))
        world.start()
        world.down(N1)
        assert world.in_scope == [N1]
        assert hosts(world.membership.view.down) == [N1]
        assert world.listener.of("scope-fallback") == []

    def test_a_rack_that_is_not_there_at_the_start(self) -> None:
        world = two_datacenters(routing_scope=RackScope("dc1", "r9", DatacenterScope("dc1")))
        world.membership.begin()
        world.probe_all()
        world.membership.refresh()
        assert world.in_scope == [N1, N2]
        assert len(world.listener.of("scope-fallback")) == 1

    def test_nodes_outside_the_scope_are_known(self) -> None:
        world = self.rack()
        shown = {node.address.split(":")[0]: node.in_scope for node in world.membership.nodes()}
        assert shown == {N1: True, N2: False, B1: False, B2: False}


class TestLocks:
    def test_a_log_handler_may_look_at_the_nodes(self) -> None:
        """Seen: log lines were written under the lock, and a handler that used the cluster hung for ever."""
        world = two_datacenters(routing_scope=RACK)
        world.start()
        seen: list[int] = []

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                for lock in locks_of(world.membership):
                    assert lock.acquire(timeout=PATIENCE)
                    lock.release()
                seen.append(len(world.membership.nodes()))

        handler, log = Handler(), logging.getLogger("pynamodb_alternator.cluster")
        log.addHandler(handler)
        level, raising = log.level, logging.raiseExceptions
        log.setLevel(logging.DEBUG)
        try:
            thread, result = in_thread(lambda: (world.down(N1), world.up(N1)))
            finished(thread)
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
            logging.raiseExceptions = raising
        assert not isinstance(result[0], BaseException), result
        assert seen

    def test_a_fork_gets_fresh_locks_and_turns(self) -> None:
        """The threads of the parent that held a lock, read the list or probed a suspect do not exist in the child."""
        world = three()
        world.start()
        world.membership.suspect(world.node(N1))
        entered, let_go = threading.Event(), threading.Event()

        def block(node: Node, path: str) -> None:
            world.network.before = lambda *_: None
            entered.set()
            assert let_go.wait(PATIENCE)

        world.network.before = block
        parent, _ = in_thread(world.membership.refresh)
        assert entered.wait(PATIENCE)
        for lock in locks_of(world.membership):
            assert lock.acquire(timeout=PATIENCE)
        world.membership.after_fork()
        thread, result = in_thread(world.membership.refresh)
        finished(thread)
        assert result == [True]
        world.membership.suspect(world.node(N1))
        assert hosts(world.listener.suspicions) == [N1, N1]
        let_go.set()
        finished(parent)

    def test_readers_take_no_lock(self) -> None:
        world = two_datacenters(routing_scope=RACK)
        world.start()
        world.down(N2)
        well, ill, scope = world.node(N1), world.node(N2), DatacenterScope("dc1")

        def read() -> list[object]:
            membership = world.membership
            membership.succeeded(well, 0)
            return [
                hosts(membership.view.topology.nodes),
                hosts(membership.view_for(scope).topology.nodes),
                membership.generation(ill),
                membership.is_down(ill),
                membership.is_suspect(ill),
                membership.trouble_with(ill),
            ]

        locks = locks_of(world.membership)
        assert locks
        for lock in locks:
            assert lock.acquire(timeout=PATIENCE)
        thread, result = in_thread(read)
        finished(thread)
        assert result == [[[N1], [N1, N2], 1, True, False, f"{N2}:8000 refused"]]

    def test_many_threads_change_the_state(self) -> None:
        world = two_datacenters(routing_scope=RACK)
        world.start()
        names = sorted(world.network.places)

        def work(seed: int) -> None:
            for step in range(150):
                node = world.node(names[(seed + step) % 4])
                match (seed * 7 + step) % 5:
                    case 0:
                        world.membership.failed(node, world.membership.generation(node), OSError())
                    case 1:
                        world.membership.succeeded(node, world.membership.generation(node))
                    case 2:
                        world.membership.probe(node, 1.0)
                    case 3:
                        world.membership.refresh(wait=bool(step % 2))
                    case _:
                        world.membership.nodes()

        world.listener.membership = None
        threads = [in_thread(lambda seed=seed: work(seed)) for seed in range(6)]
        for thread, result in threads:
            finished(thread)
            assert result == [None]
        check(world)


def check(world: World) -> None:
    """Check that the view agrees with the statuses, and that the listener got the counters."""
    membership, view = world.membership, world.membership.view
    ring = set(view.topology.ring)
    snapshot = membership.snapshot()
    states = {node: snapshot.statuses[node].state for node in ring}
    assert ring == snapshot.members
    unproven = {node for node in ring if snapshot.statuses[node].is_unproven}
    assert view.unproven == unproven
    assert view.down == {node for node in ring if states[node] is State.DOWN} | unproven
    assert view.quarantined == {node for node in ring if states[node] is State.QUARANTINED} - unproven
    assert set(view.topology.nodes) <= ring
    for node in ring:
        if states[node] is not State.ACTIVE and node not in unproven:
            assert node in snapshot.next_probes, "a node that is not active will be probed"


class MembershipMachine(RuleBasedStateMachine):
    """Whatever traffic, probes and the network do, in whatever order."""

    NAMES = st.sampled_from([N1, N2, B1, B2])

    @initialize(probe=st.booleans())
    def start(self, probe: bool) -> None:
        self.world = two_datacenters(routing_scope=RACK, health=Health(), discovery=Discovery(scope_restore_after=1.0))
        self.world.start(probe=probe)
        self.left: dict[str, tuple[str, str]] = {}
        self.ring = self.world.membership.view.topology.ring

    @rule(name=NAMES, stale=st.booleans())
    def traffic_fails(self, name: str, stale: bool) -> None:
        node = self.world.node(name)
        before = self.status(node)
        generation = self.world.membership.generation(node) - stale
        self.world.membership.failed(node, generation, OSError("failed"))
        after = self.status(node)
        if stale or (before is not None and before.state is State.DOWN):
            assert after is before
        self.same_ring()

    @rule(name=NAMES, stale=st.booleans())
    def traffic_succeeds(self, name: str, stale: bool) -> None:
        node = self.world.node(name)
        before = self.status(node)
        self.world.membership.succeeded(node, self.world.membership.generation(node) - stale)
        after = self.status(node)
        if stale or (before is not None and before.state is State.DOWN):
            assert after is before
        self.same_ring()

    @rule(name=NAMES)
    def read_is_hedged(self, name: str) -> None:
        self.world.membership.suspect(self.world.node(name), hedged=True)
        self.same_ring()

    @rule(name=NAMES)
    def probe(self, name: str) -> None:
        self.world.membership.probe(self.world.node(name), 1.0)
        self.same_ring()

    @rule(name=NAMES)
    def node_dies(self, name: str) -> None:
        self.world.network.dead.add(name)

    @rule(name=NAMES)
    def node_revives(self, name: str) -> None:
        self.world.network.dead.discard(name)

    @rule(name=NAMES)
    def node_leaves(self, name: str) -> None:
        location_of = self.world.network.places.get(name)
        if location_of is not None and len(self.left) < 3:
            self.left[name] = location_of
            self.world.network.answers[name] = (500, b"")
            del self.world.network.places[name]

    @rule(name=NAMES)
    def node_returns(self, name: str) -> None:
        if name in self.left:
            self.world.network.answers.pop(name)
            self.world.network.places[name] = self.left.pop(name)

    @rule()
    def refresh(self) -> None:
        before = hosts(self.world.membership.snapshot().members)
        if not self.world.membership.refresh():
            assert hosts(self.world.membership.snapshot().members) == before
        self.ring = self.world.membership.view.topology.ring

    @rule(seconds=st.floats(0, 2))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.now += seconds
        self.world.probe_all()
        self.same_ring()

    def status(self, node: Node) -> HealthStatus | None:
        return self.world.membership.snapshot().statuses.get(node)

    def same_ring(self) -> None:
        assert self.world.membership.view.topology.ring == self.ring, "health never changes the ring"

    @invariant()
    def the_view_is_true(self) -> None:
        if hasattr(self, "world"):
            check(self.world)
            assert self.world.membership.snapshot().members, "the last list is kept"
            view = self.world.membership.view
            assert view.hedged <= self.world.membership.snapshot().suspects, "a probe ends it"
            if any(node not in view.down for node in view.topology.ring):
                usable = (node not in view.down or node in view.unproven for node in view.topology.nodes)
                assert any(usable), "somebody in scope is usable, or may be"


TestMembershipMachine = MembershipMachine.TestCase
TestMembershipMachine.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)


def test_a_thousand_nodes_cost_little() -> None:
    """Seen: each change of one node sorted all of them again, under the lock."""
    names = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(1000)]
    world = World(FakeNetwork(**dict.fromkeys(names, ("dc1", "r1"))))
    world.listener.membership = None
    world.membership.begin()
    world.membership.refresh()
    due = world.membership.view.unproven
    assert len(due) == 1000
    began = time.process_time()
    for node in due:
        world.membership.probe(node, 1.0)
    a_thousand_changes = time.process_time() - began
    began = time.process_time()
    for _ in range(10):
        assert world.membership.refresh()
    ten_readings = time.process_time() - began
    assert world.membership.view.down == frozenset()
    assert a_thousand_changes < 2.0
    assert ten_readings < 2.0


class TestClosing:
    def test_what_is_closed_says_nothing_of_the_nodes(self, caplog: pytest.LogCaptureFixture) -> None:
        """A reader or probe that outlives `close` finds no connection. This does not count against the nodes, and
        causes no signal."""
        world = three()
        world.start()

        def closed(*_: Any) -> None:
            raise ClusterClosedError("The cluster was closed")

        world.network.before = closed
        with caplog.at_level(logging.INFO, "pynamodb_alternator.cluster"):
            assert not world.membership.refresh()
            world.membership.suspect(world.node(N1))
            assert not world.membership.probe(world.node(N1), 1.0)
        assert world.state(N1) is State.ACTIVE
        assert world.listener.of("discovery-failed") == world.listener.of("node-down") == []
        assert caplog.records == []
