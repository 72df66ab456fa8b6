"""Tables, and how Alternator describes them."""

from __future__ import annotations

from .wire import BY_K, Wire, s


def test_a_table_is_described(wire: Wire) -> None:
    wire.ok(
        "CreateTable",
        {
            "TableName": "indexed",
            "KeySchema": BY_K["KeySchema"],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in "kg"],
            "BillingMode": "PAY_PER_REQUEST",
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by_g",
                    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        },
    )
    table = wire.ok("DescribeTable", {"TableName": "indexed"})["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["TableArn"] == "arn:scylla:alternator:alternator_indexed:scylla:table/indexed"
    assert isinstance(table["CreationDateTime"], float)
    assert not {"ItemCount", "LocalSecondaryIndexes", "WarmThroughput"} & set(table)
    (index,) = table["GlobalSecondaryIndexes"]
    assert (index["Projection"], index["IndexStatus"]) == ({"ProjectionType": "ALL"}, "ACTIVE")
    wire.ok("PutItem", {"TableName": "indexed", "Item": {"k": s("a"), "g": s("x")}})
    matches = wire.ok(
        "Query",
        {
            "TableName": "indexed",
            "IndexName": "by_g",
            "KeyConditionExpression": "g = :g",
            "ExpressionAttributeValues": {":g": s("x")},
        },
    )
    assert matches["Count"] == 1
    deleted = wire.ok("DeleteTable", {"TableName": "indexed"})["TableDescription"]
    assert deleted["TableStatus"] == "DELETING"
    assert wire.ok("ListTables", {})["TableNames"] == ["tab"]


def test_long_table_names(wire: Wire) -> None:
    name = "x" * 192
    wire.ok("CreateTable", {"TableName": name, **BY_K})
    wire.ok("PutItem", {"TableName": name, "Item": {"k": s("a")}})
