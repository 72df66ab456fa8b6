"""The client's side of the wire for the tests of the embedded cluster: nothing of this library, on purpose."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.config import Config
from botocore.session import get_session

from pynamodb_alternator.local import LocalCluster, LocalNode

TIMEOUT = 10.0
PREFIX = "com.amazonaws.dynamodb.v20120810#"

BY_K = {
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def s(text: str) -> dict[str, str]:
    return {"S": text}


def n(number: int) -> dict[str, str]:
    return {"N": str(number)}


class Wire:
    """One kept-alive connection to one node."""

    def __init__(self, node: LocalNode, tls: ssl.SSLContext | None = None, timeout: float = TIMEOUT) -> None:
        self.http: http.client.HTTPConnection
        if tls is not None:
            self.http = http.client.HTTPSConnection(node.host, node.port, timeout=timeout, context=tls)
        else:
            self.http = http.client.HTTPConnection(node.host, node.port, timeout=timeout)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        self.http.request(method, path, body, dict(headers or {}))
        answer = self.http.getresponse()
        return answer.status, answer.headers, answer.read()

    def raw(
        self, operation: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        target = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        return self.send("POST", "/", body, {**target, **(headers or {})})

    def call(self, operation: str, parameters: Mapping[str, Any]) -> tuple[int, Any]:
        status, _, body = self.raw(operation, json.dumps(parameters).encode())
        return status, json.loads(body) if body else None

    def ok(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        status, answer = self.call(operation, parameters)
        assert status == 200, answer
        return answer

    def refused(self, operation: str, parameters: Mapping[str, Any]) -> tuple[str, str]:
        """The error's type without its prefix, and its message."""
        status, answer = self.call(operation, parameters)
        assert status >= 400, answer
        assert answer["__type"].startswith(PREFIX), answer
        return answer["__type"].removeprefix(PREFIX), answer["message"]

    def get(self, path: str) -> Any:
        status, _, body = self.send("GET", path)
        assert status == 200
        return json.loads(body)


def call(node: LocalNode, operation: str, parameters: Mapping[str, Any]) -> tuple[int, Any]:
    with Wire(node) as wire:
        return wire.call(operation, parameters)


def ok(node: LocalNode, operation: str, parameters: Mapping[str, Any]) -> Any:
    with Wire(node) as wire:
        return wire.ok(operation, parameters)


INCREMENT = {
    "TableName": "tab",
    "Key": {"k": s("c")},
    "UpdateExpression": "ADD n :one",
    "ExpressionAttributeValues": {":one": n(1)},
}
"""An update that counts in the item ``c`` of the table ``tab``."""


def increment(node: LocalNode) -> tuple[int, Any]:
    """The status and answer of one more `INCREMENT`."""
    return call(node, "UpdateItem", INCREMENT)


def count(cluster: LocalCluster) -> int:
    """How many `INCREMENT` the cluster has executed, asked of its second node."""
    item = ok(cluster.nodes[1], "GetItem", {"TableName": "tab", "Key": {"k": s("c")}}).get("Item", {})
    return int(item.get("n", {"N": "0"})["N"])


def create(cluster: LocalCluster, name: str = "tab", **more: Any) -> None:
    ok(cluster.nodes[0], "CreateTable", {"TableName": name, **BY_K, **more})


@contextlib.contextmanager
def with_table(nodes: int = 2, **settings: Any) -> Iterator[LocalCluster]:
    """A cluster with the table ``tab``; afterwards, that nothing failed inside."""
    with LocalCluster(nodes=nodes, **settings) as cluster:
        create(cluster)
        yield cluster
    assert cluster.failures == []


def read_to_end(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def post(operation: str, parameters: Mapping[str, Any]) -> bytes:
    """The bytes of one request."""
    body = json.dumps(parameters).encode()
    target = f"X-Amz-Target: DynamoDB_20120810.{operation}"
    return f"POST / HTTP/1.1\r\nHost: x\r\n{target}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def until(condition: Callable[[], object], seconds: float = TIMEOUT) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.002)


@contextlib.contextmanager
def botocore_client(
    url: str, key: str = "alice", secret: str = "wonder", region: str = "any-where", **more: Any
) -> Iterator[Any]:
    client = get_session().create_client(
        "dynamodb",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=TIMEOUT, connect_timeout=TIMEOUT),
        **more,
    )
    try:
        yield client
    finally:
        client.close()
