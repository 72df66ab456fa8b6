"""What the nodes know about tables in addition to the engine."""

from __future__ import annotations

from pynamodb_alternator.local import LocalCluster

from .wire import Wire, create, n, ok, s


def test_the_partition_key_of_a_table_with_a_sort_key(cluster: LocalCluster) -> None:
    ok(
        cluster.nodes[0],
        "CreateTable",
        {
            "TableName": "two",
            "KeySchema": [{"AttributeName": "z", "KeyType": "HASH"}, {"AttributeName": "a", "KeyType": "RANGE"}],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in "az"],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    ok(cluster.nodes[0], "GetItem", {"TableName": "two", "Key": {"a": s("sort"), "z": s("part")}})
    assert cluster.nodes[0].requests[-1].partition_key == s("part")


def test_tables_that_were_there_before_are_known_by_their_key() -> None:
    with LocalCluster(nodes=1) as behind:
        create(behind)
        with (
            LocalCluster(nodes=1, engine=behind.url, write_isolation="forbid_rmw") as cluster,
            Wire(cluster[0]) as wire,
        ):
            wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("a"), "n": n(1)}})
            arn = wire.ok("DescribeTable", {"TableName": "tab"})["Table"]["TableArn"]
            kind, _ = wire.refused("PutItem", {"TableName": "tab", "Item": {"k": s("a")}, "ReturnValues": "ALL_OLD"})
            assert kind == "ValidationException"
            assert wire.ok("ListTagsOfResource", {"ResourceArn": arn}) == {"Tags": []}
            wire.ok("PutItem", {"TableName": "tab", "Item": {"n": n(1), "k": s("b")}})
            assert cluster.nodes[0].requests[-1].partition_key == s("b")
