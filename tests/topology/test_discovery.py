"""Who is asked for the node list, in which order, and what becomes of the answers."""

from __future__ import annotations

import itertools
import logging
import random
from typing import Any

import pytest

from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.topology.discovery import (
    MOST_LOGGED,
    READINGS_PER_LOOK_OUTSIDE,
    READINGS_PER_SOURCE,
    Discovery,
    DiscoveryError,
)
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.reading import Reading
from pynamodb_alternator.topology.source_walk import FAILURES_PER_KIND

from .fakes import FakeNetwork, hosts

ONE = {f"n{i}": ("dc1", f"r{i % 3}") for i in range(1, 7)}
TWO = {"a1": ("east", "r1"), "a2": ("east", "r2"), "b1": ("west", "r1"), "b2": ("west", "r2")}
EAST, WEST = ["a1", "a2"], ["b1", "b2"]


class Bench:
    def __init__(self, network: FakeNetwork, seeds: Any, scope: Any = None, **settings: Any) -> None:
        self.network = network
        # Names of fake hosts resolve to themselves, unless the test says otherwise.
        for name in network.places:
            network.names.setdefault(name, [name])
        self.credited: list[str] = []
        self.failures: list[str] = []
        self.random = random.Random(3)
        self.config = ClusterConfig(seeds, routing_scope=scope or ClusterScope(), **settings)
        self.discovery = Discovery(
            self.config,
            fetch=network.fetch,
            resolve=network.resolve,
            random=self.random,
            answered=lambda node: self.credited.append(node.host),
            failed=lambda node: self.failures.append(node.host),
        )
        self.reading = Reading()

    def read(self, active: Any = (), quarantined: Any = (), down: Any = ()) -> Reading:
        self.network.log.clear()
        self.credited.clear()
        self.reading = self.discovery.read(
            self.reading,
            active=[self.node(name) for name in active],
            quarantined=[self.node(name) for name in quarantined],
            down=[self.node(name) for name in down],
        )
        return self.reading

    def node(self, name: str) -> Node:
        return Node("http", name, 8000)

    def groups(self) -> list[list[str]]:
        return sorted(hosts(group) for group in self.reading.groups)


