"""What every engine behind the nodes must do: moto always, and dynoxide where the program is installed.

dynoxide is looked for on the PATH, and under the name that DYNOXIDE has in the environment.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.addresses import bound

from .test_items import b, n, table
from .wire import Wire, s

DYNOXIDE = os.environ.get("DYNOXIDE") or shutil.which("dynoxide")


@contextlib.contextmanager
def dynoxide() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The URL of an empty dynoxide, and its process."""
    if DYNOXIDE is None:
        pytest.skip("dynoxide is not installed")
    with bound("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [DYNOXIDE, "serve", "--host", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(port)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait(20)


def _await(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < until, "dynoxide does not start"
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="module", params=["moto", "dynoxide"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    with contextlib.ExitStack() as stack:
        engine = "moto" if request.param == "moto" else stack.enter_context(dynoxide())[0]
        local = stack.enter_context(LocalCluster(1, engine=engine, ttl_period=0))
        connected = stack.enter_context(Wire(local.nodes[0]))
        connected.ok("CreateTable", table("binaries", "B", "B"))
        connected.ok(
            "CreateTable",
            table(
                "tab",
                "S",
                definitions=[{"AttributeName": "g", "AttributeType": "S"}],
                GlobalSecondaryIndexes=[
                    {
                        "IndexName": "by_g",
                        "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                        "Projection": {"ProjectionType": "KEYS_ONLY"},
                    }
                ],
            ),
        )
        yield connected


def test_binary_sort_keys_are_ordered_by_their_bytes(wire: Wire) -> None:
    contents = [bytes([number]) for number in (0, 62, 63, 64, 128, 251, 255)]
    for content in reversed(contents):
        wire.ok("PutItem", {"TableName": "binaries", "Item": {"p": b(b"p"), "c": b(content)}})
    values = {":p": b(b"p"), ":c": b(b"\x3f")}
    query = {"KeyConditionExpression": "p = :p AND c >= :c", "ExpressionAttributeValues": values}
    items = wire.ok("Query", {"TableName": "binaries", **query})["Items"]
    assert [base64.b64decode(item["c"]["B"]) for item in items] == contents[2:]


def test_a_batch_of_a_hundred(wire: Wire) -> None:
    puts = [{"PutRequest": {"Item": {"p": s(f"batch-{number}")}}} for number in range(100)]
    assert wire.ok("BatchWriteItem", {"RequestItems": {"tab": puts}}) == {"UnprocessedItems": {}}
    asked = {"tab": {"Keys": [{"p": s(f"batch-{number}")} for number in range(100)]}}
    assert len(wire.ok("BatchGetItem", {"RequestItems": asked})["Responses"]["tab"]) == 100


def test_conditions_and_counters_work_on_another_engine(wire: Wire) -> None:
    put = {"TableName": "tab", "Item": {"p": s("c"), "n": n("1")}, "ConditionExpression": "attribute_not_exists(p)"}
    wire.ok("PutItem", put)
    assert wire.refused("PutItem", put)[0] == "ConditionalCheckFailedException"
    add = {
        "TableName": "tab",
        "Key": {"p": s("c")},
        "UpdateExpression": "SET n = n + :one",
        "ExpressionAttributeValues": {":one": n("1")},
        "ReturnValues": "UPDATED_NEW",
    }
    assert wire.ok("UpdateItem", add)["Attributes"] == {"n": n("2")}


def test_an_index_has_all_attributes(wire: Wire) -> None:
    item = {"p": s("i"), "g": s("here"), "more": s("x")}
    wire.ok("PutItem", {"TableName": "tab", "Item": item})
    query: dict[str, Any] = {
        "TableName": "tab",
        "IndexName": "by_g",
        "KeyConditionExpression": "g = :g",
        "ExpressionAttributeValues": {":g": s("here")},
    }
    assert wire.ok("Query", query)["Items"] == [item]


def test_refusals_are_the_dialects(wire: Wire) -> None:
    twice = [{"DeleteRequest": {"Key": {"p": s("a")}}}] * 2
    deep = {"ConditionExpression": "NOT " * 4000 + "p = :p", "ExpressionAttributeValues": {":p": s("a")}}
    for operation, request, message in (
        ("BatchWriteItem", {"RequestItems": {"tab": twice}}, "duplicates"),
        ("PutItem", {"TableName": "tab", "Item": {"p": s("a"), "n": n("1" * 39)}}, "too precise"),
        ("PutItem", {"TableName": "tab", "Item": {"p": s("a")}, **deep}, "4096"),
        ("PutItem", {"TableName": "tab", "Item": {"p": s("a"), "g": n("1")}}, "Type mismatch"),
        ("Scan", {"TableName": "tab", "IndexName": "nowhere"}, "nowhere"),
    ):
        kind, text = wire.refused(operation, request)
        assert (kind, message in text) == ("ValidationException", True), text
    nested = {"ConditionExpression": "NOT " * 500 + "p = :p", "ExpressionAttributeValues": {":p": s("a")}}
    assert "nested" in wire.refused("PutItem", {"TableName": "tab", "Item": {"p": s("a")}, **nested})[1]


def test_expired_items_are_deleted(wire: Wire) -> None:
    wire.ok(
        "UpdateTimeToLive",
        {"TableName": "tab", "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True}},
    )
    for key, seconds in (("past", -100), ("future", 1000)):
        item = {"p": s(key), "until": n(str(int(time.time()) + seconds))}
        wire.ok("PutItem", {"TableName": "tab", "Item": item})
    assert "Item" not in wire.ok("GetItem", {"TableName": "tab", "Key": {"p": s("past")}})
    assert "Item" in wire.ok("GetItem", {"TableName": "tab", "Key": {"p": s("future")}})


def test_an_engine_that_is_gone_is_named() -> None:
    with dynoxide() as (url, process), LocalCluster(1, engine=url) as local, Wire(local.nodes[0]) as wire:
        wire.ok("CreateTable", table("tab", "S"))
        process.kill()
        process.wait(20)
        for _ in range(2):  # the connection that was open, and a new one
            kind, text = wire.refused("GetItem", {"TableName": "tab", "Key": {"p": s("a")}})
            assert kind == "InternalServerError"
            assert url.removeprefix("http://") in text
        assert "is gone, or was never started" in text
