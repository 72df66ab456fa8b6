"""The embedded cluster speaks Alternator's dialect, not DynamoDB's (alternator-server.md)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster, LocalNode

from .local_wire import BY_K, PREFIX, Wire, botocore_client, create, n, post, read_to_end, s

ARN = "arn:scylla:alternator:alternator_tab:scylla:table/tab"


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2) as running:
        yield running
    assert running.failures == []


@pytest.fixture
def node(cluster: LocalCluster) -> LocalNode:
    create(cluster)
    return cluster.nodes[0]


@pytest.fixture
def wire(node: LocalNode) -> Iterator[Wire]:
    with Wire(node) as open_wire:
        yield open_wire


def raw(node: LocalNode, data: bytes) -> bytes:
    """What comes back for `data` until the node closes."""
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(data)
        return read_to_end(sock)


# HTTP


def test_health_and_unknown_paths(wire: Wire, node: LocalNode) -> None:
    status, headers, body = wire.send("GET", "/")
    assert (status, headers["content-type"], body) == (200, "text/plain", f"healthy: {node.address}".encode())
    assert wire.send("GET", "/", headers={"Host": "me.example"})[2] == b"healthy: me.example"
    status, headers, body = wire.send("GET", "/localnodes")
    assert (status, headers["content-type"], body) == (200, "application/json", b'["127.0.0.1","127.0.0.2"]')
    for method, path in [("GET", "/x"), ("POST", "/x"), ("GET", "/localnodes/"), ("DELETE", "/")]:
        assert wire.send(method, path)[0] == 404, (method, path)
    assert node.connections == 2, "one for CREATE TABLE and this one: all of it was kept alive"


def test_answers_bear_alternators_headers_and_no_others(wire: Wire) -> None:
    for operation, expected in [("ListTables", 200), ("Nonsense", 400)]:
        status, headers, _ = wire.raw(operation, b"{}")
        assert status == expected
        assert sorted(name.lower() for name in headers) == ["content-length", "content-type", "date"]
        assert headers["content-type"] == "application/x-amz-json-1.0"


def test_older_servers_name_themselves() -> None:
    with LocalCluster(1, version="2026.2") as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.send("GET", "/")[1]["server"] == "Seastar httpd"


def test_requests_on_one_connection_are_answered_in_order(node: LocalNode) -> None:
    put = post("PutItem", {"TableName": "tab", "Item": {"k": s("a")}})
    get = post("GetItem", {"TableName": "tab", "Key": {"k": s("a")}})
    end = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = raw(node, put + get + end)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.index(b"\r\n\r\n{}") < answers.index(b'{"Item":{"k":{"S":"a"}}}') < answers.index(b"healthy: x")


def test_a_request_may_come_byte_by_byte_and_in_chunks(node: LocalNode) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\nConnection: close\r\n"
    whole = head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    with socket.create_connection((node.host, node.port), 10) as sock:
        for byte in whole:
            sock.sendall(bytes([byte]))
        assert read_to_end(sock).endswith(b'{"TableNames":["tab"]}')


def test_http_1_0_and_nonsense(node: LocalNode) -> None:
    assert b"healthy" in raw(node, b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    assert raw(node, b"\x16\x03\x01 nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert raw(node, b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000).startswith(b"HTTP/1.1 400 ")


def test_expect_continue(node: LocalNode) -> None:
    head = b"POST / HTTP/1.1\r\nX-Amz-Target: D.ListTables\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(head)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_too_long_bodies_are_refused_before_they_are_read() -> None:
    with LocalCluster(1, max_body=1000) as cluster:
        node = cluster.nodes[0]
        target = b"POST / HTTP/1.1\r\nX-Amz-Target: D.ListTables\r\n"
        for data in [
            target + b"Content-Length: 1001\r\n\r\n",
            target + b"Transfer-Encoding: chunked\r\n\r\n200\r\n" + b"x" * 512 + b"\r\n200\r\n" + b"x" * 512,
        ]:
            answer = raw(node, data)
            assert answer.startswith(b"HTTP/1.1 413 Payload Too Large\r\n")
            assert b"connection: close" not in answer.lower()
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["__type"] == PREFIX + "PayloadTooLarge"
        with Wire(node) as wire:
            assert wire.raw("ListTables", b"{" + b" " * 998 + b"}")[0] == 200


def test_the_limit_is_16_mib_by_default(node: LocalNode) -> None:
    head = b"POST / HTTP/1.1\r\nX-Amz-Target: D.ListTables\r\nContent-Length: %d\r\n\r\n"
    assert b" 413 " in raw(node, head % (16 * 1024 * 1024 + 1))
    body = b"{" + b" " * (16 * 1024 * 1024 - 2) + b"}"
    with Wire(node) as wire:
        assert wire.raw("ListTables", body)[0] == 200


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


# Refusals


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


def test_no_target_and_no_json(wire: Wire, node: LocalNode) -> None:
    status, _, body = wire.send("POST", "/", b"{}")
    assert (status, json.loads(body)["__type"]) == (400, PREFIX + "UnknownOperationException")
    for body in (b"", b"{", b"[]", b"\xff", b'"x"'):
        status, _, answer = wire.raw("ListTables", body)
        assert (status, json.loads(answer)["__type"]) == (400, PREFIX + "ValidationException"), body
    assert node.connections == 2


@pytest.mark.parametrize(
    ("operation", "parameters", "kind"),
    [
        ("GetItem", {"TableName": "none", "Key": {"k": s("a")}}, "ResourceNotFoundException"),
        ("PutItem", {"TableName": "none", "Item": {"k": s("a")}}, "ResourceNotFoundException"),
        ("DescribeTable", {"TableName": "none"}, "ResourceNotFoundException"),
        ("DeleteTable", {"TableName": "none"}, "ResourceNotFoundException"),
        ("UpdateTimeToLive", {"TableName": "none", "TimeToLiveSpecification": {}}, "ResourceNotFoundException"),
        ("CreateTable", {"TableName": "tab", **BY_K}, "ResourceInUseException"),
        ("CreateTable", {"TableName": "x", **BY_K}, "ValidationException"),
        ("CreateTable", {"TableName": "x" * 193, **BY_K}, "ValidationException"),
        ("CreateTable", {"TableName": ".scylla.alternator.x", **BY_K}, "ValidationException"),
        ("PutItem", {"TableName": "tab"}, "ValidationException"),
        ("GetItem", {"TableName": "tab", "Key": {"x": s("a")}}, "ValidationException"),
        ("UpdateItem", {"TableName": "tab", "Key": {"k": s("a")}, "UpdateExpression": "SOT"}, "ValidationException"),
        (
            "PutItem",
            {"TableName": "tab", "Item": {"k": s("a")}, "ConditionExpression": "attribute_exists(k)"},
            "ConditionalCheckFailedException",
        ),
        (
            "UpdateTable",
            {"TableName": "tab", "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
            "ValidationException",
        ),
        ("BatchWriteItem", {"RequestItems": {"tab": [{}] * 101}}, "ValidationException"),
        ("BatchWriteItem", {"RequestItems": 1}, "ValidationException"),
    ],
)
def test_errors(wire: Wire, operation: str, parameters: dict[str, Any], kind: str) -> None:
    assert wire.refused(operation, parameters)[0] == kind


def test_a_failed_condition_may_bring_the_item(wire: Wire) -> None:
    item = {"k": s("a"), "b": {"B": "AP8="}}
    wire.ok("PutItem", {"TableName": "tab", "Item": item})
    status, answer = wire.call(
        "DeleteItem",
        {
            "TableName": "tab",
            "Key": {"k": s("a")},
            "ConditionExpression": "attribute_not_exists(k)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )
    assert status == 400
    assert answer["Item"] == item


@pytest.mark.parametrize("failure", [b"<html>Internal Server Error</html>", b"{}", b"", b"[1]"])
def test_whatever_an_engine_answers_in_its_distress_becomes_json(failure: bytes) -> None:
    class Broken:
        def call(self, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
            return 502, {"content-type": "text/html"}, failure

    with LocalCluster(1, engine=Broken()) as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.refused("ListTables", {})[0] == "InternalServerError"


def test_an_engine_that_raises_is_reported() -> None:
    class Raising:
        def call(self, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
            raise RuntimeError("on purpose")

    with LocalCluster(1, engine=Raising()) as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.refused("ListTables", {})[0] == "InternalServerError"
        assert [str(failure) for failure in cluster.failures] == ["on purpose"]


# Capacity


def test_consumed_capacity(wire: Wire) -> None:
    total = {"ReturnConsumedCapacity": "TOTAL"}
    item = {"k": s("a"), "v": s("x" * 3000)}
    key = {"TableName": "tab", "Key": {"k": s("a")}}
    assert wire.ok("PutItem", {"TableName": "tab", "Item": item, **total}) == {
        "ConsumedCapacity": {"CapacityUnits": 3.0}
    }
    assert wire.ok("PutItem", {"TableName": "tab", "Item": item}) == {}
    assert wire.ok("GetItem", {**key, **total}) == {"Item": item, "ConsumedCapacity": {"CapacityUnits": 0.5}}
    assert wire.ok("GetItem", {**key, **total, "ConsistentRead": True})["ConsumedCapacity"] == {"CapacityUnits": 1.0}
    assert wire.ok("UpdateItem", {**key, **total}) == {"ConsumedCapacity": {"CapacityUnits": 1.0}}
    assert wire.ok("UpdateItem", key) == {}
    batch = {"RequestItems": {"tab": {"Keys": [{"k": s("a")}]}}}
    assert wire.ok("BatchGetItem", {**batch, **total})["ConsumedCapacity"] == [{"CapacityUnits": 0.5}]
    assert set(wire.ok("BatchGetItem", batch)) == {"Responses", "UnprocessedKeys"}
    write = {"RequestItems": {"tab": [{"PutRequest": {"Item": item}}]}}
    assert wire.ok("BatchWriteItem", {**write, **total})["ConsumedCapacity"] == [{"CapacityUnits": 3.0}]
    assert wire.ok("BatchWriteItem", write) == {"UnprocessedItems": {}}
    for wanted in ("TOTAL", "INDEXES"):
        assert "ConsumedCapacity" not in wire.ok("Scan", {"TableName": "tab", "ReturnConsumedCapacity": wanted})
    assert wire.ok("DeleteItem", {**key, **total}) == {"ConsumedCapacity": {"CapacityUnits": 1.0}}
    for wanted in ("NONE", "INDEXES", "all"):
        assert wire.refused("GetItem", {**key, "ReturnConsumedCapacity": wanted})[0] == "ValidationException"


def test_batches_of_100(wire: Wire) -> None:
    puts = [{"PutRequest": {"Item": {"k": s(str(i))}}} for i in range(100)]
    assert wire.ok("BatchWriteItem", {"RequestItems": {"tab": puts}}) == {"UnprocessedItems": {}}
    assert wire.ok("Scan", {"TableName": "tab", "Select": "COUNT"})["Count"] == 100


# Tables, tags, TTL


def test_describe_table(wire: Wire) -> None:
    wire.ok(
        "CreateTable",
        {
            "TableName": "indexed",
            "KeySchema": BY_K["KeySchema"],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in "kg"],
            "BillingMode": "PAY_PER_REQUEST",
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by_g",
                    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        },
    )
    table = wire.ok("DescribeTable", {"TableName": "indexed"})["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["TableArn"] == "arn:scylla:alternator:alternator_indexed:scylla:table/indexed"
    assert isinstance(table["CreationDateTime"], float)
    assert not {"ItemCount", "TableSizeBytes", "LocalSecondaryIndexes", "WarmThroughput"} & set(table)
    (index,) = table["GlobalSecondaryIndexes"]
    assert (index["Projection"], index["IndexStatus"]) == ({"ProjectionType": "ALL"}, "ACTIVE")
    wire.ok("PutItem", {"TableName": "indexed", "Item": {"k": s("a"), "g": s("x")}})
    found = wire.ok(
        "Query",
        {
            "TableName": "indexed",
            "IndexName": "by_g",
            "KeyConditionExpression": "g = :g",
            "ExpressionAttributeValues": {":g": s("x")},
        },
    )
    assert found["Count"] == 1
    deleted = wire.ok("DeleteTable", {"TableName": "indexed"})["TableDescription"]
    assert deleted["TableStatus"] == "DELETING"
    assert wire.ok("ListTables", {})["TableNames"] == ["tab"]


def test_long_table_names(wire: Wire) -> None:
    name = "x" * 192
    wire.ok("CreateTable", {"TableName": name, **BY_K})
    wire.ok("PutItem", {"TableName": name, "Item": {"k": s("a")}})


def test_tags(wire: Wire) -> None:
    def tags() -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in wire.ok("ListTagsOfResource", {"ResourceArn": ARN})["Tags"]}

    assert tags() == {}
    status, headers, body = wire.raw(
        "TagResource", json.dumps({"ResourceArn": ARN, "Tags": [{"Key": "a", "Value": "1"}]}).encode()
    )
    assert (status, headers["content-length"], body) == (200, "0", b"")
    for number in range(20):
        wire.ok("TagResource", {"ResourceArn": ARN, "Tags": [{"Key": f"t{number}", "Value": ""}]})
    assert len(tags()) == 21
    assert wire.raw("UntagResource", json.dumps({"ResourceArn": ARN, "TagKeys": ["a", "none"]}).encode())[2] == b""
    assert "a" not in tags()
    wire.ok("DeleteTable", {"TableName": "tab"})
    wire.ok("CreateTable", {"TableName": "tab", **BY_K, "Tags": [{"Key": "new", "Value": "2"}]})
    assert tags() == {"new": "2"}


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        (
            {
                "ResourceArn": ARN.replace("_tab", "_none").replace("/tab", "/none"),
                "Tags": [{"Key": "a", "Value": "b"}],
            },
            "ResourceNotFoundException",
        ),
        ({"ResourceArn": "arn:aws:x", "Tags": [{"Key": "a", "Value": "b"}]}, "AccessDeniedException"),
        ({"Tags": []}, "AccessDeniedException"),
        ({"ResourceArn": ARN, "Tags": []}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "", "Value": "b"}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "a"}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "a", "Value": "x" * 257}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": str(i), "Value": "x"} for i in range(51)]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "system:write_isolation", "Value": "x"}]}, "ValidationException"),
    ],
)
def test_wrong_tags(wire: Wire, parameters: dict[str, Any], kind: str) -> None:
    assert wire.refused("TagResource", parameters)[0] == kind


def test_time_to_live(wire: Wire) -> None:
    described = {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    assert wire.ok("DescribeTimeToLive", {"TableName": "tab"}) == described
    specification = {"AttributeName": "expires", "Enabled": True}
    answer = wire.ok("UpdateTimeToLive", {"TableName": "tab", "TimeToLiveSpecification": specification})
    assert answer == {"TimeToLiveSpecification": specification}
    description = wire.ok("DescribeTimeToLive", {"TableName": "tab"})["TimeToLiveDescription"]
    assert description == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_describe_endpoints_and_backups(wire: Wire) -> None:
    assert wire.ok("DescribeEndpoints", {})["Endpoints"][0]["Address"] == "127.0.0.1"
    backups = wire.ok("DescribeContinuousBackups", {"TableName": "tab"})["ContinuousBackupsDescription"]
    assert backups["ContinuousBackupsStatus"] == "DISABLED"


# Every type, and a client that is not ours


VALUES: dict[str, Any] = {
    "S": {"S": "ünï\u2028code \U0001f600"},
    "N": {"N": "-1.5E+3"},
    "B": {"B": b"\x00\xff\x10"},
    "BOOL": {"BOOL": False},
    "NULL": {"NULL": True},
    "SS": {"SS": ["a", "b"]},
    "NS": {"NS": ["1", "2"]},
    "BS": {"BS": [b"\x00", b"\xff"]},
    "L": {"L": [{"S": "x"}, {"L": []}, {"M": {"deep": {"B": b"\x01"}}}]},
    "M": {"M": {"a.b": {"N": "1"}, "": {"M": {}}}},
}


def test_every_type_survives_the_way_there_and_back(cluster: LocalCluster) -> None:
    create(cluster)
    item = {"k": {"S": "all"}, **VALUES}
    with botocore_client(cluster.url) as client:
        client.put_item(TableName="tab", Item=item)
        assert client.get_item(TableName="tab", Key={"k": {"S": "all"}})["Item"] == item
        assert client.scan(TableName="tab")["Items"] == [item]
        batch = client.batch_get_item(RequestItems={"tab": {"Keys": [{"k": {"S": "all"}}]}})
        assert batch["Responses"]["tab"] == [item]
        old = client.put_item(TableName="tab", Item={"k": {"S": "all"}}, ReturnValues="ALL_OLD")["Attributes"]
        assert old == item
        assert client.query(
            TableName="tab", KeyConditionExpression="k = :k", ExpressionAttributeValues={":k": {"S": "all"}}
        )["Items"] == [{"k": {"S": "all"}}]


def test_return_values_of_updates(wire: Wire) -> None:
    key = {"TableName": "tab", "Key": {"k": s("u")}}
    wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("u"), "a": n(1), "b": n(2)}})
    change = {**key, "UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": n(9)}}
    assert wire.ok("UpdateItem", {**change, "ReturnValues": "UPDATED_NEW"})["Attributes"] == {"a": n(9)}
    assert wire.ok("UpdateItem", {**change, "ReturnValues": "ALL_NEW"})["Attributes"] == {
        "k": s("u"),
        "a": n(9),
        "b": n(2),
    }
    assert wire.ok("DeleteItem", {**key, "ReturnValues": "ALL_OLD"})["Attributes"]["b"] == n(2)


def test_pages(wire: Wire) -> None:
    for number in range(5):
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s(str(number))}})
    seen: list[str] = []
    start: dict[str, Any] = {}
    while True:
        page = wire.ok("Scan", {"TableName": "tab", "Limit": 2, **start})
        seen += [item["k"]["S"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert sorted(seen) == list("01234")
