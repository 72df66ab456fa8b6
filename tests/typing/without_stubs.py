"""Clients in a user's application that has no stubs of boto3 or aiobotocore."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import Any, assert_type

from pynamodb_alternator import AsyncCluster, Cluster, boto3
from pynamodb_alternator.typing import AsyncDynamoDBClient, DynamoDBClient, DynamoDBResource, Table


def ask(cluster: Cluster) -> list[dict[str, Any]]:
    client = cluster.client
    assert_type(client, DynamoDBClient)
    assert_type(cluster.new_client(validate_parameters=True), DynamoDBClient)
    assert_type(boto3.client(cluster), DynamoDBClient)
    assert_type(client.get_item(TableName="users", Key={"name": {"S": "a"}}), dict[str, Any])
    try:
        client.get_waiter("table_exists").wait(TableName="users")
    except client.exceptions.ResourceNotFoundException:
        client.create_table(TableName="users")
    return [item for page in client.get_paginator("scan").paginate(TableName="users") for item in page["Items"]]


def with_resource() -> int:
    resource = boto3.resource("default")
    assert_type(resource, DynamoDBResource)
    table = resource.Table("users")
    assert_type(table, Table)
    with table.batch_writer() as batch:
        batch.put_item(Item={"name": "a"})
    table.put_item(Item={"name": "b"})
    assert_type([each.name for each in resource.tables.all()], list[str])
    return table.item_count


async def ask_async(cluster: AsyncCluster) -> list[str]:
    client = await cluster.client()
    assert_type(client, AsyncDynamoDBClient)
    assert_type(await cluster.new_client(), AsyncDynamoDBClient)
    assert_type(await client.get_item(TableName="users", Key={"name": {"S": "a"}}), dict[str, Any])
    names: list[str] = []
    async for page in client.get_paginator("list_tables").paginate():
        names += page["TableNames"]
    await client.close()
    return names


def mistakes(cluster: Cluster) -> None:
    cluster.client.put_itm(TableName="users")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    cluster.client.put_item("users")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    boto3.client(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
