"""The handler of all nodes: which thread does the work, and what is answered without the engine."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.catalogue import LONG
from pynamodb_alternator.local.engine import EngineAnswer
from pynamodb_alternator.local.moto_engine import MotoEngine

from .wire import Wire, create, n, ok, s


def test_16_threads_on_three_nodes_lose_no_increment(cluster: LocalCluster) -> None:
    create(cluster)
    threads, each = 16, 40
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with Wire(cluster.nodes[number % 3]) as wire:
                for _ in range(each):
                    wire.ok(
                        "UpdateItem",
                        {
                            "TableName": "tab",
                            "Key": {"k": s("counter")},
                            "UpdateExpression": "ADD n :one",
                            "ExpressionAttributeValues": {":one": n(1)},
                            "ReturnValues": "ALL_NEW",
                        },
                    )
                    # Something slower between, so that both ways to the engine are used at once.
                    wire.ok("Scan", {"TableName": "tab"})
        except BaseException as wrong:
            failed.append(wrong)

    workers = [threading.Thread(target=work, args=[number]) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failed == []
    item = ok(cluster.nodes[0], "GetItem", {"TableName": "tab", "Key": {"k": s("counter")}})["Item"]
    assert item["n"] == n(threads * each)


def test_a_slow_engine_does_not_keep_other_nodes_from_answering() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        def call(self, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
            entered.set()
            assert leave.wait(20)
            return 200, {}, b"{}"

    with LocalCluster(nodes=2, engine=Slow()) as cluster:
        results: list[Any] = []
        waiting = threading.Thread(target=lambda: results.append(ok(cluster.nodes[0], "ListTables", {})))
        waiting.start()
        assert entered.wait(10)
        with Wire(cluster.nodes[0]) as same, Wire(cluster.nodes[1]) as other:
            assert len(same.get("/localnodes")) == 2
            assert other.send("GET", "/")[0] == 200
        leave.set()
        waiting.join(10)
        assert results == [{}]


class Watched(MotoEngine):
    """Notes in which threads it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        self.threads.add(threading.current_thread().name.partition("_")[0])
        return super().call(headers, body)


LOOP, WORKER = "local-alternator", "local-alternator-engine"


def test_long_work_is_done_outside_of_the_event_loop() -> None:
    engine = Watched()
    with LocalCluster(1, engine=engine, ttl_period=None) as local, Wire(local.nodes[0]) as wire:
        create(local)
        get = {"TableName": "tab", "Key": {"k": s("a")}}

        def threads(operation: str, parameters: dict[str, Any]) -> set[str]:
            engine.threads.clear()
            wire.ok(operation, parameters)
            return engine.threads

        def put(text: str) -> dict[str, Any]:
            return {"TableName": "tab", "Item": {"k": s("a"), "text": s(text)}}

        assert threads("PutItem", put("short")) == {LOOP}
        assert threads("GetItem", get) == {LOOP}
        assert threads("Scan", {"TableName": "tab"}) == {WORKER}
        # An item that grows by its own length with each update, until it is long: all about its table is slow then.
        append = {
            **get,
            "UpdateExpression": "SET texts = list_append(texts, texts)",
        }
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("a"), "texts": {"L": [s("x" * 1000)]}}})
        for _ in range(6):
            assert threads("UpdateItem", append) == {LOOP}
        wire.ok("UpdateItem", append)
        assert threads("GetItem", get) == {WORKER}
        wire.ok("DeleteTable", {"TableName": "tab"})
        create(local)
        assert threads("GetItem", get) == {LOOP}
        assert threads("PutItem", put("x" * LONG)) == {WORKER}
        assert threads("GetItem", get) == {WORKER}


def test_a_batch_with_a_long_item_makes_its_table_slow_and_one_with_many_short_ones_does_not() -> None:
    engine = Watched()
    with LocalCluster(1, engine=engine) as local, Wire(local.nodes[0]) as wire:
        create(local)
        for size, count, thread in ((1000, 100, LOOP), (LONG, 1, WORKER)):
            puts = [{"PutRequest": {"Item": {"k": s(str(at)), "text": s("x" * size)}}} for at in range(count)]
            wire.ok("BatchWriteItem", {"RequestItems": {"tab": puts}})
            engine.threads.clear()
            wire.ok("GetItem", {"TableName": "tab", "Key": {"k": s("a")}})
            assert engine.threads == {thread}


def test_an_expression_that_reads_an_item_many_times_is_not_quick() -> None:
    engine = Watched()
    with LocalCluster(1, engine=engine, ttl_period=None) as local, Wire(local.nodes[0]) as wire:
        create(local)
        item = {"k": s("a"), "texts": {"L": [s(str(at)) for at in range(1500)]}}
        wire.ok("PutItem", {"TableName": "tab", "Item": item})
        for count, thread in ((1, LOOP), (200, WORKER)):
            engine.threads.clear()
            update = {
                "TableName": "tab",
                "Key": {"k": s("a")},
                "UpdateExpression": "SET found = :no",
                "ConditionExpression": " OR ".join(["contains(texts,:no)"] * count)[:4000].rpartition(" OR")[0]
                or "contains(texts,:no)",
                "ExpressionAttributeValues": {":no": s("nowhere")},
            }
            assert wire.refused("UpdateItem", update)[0] == "ConditionalCheckFailedException"
            assert engine.threads == {thread}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("Query", {"KeyConditionExpression": "a" * 1_000_000}),
        ("Query", {"KeyConditionExpression": "a" + " " * 1_000_000}),
        ("Query", {"KeyConditionExpression": "a=" * 2000}),
        ("UpdateItem", {"Key": {"k": s("a")}, "UpdateExpression": "SET a = b " * 1_000_000}),
    ],
)
def test_an_expression_that_is_too_long_costs_nothing(operation: str, parameters: dict[str, Any]) -> None:
    """What looks at expressions before they are parsed must not need the square of their length."""
    with LocalCluster(1, write_isolation="forbid_rmw") as local, Wire(local.nodes[0], timeout=30) as wire:
        create(local)
        assert wire.refused(operation, {"TableName": "tab", **parameters})[0] == "ValidationException"


def test_health_and_unknown_paths() -> None:
    with LocalCluster(nodes=2) as cluster, Wire(cluster.nodes[0]) as wire:
        node = cluster.nodes[0]
        status, headers, body = wire.send("GET", "/")
        assert (status, headers["content-type"], body) == (200, "text/plain", f"healthy: {node.address}".encode())
        assert wire.send("GET", "/", headers={"Host": "me.example"})[2] == b"healthy: me.example"
        status, headers, body = wire.send("GET", "/localnodes")
        assert (status, headers["content-type"], body) == (200, "application/json", b'["127.0.0.1","127.0.0.2"]')
        for method, path in [("GET", "/x"), ("POST", "/x"), ("GET", "/localnodes/"), ("DELETE", "/")]:
            assert wire.send(method, path)[0] == 404, (method, path)
        assert node.connections == 1, "all of it was kept alive"


def test_an_engine_that_raises_is_reported() -> None:
    class Raising:
        def call(self, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
            raise RuntimeError("on purpose")

    with LocalCluster(1, engine=Raising()) as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.refused("ListTables", {})[0] == "InternalServerError"
        assert [str(failure) for failure in cluster.failures] == ["on purpose"]
