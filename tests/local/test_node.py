"""One node: its lies, and what its counters count."""

from __future__ import annotations

from pynamodb_alternator.local import LocalCluster, LocalNode
from pynamodb_alternator.local.addresses import reserve
from pynamodb_alternator.local.answers import Answer, DialectError, json_answer
from pynamodb_alternator.local.http import Request
from pynamodb_alternator.local.members import Member
from pynamodb_alternator.local.parsing import Parsed
from pynamodb_alternator.local.placement import Location
from pynamodb_alternator.local.runtime import Runtime
from pynamodb_alternator.local.server import ServerSettings

from .wire import Wire, create, n, s, until


def test_a_node_lies_in_localnodes(cluster: LocalCluster) -> None:
    node = cluster.nodes[0]
    with Wire(node) as wire:
        node.lie(["10.0.0.1", 7, None, "::1"])
        assert wire.get("/localnodes?dc=none") == ["10.0.0.1", 7, None, "::1"]
        node.lie(b"{no json")
        assert wire.send("GET", "/localnodes")[2] == b"{no json"
        node.lie("[]")
        assert wire.get("/localnodes") == []
        node.lie(None)
        assert len(wire.get("/localnodes")) == 3


def test_a_node_counts_requests(cluster: LocalCluster) -> None:
    create(cluster)
    node = cluster.nodes[1]
    with Wire(node) as wire:
        wire.ok("PutItem", {"TableName": "tab", "Item": {"v": n(1), "k": s("a")}})
        wire.ok("UpdateItem", {"TableName": "tab", "Key": {"k": s("b")}})
        wire.ok("BatchGetItem", {"RequestItems": {"tab": {"Keys": [{"k": s("a")}]}}})
        wire.get("/localnodes")
        wire.send("GET", "/")
    assert [(request.operation, request.table, request.partition_key) for request in node.requests] == [
        ("PutItem", "tab", s("a")),
        ("UpdateItem", "tab", s("b")),
        ("BatchGetItem", "tab", None),
    ]
    assert node.requests[0].headers["x-amz-target"] == "DynamoDB_20120810.PutItem"
    assert node.operations == {"PutItem": 1, "UpdateItem": 1, "BatchGetItem": 1}
    assert node.polls == {"/localnodes": 1, "/": 1}
    assert node.connections == 1
    until(lambda: node.open_connections == 0)
    node.forget()
    assert (node.requests, node.connections, node.polls) == ([], 0, {})
    assert cluster.nodes[2].connections == 0


class Echo:
    """A handler without an engine: it answers with the operation's name."""

    async def read(self, request: Request, asked: str) -> Parsed:
        if not request.body:
            raise DialectError("ValidationException", "empty")
        return Parsed("Echo", {}, None, None, asked, asked)

    hop_delay = 0.0

    async def is_replica(self, parsed: Parsed, asked: Member) -> bool | None:
        return True

    async def execute(self, parsed: Parsed) -> Answer:
        return json_answer([parsed.operation, parsed.asked])

    async def encode(self, request: Request, answer: Answer) -> tuple[bytes, str | None]:
        return answer.body, None

    def get(self, request: Request, asked: Member) -> Answer:
        return json_answer([request.path, asked.rack])


def test_a_node_serves_any_handler_and_needs_no_cluster() -> None:
    failures: list[BaseException] = []
    runtime = Runtime(1, failures)
    (placeholder,) = reserve(["127.0.0.1"], None)
    node = LocalNode(runtime, Echo(), ServerSettings(1000, False), Location("dc", "rack7"), placeholder)
    try:
        assert (node.up, node.datacenter) == (False, "dc")
        runtime.in_loop(node.server.listen)
        with Wire(node) as wire:
            assert wire.ok("Any", {}) == ["Echo", "127.0.0.1"]
            assert wire.get("/x") == ["/x", "rack7"]
            assert wire.raw("Any", b"")[0] == 400
            assert wire.raw("Any", b"x" * 1001)[0] == 413
        assert (node.operations, node.polls) == ({"Echo": 1}, {"/x": 1})
    finally:
        runtime.stop(node.server.shut)
    assert failures == []
