"""Every fault of a node does on the wire what its name says, and ends when it should."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster, LocalNode

from .local_wire import PREFIX, Wire, create, n, ok, post, read_to_end, s, until

INCREMENT = {
    "TableName": "tab",
    "Key": {"k": s("c")},
    "UpdateExpression": "ADD n :one",
    "ExpressionAttributeValues": {":one": n(1)},
}


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2) as running:
        create(running)
        yield running
    assert running.failures == []


@pytest.fixture
def node(cluster: LocalCluster) -> LocalNode:
    return cluster.nodes[0]


def count(cluster: LocalCluster) -> int:
    item = ok(cluster.nodes[1], "GetItem", {"TableName": "tab", "Key": {"k": s("c")}}).get("Item", {})
    return int(item.get("n", {"N": "0"})["N"])


def answer_of(node: LocalNode) -> bytes:
    """Everything that comes back for one increment, until the node closes."""
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(post("UpdateItem", INCREMENT))
        return read_to_end(sock)


def increment(node: LocalNode) -> tuple[int, Any]:
    with Wire(node) as wire:
        return wire.call("UpdateItem", INCREMENT)


# Death, hanging, connections


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


def test_hang_answers_nobody_until_resume(cluster: LocalCluster, node: LocalNode) -> None:
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


# Delay


@pytest.mark.parametrize("after", [False, True])
def test_delay(cluster: LocalCluster, node: LocalNode, after: bool) -> None:
    with node.delay(0.15, operation="UpdateItem", times=1, after=after) as fault:
        began = time.monotonic()
        results: list[Any] = []
        slow = threading.Thread(target=lambda: results.append(increment(node)))
        slow.start()
        until(lambda: node.operations["UpdateItem"] == 1)
        until(lambda: count(cluster) == (1 if after else 0))
        # The others are not kept waiting, on this node or elsewhere.
        assert ok(node, "ListTables", {}) == {"TableNames": ["tab"]}
        slow.join(10)
        assert time.monotonic() - began >= 0.15
        assert results[0][0] == 200
        assert fault.hits == 1
    assert count(cluster) == 1


def test_delays_add_up_with_another_fault(node: LocalNode) -> None:
    node.delay(0.05)
    node.delay(0.05)
    node.fail_with("InternalServerError")
    began = time.monotonic()
    assert increment(node)[0] == 500
    assert time.monotonic() - began >= 0.1


# Error answers


def test_fail_with(cluster: LocalCluster, node: LocalNode) -> None:
    shed = node.fail_with("RequestLimitExceeded", times=1)
    assert increment(node) == (
        400,
        {"__type": PREFIX + "RequestLimitExceeded", "message": "a fault on demand"},
    )
    assert shed.hits == 1
    assert count(cluster) == 0
    assert increment(node)[0] == 200
    with node.fail_with("InternalServerError", executed=True, message="timed out"):
        status, answer = increment(node)
        assert (status, answer["message"]) == (500, "timed out")
    assert count(cluster) == 2
    with node.fail_with("ServiceUnavailable", status=503):
        assert increment(node)[0] == 503


def test_faults_can_be_for_some_operations(node: LocalNode) -> None:
    with node.fail_with("InternalServerError", operation=["PutItem", "/localnodes"]), Wire(node) as wire:
        assert wire.call("UpdateItem", INCREMENT)[0] == 200
        assert wire.call("PutItem", {"TableName": "tab", "Item": {"k": s("x")}})[0] == 500
        assert wire.send("GET", "/localnodes")[0] == 500
        assert wire.send("GET", "/")[0] == 200
    with node.fail_with("InternalServerError"), Wire(node) as wire:
        assert wire.send("GET", "/localnodes")[0] == 200, "operations only, unless it is told otherwise"
        assert wire.call("ListTables", {})[0] == 500
    with node.fail_with("InternalServerError", operation="*"), Wire(node) as wire:
        assert wire.send("GET", "/")[0] == 500


def test_faults_come_in_their_order_and_are_spent(node: LocalNode) -> None:
    node.fail_with("InternalServerError", times=2)
    node.fail_with("RequestLimitExceeded", times=1)
    assert [increment(node)[0] for _ in range(4)] == [500, 500, 400, 200]


def test_faults_can_be_cleared(node: LocalNode) -> None:
    fault = node.fail_with("InternalServerError")
    node.lie([])
    node.hang()
    node.clear_faults()
    fault.cancel()
    fault.cancel()
    assert increment(node)[0] == 200
    with Wire(node) as wire:
        assert len(wire.get("/localnodes")) == 2


def test_a_limited_fault_strikes_exactly_so_often_under_threads(node: LocalNode) -> None:
    fault = node.fail_with("InternalServerError", times=20)
    statuses: list[int] = []

    def work() -> None:
        with Wire(node) as wire:
            statuses.extend(wire.call("ListTables", {})[0] for _ in range(25))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert sorted(statuses) == [200] * 80 + [500] * 20
    assert fault.hits == 20


# Spoilt answers: all of them after the request was executed


def test_reset_mid_answer(cluster: LocalCluster, node: LocalNode) -> None:
    node.reset_mid_answer()
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(post("UpdateItem", {**INCREMENT, "ReturnValues": "ALL_NEW"}))
        with pytest.raises(ConnectionResetError):
            read_to_end(sock)
    assert count(cluster) == 1
    assert increment(node)[0] == 200


def test_truncated_answer(cluster: LocalCluster, node: LocalNode) -> None:
    node.truncate_answer(times=2)
    answer = answer_of(node)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 2" in head
    assert body == b"{"
    with Wire(node) as wire, pytest.raises(http.client.IncompleteRead):
        wire.call("UpdateItem", INCREMENT)
    assert count(cluster) == 2


def test_garbage_answer(cluster: LocalCluster, node: LocalNode) -> None:
    node.garbage_answer()
    with Wire(node) as wire, pytest.raises(http.client.BadStatusLine):
        wire.call("UpdateItem", INCREMENT)
    node.garbage_answer(data=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{oops")
    with Wire(node) as wire:
        assert wire.raw("UpdateItem", json.dumps(INCREMENT).encode())[2] == b"{oops"
    assert count(cluster) == 2


def test_chunks_cut_short(cluster: LocalCluster, node: LocalNode) -> None:
    node.cut_chunked(times=2)
    answer = answer_of(node)
    assert b"Transfer-Encoding: chunked" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    with Wire(node) as wire, pytest.raises(http.client.IncompleteRead):
        wire.call("UpdateItem", INCREMENT)
    assert count(cluster) == 2


def test_wrong_content_length(cluster: LocalCluster, node: LocalNode) -> None:
    node.wrong_content_length(by=7)
    with Wire(node, timeout=0.1) as wire, pytest.raises(TimeoutError):
        wire.call("UpdateItem", INCREMENT)
    node.wrong_content_length(by=-1)
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(post("UpdateItem", INCREMENT) + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        first, _, rest = read_to_end(sock).partition(b"\r\n\r\n")
        assert b"Content-Length: 1\r\n" in first
        # The byte that is left over is what a pooled connection would take for the next answer.
        assert rest.startswith(b"{}HTTP/1.1 200 OK")
    assert count(cluster) == 2


def test_drop_after_execute(cluster: LocalCluster, node: LocalNode) -> None:
    node.drop_after_execute(times=2, operation="UpdateItem")
    assert answer_of(node) == b""
    with Wire(node) as wire:
        wire.ok("ListTables", {})
        with pytest.raises(http.client.RemoteDisconnected):
            wire.call("UpdateItem", INCREMENT)
    assert count(cluster) == 2
    assert increment(node)[0] == 200


def test_drop_request(cluster: LocalCluster, node: LocalNode) -> None:
    node.drop_request()
    assert answer_of(node) == b""
    assert count(cluster) == 0
    assert node.operations["UpdateItem"] == 1


def test_discovery_can_be_spoilt_too(node: LocalNode) -> None:
    spoil: list[Callable[..., object]] = [
        node.truncate_answer,
        node.reset_mid_answer,
        node.garbage_answer,
        node.cut_chunked,
        node.drop_request,
    ]
    for fault in spoil:
        fault(operation="/localnodes")
        with Wire(node) as wire, pytest.raises((OSError, http.client.HTTPException)):
            wire.get("/localnodes")
        with Wire(node) as wire:
            assert len(wire.get("/localnodes")) == 2


def test_a_client_that_goes_away_hurts_nobody(cluster: LocalCluster, node: LocalNode) -> None:
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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda node: node.delay(0), "greater than 0"),
        (lambda node: node.delay("1"), "greater than 0"),
        (lambda node: node.fail_with("X", times=0), "times must be a whole number from 1"),
        (lambda node: node.fail_with("X", operation="put_item"), "operation must be"),
        (lambda node: node.wrong_content_length(by=0), "whole number but 0"),
    ],
)
def test_wrong_faults_are_refused(node: LocalNode, wrong: Callable[[LocalNode], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        wrong(node)


def test_a_storm_of_all_faults_hurts_no_data_and_leaks_nothing(cluster: LocalCluster, node: LocalNode) -> None:
    other = cluster.nodes[1]
    stop = threading.Event()
    acknowledged = [0] * 4
    sent = [0] * 4
    broken: list[BaseException] = []

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                sent[number] += 1
                target = (node, other)[number % 2]
                spoilt = contextlib.suppress(OSError, http.client.HTTPException, ValueError)
                with spoilt, Wire(target, timeout=0.5) as wire:
                    if wire.call("UpdateItem", INCREMENT) == (200, {}):
                        acknowledged[number] += 1
        except BaseException as wrong:
            broken.append(wrong)

    workers = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(6):
        for spoil in (node.reset_mid_answer, node.truncate_answer, node.garbage_answer, node.cut_chunked):
            spoil(times=2)
        node.drop_after_execute(times=2)
        node.drop_request(times=2)
        node.wrong_content_length(times=1)
        node.fail_with("InternalServerError", executed=True, times=2)
        node.delay(0.01, times=2)
        node.hang()
        other.close_idle_connections()
        node.resume()
        node.kill()
        node.revive()
        until(lambda: not node._faults._rules)
    stop.set()
    for worker in workers:
        worker.join(20)
    assert broken == []
    until(lambda: node.open_connections == other.open_connections == 0)
    assert sum(acknowledged) <= count(cluster) <= sum(sent)
    assert sum(acknowledged) > 0
