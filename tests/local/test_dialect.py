"""The embedded cluster speaks Alternator's dialect, not DynamoDB's (alternator-server.md)."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster, LocalNode

from .wire import BY_K, Wire, botocore_client, n, s


@pytest.fixture
def cluster(tabled: LocalCluster) -> LocalCluster:
    return tabled


@pytest.mark.parametrize(
    ("operation", "parameters", "kind"),
    [
        ("GetItem", {"TableName": "none", "Key": {"k": s("a")}}, "ResourceNotFoundException"),
        ("PutItem", {"TableName": "none", "Item": {"k": s("a")}}, "ResourceNotFoundException"),
        ("DescribeTable", {"TableName": "none"}, "ResourceNotFoundException"),
        ("DeleteTable", {"TableName": "none"}, "ResourceNotFoundException"),
        ("UpdateTimeToLive", {"TableName": "none", "TimeToLiveSpecification": {}}, "ResourceNotFoundException"),
        ("CreateTable", {"TableName": "tab", **BY_K}, "ResourceInUseException"),
        ("CreateTable", {"TableName": "x", **BY_K}, "ValidationException"),
        ("CreateTable", {"TableName": "x" * 193, **BY_K}, "ValidationException"),
        ("CreateTable", {"TableName": ".scylla.alternator.x", **BY_K}, "ValidationException"),
        ("PutItem", {"TableName": "tab"}, "ValidationException"),
        ("GetItem", {"TableName": "tab", "Key": {"x": s("a")}}, "ValidationException"),
        ("UpdateItem", {"TableName": "tab", "Key": {"k": s("a")}, "UpdateExpression": "SOT"}, "ValidationException"),
        (
            "PutItem",
            {"TableName": "tab", "Item": {"k": s("a")}, "ConditionExpression": "attribute_exists(k)"},
            "ConditionalCheckFailedException",
        ),
        (
            "UpdateTable",
            {"TableName": "tab", "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
            "ValidationException",
        ),
        ("BatchWriteItem", {"RequestItems": {"tab": [{}] * 101}}, "ValidationException"),
        ("BatchWriteItem", {"RequestItems": 1}, "ValidationException"),
    ],
)
def test_wrong_requests_get_the_errors_of_alternator(
    wire: Wire, operation: str, parameters: dict[str, Any], kind: str
) -> None:
    assert wire.refused(operation, parameters)[0] == kind


def test_a_failed_condition_may_bring_the_item(wire: Wire) -> None:
    item = {"k": s("a"), "b": {"B": "AP8="}}
    wire.ok("PutItem", {"TableName": "tab", "Item": item})
    status, answer = wire.call(
        "DeleteItem",
        {
            "TableName": "tab",
            "Key": {"k": s("a")},
            "ConditionExpression": "attribute_not_exists(k)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )
    assert status == 400
    assert answer["Item"] == item


def test_a_table_has_time_to_live(wire: Wire) -> None:
    described = {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    assert wire.ok("DescribeTimeToLive", {"TableName": "tab"}) == described
    specification = {"AttributeName": "expires", "Enabled": True}
    answer = wire.ok("UpdateTimeToLive", {"TableName": "tab", "TimeToLiveSpecification": specification})
    assert answer == {"TimeToLiveSpecification": specification}
    description = wire.ok("DescribeTimeToLive", {"TableName": "tab"})["TimeToLiveDescription"]
    assert description == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_describe_endpoints_and_backups(wire: Wire, node: LocalNode) -> None:
    assert wire.ok("DescribeEndpoints", {})["Endpoints"][0]["Address"] == node.address
    backups = wire.ok("DescribeContinuousBackups", {"TableName": "tab"})["ContinuousBackupsDescription"]
    assert backups["ContinuousBackupsStatus"] == "DISABLED"


VALUES: dict[str, Any] = {
    "S": {"S": "ünï\u2028code \U0001f600"},
    "N": {"N": "-1500"},
    "B": {"B": b"\x00\xff\x10"},
    "BOOL": {"BOOL": False},
    "NULL": {"NULL": True},
    "SS": {"SS": ["a", "b"]},
    "NS": {"NS": ["1", "2"]},
    "BS": {"BS": [b"\x00", b"\xff"]},
    "L": {"L": [{"S": "x"}, {"L": []}, {"M": {"deep": {"B": b"\x01"}}}]},
    "M": {"M": {"a.b": {"N": "1"}, "": {"M": {}}}},
}


def test_every_type_survives_the_way_there_and_back(cluster: LocalCluster) -> None:
    item = {"k": {"S": "all"}, **VALUES}
    with botocore_client(cluster.url) as client:
        client.put_item(TableName="tab", Item=item)
        assert client.get_item(TableName="tab", Key={"k": {"S": "all"}})["Item"] == item
        assert client.scan(TableName="tab")["Items"] == [item]
        batch = client.batch_get_item(RequestItems={"tab": {"Keys": [{"k": {"S": "all"}}]}})
        assert batch["Responses"]["tab"] == [item]
        old = client.put_item(TableName="tab", Item={"k": {"S": "all"}}, ReturnValues="ALL_OLD")["Attributes"]
        assert old == item
        assert client.query(
            TableName="tab", KeyConditionExpression="k = :k", ExpressionAttributeValues={":k": {"S": "all"}}
        )["Items"] == [{"k": {"S": "all"}}]


def test_return_values_of_updates(wire: Wire) -> None:
    key = {"TableName": "tab", "Key": {"k": s("u")}}
    wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("u"), "a": n(1), "b": n(2)}})
    change = {**key, "UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": n(9)}}
    assert wire.ok("UpdateItem", {**change, "ReturnValues": "UPDATED_NEW"})["Attributes"] == {"a": n(9)}
    assert wire.ok("UpdateItem", {**change, "ReturnValues": "ALL_NEW"})["Attributes"] == {
        "k": s("u"),
        "a": n(9),
        "b": n(2),
    }
    assert wire.ok("DeleteItem", {**key, "ReturnValues": "ALL_OLD"})["Attributes"]["b"] == n(2)


def test_a_query_returns_pages(wire: Wire) -> None:
    for number in range(5):
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s(str(number))}})
    seen: list[str] = []
    start: dict[str, Any] = {}
    while True:
        page = wire.ok("Scan", {"TableName": "tab", "Limit": 2, **start})
        seen += [item["k"]["S"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert sorted(seen) == list("01234")
