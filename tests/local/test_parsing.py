"""Reading a request: operations that Alternator does not have, and bodies that are not JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pynamodb_alternator.local import LocalNode

from .wire import PREFIX, Wire


@pytest.mark.parametrize(
    "operation",
    [
        *("TransactWriteItems", "TransactGetItems", "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"),
        *(
            "CreateBackup",
            "ListBackups",
            "CreateGlobalTable",
            "ListExports",
            "ImportTable",
            "DescribeLimits",
            "Nonsense",
        ),
    ],
)
def test_what_alternator_does_not_know(wire: Wire, operation: str) -> None:
    assert wire.refused(operation, {}) == ("UnknownOperationException", f"Unsupported operation {operation}")


@pytest.mark.parametrize(("innermost", "status"), [({"L": []}, 200), ({"L": [{"S": "x"}]}, 400)])
def test_a_node_reads_the_deepest_json(wire: Wire, innermost: Any, status: int) -> None:
    """78 objects and arrays, of which the request and its item are two."""
    value: Any = innermost
    for _ in range(37):
        value = {"L": [value]}
    request = {"TableName": "tab", "Item": {"k": {"S": "a"}, "deep": value}}
    assert wire.call("PutItem", request)[0] == status
    assert wire.call("Scan", {"TableName": "tab"})[1]["Count"] == (status == 200)


def test_no_target_and_no_json(wire: Wire, node: LocalNode) -> None:
    status, _, body = wire.send("POST", "/", b"{}")
    assert (status, json.loads(body)["__type"]) == (400, PREFIX + "UnknownOperationException")
    for body in (b"", b"{", b"[]", b"\xff", b'"x"'):
        status, _, answer = wire.raw("ListTables", body)
        assert (status, json.loads(answer)["__type"]) == (400, PREFIX + "ValidationException"), body
    assert node.connections == 2
