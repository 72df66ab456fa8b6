"""What the tests of failures share: waiting for conditions, a table, and requests of the three kinds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from pynamodb_alternator import Cluster, Timeouts
from pynamodb_alternator.local import LocalCluster

TABLE = "chaos"
PATIENCE = 20.0
"""Seconds for what takes a moment on an idle machine."""
UNHURRIED = Timeouts(connect=PATIENCE, read=PATIENCE, total=60.0)
"""For the requests before a test, where its own timeouts are short: a busy machine must not make them fail."""


def until(condition: Callable[[], Any], what: str = "", timeout: float = PATIENCE) -> Any:
    """Wait for the condition, and give its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {timeout:g} s: {what or condition}"
        time.sleep(0.01)


def create_table(client: Any, name: str = TABLE) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def put(client: Any, key: str, value: int = 0) -> None:
    client.put_item(TableName=TABLE, Item={"id": {"S": key}, "value": {"N": str(value)}})


def put_if_absent(client: Any, key: str, value: int = 0) -> None:
    client.put_item(
        TableName=TABLE,
        Item={"id": {"S": key}, "value": {"N": str(value)}},
        ConditionExpression="attribute_not_exists(id)",
    )


def get(client: Any, key: str) -> int | None:
    item = client.get_item(TableName=TABLE, Key={"id": {"S": key}}, ConsistentRead=True).get("Item")
    return None if item is None else int(item["value"]["N"])


def increment(client: Any, key: str) -> None:
    client.update_item(
        TableName=TABLE,
        Key={"id": {"S": key}},
        UpdateExpression="ADD #v :one",
        ExpressionAttributeNames={"#v": "value"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def states(cluster: Cluster) -> dict[str, str]:
    return {node.address: node.state.value for node in cluster.nodes()}


def all_active(cluster: Cluster, local: LocalCluster) -> bool:
    return states(cluster) == dict.fromkeys((node.address for node in local.nodes if node.joined), "active")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pynamodb_alternator")]
