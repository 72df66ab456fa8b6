"""Plans in which the less busy of two random nodes goes first: among which nodes, and of which requests."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.routing.least_busy import LeastBusyRouter, router_for
from pynamodb_alternator.routing.plan import REPLICA
from pynamodb_alternator.routing.router import Router
from pynamodb_alternator.routing.tables import Tables
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.options import RequestOptions
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.replicas import ANY_PORT, Replicas, TokenRange, make_ring
from pynamodb_alternator.topology.selection import spread
from pynamodb_alternator.topology.view import Topology, View, ring_order

NODES = ring_order(Node("http", f"10.0.0.{number}", 8000) for number in range(1, 7))
VIEW = View(Topology(NODES, NODES, NODES))
HOLDERS = NODES[:3]
GET = {"TableName": "t", "Key": {"id": {"S": "alice"}}}
PUT = {"TableName": "t", "Item": {"id": {"S": "alice"}}}
CONDITIONAL = {**PUT, "ConditionExpression": "attribute_not_exists(id)"}


class Loads:
    """The nodes by how busy they are; those that are not named are idle."""

    def __init__(self, busy: dict[Node, int] | None = None) -> None:
        self.busy = busy or {}
        self.asked: list[str] = []

    def is_less_busy(self, first: Node, second: Node, operation: str) -> bool:
        assert first != second
        self.asked.append(operation)
        return self.busy.get(first, 0) < self.busy.get(second, 0)


def make(loads: Loads | None = None, **config: Any) -> Router:
    settings = ClusterConfig(
        "10.0.0.1", load_balancing="least_busy", partition_keys={"t": "id"}, token_aware=True, **config
    )
    replicas = Replicas(settings.token_aware_after)
    ring = make_ring([TokenRange(-(2**63), 2**63 - 1, (node.host, ANY_PORT)) for node in HOLDERS], 1.0)
    assert ring is not None
    replicas.publish("t", ring)
    tables = Tables(settings, lambda table, what: None)
    return LeastBusyRouter(settings, tables, random.Random(7), replicas, load=loads or Loads())


def orders(router: Router, operation: str, parameters: Any, view: View = VIEW, count: int = 300) -> list[list[Node]]:
    return [list(router.plan(operation, parameters, view).order(view)) for _ in range(count)]


def firsts(router: Router, view: View, operation: str = "Scan", parameters: Any = GET) -> Counter[Node]:
    return Counter(order[0] for order in orders(router, operation, parameters, view, 3_000))


def test_a_candidate_that_starts_slowly_leaves_its_place_to_another() -> None:
    seen = spread(VIEW, {NODES[2]: 0.25}, lambda *_: ())
    counts = firsts(make(), seen)
    assert counts.pop(NODES[2]) == pytest.approx(125, rel=0.4)
    assert min(counts.values()) > 0.8 * max(counts.values())
    for order in orders(make(), "Scan", {}, seen):
        assert sorted(order, key=str) == sorted(NODES, key=str)


def test_an_idle_node_that_starts_does_not_get_what_the_others_are_busy_with() -> None:
    busy = Loads({node: 5 for node in NODES if node is not NODES[2]})
    counts = firsts(make(busy), spread(VIEW, {NODES[2]: 0.25}, lambda *_: ()))
    assert counts[NODES[2]] < 1.2 * 2 * 0.25 * 3_000 / len(NODES)


def test_a_replica_that_starts_slowly_leaves_reads_to_the_others() -> None:
    counts = firsts(make(), spread(VIEW, {HOLDERS[0]: 0.25}, lambda *_: ()), "GetItem")
    assert counts.keys() == set(HOLDERS)
    assert counts[HOLDERS[0]] == pytest.approx(250, rel=0.4)
    alone = spread(VIEW, dict.fromkeys(HOLDERS, 0.1), lambda *_: ())
    assert min(firsts(make(), alone, "GetItem").values()) > 700


def test_the_subset_goes_first_and_replicas_in_it() -> None:
    seen = spread(VIEW, {}, lambda *_: NODES[2:4])
    assert firsts(make(), seen).keys() == set(NODES[2:4])
    for order in orders(make(), "Scan", {}, seen):
        assert set(order[:2]) == set(NODES[2:4])
        assert set(order) == set(NODES)
    assert firsts(make(), seen, "GetItem").keys() == {NODES[2]}
    plan = make().plan("GetItem", GET, spread(VIEW, {}, lambda *_: NODES[4:]))
    assert (plan.policy, plan.reason) == ("least_busy", "no_replica_in_subset")
    sick = seen._replace(down=frozenset(NODES[2:3]), quarantined=frozenset(NODES[3:4]))
    for order in orders(make(), "Scan", {}, sick):
        assert order[-1] == NODES[3]


def said(router: Router, operation: str, parameters: Any) -> tuple[str, str | None]:
    plan = router.plan(operation, parameters, VIEW)
    return plan.policy, plan.reason


@pytest.mark.parametrize(
    ("operation", "parameters", "policy", "reason"),
    [
        ("Scan", {"TableName": "t"}, "least_busy", "read"),
        ("ListTables", {}, "least_busy", "not_an_item_write"),
        ("GetItem", GET, "replica", None),
        ("PutItem", PUT, "replica", None),
        ("PutItem", CONDITIONAL, "affinity", None),
        ("PutItem", {"TableName": "t", "Item": {}}, "least_busy", "no_key_value"),
    ],
)
def test_the_request_decides_the_policy(operation: str, parameters: Any, policy: str, reason: str | None) -> None:
    assert said(make(), operation, parameters) == (policy, reason)


def test_affinity_that_cannot_be_used_has_a_reason() -> None:
    plan = make(key_route_affinity="any_write").plan("PutItem", {"TableName": "t", "Item": {}}, VIEW)
    assert (plan.policy, plan.reason, plan.wanted_affinity) == ("least_busy", "no_key_value", True)
    batch = make(key_route_affinity="any_write").plan(
        "BatchWriteItem", {"RequestItems": {"t": [{"PutRequest": {"Item": PUT["Item"]}}]}}, VIEW
    )
    assert batch.policy == "batch_affinity"
    of_one_node = make().plan_of("GetItem", {}, VIEW, RequestOptions(consistent_node=5))
    assert of_one_node.policy == "consistent_node"


def test_each_node_once_and_all_alike() -> None:
    plans = orders(make(), "Scan", {}, count=6000)
    assert all(Counter(order) == Counter(NODES) for order in plans)
    firsts = Counter(order[0] for order in plans)
    assert all(800 < firsts[node] < 1200 for node in NODES)


def test_the_busiest_is_never_first_and_always_last() -> None:
    loads = Loads({NODES[2]: 9})
    plans = orders(make(loads), "Scan", {})
    assert {order[-1] for order in plans} == {NODES[2]}
    assert {order[0] for order in plans} == set(NODES) - {NODES[2]}
    assert set(loads.asked) == {"Scan"}


def test_reads_of_a_key_take_the_less_busy_replica_and_then_the_others() -> None:
    loads = Loads({HOLDERS[0]: 9, NODES[4]: 9})
    router = make(loads)
    for operation, parameters in (
        ("GetItem", GET),
        (
            "Query",
            {
                "TableName": "t",
                "KeyConditionExpression": "id = :i",
                "ExpressionAttributeValues": {":i": {"S": "alice"}},
            },
        ),
    ):
        assert router.plan(operation, parameters, VIEW).policy == REPLICA
        plans = orders(router, operation, parameters)
        assert all(set(order[:3]) == set(HOLDERS) and len(order) == len(set(order)) == 6 for order in plans)
        assert {order[0] for order in plans} == set(HOLDERS[1:])
        assert {(order[2], order[5]) for order in plans} == {(HOLDERS[0], NODES[4])}


def test_writes_of_a_key_keep_their_replica_however_busy_it_is() -> None:
    router = make()
    [home] = {order[0] for order in orders(router, "PutItem", PUT)}
    busy = make(Loads({home: 1000}))
    assert {order[0] for order in orders(busy, "PutItem", PUT)} == {home}
    assert home in HOLDERS


def test_health_comes_first() -> None:
    view = VIEW._replace(
        down=frozenset(NODES[:1]),
        quarantined=frozenset(NODES[1:2]),
        set_aside=frozenset(NODES[2:3]),
    )
    loads = Loads(dict.fromkeys(NODES[3:], 100))
    router = make(loads)
    for order in orders(router, "Scan", {}, view):
        assert set(order[:3]) == set(NODES[3:])
        assert order[3:] == [NODES[1], NODES[2]]
    for order in orders(router, "GetItem", GET, view):  # no replica is well
        assert set(order[:3]) == set(NODES[3:])
        assert order[3:] == [NODES[1], NODES[2]]
    # Another view, and then the first one again.
    assert len(orders(router, "Scan", {}, VIEW._replace(down=frozenset(NODES[:5])), 1)[0]) == 1
    assert len(orders(router, "Scan", {}, view, 1)[0]) == 5


def test_the_two_candidates_are_active_ones() -> None:
    """With one of three nodes down, each request compares the other two."""
    nodes = NODES[:3]
    view = View(Topology(nodes, nodes, nodes), down=frozenset(nodes[:1]))
    plans = orders(make(Loads({nodes[1]: 1})), "Scan", {}, view)
    assert {order[0] for order in plans} == {nodes[2]}


def test_a_plan_stays_in_the_scope_in_use() -> None:
    plan = make().plan("GetItem", GET, VIEW)
    rack = NODES[2:5]
    order = list(plan.order(View(Topology(NODES, rack, NODES))))
    assert order[0] == NODES[2]
    assert Counter(order) == Counter(rack)


@given(
    st.integers(0, 8),
    st.sets(st.integers(0, 7)),
    st.sets(st.integers(0, 7)),
    st.sets(st.integers(0, 7)),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_a_plan_is_complete_with_any_health_and_load(
    count: int, down: set[int], quarantined: set[int], aside: set[int], busy: list[int]
) -> None:
    nodes = ring_order(Node("http", f"10.0.0.{number}", 8000) for number in range(1, count + 1))

    def some(numbers: set[int]) -> frozenset[Node]:
        return frozenset(nodes[number] for number in numbers if number < count)

    view = View(Topology(nodes, nodes, nodes), some(down), some(quarantined), some(aside))
    router = make(Loads(dict(zip(nodes, busy, strict=False))))
    for operation, parameters in (("Scan", {}), ("GetItem", GET)):
        order = list(router.plan(operation, parameters, view).order(view))
        assert Counter(order) == Counter(set(nodes) - view.down)
        ranks = [2 if node in view.set_aside else 1 if node in view.quarantined else 0 for node in order]
        assert ranks == sorted(ranks)


def test_without_least_busy_the_nodes_take_turns() -> None:
    config = ClusterConfig("10.0.0.1")
    router = router_for(config, Tables(config, lambda table, what: None), random.Random(1), Replicas(1000))
    assert type(router) is Router
    assert router.plan("Scan", {}, VIEW).policy == "round_robin"
