"""boto3's client and resource on a cluster, together with models."""

from __future__ import annotations

from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError, ParamValidationError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from pynamodb_alternator import Cluster, Model, configure
from pynamodb_alternator.boto3 import client, resource
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .conftest import Recorder


def make_table(cluster: Cluster) -> None:
    cluster.client.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "line", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "line", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def test_a_table_of_the_resource(cluster: Cluster, recorder: Recorder, local: LocalCluster) -> None:
    make_table(cluster)
    table = resource(cluster).Table("orders")
    with table.batch_writer() as batch:
        for line in range(60):
            batch.put_item({"id": "a", "line": line, "price": Decimal("1.50"), "blob": b"\x00\xff", "tags": {"x", "y"}})
    answer = table.query(
        KeyConditionExpression=Key("id").eq("a") & Key("line").lt(2), FilterExpression=Attr("price").gt(1)
    )
    assert [item["line"] for item in answer["Items"]] == [Decimal(0), Decimal(1)]
    assert answer["Items"][0]["blob"].value == b"\x00\xff"
    assert answer["Items"][0]["tags"] == {"x", "y"}
    table.update_item(
        Key={"id": "a", "line": 0}, UpdateExpression="ADD price :one", ExpressionAttributeValues={":one": Decimal(1)}
    )
    assert table.get_item(Key={"id": "a", "line": 0})["Item"]["price"] == Decimal("2.50")
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        table.put_item(Item={"id": "a", "line": 0}, ConditionExpression=Attr("id").not_exists())
    assert {event["sender"] for event in recorder.of("request_completed")} == {cluster}
    assert all(node.requests for node in local.nodes)


def test_the_resource_leaves_the_models_alone(cluster: Cluster) -> None:
    """boto3's handlers turn Python values into attribute values: they must not meet PynamoDB's requests."""
    made = cluster

    class Order(Model):
        class Meta:
            table_name = "plain"
            billing_mode = "PAY_PER_REQUEST"
            cluster = made

        id = UnicodeAttribute(hash_key=True)
        price = NumberAttribute()

    Order.create_table()
    table = resource(cluster).Table("plain")
    Order("a", price=3).save()
    assert table.get_item(Key={"id": "a"})["Item"] == {"id": "a", "price": Decimal(3)}
    assert Order.get("a").price == 3


def test_a_client_validates_waits_and_paginates(cluster: Cluster) -> None:
    made = client(cluster)
    make_table(cluster)
    made.get_waiter("table_exists").wait(TableName="orders")
    with pytest.raises(ParamValidationError, match="Tabel"):
        made.get_item(Tabel="orders", Key={})
    for line in range(7):
        made.put_item(TableName="orders", Item={"id": {"S": "a"}, "line": {"N": str(line)}})
    pages = made.get_paginator("scan").paginate(TableName="orders", PaginationConfig={"PageSize": 3})
    assert [len(page["Items"]) for page in pages] == [3, 3, 1]
    with pytest.raises(made.exceptions.ResourceNotFoundException):
        made.get_item(TableName="none", Key={"id": {"S": "a"}})
    made.close()
    assert cluster.client.list_tables()["TableNames"] == ["orders"]


def test_a_table_without_a_model_gets_affinity_after_a_lookup(cluster: Cluster, recorder: Recorder) -> None:
    make_table(cluster)
    table = resource(cluster).Table("orders")

    def put(line: int) -> str:
        recorder.clear()
        table.put_item(Item={"id": "a", "line": line}, ConditionExpression=Attr("id").not_exists())
        return str(recorder.of("request_routed")[0]["policy"])

    first = put(0)
    assert first == "round_robin"
    recorder.wait_for("request_completed", operation="DescribeTable")
    assert any(put(line) == "affinity" for line in range(1, 200))


def test_the_client_uses_the_named_cluster(local: LocalCluster, cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError, match=r"boto3\.client\(\).*configure"):
        client()
    configure(default=local.url)
    assert client().list_tables()["TableNames"] == []
    assert resource("default").meta.client.list_tables()["TableNames"] == []
    assert resource(local.url).meta.client.list_tables()["TableNames"] == []


LACKING = {
    "transact_get_items": {"TransactItems": [{"Get": {"TableName": "t", "Key": {"id": {"S": "a"}}}}]},
    "transact_write_items": {"TransactItems": [{"Delete": {"TableName": "t", "Key": {"id": {"S": "a"}}}}]},
    "execute_statement": {"Statement": "SELECT * FROM t"},
    "batch_execute_statement": {"Statements": [{"Statement": "SELECT * FROM t"}]},
    "execute_transaction": {"TransactStatements": [{"Statement": "SELECT * FROM t"}]},
    "create_backup": {"TableName": "t", "BackupName": "b"},
    "list_backups": {},
    "create_global_table": {"GlobalTableName": "t", "ReplicationGroup": [{"RegionName": "us-east-1"}]},
    "list_global_tables": {},
}


@pytest.mark.parametrize("operation", LACKING)
def test_missing_operations_give_the_error_of_the_server(cluster: Cluster, operation: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(cluster.client, operation)(**LACKING[operation])
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0
