"""The plans of ScyllaDB's other drivers, and the settings with which this library makes the same ones.

The vectors (``mixed-fleet.tsv``) are the output of those drivers' own code. `docs/routing.md` tells users what is
checked here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.routing.ring import AffinityRing
from pynamodb_alternator.routing.router import Router
from pynamodb_alternator.routing.tables import Tables
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.values import RingOrder
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.view import Topology, View, ring_order

VECTORS = Path(__file__).parent.parent / "vectors" / "mixed-fleet.tsv"
DRIVERS = ("Go", "Java 2.0.5", "C++", "JavaScript", "alternator-client 2.0.2")
DEFAULT_PORTS = (80, 443)


@dataclass(frozen=True)
class Case:
    scheme: str
    port: int
    hosts: tuple[str, ...]
    key: dict[str, str | bytes]
    plans: dict[str, list[str]]

    @classmethod
    def of(cls, line: str) -> Case:
        scheme, port, hosts, key, *plans = line.split("\t")
        kind, _, payload = key.partition(":")
        raw = bytes.fromhex(payload)
        value = raw if kind == "B" else raw.decode()
        by_driver = {driver: plan.split(",") for driver, plan in zip(DRIVERS, plans, strict=True)}
        return cls(scheme, int(port), tuple(hosts.split(",")), {kind: value}, by_driver)

    def plan(self, order: RingOrder) -> list[str]:
        """Ours, of a write with affinity, where all nodes are active."""
        config = ClusterConfig(
            self.hosts[0], affinity_ring_order=order, key_route_affinity="any_write", partition_keys={"t": "id"}
        )
        ring = ring_order(Node(self.scheme, host, self.port) for host in self.hosts)
        view = View(Topology(ring, ring, ring))
        router = Router(config, Tables(config), random.Random(1))
        plan = router.plan("PutItem", {"TableName": "t", "Item": {"id": self.key}}, view)
        return [node.host for node in plan.order(view)]

    @property
    def has_name_with_hyphen_after_another(self) -> bool:
        """Whether a host is the beginning of another one up to a hyphen, such as ``db`` and ``db-2``."""
        return any(host.startswith(f"{other}-") for host in self.hosts for other in self.hosts)


CASES = [Case.of(line) for line in VECTORS.read_text("utf-8").splitlines() if not line.startswith("#")]


def differing(driver: str, order: RingOrder) -> list[Case]:
    return [case for case in CASES if case.plan(order) != case.plans[driver]]


@pytest.mark.parametrize(
    ("driver", "order"),
    [
        ("Go", "endpoint_with_port"),
        ("Java 2.0.5", "endpoint_with_port"),
        ("C++", "endpoint_with_port"),
        ("alternator-client 2.0.2", "host"),
    ],
)
def test_every_plan_of_a_driver(driver: str, order: RingOrder) -> None:
    assert len(CASES) == 160
    assert differing(driver, order) == []


def test_the_plans_of_javascript_except_for_some_names() -> None:
    """That driver sorts by a collation of the locale, for which a hyphen comes before the colon of the port."""
    others = differing("JavaScript", "host")
    assert len(others) == 10
    assert all(case.has_name_with_hyphen_after_another for case in others)


@pytest.mark.parametrize("driver", ["Go", "Java 2.0.5", "C++"])
def test_at_other_ports_the_canonical_order_is_enough(driver: str) -> None:
    assert {case.port for case in differing(driver, "endpoint")} == set(DEFAULT_PORTS)


def test_the_figures_in_the_documentation() -> None:
    """How many of the plans differ, and how many of them at their first node, if the setting is left as it is."""

    def figures(driver: str, cases: list[Case]) -> tuple[int, int, int]:
        differ = [case for case in cases if case.plan("endpoint") != case.plans[driver]]
        first = [case for case in differ if case.plan("endpoint")[0] != case.plans[driver][0]]
        return len(cases), len(differ), len(first)

    assert figures("Go", [case for case in CASES if case.port in DEFAULT_PORTS]) == (80, 42, 20)
    assert figures("JavaScript", CASES) == (160, 60, 24)
    assert figures("alternator-client 2.0.2", CASES) == (160, 59, 26)


def ordered(order: RingOrder, nodes: list[Node]) -> list[str]:
    ring = ring_order(nodes)
    return [node.endpoint for node in AffinityRing(order)(Topology(ring, ring, ring))]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("endpoint", ["http://10.0.0.1", "http://10.0.0.10", "http://[::1]"]),
        ("endpoint_with_port", ["http://10.0.0.10", "http://10.0.0.1", "http://[::1]"]),
        ("host", ["http://10.0.0.1", "http://10.0.0.10", "http://[::1]"]),
    ],
)
def test_orders_at_a_default_port(order: RingOrder, expected: list[str]) -> None:
    assert ordered(order, [Node("http", host, 80) for host in ("10.0.0.10", "::1", "10.0.0.1")]) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("endpoint", ["https://10.0.0.10:80", "https://10.0.0.1:80"]),
        ("endpoint_with_port", ["https://10.0.0.10:80", "https://10.0.0.1:80"]),
        ("host", ["https://10.0.0.1:80", "https://10.0.0.10:80"]),
    ],
)
def test_the_default_port_of_the_other_scheme_is_an_ordinary_one(order: RingOrder, expected: list[str]) -> None:
    assert ordered(order, [Node("https", host, 80) for host in ("10.0.0.10", "10.0.0.1")]) == expected


HOSTS = st.lists(
    st.one_of(
        st.ip_addresses(v=4, network="10.0.0.0/22").map(str),
        st.from_regex(r"[a-z]{1,2}(-[a-z]|[0-9])?", fullmatch=True),
    ),
    min_size=1,
    max_size=30,
    unique=True,
)


@given(HOSTS, st.sampled_from([("http", 8000), ("http", 443), ("https", 8043), ("https", 80)]))
@settings(deadline=None, max_examples=100)
def test_where_the_port_is_written_anyway_two_orders_are_one(hosts: list[str], where: tuple[str, int]) -> None:
    nodes = [Node(where[0], host, where[1]) for host in hosts]
    assert ordered("endpoint_with_port", nodes) == ordered("endpoint", nodes)


@given(HOSTS, st.sampled_from([80, 8000]))
@settings(deadline=None, max_examples=100)
def test_where_no_host_is_the_beginning_of_another_all_orders_are_one(hosts: list[str], port: int) -> None:
    apart = [host for host in hosts if not any(other != host and other.startswith(host) for other in hosts)]
    nodes = [Node("http", host, port) for host in apart]
    assert ordered("endpoint_with_port", nodes) == ordered("endpoint", nodes) == ordered("host", nodes)


@given(HOSTS, st.sampled_from([80, 443, 8000]), st.sampled_from(["endpoint", "host", "endpoint_with_port"]))
@settings(deadline=None, max_examples=100)
def test_an_order_has_every_node_once(hosts: list[str], port: int, order: RingOrder) -> None:
    nodes = [Node("https", host, port) for host in hosts]
    assert sorted(ordered(order, nodes)) == sorted(node.endpoint for node in dict.fromkeys(nodes))
