"""Which nodes a request's query plan begins with, where the replicas of its key are known."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.routing.hashing import key_hash
from pynamodb_alternator.routing.plan import QueryPlan
from pynamodb_alternator.routing.router import Router
from pynamodb_alternator.routing.tables import Tables
from pynamodb_alternator.routing.token import token_of
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.values import KeyRouteAffinity
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.replicas import Replicas, TokenRange, make_ring
from pynamodb_alternator.topology.view import Topology, View, ring_order

NODES = ring_order(Node("http", f"10.0.0.{number}", 8000) for number in range(1, 10))
TOPOLOGY = Topology(NODES, NODES, NODES)
VIEW = View(TOPOLOGY)
HALVES = {True: NODES[1:4], False: NODES[5:8]}
"""The replicas of the tokens below zero, and of the others."""
LAST = 2**63 - 1
GET = {"TableName": "t", "Key": {"id": {"S": "alice"}}}
PUT = {"TableName": "t", "Item": {"id": {"S": "alice"}, "x": {"N": "1"}}}
QUERY = {
    "TableName": "t",
    "KeyConditionExpression": "#0 = :0 AND at < :1",
    "ExpressionAttributeNames": {"#0": "id"},
    "ExpressionAttributeValues": {":0": {"S": "alice"}, ":1": {"N": "3"}},
}


def holders(value: str, kind: str = "S") -> tuple[Node, ...]:
    return HALVES[token_of(kind, value) < 0]


class Setup:
    """A router over a ring of two ranges for the table t, and for its index by_g one that is the other way round."""

    def __init__(self, *, after: int = 1000, with_ring: bool = True, **config: Any) -> None:
        settings = ClusterConfig("10.0.0.1", **{"key_route_affinity": KeyRouteAffinity.NONE, **config})
        self.unknown: list[tuple[str, str]] = []
        self.wishes: list[tuple[str, bool]] = []
        self.tables = Tables(settings, lambda table, what: self.unknown.append((table, what)))
        self.tables.register("t", "id", index_keys={"by_g": "g"})
        self.replicas = Replicas(after, lambda name, always: self.wishes.append((name, always)))
        self.router = Router(settings, self.tables, random.Random(7), self.replicas)
        if with_ring:
            self.publish("t", HALVES[True], HALVES[False])
            self.publish("t:by_g", HALVES[False], HALVES[True])

    def publish(self, name: str, low: tuple[Node, ...], high: tuple[Node, ...]) -> None:
        ranges = [
            *(TokenRange(None, -1, (node.host, node.port)) for node in low),
            *(TokenRange(-1, LAST, (node.host, node.port)) for node in high),
        ]
        ring = make_ring(ranges, 0.0)
        assert ring is not None
        self.replicas.publish(name, ring)

    def plan(self, operation: str, parameters: Mapping[str, Any], view: View = VIEW, **options: Any) -> QueryPlan:
        return self.router.plan(operation, parameters, view, **options)

    def order(self, operation: str, parameters: Mapping[str, Any], view: View = VIEW) -> list[Node]:
        return list(self.plan(operation, parameters, view).order(view))


TWO_EQUALITIES = {
    "TableName": "u",
    "KeyConditionExpression": "z = :z AND y = :y",
    "ExpressionAttributeValues": {":z": {"S": "a"}, ":y": {"S": "b"}},
}
OTHER = {"z": {"S": "a"}}


@pytest.mark.parametrize("is_learnt", [True, False])
@pytest.mark.parametrize(
    ("operation", "parameters", "doubts"),
    [
        ("GetItem", {"TableName": "u", "Key": OTHER}, True),
        ("Query", TWO_EQUALITIES, True),
        ("PutItem", {"TableName": "u", "Item": OTHER}, True),
        ("DeleteItem", {"TableName": "u", "Key": OTHER}, True),
        ("GetItem", {"TableName": "u", "Key": {"id": {"S": "a"}}}, False),
        ("GetItem", {"TableName": "u", "Key": {"id": {}}}, False),
        ("GetItem", {"TableName": "u", "Key": 5}, False),
    ],
)
def test_a_learnt_key_that_a_request_does_not_have_is_looked_up_again(
    operation: str, parameters: dict[str, Any], doubts: bool, is_learnt: bool
) -> None:
    setup = Setup(token_aware=True, partition_keys={} if is_learnt else {"u": "id"})
    setup.publish("u", HALVES[True], HALVES[False])
    setup.tables.learn_partition_key("u", "id")
    setup.plan(operation, parameters)
    assert setup.unknown == ([("u", "partition_key")] if doubts and is_learnt else [])


def test_indexes_are_those_of_the_last_description() -> None:
    setup = Setup()
    setup.tables.learn_partition_key("u", "id", {"by_a": "a", "by_b": "b"})
    setup.tables.learn_partition_key("u", "z", {"by_a": "c"})
    table = setup.tables.get("u")
    assert (table.partition_key, table.index_keys) == ("z", {"by_a": "c"})
    setup.tables.learn_partition_key("t", "z", {"by_g": "z", "by_h": "h"})
    table = setup.tables.get("t")
    assert (table.partition_key, table.index_keys) == ("id", {"by_g": "g", "by_h": "h"})


@pytest.mark.parametrize(("operation", "parameters"), [("GetItem", GET), ("Query", QUERY)])
@pytest.mark.parametrize("mode", ["auto", True])
def test_reads_take_turns_among_the_replicas(operation: str, parameters: dict[str, Any], mode: Any) -> None:
    setup = Setup(token_aware=mode)
    replicas = holders("alice")
    firsts: Counter[Node] = Counter()
    for _ in range(30):
        plan = setup.plan(operation, parameters)
        assert (plan.policy, plan.reason, plan.wanted_affinity) == ("replica", None, False)
        order = list(plan.order(VIEW))
        assert set(order[:3]) == set(replicas)
        assert sorted(order, key=str) == sorted(NODES, key=str)
        firsts[order[0]] += 1
    assert dict(firsts) == dict.fromkeys(replicas, 10)


@given(st.text(min_size=1, max_size=20))
def test_the_replicas_of_a_key_come_first(key: str) -> None:
    order = Setup().order("GetItem", {"TableName": "t", "Key": {"id": {"S": key}}})
    assert set(order[:3]) == set(holders(key))


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ({"N": "1e3"}, token_of("N", "1e3")),
        ({"B": b"\x80\x00"}, token_of("B", b"\x80\x00")),
        ({"B": bytearray(b"\x80\x00")}, token_of("B", b"\x80\x00")),
    ],
)
def test_numbers_and_binary_keys(value: dict[str, Any], token: int) -> None:
    order = Setup().order("GetItem", {"TableName": "t", "Key": {"id": value, "at": {"S": "x"}}})
    assert set(order[:3]) == set(HALVES[token < 0])


def test_an_index_is_a_table_of_its_own() -> None:
    query = {
        "TableName": "t",
        "IndexName": "by_g",
        "KeyConditionExpression": "id = :i AND g = :g",
        "ExpressionAttributeValues": {":i": {"S": "bob"}, ":g": {"S": "alice"}},
    }
    other = HALVES[not token_of("S", "alice") < 0]
    assert set(Setup().order("Query", query)[:3]) == set(other)


@pytest.mark.parametrize("affinity", [KeyRouteAffinity.NONE, KeyRouteAffinity.RMW, KeyRouteAffinity.AUTO])
def test_the_plain_writers_of_a_key_share_a_replica(affinity: KeyRouteAffinity) -> None:
    setup = Setup(key_route_affinity=affinity)
    for number in range(50):
        key = f"user-{number}"
        put = {"TableName": "t", "Item": {"id": {"S": key}}}
        delete = {"TableName": "t", "Key": {"id": {"S": key}}}
        replicas = holders(key)
        expected = replicas[key_hash("S", key) % 3]
        for operation, parameters in (("PutItem", put), ("DeleteItem", delete)):
            plan = setup.plan(operation, parameters)
            assert (plan.policy, plan.reason) == ("replica", None)
            order = list(plan.order(VIEW))
            assert order[0] is expected
            assert set(order[:3]) == set(replicas)
            assert len(order) == len(NODES)


def test_writes_with_affinity_keep_their_coordinator() -> None:
    with_ring, without = (Setup(with_ring=ring, key_route_affinity=KeyRouteAffinity.RMW) for ring in (True, False))
    conditional = {**PUT, "ConditionExpression": "attribute_not_exists(id)"}
    assert with_ring.plan("PutItem", conditional).policy == "affinity"
    assert with_ring.order("PutItem", conditional) == without.order("PutItem", conditional)


def test_writes_that_are_all_lightweight_transactions_do_not_go_to_replicas() -> None:
    setup = Setup(key_route_affinity=KeyRouteAffinity.RMW)
    setup.tables.learn_write_isolation("t", "always")
    assert setup.plan("PutItem", PUT).reason == "not_read_modify_write"
    auto = Setup(key_route_affinity=KeyRouteAffinity.AUTO)
    auto.tables.learn_write_isolation("t", "always")
    assert auto.plan("PutItem", PUT).policy == "affinity"


@pytest.mark.parametrize("operation", ["BatchGetItem", "BatchWriteItem", "Scan", "DescribeTable", "UpdateTable"])
def test_other_operations_are_routed_as_before(operation: str) -> None:
    assert Setup(token_aware=True).plan(operation, {"TableName": "t", "RequestItems": {}}).policy == "round_robin"


# ---- where the replicas are not known --------------------------------------------------------------------------------


def test_a_table_in_little_use_is_routed_as_before() -> None:
    setup = Setup(with_ring=False, after=3)
    said = [setup.plan("GetItem", GET).reason for _ in range(4)]
    assert said == ["read", "read", "no_token_ring", "no_token_ring"]
    assert setup.plan("PutItem", PUT).reason == "no_token_ring"
    assert setup.wishes == [("t", False)]


def test_true_wants_the_ring_at_once() -> None:
    setup = Setup(with_ring=False, token_aware=True)
    assert setup.plan("PutItem", PUT).reason == "no_token_ring"
    assert setup.wishes == [("t", True)]


def test_of_a_request_alone() -> None:
    setup = Setup(with_ring=False)
    assert setup.plan("GetItem", GET, token_aware=True).reason == "no_token_ring"
    assert setup.wishes == [("t", True)]
    off = Setup(token_aware=True)
    assert off.plan("GetItem", GET, token_aware=False).reason == "read"
    assert off.plan("PutItem", PUT, token_aware=False).reason == "affinity_off"


def test_without_token_awareness_no_ring_is_used() -> None:
    setup = Setup(token_aware=False, after=1)
    assert setup.plan("GetItem", GET).reason == "read"
    assert setup.plan("Query", QUERY).reason == "read"
    assert setup.plan("PutItem", PUT).reason == "affinity_off"
    assert setup.wishes == []


@pytest.mark.parametrize(
    ("operation", "parameters", "reason"),
    [
        ("GetItem", {"TableName": "t"}, "no_key_value"),
        ("GetItem", {"TableName": "t", "Key": {}}, "no_key_value"),
        ("GetItem", {"TableName": "t", "Key": {"id": {"N": "x"}}}, "no_key_value"),
        ("GetItem", {"TableName": "t", "Key": {"id": {"S": "\ud800"}}}, "no_key_value"),
        ("GetItem", {"TableName": "t", "Key": {"id": {"BOOL": True}}}, "unsupported_key_type"),
        ("PutItem", {"TableName": "t", "Item": {"id": {"S": 1}}}, "unsupported_key_type"),
        ("PutItem", {"TableName": "t", "Item": {"id": {"N": "1_0"}}}, "no_key_value"),
        ("Query", {"TableName": "t"}, "no_key_value"),
        ("Query", {"TableName": "t", "KeyConditionExpression": "id < :0"}, "no_key_value"),
    ],
)
def test_keys_that_are_none(operation: str, parameters: dict[str, Any], reason: str) -> None:
    assert Setup().plan(operation, parameters).reason == reason


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("GetItem", {"TableName": "u", "Key": {"id": {"S": "a"}, "at": {"S": "b"}}}),
        ("PutItem", {"TableName": "u", "Item": {"id": {"S": "a"}, "at": {"S": "b"}}}),
        (
            "Query",
            {
                "TableName": "u",
                "KeyConditionExpression": "id = :0 AND at = :0",
                "ExpressionAttributeValues": {":0": {"S": "a"}},
            },
        ),
    ],
)
def test_the_name_of_the_key_is_asked_for(operation: str, parameters: dict[str, Any]) -> None:
    setup = Setup()
    setup.publish("u", HALVES[True], HALVES[False])
    assert setup.plan(operation, parameters).reason == "no_partition_key_name"
    assert setup.unknown == [("u", "partition_key")]


# ---- scopes and health -----------------------------------------------------------------------------------------------


def rack(nodes: tuple[Node, ...], **state: frozenset[Node]) -> View:
    return View(Topology(NODES, nodes, NODES), **state)


def test_a_plan_never_leaves_the_scope_in_use() -> None:
    replicas = holders("alice")
    view = rack(ring_order((replicas[1], NODES[8])))
    order = Setup().order("GetItem", GET, view)
    assert order == [replicas[1], NODES[8]]


def test_a_scope_without_a_replica_has_its_order() -> None:
    view = rack((NODES[0], NODES[8]))
    plan = Setup().plan("GetItem", GET, view)
    assert (plan.policy, plan.reason) == ("round_robin", "no_replica_in_scope")
    assert set(plan.order(view)) == {NODES[0], NODES[8]}


@pytest.mark.parametrize(("operation", "parameters"), [("GetItem", GET), ("Query", QUERY), ("PutItem", PUT)])
def test_a_subset_has_its_replicas_first_and_then_its_other_nodes(operation: str, parameters: dict[str, Any]) -> None:
    replicas = holders("alice")
    others = tuple(node for node in NODES if node not in replicas)
    view = VIEW._replace(subset=ring_order((replicas[1], *others[:2])))
    plan = Setup().plan(operation, parameters, view)
    assert (plan.policy, plan.reason, plan.replicas) == ("replica", None, (replicas[1],))
    order = list(plan.order(view))
    assert (order[0], set(order[1:3]), set(order)) == (replicas[1], set(others[:2]), set(NODES))
    without = VIEW._replace(subset=others[:3])
    plan = Setup().plan(operation, parameters, without)
    assert (plan.policy, plan.reason) == ("round_robin", "no_replica_in_subset")
    assert set(list(plan.order(without))[:3]) == set(others[:3])


def test_all_writers_of_a_key_take_the_same_of_two_replicas_in_a_subset() -> None:
    replicas = holders("alice")
    view = VIEW._replace(subset=replicas[:2], starting={replicas[0]: 0.1}, settled=replicas[1:2])
    firsts = {Setup().plan("PutItem", PUT, view).first(view) for _ in range(20)}
    assert firsts == {replicas[:2][key_hash("S", "alice") % 2]}


def test_the_route_of_a_key_follows_the_subset() -> None:
    replicas = holders("alice")
    others = tuple(node for node in NODES if node not in replicas)
    view = VIEW._replace(subset=others[:2])
    route = Setup().router.route_key("t", {"S": "alice"}, view)
    assert (route.replicas.in_scope, route.replicas.reason) == (replicas, "no_replica_in_subset")
    assert set(route.reads[:2]) == set(route.plain_writes[:2]) == set(others[:2])


def test_a_scope_that_changes_after_the_plan() -> None:
    plan = Setup().plan("GetItem", GET)
    replicas = holders("alice")
    view = rack(ring_order((replicas[2], NODES[0])))
    assert list(plan.order(view)) == [replicas[2], NODES[0]]


@pytest.mark.parametrize("operation", ["GetItem", "PutItem"])
def test_health_comes_first(operation: str) -> None:
    setup, parameters = Setup(), {"GetItem": GET, "PutItem": PUT}[operation]
    replicas = holders("alice")
    down, slow = frozenset({replicas[0]}), frozenset({replicas[1]})
    for state in ({"quarantined": slow}, {"set_aside": slow}):
        view = View(TOPOLOGY, down=down, **state)
        for _ in range(6):
            order = setup.order(operation, parameters, view)
            assert order[0] is replicas[2]
            assert order[-1] is replicas[1]
            assert replicas[0] not in order
            assert len(order) == len(NODES) - 1


def test_the_share_of_a_dead_replica_is_spread() -> None:
    setup, replicas = Setup(), holders("alice")
    view = View(TOPOLOGY, down=frozenset({replicas[0]}))
    firsts = Counter(setup.order("GetItem", GET, view)[0] for _ in range(300))
    assert set(firsts) == set(replicas[1:])
    assert max(firsts.values()) <= 1.1 * min(firsts.values())


def test_the_random_order_begins_with_any_replica() -> None:
    setup = Setup(load_balancing="random")
    firsts = Counter(setup.order("GetItem", GET)[0] for _ in range(300))
    assert set(firsts) == set(holders("alice"))
    assert min(firsts.values()) > 60


@pytest.mark.parametrize("index", ["by_g", "vectors"])
@pytest.mark.parametrize(
    "operation_and_more",
    [
        ("SearchVectors", {"SearchConditionExpression": "#0 = :0"}),
        ("Query", {"VectorSearch": {"QueryVector": {"L": []}}, "KeyConditionExpression": "#0 = :0"}),
    ],
)
def test_a_vector_search_has_no_key(index: str, operation_and_more: tuple[str, dict[str, Any]]) -> None:
    """What looks like a key condition only filters, and a vector index has no partition key that could be looked up."""
    operation, more = operation_and_more
    setup = Setup(token_aware=True)
    firsts = {setup.order(operation, {**QUERY, "IndexName": index, **more})[0] for _ in NODES}
    assert len(firsts) == len(NODES)
    assert setup.unknown == []
    assert setup.wishes == []
