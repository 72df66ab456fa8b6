"""Hits and misses: which requests come to a replica, what a miss costs, and replicas that move."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from pynamodb_alternator.errors import AlternatorError, ConfigurationError
from pynamodb_alternator.local import LocalCluster, LocalNode
from pynamodb_alternator.local.moto_engine import MotoEngine

from .test_token_ring import INDEXED, replicas_by_tablet
from .wire import Wire, call, create, n, ok, s

COMPOSITE = {"k": s("alice"), "r": s("1")}


@pytest.fixture(scope="module")
def local() -> Iterator[LocalCluster]:
    """Three nodes, one replica of each key, and tables with indexes and with keys of each type."""
    with LocalCluster(nodes=3, replication_factor=1, tablets=8) as running:
        create(running, "idx", **INDEXED)
        for kind in "SNB":
            definitions = [{"AttributeName": "k", "AttributeType": kind}]
            create(running, f"of_{kind}", AttributeDefinitions=definitions)
        yield running
    assert running.failures == []


@pytest.fixture(autouse=True)
def forgotten(local: LocalCluster) -> None:
    for node in local.nodes:
        node.forget()


def counts(node: LocalNode) -> tuple[int, int]:
    return node.replica_hits, node.replica_misses


def query(condition: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"KeyConditionExpression": condition, "ExpressionAttributeValues": values, **more}


BY_ALICE = query("k = :k", {":k": s("alice")})
COUNTED: list[tuple[str, dict[str, Any]]] = [
    ("GetItem", {"Key": COMPOSITE}),
    ("PutItem", {"Item": {**COMPOSITE, "g": s("x")}}),
    ("UpdateItem", {"Key": COMPOSITE, "UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": s("x")}}),
    ("DeleteItem", {"Key": COMPOSITE}),
    ("Query", BY_ALICE),
    ("Query", query("#k = :k", {":k": s("alice")}, ExpressionAttributeNames={"#k": "k"})),
    ("Query", query("k = :k AND r >= :r", {":k": s("alice"), ":r": s("0")})),
    ("Query", query("r <= :r AND k=:k", {":k": s("alice"), ":r": s("0")})),
    ("Query", query("k = :k and r BETWEEN :a AND :b", {":k": s("alice"), ":a": s("0"), ":b": s("1")})),
    ("Query", query("(k = :k) AND begins_with(r, :r)", {":k": s("alice"), ":r": s("0")})),
    ("Query", query("k = :k AND r = :r", {":k": s("alice"), ":r": s("bob")})),
    ("Query", {"KeyConditions": {"k": {"ComparisonOperator": "EQ", "AttributeValueList": [s("alice")]}}}),
]


@pytest.mark.parametrize(("operation", "parameters"), COUNTED)
def test_requests_of_one_partition_are_hits_or_misses(
    local: LocalCluster, operation: str, parameters: dict[str, Any]
) -> None:
    (holder,) = local.replicas("idx", "alice")
    for node in local.nodes:
        ok(node, operation, {"TableName": "idx", **parameters})
        assert counts(node) == ((1, 0) if node is holder else (0, 1))


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("Scan", {"TableName": "idx"}),
        ("BatchGetItem", {"RequestItems": {"idx": {"Keys": [COMPOSITE]}}}),
        ("BatchWriteItem", {"RequestItems": {"idx": [{"PutRequest": {"Item": COMPOSITE}}]}}),
        ("DescribeTable", {"TableName": "idx"}),
        ("ListTables", {}),
        # What the engine refuses.
        ("GetItem", {"TableName": "nothing", "Key": COMPOSITE}),
        ("GetItem", {"TableName": "idx", "Key": {"other": s("x")}}),
        ("GetItem", {"TableName": "idx", "Key": "x"}),
        ("GetItem", {"TableName": "idx", "Key": {"k": "x", "r": s("1")}}),
        ("GetItem", {"TableName": "idx", "Key": {"k": {"S": 1}, "r": s("1")}}),
        ("GetItem", {"TableName": "of_N", "Key": {"k": {"N": "one"}}}),
        ("Query", {"TableName": "idx", "IndexName": "nothing", **BY_ALICE}),
        ("Query", {"TableName": "idx", "IndexName": ["by_g"], **BY_ALICE}),
        ("Query", {"TableName": "idx", **query("r = :r", {":r": s("alice")})}),
        ("Query", {"TableName": "idx", "KeyConditionExpression": "k = :k"}),
        ("Query", {"TableName": "idx"}),
    ],
)
def test_all_others_are_neither(local: LocalCluster, operation: str, parameters: dict[str, Any]) -> None:
    node = local.nodes[0]
    call(node, operation, parameters)
    assert node.operations[operation] == 1
    assert counts(node) == (0, 0)


def test_system_tables_are_neither(local: LocalCluster) -> None:
    replicas_by_tablet(local, "idx", "idx")
    assert [counts(node) for node in local.nodes] == [(0, 0)] * 3


@pytest.mark.parametrize(
    ("kind", "written", "key"),
    [
        ("S", "grün", "grün"),
        ("N", "7", 7),
        ("N", "7.0", Decimal("7.0")),
        ("B", base64.b64encode(b"\x00\xff").decode(), b"\x00\xff"),
    ],
)
def test_keys_of_each_type(local: LocalCluster, kind: str, written: str, key: object) -> None:
    (holder,) = local.replicas(f"of_{kind}", key)
    assert local.replicas(f"of_{kind}", {kind: written}) == (holder,)
    for node in local.nodes:
        ok(node, "GetItem", {"TableName": f"of_{kind}", "Key": {"k": {kind: written}}})
    assert [counts(node) for node in local.nodes] == [(1, 0) if node is holder else (0, 1) for node in local.nodes]


def test_replicas_are_those_that_the_token_ring_tells(local: LocalCluster) -> None:
    for index, ring in ((None, "idx"), ("by_g", "idx:by_g"), ("by_kg", "idx!:by_kg")):
        told = replicas_by_tablet(local, "idx", ring)
        for number in range(50):
            key = f"key {number}"
            holders = {node.host for node in local.replicas("idx", key, index=index)}
            assert holders == told[local.tablet_of("idx", key, index=index)]


# ---- moving ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "parameters"),
    [
        (None, BY_ALICE),
        ("by_g", {"IndexName": "by_g", **query("g = :g", {":g": s("alice")})}),
        ("by_kg", {"IndexName": "by_kg", **BY_ALICE}),
    ],
)
def test_a_tablet_moves(local: LocalCluster, index: str | None, parameters: dict[str, Any]) -> None:
    others = {None, "by_g", "by_kg"} - {index}
    before = {other: local.replicas("idx", "alice", index=other) for other in others}
    (source,) = local.replicas("idx", "alice", index=index)
    target = next(node for node in local.nodes if node is not source)
    ok(source, "Query", {"TableName": "idx", **parameters})
    assert counts(source) == (1, 0)
    local.move_tablet("idx", local.tablet_of("idx", "alice", index=index), source, target, index=index)
    assert local.replicas("idx", "alice", index=index) == (target,)
    ok(source, "Query", {"TableName": "idx", **parameters})
    ok(target, "Query", {"TableName": "idx", **parameters})
    assert (counts(source), counts(target)) == ((1, 1), (1, 0))
    assert {other: local.replicas("idx", "alice", index=other) for other in others} == before


def test_moves_that_cannot_be() -> None:
    with LocalCluster(datacenters={"dc1": 3, "dc2": 1}, replication_factor=2, tablets=4) as local:
        create(local)
        holders = [node for node in local.replicas("tab", "x") if node.datacenter == "dc1"]
        other = next(node for node in local.nodes[:3] if node not in holders)
        tablet = local.tablet_of("tab", "x")
        for source, target, says in (
            (other, holders[0], f"{other.host} has no replica of tablet {tablet} of tab; these have: "),
            (holders[0], holders[1], f"{holders[1].host} must be a node of the datacenter 'dc1'"),
            (holders[0], local.nodes[3], f"{local.nodes[3].host} must be a node of the datacenter 'dc1'"),
        ):
            with pytest.raises(ConfigurationError, match=r"LocalCluster\.move_tablet") as refused:
                local.move_tablet("tab", tablet, source, target)
            assert says in str(refused.value)
        other.leave()
        with pytest.raises(ConfigurationError, match="that has joined"):
            local.move_tablet("tab", tablet, local.replicas("tab", "x")[0], other)
        with pytest.raises(ConfigurationError, match="tablet must be a whole number from 0 to 3"):
            local.move_tablet("tab", 4, holders[0], other)
        with pytest.raises(LookupError, match="no table 'nothing'"):
            local.move_tablet("nothing", 0, holders[0], other)
        with pytest.raises(LookupError, match="no index 'nothing'; its indexes: none"):
            local.replicas("tab", "x", index="nothing")
        with pytest.raises(ConfigurationError, match=r"a key must be a string, .*\(got 1\.5\)"):
            local.replicas("tab", 1.5)
    with pytest.raises(AlternatorError, match="not running"):
        local.replicas("tab", "x")


def test_vnodes_do_not_move() -> None:
    with LocalCluster(nodes=3, replication_factor=1, tablets=None) as local:
        create(local)
        (holder,) = local.replicas("tab", "x")
        for node in local.nodes:
            ok(node, "GetItem", {"TableName": "tab", "Key": {"k": s("x")}})
            assert counts(node) == ((1, 0) if node is holder else (0, 1))
        with pytest.raises(ConfigurationError, match="vnodes, which do not move"):
            local.move_tablet("tab", 0, *local.nodes[:2])


def test_a_table_that_is_made_again_has_new_replicas() -> None:
    with LocalCluster(nodes=2, replication_factor=1, tablets=1) as local:
        create(local)
        (source,) = before = local.replicas("tab", "x")
        local.move_tablet("tab", 0, source, next(node for node in local.nodes if node is not source))
        assert local.replicas("tab", "x") != before
        ok(source, "DeleteTable", {"TableName": "tab"})
        create(local)
        assert local.replicas("tab", "x") == before


def test_a_node_that_has_left_is_not_a_replica() -> None:
    with LocalCluster(nodes=3) as local:
        create(local)
        node = local.nodes[0]
        node.leave()
        ok(node, "GetItem", {"TableName": "tab", "Key": {"k": s("x")}})
        assert counts(node) == (0, 1)
        node.join()
        ok(node, "GetItem", {"TableName": "tab", "Key": {"k": s("x")}})
        assert counts(node) == (1, 1)


def test_a_table_of_the_engine_that_no_node_has_made() -> None:
    engine = MotoEngine()
    with LocalCluster(1, engine=engine) as first, LocalCluster(1, engine=engine) as second:
        create(first)
        ok(second.nodes[0], "GetItem", {"TableName": "tab", "Key": {"k": s("x")}})
        assert counts(second.nodes[0]) == (1, 0)
        assert first.failures == second.failures == []


# ---- the delay of a hop ------------------------------------------------------------------------------------------

FOR_EVER = 600.0
"""A delay that no test waits for: what is answered has not been delayed."""


def split(local: LocalCluster) -> tuple[LocalNode, LocalNode]:
    """A replica of the key ``x``, and a node that is not one."""
    (holder,) = local.replicas("tab", "x")
    return holder, next(node for node in local.nodes if node is not holder)


def test_a_miss_takes_longer() -> None:
    with LocalCluster(nodes=2, replication_factor=1, hop_delay=0.2) as local:
        create(local)
        _, other = split(local)
        with other.delay(0.1):  # both delays count
            start = time.monotonic()
            ok(other, "GetItem", {"TableName": "tab", "Key": {"k": s("x")}})
            assert time.monotonic() - start >= 0.3
        assert counts(other) == (0, 1)


def test_a_hit_does_not_wait_for_a_miss() -> None:
    with LocalCluster(nodes=2, replication_factor=1, hop_delay=FOR_EVER) as local:
        create(local)
        holder, other = split(local)
        with Wire(other) as waiting, Wire(other) as busy:
            body = json.dumps({"TableName": "tab", "Key": {"k": s("x")}})
            waiting.http.request("POST", "/", body, {"X-Amz-Target": "DynamoDB_20120810.GetItem"})
            while other.replica_misses == 0:
                busy.ok("ListTables", {})
            ok(holder, "PutItem", {"TableName": "tab", "Item": {"k": s("x"), "v": n(1)}})
            batch = busy.ok("BatchGetItem", {"RequestItems": {"tab": {"Keys": [{"k": s("x")}]}}})
            assert batch["Responses"]["tab"] == busy.ok("Scan", {"TableName": "tab"})["Items"]
            assert busy.get("/localnodes") == [node.host for node in local.nodes]
        assert counts(holder) == (1, 0)
        assert counts(other) == (0, 1)
