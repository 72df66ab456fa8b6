"""What the check of models reads of the cluster's tables."""

from __future__ import annotations

from pynamodb_alternator import Cluster
from pynamodb_alternator.diagnostics.models import IndexFacts, KeyFacts, read_tables
from pynamodb_alternator.diagnostics.models.facts import TableFacts
from pynamodb_alternator.local import LocalCluster

from .support import create


def test_a_table_with_indexes(cluster: Cluster) -> None:
    types = {"a": "N", "b": "S", "c": "B"}
    cluster.client.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_c",
                "KeySchema": [{"AttributeName": "c", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "by_ac",
                "KeySchema": [
                    {"AttributeName": "a", "KeyType": "HASH"},
                    {"AttributeName": "c", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "system:write_isolation", "Value": "f"}],
    )
    cluster.client.update_time_to_live(
        TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    hash_key = KeyFacts("a", "HASH", "N")
    assert read_tables(cluster.client, ["orders", "orders"]) == {
        "orders": TableFacts(
            keys=(hash_key, KeyFacts("b", "RANGE", "S")),
            indexes=(
                IndexFacts("by_c", False, (KeyFacts("c", "HASH", "B"),), "ALL"),
                IndexFacts("by_ac", True, (hash_key, KeyFacts("c", "RANGE", "B")), "ALL"),
            ),
            write_isolation="forbid_rmw",
            ttl_attribute="expires",
        )
    }


def test_tables_that_are_not_there_or_may_not_be_read(cluster: Cluster, local: LocalCluster) -> None:
    create(cluster, "things")
    for node in local.nodes:
        node.fail_with("AccessDeniedException", operation=("ListTagsOfResource", "DescribeTimeToLive"))
    tables = read_tables(cluster.client, ["things", "nothing"])
    assert tables["nothing"] == TableFacts(exists=False)
    assert tables["things"].keys == (KeyFacts("key", "HASH", "S"),)
    assert (tables["things"].write_isolation, tables["things"].ttl_attribute) == (None, None)
    for node in local.nodes:
        node.fail_with("AccessDeniedException", operation="DescribeTable")
    assert "AccessDeniedException" in read_tables(cluster.client, ["things"])["things"].problem


def test_a_cluster_that_does_not_answer_is_asked_once(cluster: Cluster, local: LocalCluster) -> None:
    create(cluster, "things")
    local.close()
    tables = read_tables(cluster.client, ["things", "other"])
    assert tables["things"].problem
    assert tables["things"] == tables["other"]
    assert tables["things"].exists
