"""Write isolation as the server understands it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.isolation import MODES, needs_read_before_write

from .wire import Wire, create, n, s

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
def test_the_request_decides_whether_a_write_reads_first(operation: str, request_: dict[str, Any], reads: bool) -> None:
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


def test_the_tag_decides_and_the_option_is_the_default() -> None:
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
