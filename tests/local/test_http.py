"""HTTP/1.1 as Alternator's server speaks it."""

from __future__ import annotations

import json
import socket

from pynamodb_alternator.local import LocalCluster, LocalNode

from .wire import PREFIX, Wire, post, read_to_end, s


def raw(node: LocalNode, data: bytes) -> bytes:
    """What comes back for `data` until the node closes."""
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(data)
        return read_to_end(sock)


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


def test_a_node_answers_expect_continue(node: LocalNode) -> None:
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
