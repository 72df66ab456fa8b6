"""The default engine: moto, of each cluster its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.moto_engine import MotoEngine

from .wire import BY_K, create, n, ok, s


def test_the_users_mock_aws_is_left_alone(cluster: LocalCluster) -> None:
    moto = pytest.importorskip("moto")
    create(cluster)
    with moto.mock_aws():
        assert ok(cluster.nodes[0], "ListTables", {})["TableNames"] == ["tab"]
        from moto.dynamodb.models import dynamodb_backends

        assert not any(backend.tables for account in dynamodb_backends.values() for backend in account.values())
    assert ok(cluster.nodes[0], "ListTables", {})["TableNames"] == ["tab"]


def test_moto_does_not_remember_what_was_written(cluster: LocalCluster) -> None:
    from moto.dynamodb.models.dynamo_type import Item
    from moto.dynamodb.models.table import Table

    before = len(Item.instances_tracked), len(Table.instances_tracked)
    create(cluster)
    for number in range(3):
        ok(cluster.nodes[0], "PutItem", {"TableName": "tab", "Item": {"k": s(str(number))}})
    assert (len(Item.instances_tracked), len(Table.instances_tracked)) == before


def engine_with_an_item() -> Callable[[str, dict[str, Any]], tuple[int, Any]]:
    """What executes an operation of an engine that is used without the nodes."""
    engine = MotoEngine()

    def call(operation: str, parameters: dict[str, Any]) -> tuple[int, Any]:
        target = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
        status, _, body = engine.call(target, json.dumps({"TableName": "tab", **parameters}).encode())
        return status, json.loads(body) if body else None

    assert call("CreateTable", BY_K)[0] == 200
    assert call("PutItem", {"Item": {"k": s("a"), "n": n(1)}})[0] == 200
    return call


SET_N = {
    "Key": {"k": s("a")},
    "UpdateExpression": "SET n = :n",
    "ExpressionAttributeValues": {":n": n(2)},
}


def test_a_transaction_that_is_refused_leaves_the_items_as_they_were() -> None:
    call = engine_with_an_item()
    actions = [
        {"Update": {"TableName": "tab", **SET_N}},
        {
            "ConditionCheck": {
                "TableName": "tab",
                "Key": {"k": s("b")},
                "ConditionExpression": "attribute_exists(k)",
            }
        },
    ]
    status, answer = call("TransactWriteItems", {"TransactItems": actions})
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "TransactionCanceledException")
    assert call("GetItem", {"Key": {"k": s("a")}}) == (200, {"Item": {"k": s("a"), "n": n(1)}})


def test_an_update_by_the_engine_itself() -> None:
    call = engine_with_an_item()
    read = call("Scan", {})[1]["Items"]
    assert call("UpdateItem", {**SET_N, "ReturnValues": "ALL_OLD"})[1]["Attributes"] == {"k": s("a"), "n": n(1)}
    assert read == [{"k": s("a"), "n": n(1)}]
    assert call("GetItem", {"Key": {"k": s("a")}})[1] == {"Item": {"k": s("a"), "n": n(2)}}
    assert call("UpdateItem", {**SET_N, "Key": {"k": s("new")}})[0] == 200
    assert call("GetItem", {"Key": {"k": s("new")}})[1] == {"Item": {"k": s("new"), "n": n(2)}}


def test_importing_it_does_not_import_moto() -> None:
    code = "import sys, pynamodb_alternator.local as l; l.LocalCluster(2); assert 'moto' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=os.getcwd())


def test_missing_moto_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from pynamodb_alternator.local import moto_engine

    moto_engine._moto.cache_clear()
    monkeypatch.setitem(sys.modules, "moto.dynamodb.models", None)
    with pytest.raises(ConfigurationError, match=r'pip install "pynamodb-alternator\[local\]"'):
        LocalCluster(1).start()