class TestOrder:
    def test_the_first_reading_asks_a_seed(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"])
        assert hosts(bench.read().members[None, None]) == sorted(ONE)
        assert bench.network.asked() == ["n1"]
        assert bench.credited == ["n1"]
        assert bench.reading.source == "n1:8000"

    def test_live_nodes_come_before_seeds(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        bench.read()
        bench.read(active=["n5", "n6"])
        assert set(bench.network.asked()) <= {"n5", "n6"}

    @pytest.mark.parametrize("seed", range(20))
    def test_active_nodes_come_before_quarantined_ones(self, seed: int) -> None:
        """Seen: the order was lost in shuffling, and a dead seed could hold up the start for its whole timeout."""
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        bench.random.seed(seed)
        bench.read(active=["n2"], quarantined=["n1", "n3", "n4"])
        assert set(bench.network.asked()) == {"n2"}

    def test_seeds_come_when_the_live_nodes_fail_and_the_down_ones_last(self) -> None:
        network = FakeNetwork(**ONE)
        bench = Bench(network, ["n1"], DatacenterScope("dc1"))
        network.dead = {"n1", "n2", "n3"}
        bench.read(active=["n2"], quarantined=["n3"], down=["n4"])
        assert network.asked("/localnodes?dc") == ["n2", "n3", "n1", "n4"]
        assert bench.failures == ["n2", "n3", "n1"]

    def test_a_down_node_gets_no_credit_and_no_blame(self) -> None:
        network = FakeNetwork(**ONE)
        bench = Bench(network, ["n1"], DatacenterScope("dc1"))
        network.dead = {"n1"}
        bench.read(down=["n1", "n2"])
        assert bench.reading.source == "n2:8000"
        assert (bench.credited, bench.failures) == ([], [])

    def test_a_source_is_kept_for_a_while(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        bench.read()
        sources = []
        for _ in range(3 * READINGS_PER_SOURCE):
            bench.read(active=list(ONE))
            sources.append(bench.network.asked()[0])
        changes = sum(earlier != later for earlier, later in itertools.pairwise(sources))
        assert 1 <= changes <= 3

    def test_a_source_that_fails_is_left(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        bench.read()
        bench.read(active=list(ONE))
        first = bench.network.asked()[0]
        bench.network.dead = {first}
        bench.read(active=list(ONE))
        assert bench.network.asked()[0] == first
        bench.read(active=list(ONE))
        assert first not in bench.network.asked()

    @pytest.mark.parametrize("scope", [ClusterScope(), RackScope("dc1", "r1", DatacenterScope("dc1", ClusterScope()))])
    def test_a_reading_takes_a_limited_time_if_no_node_answers(self, scope: Any) -> None:
        """Seen: one reading asked every one of 1,000 hanging nodes, each for its whole timeout."""
        names = [f"n{number}" for number in range(1000)]
        network = FakeNetwork(**dict.fromkeys(names, ("dc1", "r1")))
        network.dead = set(names)
        bench = Bench(network, [f"s{number}" for number in range(50)], scope)
        network.names = {f"s{number}": [f"10.0.0.{number}"] for number in range(50)}
        network.dead |= {f"10.0.0.{number}" for number in range(50)}
        with pytest.raises(DiscoveryError, match=r"no node answered: .* refused") as raised:
            bench.read(active=names[:500], down=names[500:])
        assert len(network.log) <= 3 * FAILURES_PER_KIND
        assert len(raised.value.tried) == len(network.log)

    def test_other_sources_are_tried_the_next_time(self) -> None:
        names = [f"n{number}" for number in range(20)]
        network = FakeNetwork(**dict.fromkeys(names, ("dc1", "r1")))
        network.dead = set(names) - {"n7"}
        bench = Bench(network, ["unknown"])
        for _ in range(200):
            try:
                bench.read(down=names)
                break
            except DiscoveryError:
                continue
        assert bench.reading.source == "n7:8000"

    def test_seeds_that_cannot_be_resolved_are_an_error(self) -> None:
        bench = Bench(FakeNetwork(), ["unknown"])
        with pytest.raises(DiscoveryError, match="none of the seeds can be resolved") as raised:
            bench.read()
        assert raised.value.tried == ()


class TestDatacenters:
    def test_the_cluster_is_what_the_seeds_of_all_datacenters_list(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"])
        bench.read()
        assert bench.groups() == [EAST, WEST]
        assert hosts(bench.reading.members[None, None]) == sorted(TWO)
        assert len(bench.network.asked()) == 2

    def test_with_seeds_of_one_only_that_one_is_known(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "a2"])
        bench.read()
        assert bench.groups() == [EAST]
        assert len(bench.network.asked()) == 1, "a second seed of a datacenter has no news"

    def test_each_datacenter_is_asked_once_in_a_reading(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"])
        bench.read()
        for _ in range(2 * READINGS_PER_LOOK_OUTSIDE):
            bench.read(active=sorted(TWO))
            assert bench.groups() == [EAST, WEST]
            asked = bench.network.asked()
            assert len(asked) == 2
            assert {TWO[name][0] for name in asked} == {"east", "west"}

    def test_a_reading_removes_an_old_node_and_adds_a_new_one(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"])
        bench.read()
        del bench.network.places["a2"]
        bench.network.places["a3"] = ("east", "r1")
        bench.network.dead.add("a2")
        bench.read(active=["a1", "b1", "b2"], quarantined=["a2"])
        assert bench.groups() == [["a1", "a3"], WEST]

    def test_a_datacenter_that_does_not_answer_keeps_its_last_list(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"])
        bench.read()
        bench.network.dead = set(WEST)
        bench.read(active=sorted(TWO))
        assert bench.groups() == [EAST, WEST]
        bench.read(active=EAST, down=WEST)
        assert bench.groups() == [EAST, WEST]
        assert len([name for name in bench.network.asked() if name in WEST]) <= 2, "one of the down ones is enough"

    def test_a_datacenter_with_an_empty_list_keeps_its_last_list(self) -> None:
        """Seen: one member that is about to join or leave made its whole datacenter vanish."""
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"])
        bench.read()
        bench.network.answers = {"b1": b"[]", "b2": b"[]"}
        bench.read(active=sorted(TWO))
        assert bench.groups() == [EAST, WEST]
        bench.network.answers = {"b1": b"[]"}
        bench.network.places["b3"] = ("west", "r3")
        bench.read(active=sorted(TWO))
        assert bench.groups() == [EAST, ["b1", "b2", "b3"]]

    def test_views_of_one_datacenter_that_differ_are_united(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "a2"])
        bench.network.answers = {"a1": b'["a1","x1"]', "a2": b'["a2","x1"]'}
        bench.read()
        assert bench.groups() == [["a1", "a2", "x1"]]

    def test_a_dead_seed_is_not_waited_for_in_every_reading(self) -> None:
        """Seen: a seed that had been decommissioned was asked, and timed out, once a second for ever."""
        bench = Bench(FakeNetwork(**ONE), ["n1", "gone"])
        bench.network.names["gone"] = ["10.9.9.9"]
        bench.network.dead = {"10.9.9.9"}
        bench.read()
        readings, asked = 50, 0
        for _ in range(readings):
            bench.read(active=list(ONE))
            asked += bench.network.asked().count("10.9.9.9")
        assert 1 <= asked <= readings / READINGS_PER_LOOK_OUTSIDE + 1

    def test_a_seed_that_hangs_does_not_delay_the_first_reading(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"])
        bench.read(active=["a1"], quarantined=["b1"])
        assert bench.network.asked() == ["a1"]
        bench.read(active=EAST)
        assert sorted(bench.network.asked())[-1] == "b1"
        assert bench.groups() == [EAST, WEST]

    def test_a_datacenter_whose_seed_comes_late_is_found(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"])
        bench.network.dead = set(WEST)
        bench.read()
        assert bench.groups() == [EAST]
        bench.network.dead = set()
        for _ in range(READINGS_PER_LOOK_OUTSIDE):
            bench.read(active=EAST)
        assert bench.groups() == [EAST, WEST]

    def test_all_down_and_seeds_too(self) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"])
        bench.read()
        bench.network.dead = set(TWO)
        with pytest.raises(DiscoveryError):
            bench.read(down=sorted(TWO))
        bench.network.dead = {"a1", "a2", "b1"}
        for _ in range(20):
            try:
                bench.read(down=sorted(TWO))
                break
            except DiscoveryError:
                continue
        assert bench.groups() == [EAST, WEST]
        assert bench.credited == []


class TestScopes:
    def test_a_rack_is_read_with_its_datacenter(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], RackScope("dc1", "r1"))
        bench.read()
        assert hosts(bench.reading.members["dc1", "r1"]) == ["n1", "n4"]
        assert hosts(bench.reading.members["dc1", None]) == sorted(ONE)
        assert {(n.datacenter, n.rack) for n in bench.reading.members["dc1", "r1"]} == {("dc1", "r1")}

    def test_every_scope_of_the_chain_is_read(self) -> None:
        scope = RackScope("east", "r1", RackScope("west", "r1", DatacenterScope("east", ClusterScope())))
        bench = Bench(FakeNetwork(**TWO), ["a1"], scope)
        bench.read()
        by_scope = {where: hosts(nodes) for where, nodes in bench.reading.members.items()}
        assert by_scope == {
            ("east", "r1"): ["a1"],
            ("east", None): EAST,
            ("west", "r1"): ["b1"],
            ("west", None): WEST,
            (None, None): sorted(TWO),
        }
        assert bench.groups() == [EAST, WEST]

    def test_an_empty_list_of_one_scope_among_others_is_an_answer(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], RackScope("dc1", "nowhere"))
        assert bench.read().members["dc1", "nowhere"] == ()

    def test_a_scope_that_does_not_exist_has_no_nodes_and_that_is_said_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("typo"))
        with caplog.at_level(logging.INFO, "pynamodb_alternator.cluster"):
            for _ in range(3):
                assert not any(bench.read().members.values())
        (record,) = caplog.records
        assert "n1:8000 lists no node for datacenter typo" in record.getMessage()

    def test_a_list_that_suddenly_becomes_empty_is_not_an_answer(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        bench.read()
        bench.network.answers = dict.fromkeys(ONE, lambda path: b"[]" if "dc=" in path else b'["n1"]')
        with pytest.raises(DiscoveryError, match="lists no node for datacenter dc1"):
            bench.read(active=list(ONE))

    def test_an_empty_cluster_is_not_an_answer(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"])
        bench.network.answers = {"n1": b"[]"}
        with pytest.raises(DiscoveryError, match="n1:8000 lists no node"):
            bench.read()

    @pytest.mark.parametrize("answer", [b"{}", b"<html>", (500, b"[]"), (404, b'["n1"]')])
    def test_an_answer_that_is_not_a_list_is_a_failure_of_its_source(self, answer: Any) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        bench.network.answers = {"n2": answer}
        bench.read(active=["n2"])
        assert bench.reading.source == "n1:8000"
        assert bench.failures == ["n2"]
        assert "n2" not in bench.credited


class TestSupport:
    def test_a_server_that_ignores_the_question_is_recognised_once(self, caplog: pytest.LogCaptureFixture) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], RackScope("dc1", "r1"))
        bench.network.old = True
        with caplog.at_level(logging.INFO, "pynamodb_alternator.cluster"):
            for _ in range(3):
                bench.read(active=list(ONE))
        assert bench.discovery.scopes_supported is False
        (record,) = caplog.records
        assert "2025.1" in record.getMessage()
        assert "rack r1 of datacenter dc1" in record.getMessage()

    def test_a_new_server_is_asked_once(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        assert bench.discovery.scopes_supported is None
        bench.read()
        assert bench.network.asked("/localnodes?rack=") == ["n1"]
        bench.read(active=["n1"])
        assert bench.network.asked("/localnodes?rack=") == []
        assert bench.discovery.scopes_supported is True

    def test_no_node_is_asked_about_scopes_without_need(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"])
        bench.read()
        assert bench.discovery.scopes_supported is None

    @pytest.mark.parametrize("answer", [(500, b""), (200, b"{}")])
    def test_a_failure_is_not_an_answer(self, answer: tuple[int, bytes]) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        bench.network.answers = {"n1": lambda path: answer if "rack=" in path else (200, b'["n1"]')}
        bench.read()
        assert bench.discovery.scopes_supported is None

    def test_refused_entries_still_count_as_listed(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"], DatacenterScope("dc1"))
        bench.network.answers = {"n1": lambda path: b'["0.0.0.0"]' if "rack=" in path else b'["n1"]'}
        bench.read()
        assert bench.discovery.scopes_supported is False


class TestSeeds:
    @pytest.mark.parametrize(
        ("seeds", "port", "members"),
        [
            (["n1"], None, ["n1:8000", "n2:8000"]),
            (["n1:9000"], None, ["n1:9000", "n2:9000"]),
            (["n1:9000"], 8001, ["n1:8001", "n2:8001"]),
            (["n2", "n1:9000"], None, ["n1:9000", "n2:9000"]),
        ],
    )
    def test_listed_nodes_have_the_port_of_the_cluster(
        self, seeds: list[str], port: int | None, members: list[str]
    ) -> None:
        """A seed may be a load balancer, on a port of its own."""
        bench = Bench(FakeNetwork(n1=("dc1", "r1"), n2=("dc1", "r1")), seeds, port=port)
        reading = bench.read()
        assert sorted(node.address for node in reading.members[(None, None)]) == members

    @pytest.mark.parametrize("scope", [ClusterScope(), DatacenterScope("dc1")])
    def test_names_are_not_resolved_with_every_reading(self, scope: Any) -> None:
        """Seen: a resolver that hangs held up each reading, though live nodes would have told the list."""
        bench = Bench(FakeNetwork(**ONE), ["n1"], scope)
        bench.read()
        bench.network.resolved.clear()
        readings = 40
        for _ in range(readings):
            bench.read(active=list(ONE))
        assert len(bench.network.resolved) <= readings / READINGS_PER_LOOK_OUTSIDE + 1

    def test_a_name_that_comes_later_is_found(self) -> None:
        """A node whose certificate has only its name, which its resolver learns after the cluster lists the node."""
        network = FakeNetwork(**{"10.0.0.1": ("dc1", "r1"), "10.0.0.2": ("dc1", "r1")})
        network.names["n1.test"] = ["10.0.0.1"]
        bench = Bench(network, ["n1.test", "n2.test"], scheme="https", port=8043)

        def names() -> dict[str, tuple[str, ...]]:
            bench.reading = bench.discovery.read(bench.reading, active=sorted(bench.reading.nodes, key=str))
            return {node.host: node.certificate_names for node in bench.reading.nodes}

        bench.discovery.seeds()
        assert names() == {"10.0.0.1": ("n1.test", "10.0.0.1"), "10.0.0.2": ("n1.test", "10.0.0.2")}
        network.names["n2.test"] = ["10.0.0.2"]
        for _ in range(READINGS_PER_LOOK_OUTSIDE):
            last = names()
        assert last["10.0.0.2"][-2:] == ("n2.test", "10.0.0.2")

    def test_seeds_are_resolved_again_if_no_node_answers(self) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"])
        bench.read()
        bench.network.dead = set(ONE)
        bench.network.places["new"] = ("dc1", "r1")
        bench.network.names["n1"] = ["new"]
        bench.read(down=list(ONE))
        assert bench.reading.source == "new:8000"


class TestLog:
    def test_a_bad_entry_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"])
        bench.network.answers = dict.fromkeys(ONE, b'["n1","0.0.0.0",null]')
        with caplog.at_level(logging.INFO, "pynamodb_alternator.cluster"):
            for _ in range(3):
                bench.read(active=["n1"])
        assert sorted(record.getMessage().split("dropped: ")[1] for record in caplog.records) == [
            "'0.0.0.0' (the unspecified address, which no other machine can reach).",
            "None (no address).",
        ]

    def test_a_liar_does_not_fill_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        bench = Bench(FakeNetwork(**ONE), ["n1"])
        entries = ",".join(str(number) for number in range(5000))
        bench.network.answers = {name: f'["n1",{entries}]'.encode() for name in ONE}
        with caplog.at_level(logging.INFO, "pynamodb_alternator.cluster"):
            bench.read(active=["n1"])
            first = len(caplog.records)
            bench.read(active=["n1"])
        assert len(caplog.records) == first == MOST_LOGGED + 1

    def test_a_good_reading_says_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        bench = Bench(FakeNetwork(**TWO), ["a1", "b1"], RackScope("east", "r1", ClusterScope()))
        with caplog.at_level(logging.DEBUG, "pynamodb_alternator"):
            for _ in range(5):
                bench.read(active=sorted(TWO))
        assert caplog.records == []


# ---- switched off ------------------------------------------------------------------------------------------------


def test_where_discovery_is_switched_off_the_seeds_are_the_nodes() -> None:
    network = FakeNetwork(**TWO)
    network.names["proxy"] = ["a1", "b1"]
    scope = DatacenterScope("east", fallback=ClusterScope())
    bench = Bench(network, ["proxy"], scope, discovery={"enabled": False})
    first = bench.read()
    assert hosts(first.nodes) == ["a1", "b1"]
    assert {location: hosts(nodes) for location, nodes in first.members.items()} == {
        ("east", None): ["a1", "b1"],
        (None, None): ["a1", "b1"],
    }
    assert network.log == []
    network.names["proxy"] = ["b1", "b2"]
    readings = [bench.read() for _ in range(READINGS_PER_LOOK_OUTSIDE)]
    assert all(reading is first for reading in readings[:-1])
    assert hosts(readings[-1].nodes) == ["b1", "b2"]
    network.names["proxy"] = []
    assert all(bench.read() is readings[-1] for _ in range(2 * READINGS_PER_LOOK_OUTSIDE))


def test_where_discovery_is_switched_off_and_no_seed_resolves() -> None:
    bench = Bench(FakeNetwork(**TWO), ["nowhere"], discovery={"enabled": False})
    for _ in range(2):
        with pytest.raises(DiscoveryError, match="no seed can be resolved") as failed:
            bench.read()
        assert failed.value.tried == ("nowhere",)
    bench.network.names["nowhere"] = ["a1"]
    assert hosts(bench.read().nodes) == ["a1"]
