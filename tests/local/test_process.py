"""Nodes in processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynamodb_alternator.contrib._local import heal
from pynamodb_alternator.errors import AlternatorError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.process import ProcessNode

from .wire import Wire, create, n, ok, post, read_to_end, s, until

ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that is dead and not yet waited for by its new parent has ended, too.
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.parent.parent.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3, processes=True) as running:
        create(running)
        yield running
    assert running.failures == []


def processes(cluster: LocalCluster) -> list[ProcessNode]:
    return [node for node in cluster.nodes if isinstance(node, ProcessNode)]


def test_they_serve_one_cluster(cluster: LocalCluster) -> None:
    pids = {node.pid for node in processes(cluster)}
    assert len(pids) == 3
    assert os.getpid() not in pids
    for number, node in enumerate(cluster.nodes):
        ok(node, "PutItem", {"TableName": "tab", "Item": {"k": s(str(number)), "v": s("x" * 200_000)}})
    with Wire(cluster.nodes[0]) as wire:
        assert wire.get("/localnodes") == [node.host for node in cluster.nodes]
        page = wire.ok("Scan", {"TableName": "tab"})
        assert page["Count"] == 3
    assert [node.operations["PutItem"] for node in cluster.nodes] == [1, 1, 1]


def test_a_node_freezes_and_thaws(cluster: LocalCluster) -> None:
    node = processes(cluster)[1]
    with Wire(node) as wire:
        wire.ok("ListTables", {})
        node.freeze()
        item = {"TableName": "tab", "Item": {"k": s("late"), "n": n(1)}}
        wire.http.request("POST", "/", json.dumps(item), {"X-Amz-Target": "D.PutItem"})
        assert wire.http.sock is not None
        wire.http.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            wire.http.sock.recv(1)
        # The kernel goes on accepting for it.
        with socket.create_connection((node.host, node.port), 5) as sock:
            sock.sendall(post("ListTables", {}))
            assert ok(cluster.nodes[0], "Scan", {"TableName": "tab"})["Count"] == 0
            node.thaw()
            wire.http.sock.settimeout(10)
            assert wire.http.getresponse().read() == b"{}"
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert ok(cluster.nodes[0], "Scan", {"TableName": "tab"})["Count"] == 1


def test_healing_thaws(cluster: LocalCluster) -> None:
    """Seen: a node that a test had frozen stayed so in the tests after it."""
    node = processes(cluster)[1]
    node.freeze()
    node.hang()
    heal(cluster)
    with Wire(node) as wire:
        wire.ok("ListTables", {})
    node.kill()
    node.clear_faults()
    assert not node.up, "that is not a fault"
    processes(cluster)[0].kill()
    heal(cluster)
    assert all(node.up for node in cluster.nodes)


def test_a_node_dies_and_returns(cluster: LocalCluster) -> None:
    node = processes(cluster)[0]
    pid = node.pid
    assert pid is not None
    with Wire(node) as wire:
        wire.send("GET", "/")
        node.freeze()
        node.kill()
        assert wire.http.sock is not None
        assert wire.http.sock.recv(1) == b""
    assert (node.pid, node.up, alive(pid)) == (None, False, False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node.host, node.port), 5)
    with pytest.raises(AlternatorError, match="killed"):
        node.freeze()
    node.revive()
    assert node.pid not in (None, pid)
    assert ok(node, "ListTables", {}) == {"TableNames": ["tab"]}


def test_reviving_a_node_that_is_up_changes_nothing(cluster: LocalCluster) -> None:
    """Seen: it waited for a process that was never started, and then ended the one that ran."""
    node = cluster.nodes[1]
    assert isinstance(node, ProcessNode)
    process = node.pid
    node.revive()
    assert node.up
    assert node.pid == process


def test_faults_work_through_the_process(cluster: LocalCluster) -> None:
    node = cluster.nodes[0]
    node.reset_mid_answer()
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(post("ListTables", {}))
        with pytest.raises(ConnectionResetError):
            read_to_end(sock)
    node.drop_after_execute()
    with socket.create_connection((node.host, node.port), 10) as sock:
        sock.sendall(post("ListTables", {}))
        assert sock.recv(1) == b""
    with Wire(node) as wire:
        wire.ok("ListTables", {})
        until(lambda: node.close_idle_connections() >= 1)
        assert wire.http.sock is not None
        assert wire.http.sock.recv(1) == b""


def test_a_node_may_be_added(cluster: LocalCluster) -> None:
    node = cluster.add_node()
    assert isinstance(node, ProcessNode)
    assert ok(node, "ListTables", {}) == {"TableNames": ["tab"]}
    pid = node.pid
    assert pid is not None
    cluster.remove_node(node)
    assert not alive(pid)


def test_the_children_end_with_their_parent_even_when_frozen() -> None:
    code = (
        "import sys, time; from pynamodb_alternator.local import LocalCluster\n"
        "c = LocalCluster(2, processes=True).start(); c.nodes[0].freeze()\n"
        "print(*[n.pid for n in c.nodes], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    until(lambda: not any(alive(pid) for pid in pids))
