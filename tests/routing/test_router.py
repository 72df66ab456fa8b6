"""The router: modes, keys, tables, batches, and whatever parameters there may be."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from boto3.dynamodb.types import Binary
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.routing.generator import first_below
from pynamodb_alternator.routing.hashing import key_hash
from pynamodb_alternator.routing.idempotence import is_idempotent
from pynamodb_alternator.routing.plan import QueryPlan, pick_and_remove
from pynamodb_alternator.routing.router import Router
from pynamodb_alternator.routing.tables import Tables
from pynamodb_alternator.routing.token import token_of
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.values import KeyRouteAffinity
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.replicas import Replicas, TokenRange, make_ring
from pynamodb_alternator.topology.view import Topology, View, ring_order

NONE, RMW = KeyRouteAffinity.NONE, KeyRouteAffinity.RMW
ANY_WRITE, AUTO = KeyRouteAffinity.ANY_WRITE, KeyRouteAffinity.AUTO

RING = ring_order(Node("http", f"10.0.0.{number}", 8000) for number in range(1, 10))
VIEW = View(Topology(RING, RING, RING))
PUT = {"TableName": "t", "Item": {"id": {"S": "alice"}, "x": {"N": "1"}}}
CONDITIONAL = {**PUT, "ConditionExpression": "attribute_not_exists(id)"}
UPDATE = {"TableName": "t", "Key": {"id": {"S": "alice"}}, "UpdateExpression": "SET x = x + :one"}
ALICE = list(pick_and_remove(RING, key_hash("S", "alice")))


class Setup:
    """A router, its tables, and what was asked for because it was unknown."""

    def __init__(self, affinity: KeyRouteAffinity = AUTO, **config: Any) -> None:
        settings_ = ClusterConfig("10.0.0.1", key_route_affinity=affinity, **config)
        self.unknown: list[tuple[str, str]] = []
        self.tables = Tables(settings_, lambda table, what: self.unknown.append((table, what)))
        self.replicas = Replicas(settings_.token_aware_after)
        self.router = Router(settings_, self.tables, random.Random(7), self.replicas)

    def plan(self, operation: str, parameters: Any, view: View = VIEW, **options: Any) -> QueryPlan:
        return self.router.plan(operation, parameters, view, **options)


@pytest.fixture
def setup() -> Setup:
    made = Setup()
    made.tables.register("t", "id")
    return made


def said(plan: QueryPlan) -> tuple[str, str | None, bool]:
    return plan.policy, plan.reason, plan.wanted_affinity


USED = ("affinity", None, True)

# ---- modes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "plain", "conditional"),
    [
        (NONE, ("round_robin", "affinity_off", False), ("round_robin", "affinity_off", False)),
        (RMW, ("round_robin", "not_read_modify_write", False), USED),
        (ANY_WRITE, USED, USED),
        (AUTO, ("round_robin", "not_read_modify_write", False), USED),
    ],
)
def test_the_mode_decides_the_policy(mode: KeyRouteAffinity, plain: object, conditional: object) -> None:
    made = Setup(mode, partition_keys={"t": "id"})
    assert said(made.plan("PutItem", PUT)) == plain
    assert said(made.plan("PutItem", CONDITIONAL)) == conditional
    assert said(made.plan("UpdateItem", UPDATE)) == conditional
    # The same as a model's wish, and as a request's own.
    model = Setup(RMW if mode is not RMW else NONE)
    model.tables.register("t", "id", mode)
    assert said(model.plan("PutItem", PUT)) == plain
    request = Setup(RMW if mode is not RMW else NONE)
    request.tables.register("t", "id", RMW if mode is not RMW else NONE)
    assert said(request.plan("PutItem", PUT, affinity=mode)) == plain


@pytest.mark.parametrize(
    ("spellings", "plain", "conditional"),
    [
        (("a", "always", "always_use_lwt"), USED, USED),
        (("o", "only_rmw_uses_lwt"), ("round_robin", "not_read_modify_write", False), USED),
        (("f", "forbid", "forbid_rmw"), *[("round_robin", "no_lwt_in_table", False)] * 2),
        (("u", "unsafe", "unsafe_rmw"), *[("round_robin", "no_lwt_in_table", False)] * 2),
    ],
)
def test_auto_takes_the_widest_mode_that_helps(
    setup: Setup, spellings: tuple[str, ...], plain: object, conditional: object
) -> None:
    for spelling in spellings:
        assert setup.tables.learn_write_isolation("t", spelling)
        setup.unknown.clear()
        assert said(setup.plan("PutItem", PUT)) == plain
        assert said(setup.plan("PutItem", CONDITIONAL)) == conditional
        assert setup.unknown == []


@pytest.mark.parametrize("spelling", ["", "A", "sometimes", '"always"', None, 5])
def test_unknown_isolation_is_not_learnt(setup: Setup, spelling: Any) -> None:
    assert not setup.tables.learn_write_isolation("t", spelling)
    assert setup.tables.get("t").write_isolation is None


def test_learnt_isolation_is_for_auto_only() -> None:
    made = Setup(ANY_WRITE, partition_keys={"t": "id"})
    made.tables.learn_write_isolation("t", "unsafe")
    assert said(made.plan("PutItem", PUT)) == USED


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ("GetItem", "read"),
        ("Query", "read"),
        ("Scan", "read"),
        ("BatchGetItem", "read"),
        ("CreateTable", "not_an_item_write"),
        ("DescribeTable", "not_an_item_write"),
        ("Whatever", "not_an_item_write"),
    ],
)
def test_requests_without_affinity_by_rule(operation: str, reason: str) -> None:
    made = Setup(ANY_WRITE)
    assert said(made.plan(operation, UPDATE)) == ("round_robin", reason, False)
    assert made.unknown == []


def test_rules_of_the_server_and_of_the_drivers() -> None:
    constant = {**UPDATE, "UpdateExpression": "SET x = :v"}
    exact = Setup(RMW, partition_keys={"t": "id"})
    assert exact.plan("UpdateItem", constant).reason == "not_read_modify_write"
    assert said(Setup(RMW, partition_keys={"t": "id"}, rmw_rule="driver").plan("UpdateItem", constant)) == USED
    forced = Setup(RMW, partition_keys={"t": "id"}, force_read_before_write=True)
    assert said(forced.plan("UpdateItem", constant)) == USED
    assert forced.plan("PutItem", PUT).reason == "not_read_modify_write"


# ---- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "raw"),
    [
        ({"S": "alice"}, "S", "alice"),
        ({"S": ""}, "S", ""),
        ({"N": "1.50"}, "N", "1.50"),
        ({"B": b"\x00\xff"}, "B", b"\x00\xff"),
        ({"B": bytearray(b"\x00\xff")}, "B", b"\x00\xff"),
        ({"B": memoryview(b"\x00.\xff.")[::2]}, "B", b"\x00\xff"),
        ({"B": Binary(b"\x00\xff")}, "B", b"\x00\xff"),
        ({"B": Binary(bytearray(b"\x00"))}, "B", b"\x00"),
        ({"B": "text"}, "B", b"text"),
        (MappingProxyType({"S": "alice"}), "S", "alice"),
    ],
)
def test_keys_that_can_be_used(value: object, kind: str, raw: str | bytes) -> None:
    made = Setup(ANY_WRITE, partition_keys={"t": "id"})
    for operation, location_of in (("PutItem", "Item"), ("UpdateItem", "Key"), ("DeleteItem", "Key")):
        plan = made.plan(operation, {"TableName": "t", location_of: {"id": value, "range": {"S": "r"}}})
        assert said(plan) == USED
        assert plan.seeds == (key_hash(kind, raw),)
        assert list(plan.order(VIEW)) == list(pick_and_remove(RING, key_hash(kind, raw)))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "no_key_value"),
        ({}, "no_key_value"),
        ("alice", "no_key_value"),
        ([("id", {"S": "alice"})], "no_key_value"),
        ({"other": {"S": "alice"}}, "no_key_value"),
        ({"id": None}, "no_key_value"),
        ({"id": "alice"}, "no_key_value"),
        ({"id": {}}, "no_key_value"),
        ({"id": {"S": "\ud800"}}, "no_key_value"),
        ({"id": {"S": "a", "N": "1"}}, "unsupported_key_type"),
        ({"id": {"S": 5}}, "unsupported_key_type"),
        ({"id": {"S": None}}, "unsupported_key_type"),
        ({"id": {"S": b"a"}}, "unsupported_key_type"),
        ({"id": {"N": 5}}, "unsupported_key_type"),
        ({"id": {"B": 5}}, "unsupported_key_type"),
        ({"id": {"B": None}}, "unsupported_key_type"),
        ({"id": {"B": Binary(b"a").__class__}}, "unsupported_key_type"),
        ({"id": {"SS": ["a"]}}, "unsupported_key_type"),
        ({"id": {"BOOL": True}}, "unsupported_key_type"),
        ({"id": {5: "a"}}, "unsupported_key_type"),
    ],
)
def test_keys_that_cannot_be_used(key: object, reason: str) -> None:
    made = Setup(ANY_WRITE, partition_keys={"t": "id"})
    for operation, location_of in (("PutItem", "Item"), ("UpdateItem", "Key"), ("DeleteItem", "Key")):
        plan = made.plan(operation, {"TableName": "t", location_of: key})
        assert said(plan) == ("round_robin", reason, True)
        assert Counter(plan.order(VIEW)) == Counter(RING)
    assert made.plan("UpdateItem", {"TableName": "t"}).reason == "no_key_value"


def test_a_ring_without_nodes_gives_a_reason(setup: Setup) -> None:
    view = View(Topology(RING, RING, ()))
    plan = setup.plan("PutItem", CONDITIONAL, view)
    assert said(plan) == ("round_robin", "no_affinity_nodes", True)
    assert Counter(plan.order(view)) == Counter(RING)


def test_a_rack_scope_has_affinity_over_its_datacenter(setup: Setup) -> None:
    rack = tuple(node for node in RING if node != ALICE[0])[:3]
    view = View(Topology(RING, rack, RING))
    assert list(setup.plan("PutItem", CONDITIONAL, view).order(view)) == ALICE
    assert Counter(setup.plan("PutItem", PUT, view).order(view)) == Counter(rack)
    assert Counter(setup.plan("GetItem", UPDATE, view).order(view)) == Counter(rack)


def test_the_setting_decides_the_order() -> None:
    turns = Setup(NONE)
    firsts = [next(turns.plan("GetItem", {}).order(VIEW)) for _ in range(18)]
    assert Counter(firsts) == dict.fromkeys(RING, 2)
    chance = Setup(NONE, load_balancing="random")
    plans = [chance.plan("GetItem", {}) for _ in range(200)]
    assert {plan.policy for plan in plans} == {"random"}
    assert {next(plan.order(VIEW)) for plan in plans} == set(RING)


def test_a_plan_cannot_be_changed(setup: Setup) -> None:
    plan = setup.plan("PutItem", CONDITIONAL)
    with pytest.raises(AttributeError):
        plan.policy = "random"  # type: ignore[misc]


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_what_is_unknown_is_asked_for() -> None:
    made = Setup(AUTO)
    assert said(made.plan("PutItem", CONDITIONAL)) == ("round_robin", "no_partition_key_name", True)
    assert made.unknown == [("t", "write_isolation"), ("t", "partition_key")]
    made.unknown.clear()
    assert said(made.plan("PutItem", PUT)) == ("round_robin", "not_read_modify_write", False)
    assert made.unknown == [("t", "write_isolation")]
    made.tables.learn_write_isolation("t", "only_rmw_uses_lwt")
    made.tables.learn_partition_key("t", "id")
    made.unknown.clear()
    assert said(made.plan("PutItem", CONDITIONAL)) == USED
    assert made.unknown == []


@pytest.mark.parametrize("name", [None, 5, b"t", ["t"], {}])
def test_a_request_without_a_table_name_gets_a_plan(name: object) -> None:
    made = Setup(ANY_WRITE)
    assert said(made.plan("PutItem", {**PUT, "TableName": name})) == ("round_robin", "no_partition_key_name", True)
    assert made.unknown == []


def test_a_failing_callback_costs_nothing_but_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    made = Setup(AUTO, partition_keys={"t": "id"})

    def fail(table: str, what: str) -> None:
        raise RuntimeError("no")

    made.tables.on_unknown = fail
    assert said(made.plan("PutItem", CONDITIONAL)) == USED
    assert "write_isolation" in caplog.text
    made.tables.on_unknown = None
    assert said(made.plan("PutItem", CONDITIONAL)) == USED


def test_the_callback_may_answer_at_once() -> None:
    """It is called without a lock, so it may register what it knows."""
    made = Setup(ANY_WRITE)
    made.tables.on_unknown = lambda table, what: made.tables.learn_partition_key(table, "id")
    assert made.plan("PutItem", PUT).reason == "no_partition_key_name"
    assert said(made.plan("PutItem", PUT)) == USED


def test_a_write_without_the_key_that_was_learnt_has_it_looked_up_again() -> None:
    made = Setup(ANY_WRITE)
    made.tables.learn_partition_key("t", "id")
    other: dict[str, Any] = {"TableName": "t", "Item": {"z": {"S": "a"}}}
    batch = {"RequestItems": {"t": [{"PutRequest": {"Item": other["Item"]}}]}}
    for operation, parameters in (("PutItem", other), ("BatchWriteItem", batch)):
        made.unknown.clear()
        assert made.plan(operation, parameters).reason == "no_key_value"
        assert made.unknown == [("t", "partition_key")]
    made.unknown.clear()
    assert said(made.plan("PutItem", PUT)) == USED
    made.tables.register("t", "id")
    assert made.plan("PutItem", other).reason == "no_key_value"
    assert made.unknown == []


def test_what_is_stated_holds_before_what_is_looked_up() -> None:
    tables = Setup(partition_keys={"configured": "a"}).tables
    tables.learn_partition_key("configured", "b")
    assert tables.get("configured").partition_key == "a"
    tables.register("modelled", "a")
    tables.learn_partition_key("modelled", "b")
    assert tables.get("modelled").partition_key == "a"
    tables.learn_partition_key("other", "a")
    tables.learn_partition_key("other", "b")
    assert tables.get("other").partition_key == "b"


def test_models_of_one_table(caplog: pytest.LogCaptureFixture) -> None:
    tables = Setup().tables
    tables.learn_partition_key("t", "learnt")
    with caplog.at_level(logging.WARNING, "pynamodb_alternator.routing"):
        tables.register("t", "id", ANY_WRITE)
        tables.register("t", "id")
        assert caplog.records == []
        assert tables.get("t").affinity is ANY_WRITE
        tables.register("t", "key", NONE)
        tables.register("t", "id")
    assert (tables.get("t").partition_key, tables.get("t").affinity) == ("id", NONE)
    assert len(caplog.records) == 1
    assert "'t'" in caplog.text


def test_after_a_fork_a_held_lock_does_not_block() -> None:
    tables = Setup().tables
    tables._lock.acquire()
    tables.after_fork()
    tables.register("t", "id")
    assert tables.get("t").partition_key == "id"


# ---- BatchWriteItem --------------------------------------------------------------------------------------------------


def puts(*names: str, key: str = "id") -> list[dict[str, Any]]:
    return [{"PutRequest": {"Item": {key: {"S": name}}}} for name in names]


def test_batches_vote_under_any_write() -> None:
    made = Setup(ANY_WRITE, partition_keys={"t": "id", "u": "key"})
    names = [f"name{number}" for number in range(20)]
    deletes = [{"DeleteRequest": {"Key": {"key": {"S": name}}}} for name in names[10:]]
    plan = made.plan("BatchWriteItem", {"RequestItems": {"t": puts(*names[:10]), "u": deletes}})
    assert said(plan) == ("batch_affinity", None, True)
    votes = Counter(RING[first_below(key_hash("S", name), len(RING))] for name in names)
    leaders = sorted(votes, key=lambda node: (-votes[node], node.endpoint))
    assert list(plan.order(VIEW)) == leaders + [node for node in RING if node not in votes]


@pytest.mark.parametrize(
    ("mode", "reason"), [(NONE, "affinity_off"), (RMW, "not_read_modify_write"), (AUTO, "not_read_modify_write")]
)
def test_batches_without_affinity_by_mode(mode: KeyRouteAffinity, reason: str) -> None:
    made = Setup(mode, partition_keys={"t": "id"})
    assert said(made.plan("BatchWriteItem", {"RequestItems": {"t": puts("a")}})) == ("round_robin", reason, False)
    assert said(made.plan("BatchWriteItem", {"RequestItems": {}})) == ("round_robin", reason, False)
    assert said(made.plan("BatchWriteItem", {})) == ("round_robin", reason, False)


def test_one_table_with_lwt_makes_the_batch_lwt() -> None:
    made = Setup(AUTO, partition_keys={"t": "id", "u": "id", "off": "id"})
    made.tables.register("off", "id", NONE)
    made.tables.learn_write_isolation("t", "always")
    made.tables.learn_write_isolation("u", "forbid")
    seeds = [key_hash("S", name) for name in ("a", "b")]
    batch = {"RequestItems": {"u": puts("a"), "t": puts("b"), "off": puts("c")}}
    plan = made.plan("BatchWriteItem", batch)
    assert said(plan) == ("batch_affinity", None, True)
    # All but the table for which affinity was switched off.
    assert list(plan.seeds) == seeds
    only_u = made.plan("BatchWriteItem", {"RequestItems": {"u": puts("a")}})
    assert said(only_u) == ("round_robin", "no_lwt_in_table", False)
    assert made.unknown == []
    made.plan("BatchWriteItem", {"RequestItems": {"u": puts("a"), "new": puts("a")}})
    assert made.unknown == [("new", "write_isolation")]


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        (None, "no_key_value"),
        ([], "no_key_value"),
        ({}, "no_key_value"),
        ({"t": None}, "no_key_value"),
        ({"t": "x"}, "no_key_value"),
        ({"t": [None, 5, {}, {"PutRequest": None}, {"PutRequest": {"Item": None}}]}, "no_key_value"),
        ({"t": [{"PutRequest": {"Item": {"id": {"S": "a"}}}, "DeleteRequest": {}}]}, "no_key_value"),
        ({5: puts("a")}, "no_key_value"),
        ({"t": [{"PutRequest": {"Item": {"id": {"SS": ["a"]}}}}, {}]}, "unsupported_key_type"),
        ({"unknown": puts("a"), "t": [{"PutRequest": {"Item": {"id": {"SS": []}}}}]}, "no_partition_key_name"),
    ],
)
def test_batches_without_a_usable_key(requests: Any, reason: str) -> None:
    made = Setup(ANY_WRITE, partition_keys={"t": "id"})
    assert said(made.plan("BatchWriteItem", {"RequestItems": requests})) == ("round_robin", reason, True)


def test_what_is_usable_in_a_batch_votes() -> None:
    made = Setup(ANY_WRITE, partition_keys={"t": "id"})
    requests = {"unknown": puts("x"), "t": [{}, *puts("alice"), {"PutRequest": {"Item": {"id": {"BOOL": True}}}}]}
    plan = made.plan("BatchWriteItem", {"RequestItems": requests})
    assert said(plan) == ("batch_affinity", None, True)
    assert next(plan.order(VIEW)) == ALICE[0]
    assert made.unknown == [("unknown", "partition_key")]


# ---- replicas --------------------------------------------------------------------------------------------------------

# All tokens from the first on to 0 are on the first three nodes, the others on the last two.
LOW, HIGH = RING[:3], RING[-2:]
TOKEN_RING = make_ring(
    [TokenRange(None, 0, (node.host, node.port)) for node in LOW]
    + [TokenRange(0, None, (node.host, node.port)) for node in HIGH],
    5.0,
)


def with_replicas(mode: Any = True, affinity: KeyRouteAffinity = AUTO, index_keys: Any = None) -> Setup:
    made = Setup(affinity, token_aware=mode, token_aware_after=2)
    made.tables.register("t", "id", None, index_keys)
    assert TOKEN_RING is not None
    made.replicas.publish("t", TOKEN_RING)
    return made


def test_the_route_of_a_key_is_that_of_its_requests() -> None:
    made = with_replicas(affinity=NONE)
    for name in map(str, range(40)):
        value = {"S": name}
        route = made.router.route_key("t", value, VIEW)
        holders = LOW if token_of("S", name) <= 0 else HIGH
        assert (route.replicas.token, route.replicas.in_scope) == (token_of("S", name), holders)
        assert (route.replicas.everywhere, route.replicas.read_at) == (holders, 5.0)
        assert route.replicas.reason is None
        write = made.plan("PutItem", {"TableName": "t", "Item": {"id": value}})
        read = made.plan("GetItem", {"TableName": "t", "Key": {"id": value}})
        assert said(write) == said(read) == ("replica", None, False)
        assert route.plain_writes == tuple(write.order(VIEW))
        assert set(route.reads[: len(holders)]) == set(tuple(read.order(VIEW))[: len(holders)]) == set(holders)
        assert set(route.reads) == set(RING)


def test_a_reason_says_why_a_key_has_no_replicas() -> None:
    made = with_replicas()

    def why(table: str, value: object, view: View = VIEW, **more: Any) -> tuple[int | None, str | None]:
        replicas = made.router.route_key(table, value, view, **more).replicas
        return replicas.token, replicas.reason

    alice = token_of("S", "alice")
    assert why("t", {"S": "alice"}) == (alice, None)
    assert why("other", {"S": "alice"}) == (alice, "no_token_ring")
    assert why("t", {"S": "alice"}, index="i") == (alice, "no_token_ring")
    assert why("t", {"S": "alice"}, token_aware=False) == (alice, "token_awareness_off")
    assert why("t", {"SS": ["alice"]}) == (None, "unsupported_key_type")
    assert why("t", {"N": "one"}) == (None, "no_key_value")
    assert why("t", None) == (None, "no_key_value")
    nowhere = View(Topology(RING, tuple(node for node in RING if node not in (*LOW, *HIGH)), RING))
    assert why("t", {"S": "alice"}, nowhere) == (alice, "no_replica_in_scope")
    made.replicas.publish("other", TOKEN_RING)  # type: ignore[arg-type]
    assert why("other", {"S": "alice"}) == (alice, "no_partition_key_name")


def test_a_look_at_a_route_is_not_a_use_of_the_table() -> None:
    made = Setup(token_aware="auto", token_aware_after=2)
    for _ in range(5):
        made.router.route_key("t", {"S": "alice"}, VIEW)
    assert not made.replicas.is_wanted("t")


def test_system_tables_have_no_token_ring() -> None:
    made = Setup(token_aware=True)
    query = {
        "TableName": ".scylla.alternator.system.config",
        "KeyConditionExpression": "n = :v",
        "ExpressionAttributeValues": {":v": {"S": "x"}},
    }
    assert said(made.plan("Query", query)) == ("round_robin", "read", False)
    assert not made.replicas.is_wanted(query["TableName"])  # type: ignore[arg-type]
    assert said(made.plan("Query", {**query, "TableName": "t"})) == ("round_robin", "no_token_ring", False)
    assert made.replicas.is_wanted("t")


# ---- route_key -------------------------------------------------------------------------------------------------------


def test_route_of_a_key(setup: Setup) -> None:
    route = setup.router.route_key("t", {"S": "alice"}, VIEW)
    assert (route.table, route.partition_key, route.affinity) == ("t", "id", RMW)
    assert route.hash == key_hash("S", "alice")
    assert route.ring == RING
    assert list(route.nodes) == ALICE
    assert route.reason is None
    sick = View(VIEW.topology, down=frozenset({ALICE[0]}))
    assert list(setup.router.route_key("t", {"S": "alice"}, sick).nodes) == ALICE[1:]


def test_route_of_a_key_without_affinity(setup: Setup) -> None:
    assert setup.router.route_key("t", {"SS": ["a"]}, VIEW).reason == "unsupported_key_type"
    assert setup.router.route_key("t", None, VIEW).nodes == ()
    assert setup.router.route_key("unknown", {"S": "alice"}, VIEW).reason == "no_partition_key_name"
    assert setup.router.route_key("t", {"S": "alice"}, View(Topology())).reason == "no_affinity_nodes"
    setup.tables.learn_write_isolation("t", "unsafe")
    assert setup.router.route_key("t", {"S": "alice"}, VIEW).reason == "no_lwt_in_table"
    setup.tables.register("t", "id", NONE)
    assert setup.router.route_key("t", {"S": "alice"}, VIEW).reason == "affinity_off"


# ---- malformed parameters --------------------------------------------------------------------------------------------

JUNK: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=5),
        st.sampled_from(["SET a = :v", "SET a.b = c", "ALL_OLD", "t", "\ud800", object()]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["id", "t", "S", "N", "B", "PutRequest", "DeleteRequest", "Item", "Key", "Action", "Value"])
            | st.integers(),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        [
            "TableName",
            "Item",
            "Key",
            "RequestItems",
            "UpdateExpression",
            "AttributeUpdates",
            "Expected",
            "ReturnValues",
            "ConditionExpression",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
        ]
    ),
    st.one_of(JUNK, st.just("t")),
)
OPERATIONS = st.sampled_from(["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "GetItem", "Other"])


@given(OPERATIONS, st.one_of(PARAMETERS, JUNK), st.sampled_from(list(KeyRouteAffinity)), st.booleans())
@settings(deadline=None, max_examples=1000)
def test_any_parameters_get_a_plan(operation: str, parameters: Any, mode: KeyRouteAffinity, server: bool) -> None:
    made = Setup(mode, partition_keys={"t": "id"}, rmw_rule="server" if server else "driver")
    plan = made.plan(operation, parameters)
    assert (plan.reason is None) == (plan.policy in ("affinity", "batch_affinity"))
    assert Counter(plan.order(VIEW)) == Counter(RING)
    assert is_idempotent(operation, parameters) in (True, False)


@given(JUNK)
@settings(deadline=None)
def test_any_key_value_has_a_route(value: Any) -> None:
    route = Setup(ANY_WRITE, partition_keys={"t": "id"}).router.route_key("t", value, VIEW)
    assert (route.hash is None) == (route.reason is not None)


class Hostile(Mapping[str, Any]):
    """A mapping whose methods fail."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(key)

    def __iter__(self) -> Any:
        raise RuntimeError("iter")

    def __len__(self) -> int:
        raise RuntimeError("len")


