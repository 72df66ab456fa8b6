"""Every fault of a node does on the wire what its name says, and ends when it should."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster, LocalNode

from .wire import (
    INCREMENT,
    PREFIX,
    Wire,
    count,
    increment,
    ok,
    post,
    read_to_end,
    s,
    until,
)


@pytest.fixture
def cluster(tabled: LocalCluster) -> LocalCluster:
    return tabled


def answer_of(node: LocalNode) -> bytes:
    """Everything that comes back for one increment, until the node closes."""
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(post("UpdateItem", INCREMENT))
        return read_to_end(sock)


@pytest.mark.parametrize("after", [False, True])
def test_a_fault_delays_answers(cluster: LocalCluster, node: LocalNode, after: bool) -> None:
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


def test_a_fault_answers_with_an_error(cluster: LocalCluster, node: LocalNode) -> None:
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
    assert node.faults == (fault,)
    node.lie([])
    node.hang()
    node.clear_faults()
    assert not node.faults
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


def test_a_fault_resets_the_connection_in_an_answer(cluster: LocalCluster, node: LocalNode) -> None:
    node.reset_mid_answer()
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(post("UpdateItem", {**INCREMENT, "ReturnValues": "ALL_NEW"}))
        with pytest.raises(ConnectionResetError):
            read_to_end(sock)
    assert count(cluster) == 1
    assert increment(node)[0] == 200


def test_a_fault_truncates_answers(cluster: LocalCluster, node: LocalNode) -> None:
    node.truncate_answer(times=2)
    answer = answer_of(node)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 2" in head
    assert body == b"{"
    with Wire(node) as wire, pytest.raises(http.client.IncompleteRead):
        wire.call("UpdateItem", INCREMENT)
    assert count(cluster) == 2


def test_a_fault_sends_garbage(cluster: LocalCluster, node: LocalNode) -> None:
    node.garbage_answer()
    with Wire(node) as wire, pytest.raises(http.client.BadStatusLine):
        wire.call("UpdateItem", INCREMENT)
    node.garbage_answer(data=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{oops")
    with Wire(node) as wire:
        assert wire.raw("UpdateItem", json.dumps(INCREMENT).encode())[2] == b"{oops"
    assert count(cluster) == 2


def test_a_fault_cuts_chunks_short(cluster: LocalCluster, node: LocalNode) -> None:
    node.cut_chunked(times=2)
    answer = answer_of(node)
    assert b"Transfer-Encoding: chunked" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    with Wire(node) as wire, pytest.raises(http.client.IncompleteRead):
        wire.call("UpdateItem", INCREMENT)
    assert count(cluster) == 2


def test_a_fault_sends_a_wrong_content_length(cluster: LocalCluster, node: LocalNode) -> None:
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


def test_a_fault_drops_the_answer_after_the_execution(cluster: LocalCluster, node: LocalNode) -> None:
    node.drop_after_execute(times=2, operation="UpdateItem")
    assert answer_of(node) == b""
    with Wire(node) as wire:
        wire.ok("ListTables", {})
        with pytest.raises(http.client.RemoteDisconnected):
            wire.call("UpdateItem", INCREMENT)
    assert count(cluster) == 2
    assert increment(node)[0] == 200


def test_a_fault_drops_requests(cluster: LocalCluster, node: LocalNode) -> None:
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


def test_all_faults_together_change_no_data_and_leak_nothing(cluster: LocalCluster, node: LocalNode) -> None:
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
        until(lambda: not node.faults)
    stop.set()
    for worker in workers:
        worker.join(20)
    assert broken == []
    until(lambda: node.open_connections == other.open_connections == 0)
    assert sum(acknowledged) <= count(cluster) <= sum(sent)
    assert sum(acknowledged) > 0
