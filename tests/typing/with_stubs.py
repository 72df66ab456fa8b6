"""Clients in a user's application that has boto3-stubs[dynamodb] and types-aiobotocore[dynamodb]."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import assert_type

from mypy_boto3_dynamodb import DynamoDBClient, DynamoDBServiceResource
from mypy_boto3_dynamodb.type_defs import PutItemOutputTypeDef
from types_aiobotocore_dynamodb import DynamoDBClient as AsyncDynamoDBClient

from pynamodb_alternator import AsyncCluster, Cluster, boto3


def ask(cluster: Cluster) -> list[str]:
    client: DynamoDBClient = cluster.client
    assert_type(cluster.client, DynamoDBClient)
    assert_type(cluster.new_client(validate_parameters=True), DynamoDBClient)
    assert_type(boto3.client(cluster), DynamoDBClient)
    assert_type(client.put_item(TableName="users", Item={"name": {"S": "a"}}), PutItemOutputTypeDef)
    return client.list_tables(Limit=3)["TableNames"]


def with_resource() -> int:
    resource = boto3.resource("default")
    assert_type(resource, DynamoDBServiceResource)
    return resource.Table("users").item_count


async def ask_async(cluster: AsyncCluster) -> list[str]:
    client = await cluster.client()
    assert_type(client, AsyncDynamoDBClient)
    assert_type(await cluster.new_client(), AsyncDynamoDBClient)
    return (await client.list_tables())["TableNames"]


def mistakes(cluster: Cluster) -> None:
    cluster.client.list_tables(Limit="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cluster.client.put_itm(TableName="users")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
