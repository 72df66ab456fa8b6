"""The sockets of a node: killed, hung, idle, and clients that go away."""

from __future__ import annotations

import http.client
import json
import socket
import struct

import pytest

from pynamodb_alternator.local import LocalCluster, LocalNode

from .wire import INCREMENT, Wire, count, increment, ok, post, read_to_end, s, until


@pytest.fixture
def cluster(tabled: LocalCluster) -> LocalCluster:
    return tabled


def test_kill_closes_connections_and_refuses_new_ones(cluster: LocalCluster, node: LocalNode) -> None:
    with Wire(node) as wire:
        wire.send("GET", "/")
        node.kill()
        node.kill()
        assert not node.up
        assert "down" in repr(node)
        assert wire.http.sock is not None
        assert wire.http.sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node.host, node.port), 10)
    assert increment(cluster.nodes[1])[0] == 200
    for _ in range(2):
        node.revive()
        assert increment(node)[0] == 200
    assert count(cluster) == 3


def test_kill_while_a_request_waits(cluster: LocalCluster, node: LocalNode) -> None:
    with node.delay(30), socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(post("UpdateItem", INCREMENT))
        until(lambda: node.operations["UpdateItem"])
        node.kill()
        assert read_to_end(sock) == b""
    assert count(cluster) == 0


def test_a_killed_node_keeps_its_port(node: LocalNode) -> None:
    node.kill()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((node.host, node.port))


def test_a_node_that_hangs_answers_after_it_resumes(cluster: LocalCluster, node: LocalNode) -> None:
    with Wire(node) as early, Wire(node) as late:
        early.get("/localnodes")
        node.hang()
        assert node.hung
        assert "hung" in repr(node)
        early.http.request("POST", "/", json.dumps(INCREMENT), {"X-Amz-Target": "D.UpdateItem"})
        late.http.request("GET", "/")
        until(lambda: node.operations["UpdateItem"] == 1 and node.polls["/"] == 1)
        assert early.http.sock is not None
        early.http.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            early.http.sock.recv(1)
        assert count(cluster) == 0
        early.http.sock.settimeout(10)
        node.resume()
        assert early.http.getresponse().read() == b"{}"
        assert late.http.getresponse().status == 200
    assert count(cluster) == 1
    assert not node.hung
    node.resume()


def test_a_hung_node_can_be_killed(cluster: LocalCluster, node: LocalNode) -> None:
    with Wire(node) as wire:
        node.hang()
        wire.http.request("POST", "/", json.dumps(INCREMENT), {"X-Amz-Target": "D.UpdateItem"})
        until(lambda: node.operations["UpdateItem"] == 1)
        node.kill()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            wire.http.getresponse()
    node.revive()
    with Wire(node) as wire:
        assert wire.send("GET", "/")[0] == 200
    assert count(cluster) == 0


def test_idle_connections_are_closed_and_busy_ones_are_not(node: LocalNode) -> None:
    with Wire(node) as idle, Wire(node) as busy:
        idle.send("GET", "/")
        with node.delay(0.2, operation="ListTables"):
            busy.http.request("POST", "/", b"{}", {"X-Amz-Target": "D.ListTables"})
            until(lambda: node.operations["ListTables"] == 1)
            assert node.close_idle_connections() == 1
            assert busy.http.getresponse().status == 200
        assert idle.http.sock is not None
        assert idle.http.sock.recv(1) == b""


def test_a_client_that_disconnects_does_not_disturb_others(cluster: LocalCluster, node: LocalNode) -> None:
    node.delay(0.05, times=1)
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(post("UpdateItem", INCREMENT))
        until(lambda: node.operations["UpdateItem"])
    until(lambda: node.open_connections == 0)
    until(lambda: count(cluster) == 1)
    assert increment(node)[0] == 200


def test_a_client_that_reads_slowly_gets_all(cluster: LocalCluster, node: LocalNode) -> None:
    for number in range(3):
        ok(node, "PutItem", {"TableName": "tab", "Item": {"k": s(str(number)), "v": s("x" * 300_000)}})
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect((node.host, node.port))
        sock.sendall(post("Scan", {"TableName": "tab"}))
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            part = sock.recv(50_000)
            assert part
            received += part
    assert received.partition(b"\r\n\r\n")[2].count(b"x") == 900_000
