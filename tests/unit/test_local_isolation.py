"""Write isolation and the system tables of the embedded cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.isolation import MODES, needs_read_before_write

from .local_wire import Wire, create, n, ok, s

TAG = "system:write_isolation"
ARN = "arn:scylla:alternator:alternator_tab:scylla:table/tab"

KEY: dict[str, Any] = {"Key": {"k": s("a")}}
ITEM: dict[str, Any] = {"Item": {"k": s("a"), "v": n(1)}}


def update(expression: str, **more: Any) -> dict[str, Any]:
    """An update whose names and values are those that its expression mentions."""
    names = {"#n": "v", "#dotted": "a.b", "#set": "set"}
    values = {":v": n(1), ":l": {"L": []}, ":s": {"NS": ["1"]}}
    request: dict[str, Any] = {**KEY, "UpdateExpression": expression, **more}
    used_names = {name: value for name, value in names.items() if name in expression}
    used_values = {name: value for name, value in values.items() if name in expression}
    return (
        request
        | ({"ExpressionAttributeNames": used_names} if used_names else {})
        | ({"ExpressionAttributeValues": used_values} if used_values else {})
    )


CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("PutItem", ITEM, False),
    ("PutItem", {**ITEM, "ReturnValues": "NONE"}, False),
    ("PutItem", {**ITEM, "ReturnValues": "ALL_OLD"}, True),
    ("PutItem", {**ITEM, "ConditionExpression": "attribute_not_exists(k)"}, True),
    ("PutItem", {**ITEM, "Expected": {"k": {"Exists": False}}}, True),
    ("PutItem", {**ITEM, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}, False),
    ("DeleteItem", KEY, False),
    ("DeleteItem", {**KEY, "ReturnValues": "ALL_OLD"}, True),
    ("DeleteItem", {**KEY, "ConditionExpression": "attribute_not_exists(x)"}, True),
    ("UpdateItem", KEY, False),
    ("UpdateItem", update("SET v = :v"), False),
    ("UpdateItem", update("set #n = :v, w = :v remove x"), False),
    ("UpdateItem", update("SET #dotted = :v"), False),
    ("UpdateItem", update("SET #set = :v"), False),
    ("UpdateItem", update("REMOVE v, #n"), False),
    ("UpdateItem", update("SET v=:v REMOVE w"), False),
    ("UpdateItem", update("SET v = :v + :v"), False),
    ("UpdateItem", update("SET v = :v", ReturnValues="NONE"), False),
    ("UpdateItem", update("SET v = :v", ReturnValues="UPDATED_NEW"), False),
    ("UpdateItem", update("SET v = :v", ReturnValuesOnConditionCheckFailure="ALL_OLD"), False),
    ("UpdateItem", update("SET v = :v", ReturnValues="ALL_NEW"), True),
    ("UpdateItem", update("SET v = :v", ReturnValues="ALL_OLD"), True),
    ("UpdateItem", update("SET v = :v", ReturnValues="UPDATED_OLD"), True),
    ("UpdateItem", update("SET v = :v", ConditionExpression="attribute_not_exists(x)"), True),
    ("UpdateItem", update("SET v = w"), True),
    ("UpdateItem", update("SET v = #n + :v"), True),
    ("UpdateItem", update("SET v = v-:v"), True),
    ("UpdateItem", update("SET v = :v - w"), True),
    ("UpdateItem", update("SET v = :v, w = x"), True),
    ("UpdateItem", update("SET v = if_not_exists(v, :v)"), True),
    ("UpdateItem", update("SET v = list_append(:l, :l)"), True),
    ("UpdateItem", update("SET v.w = :v"), True),
    ("UpdateItem", update("SET v[0] = :v"), True),
    ("UpdateItem", update("REMOVE v[1]"), True),
    ("UpdateItem", update("REMOVE v.w"), True),
    ("UpdateItem", update("ADD v :v"), True),
    ("UpdateItem", update("add #n :v"), True),
    ("UpdateItem", update("DELETE v :s"), True),
    ("UpdateItem", update("SET w = :v ADD v :v"), True),
    ("UpdateItem", {**KEY, "AttributeUpdates": {"v": {"Action": "PUT", "Value": n(1)}}}, False),
    ("UpdateItem", {**KEY, "AttributeUpdates": {"v": {"Value": n(1)}}}, False),
    ("UpdateItem", {**KEY, "AttributeUpdates": {"v": {"Action": "DELETE"}}}, False),
    ("UpdateItem", {**KEY, "AttributeUpdates": {"v": {"Action": "DELETE", "Value": {"NS": ["1"]}}}}, True),
    ("UpdateItem", {**KEY, "AttributeUpdates": {"v": {"Action": "ADD", "Value": n(1)}}}, True),
    ("GetItem", KEY, False),
    ("BatchWriteItem", {"ReturnValues": "ALL_OLD"}, False),
]


@pytest.mark.parametrize(("operation", "request_", "reads"), CASES)
def test_the_rule(operation: str, request_: dict[str, Any], reads: bool) -> None:
    assert needs_read_before_write(operation, request_) is reads


@pytest.fixture(scope="module")
def forbidding() -> Iterator[LocalCluster]:
    with LocalCluster(1) as cluster:
        create(cluster, Tags=[{"Key": TAG, "Value": "f"}])
        yield cluster
    assert cluster.failures == []


@pytest.mark.parametrize(
    ("operation", "request_", "reads"), [case for case in CASES if case[0] in ("PutItem", "DeleteItem", "UpdateItem")]
)
def test_forbid_rmw_refuses_exactly_those(
    forbidding: LocalCluster, operation: str, request_: dict[str, Any], reads: bool
) -> None:
    with Wire(forbidding.nodes[0]) as wire:
        status, answer = wire.call(operation, {"TableName": "tab", **request_})
    if reads:
        assert status == 400
        assert answer["__type"].endswith("#ValidationException")
        assert "forbid_rmw" in answer["message"]
    else:
        assert "forbid_rmw" not in (answer or {}).get("message", "")


def test_the_tag_decides_and_the_option_stands_in() -> None:
    rmw = {"TableName": "tab", **update("ADD v :v")}
    with LocalCluster(2, write_isolation="forbid") as cluster, Wire(cluster.nodes[0]) as wire:
        create(cluster)
        assert wire.refused("UpdateItem", rmw)[0] == "ValidationException"
        for value, mode in MODES.items():
            wire.ok("TagResource", {"ResourceArn": ARN, "Tags": [{"Key": TAG, "Value": value}]})
            assert (wire.call("UpdateItem", rmw)[0] == 400) is (mode == "forbid_rmw")
            assert (ok_or_refused(cluster, rmw) == 400) is (mode == "forbid_rmw")
        kind, message = wire.refused("TagResource", {"ResourceArn": ARN, "Tags": [{"Key": TAG, "Value": "lwt"}]})
        assert (kind, "Allowed values" in message) == ("ValidationException", True)
        wire.ok("UntagResource", {"ResourceArn": ARN, "TagKeys": [TAG]})
        assert wire.refused("UpdateItem", rmw)[0] == "ValidationException"
    with LocalCluster(1) as cluster, Wire(cluster.nodes[0]) as wire:
        create(cluster)
        wire.ok("UpdateItem", rmw)


def ok_or_refused(cluster: LocalCluster, request: dict[str, Any]) -> int:
    with Wire(cluster.nodes[1]) as wire:
        return wire.call("UpdateItem", request)[0]


def test_a_wrong_tag_makes_no_table() -> None:
    with LocalCluster(1) as cluster, Wire(cluster.nodes[0]) as wire:
        wrong = {"TableName": "tab", "Tags": [{"Key": TAG, "Value": "x"}]}
        assert wire.refused("CreateTable", wrong)[0] == "ValidationException"
        assert wire.ok("ListTables", {})["TableNames"] == []


# System tables


SYSTEM = ".scylla.alternator.system."


@pytest.fixture(scope="module")
def racks() -> Iterator[LocalCluster]:
    with LocalCluster(racks={"dc1": {"r1": 1, "r2": 1}, "dc2": {"r1": 1}}, write_isolation="always") as cluster:
        yield cluster
    assert cluster.failures == []


def text(row: dict[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(row[name]["S"] for name in names)


def test_system_local_and_peers(racks: LocalCluster) -> None:
    for node in racks.nodes:
        (local,) = ok(node, "Scan", {"TableName": SYSTEM + "local"})["Items"]
        assert text(local, "key", "rpc_address", "data_center", "rack") == (
            "local",
            node.host,
            node.datacenter,
            node.rack,
        )
        peers = ok(node, "Scan", {"TableName": SYSTEM + "peers"})["Items"]
        assert {text(peer, "peer", "rpc_address", "data_center", "rack") for peer in peers} == {
            (other.host, other.host, other.datacenter, other.rack) for other in racks.nodes if other is not node
        }
        assert len({peer["host_id"]["S"] for peer in [*peers, local]}) == 3


def test_the_write_isolation_option_can_be_read(racks: LocalCluster) -> None:
    found = ok(
        racks.nodes[0],
        "Query",
        {
            "TableName": SYSTEM + "config",
            "KeyConditionExpression": "#n = :n",
            "ExpressionAttributeNames": {"#n": "name"},
            "ExpressionAttributeValues": {":n": s("alternator_write_isolation")},
        },
    )
    assert [item["value"] for item in found["Items"]] == [s('"always_use_lwt"')]
    legacy = {"name": {"ComparisonOperator": "EQ", "AttributeValueList": [s("alternator_write_isolation")]}}
    again = ok(
        racks.nodes[0],
        "Query",
        {"TableName": SYSTEM + "config", "KeyConditions": legacy, "ProjectionExpression": "value"},
    )
    assert again["Items"] == [{"value": s('"always_use_lwt"')}]


def test_cluster_status(racks: LocalCluster) -> None:
    def status() -> dict[str, tuple[str, ...]]:
        rows = ok(racks.nodes[0], "Scan", {"TableName": SYSTEM + "cluster_status"})["Items"]
        return {row["peer"]["S"]: text(row, "up", "status", "dc") for row in rows}

    third = racks.nodes[2]
    assert status()[third.host] == ("true", "NORMAL", "dc2")
    third.kill()
    assert status()[third.host] == ("false", "NORMAL", "dc2")
    third.revive()
    third.leave()
    assert status()[third.host] == ("true", "LEFT", "dc2")
    third.join()
    filtered = {
        "TableName": SYSTEM + "cluster_status",
        "FilterExpression": "dc = :d AND up = :u",
        "ExpressionAttributeValues": {":d": s("dc1"), ":u": s("true")},
    }
    answer = ok(racks.nodes[0], "Scan", filtered)
    assert (answer["Count"], answer["ScannedCount"]) == (2, 3)
    assert ok(racks.nodes[0], "Scan", {**filtered, "Select": "COUNT"}) == {"Count": 2, "ScannedCount": 3}


def test_pages_of_system_tables(racks: LocalCluster) -> None:
    seen = []
    start: dict[str, Any] = {}
    while True:
        page = ok(racks.nodes[0], "Scan", {"TableName": SYSTEM + "cluster_status", "Limit": 2, **start})
        seen += [row["peer"]["S"] for row in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert seen == [node.host for node in racks.nodes]


@pytest.mark.parametrize(
    ("operation", "parameters", "kind"),
    [
        ("Scan", {"TableName": SYSTEM + "nothing"}, "ResourceNotFoundException"),
        ("GetItem", {"TableName": SYSTEM + "local", "Key": {"key": s("local")}}, "ResourceNotFoundException"),
        ("PutItem", {"TableName": SYSTEM + "local", "Item": {"key": s("local")}}, "ResourceNotFoundException"),
        ("Query", {"TableName": SYSTEM + "config"}, "ValidationException"),
        ("Scan", {"TableName": SYSTEM + "config", "FilterExpression": "name > :x"}, "ValidationException"),
        ("Scan", {"TableName": SYSTEM + "config", "FilterExpression": "name = :x"}, "ValidationException"),
    ],
)
def test_wrong_reads_of_system_tables(
    racks: LocalCluster, operation: str, parameters: dict[str, Any], kind: str
) -> None:
    with Wire(racks.nodes[0]) as wire:
        assert wire.refused(operation, parameters)[0] == kind


def test_system_tables_may_be_denied() -> None:
    with LocalCluster(1, deny_virtual_tables=True) as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.refused("Scan", {"TableName": SYSTEM + "local"})[0] == "AccessDeniedException"