@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"TableName": "t", "Key": bad}])
def test_parameters_whose_methods_fail(wrap: Callable[[object], Any]) -> None:
    made = Setup(ANY_WRITE, partition_keys={"t": "id"})
    plan = made.plan("UpdateItem", wrap(Hostile()))
    assert said(plan) == ("round_robin", "malformed_parameters", False)
    assert Counter(plan.order(VIEW)) == Counter(RING)
    assert not is_idempotent("UpdateItem", Hostile())
    assert made.router.route_key("t", Hostile(), VIEW).reason == "no_key_value"


class SoftLimit(Exception):
    """As Celery's SoftTimeLimitExceeded: an Exception, out of a signal's handler."""


def test_an_exception_out_of_a_signals_handler_is_not_taken_for_a_wrong_value() -> None:
    class Interrupted(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise SoftLimit

    tables = Tables(ClusterConfig(["10.0.0.1"], partition_keys={"t": "id"}))
    router = Router(ClusterConfig(["10.0.0.1"], key_route_affinity="any_write"), tables, random.Random(1))
    with pytest.raises(SoftLimit):
        router.plan("PutItem", Interrupted(TableName="t"), View(Topology()))
    with pytest.raises(SoftLimit):
        is_idempotent("PutItem", Interrupted(TableName="t"))
