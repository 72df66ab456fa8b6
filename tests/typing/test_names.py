"""`pynamodb_alternator.typing` says what the real clients have."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import xform_name

from pynamodb_alternator import AsyncCluster, Cluster, boto3, typing

NOWHERE = "http://127.0.0.1:1"
"""Making a client connects to nothing."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(NOWHERE) as cluster:
        yield cluster


def names_of(protocol: type) -> set[str]:
    return {name for kind in protocol.__mro__ for name in vars(kind) if not name.startswith("_")}


def missing(protocol: type, thing: Any) -> list[str]:
    return sorted(name for name in names_of(protocol) if not hasattr(type(thing), name) and name not in vars(thing))


def test_a_client_has_what_its_type_says(cluster: Cluster) -> None:
    client: Any = cluster.client
    assert missing(typing.DynamoDBClient, client) in ([], ["exceptions"])  # botocore has them by __getattr__
    assert client.exceptions.ResourceNotFoundException
    assert missing(typing.Paginator, client.get_paginator("scan")) == []
    assert missing(typing.Waiter, client.get_waiter("table_exists")) == []


def test_every_operation_is_in_the_type(cluster: Cluster) -> None:
    operations = {xform_name(name) for name in cluster.client.meta.service_model.operation_names}
    assert operations - names_of(typing.Operations) == set()
    assert len(operations) > 50


def test_a_resource_has_what_its_type_says(cluster: Cluster) -> None:
    resource: Any = boto3.resource(cluster)
    assert missing(typing.DynamoDBResource, resource) == []
    table = resource.Table("users")
    assert missing(typing.Table, table) in ([], ["name"], ["table_name"])
    assert table.name == table.table_name == "users"
    assert missing(typing.BatchWriter, table.batch_writer()) == []


def test_an_async_client_has_what_its_type_says() -> None:
    async def client_of() -> None:
        async with AsyncCluster(NOWHERE) as cluster:
            client: Any = await cluster.client()
            assert missing(typing.AsyncDynamoDBClient, client) in ([], ["exceptions"])
            assert inspect.iscoroutinefunction(client.close)
            assert missing(typing.AsyncPaginator, client.get_paginator("scan")) == []
            assert inspect.iscoroutinefunction(client.get_waiter("table_exists").wait)

    asyncio.run(client_of())


def test_the_methods_of_clusters_are_as_they_were() -> None:
    """What only type checkers see does not change a function."""
    assert Cluster.new_client.__qualname__ == "Cluster.new_client"
    assert inspect.iscoroutinefunction(AsyncCluster.client)
    assert AsyncCluster.options.__qualname__ == "AsyncCluster.options"
    assert (boto3.client.__name__, boto3.client.__module__) == ("client", "pynamodb_alternator.boto3")
