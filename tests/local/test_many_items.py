"""Query, Scan and batches."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster

from .wire import Wire, create, s


@pytest.mark.parametrize("operation", ["Query", "Scan", "BatchGetItem"])
def test_long_answers_come_in_chunks(operation: str) -> None:
    with LocalCluster(1, chunk_threshold=2000) as cluster, Wire(cluster.nodes[0]) as wire:
        create(cluster)
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("a"), "v": s("x" * 100_000)}})
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("b"), "v": s("x")}})

        def parameters(key: str) -> dict[str, Any]:
            if operation == "BatchGetItem":
                return {"RequestItems": {"tab": {"Keys": [{"k": s(key)}]}}}
            condition = "KeyConditionExpression" if operation == "Query" else "FilterExpression"
            return {"TableName": "tab", condition: "k = :k", "ExpressionAttributeValues": {":k": s(key)}}

        _, headers, body = wire.raw(operation, json.dumps(parameters("a")).encode())
        assert (headers["transfer-encoding"], headers["content-length"]) == ("chunked", None)
        assert b"x" * 100_000 in body
        _, headers, body = wire.raw(operation, json.dumps(parameters("b")).encode())
        assert (headers["transfer-encoding"], headers["content-length"]) == (None, str(len(body)))
        _, headers, _ = wire.raw("GetItem", json.dumps({"TableName": "tab", "Key": {"k": s("a")}}).encode())
        assert headers["transfer-encoding"] is None


def test_a_batch_may_have_100_items(wire: Wire) -> None:
    puts = [{"PutRequest": {"Item": {"k": s(str(i))}}} for i in range(100)]
    assert wire.ok("BatchWriteItem", {"RequestItems": {"tab": puts}}) == {"UnprocessedItems": {}}
    assert wire.ok("Scan", {"TableName": "tab", "Select": "COUNT"})["Count"] == 100
