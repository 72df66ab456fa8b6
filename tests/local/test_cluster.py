"""LocalCluster: its life, its settings, its topology."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from typing import Any

import pytest

from pynamodb_alternator.errors import AlternatorError, ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .wire import Wire, call, create, ok, s, until


def test_it_starts_serves_and_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    open_files = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    cluster = LocalCluster(nodes=3)
    assert "not running" in repr(cluster)
    with cluster:
        assert cluster.addresses == [f"127.0.0.{i}:{cluster.port}" for i in (1, 2, 3)]
        assert cluster.url == f"http://127.0.0.1:{cluster.port}"
        assert cluster.start() is cluster
        create(cluster)
        status, answer = call(cluster.nodes[2], "GetItem", {"TableName": "tab", "Key": {"k": s("a")}})
        assert (status, answer) == (200, {})
    cluster.close()
    cluster.close()
    assert set(threading.enumerate()) == before
    gc.collect()
    if open_files:
        assert len(os.listdir("/proc/self/fd")) <= open_files
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", cluster.nodes[0].port), 5)


def test_open_connections_are_closed_with_it() -> None:
    with LocalCluster(nodes=1) as cluster:
        sock = socket.create_connection((cluster.nodes[0].host, cluster.port), 5)
        until(lambda: cluster.nodes[0].open_connections == 1)
    with sock:
        assert sock.recv(1) == b""


def test_it_can_be_started_again_and_is_empty_then() -> None:
    cluster = LocalCluster(nodes=1)
    for _ in range(2):
        with cluster:
            assert ok(cluster.nodes[0], "ListTables", {}) == {"TableNames": []}
            create(cluster)


def test_methods_that_need_a_running_cluster_raise_an_error() -> None:
    cluster = LocalCluster(nodes=1)
    with pytest.raises(AlternatorError, match="not running"):
        _ = cluster.port
    with pytest.raises(AlternatorError, match="not running"):
        _ = cluster.url
    with cluster:
        node = cluster.nodes[0]
    for change in (cluster.add_node, node.kill, node.revive, node.hang):
        with pytest.raises(AlternatorError, match="not running"):
            change()


def test_250_nodes_start_at_once() -> None:
    with LocalCluster(nodes=1):
        pass  # moto's import is not what is measured
    began = time.monotonic()
    with LocalCluster(nodes=250) as cluster:
        assert time.monotonic() - began < 1.0
        with Wire(cluster.nodes[249]) as wire:
            assert len(wire.get("/localnodes")) == 250


def test_two_clusters_share_nothing() -> None:
    with LocalCluster(nodes=1) as first, LocalCluster(nodes=1) as second:
        create(first)
        assert ok(first.nodes[0], "ListTables", {})["TableNames"] == ["tab"]
        assert ok(second.nodes[0], "ListTables", {})["TableNames"] == []
        assert call(second.nodes[0], "GetItem", {"TableName": "tab", "Key": {"k": s("a")}})[0] == 400


@pytest.mark.parametrize("settings", ["tls=True", "processes=True"])
def test_a_forgotten_cluster_ends_with_the_interpreter(settings: str) -> None:
    code = (
        "import socket; from pynamodb_alternator.local import LocalCluster\n"
        f"c = LocalCluster(2, {settings}).start(); s = socket.create_connection((c[0].host, c.port))\n"
        "c[0].delay(30); s.close(); print('end')"
    )
    ended = subprocess.run([sys.executable, "-W", "error", "-X", "dev", "-c", code], capture_output=True, timeout=60)
    assert ended.stderr.decode() == ""
    assert (ended.returncode, ended.stdout) == (0, b"end\n")


PROGRAM = """
import atexit, threading

early = []
atexit.register(lambda: [call() for call in early])
from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster

nodes = LocalCluster(3).start()
cluster = Cluster(nodes.url)
tables = lambda: cluster.client.list_tables()["TableNames"]
assert tables() == []
{what}
print("end")
"""
END_OF_PROGRAM = {
    "nothing else": "",
    "threads amid requests": """
for node in nodes.nodes:
    node.delay(0.05)
under_way = threading.Event()
def forever():
    while True:
        tables()
        under_way.set()
for _ in range(8):
    threading.Thread(target=forever, daemon=True).start()
under_way.wait()
""",
    "a thread that is waited for": """
for node in nodes.nodes:
    node.delay(0.5)
threading.Thread(target=lambda: print(tables())).start()
""",
    "an exit handler": "atexit.register(lambda: print(tables()))",
    "an exit handler that was there before": "early.append(lambda: print(tables()))",
}


def end_of(*arguments: str, typed: str = "") -> tuple[int, str, str]:
    """Run a fresh interpreter, in which warnings are errors, to its end: its exit code, stdout and stderr."""
    ignored = "ignore:.*fork:DeprecationWarning"
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-W", ignored, *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("what", END_OF_PROGRAM)
def test_a_program_that_does_not_close_its_cluster_ends_well(what: str) -> None:
    """Until its very end, the nodes answer all requests. Nothing is written to stderr."""
    answers = "" if what in ("nothing else", "threads amid requests") else "[]\n"
    assert end_of("-c", PROGRAM.format(what=END_OF_PROGRAM[what])) == (0, f"end\n{answers}", "")


def test_an_interactive_session_ends_without_a_word() -> None:
    typed = (
        "from pynamodb_alternator.local import LocalCluster\nnodes = LocalCluster(2).start()\nprint(len(nodes.nodes))\n"
    )
    code, said, errors = end_of("-i", "-q", "-c", "", typed=typed)
    assert (code, said, errors.replace(">>> ", "").strip()) == (0, "2\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_files_of_a_forgotten_cluster_go_with_the_process_that_made_it() -> None:
    code = """
import os, sys
from pynamodb_alternator.local import LocalCluster
nodes = LocalCluster(2, tls=True).start()
child = os.fork()
if not child:
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert os.path.exists(nodes.tls.ca_file)
print(nodes.tls.ca_file)
"""
    exit_code, path, errors = end_of("-c", code)
    assert (exit_code, errors) == (0, "")
    assert not os.path.exists(os.path.dirname(path.strip()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nodes": 0}, "nodes must be a whole number from 1"),
        ({"nodes": "3"}, "nodes must be a whole number"),
        ({"tls": "yes"}, "tls must be"),
        ({"credentials": {"alice": 1}}, "credentials must map"),
        ({"credentials": ["alice"]}, "credentials must map"),
        ({"port": 0}, "port must be a whole number from 1"),
        ({"version": "new"}, "version must be a ScyllaDB version"),
        ({"write_isolation": "lwt"}, "write_isolation must be one of"),
        ({"max_body": 0}, "max_body"),
        ({"shards": 0}, "shards must be a whole number from 1"),
        ({"nodes": 4, "datacenters": {"dc1": 3}}, "nodes=4, but the datacenters have 3"),
        ({"datacenters": {}}, "datacenters is empty"),
        ({"datacenters": "dc1"}, "must be a list of names"),
        ({"datacenters": ["a", "a"]}, "has a name twice"),
        ({"datacenters": {"a": 0}}, r"datacenters\['a'\] must be a whole number"),
        ({"nodes": 1, "datacenters": ["a", "b"]}, "1 nodes cannot fill 2"),
        ({"nodes": 3, "racks": {"r1": 1}}, "have 1 nodes, but it has 3"),
        ({"datacenters": ["a"], "racks": {"b": {"r": 1}}}, "racks does not take 'b'"),
        ({"racks": {"a": {}}}, "racks"),
        ({"racks": "r1"}, "racks must be a list"),
        ({"racks": [""]}, "non-empty string"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LocalCluster(**settings)


def forked() -> int:
    """fork() of a process with threads is what is tested; it warns since Python 3.12."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def test_a_fork_leaves_the_cluster_to_its_parent(cluster: LocalCluster) -> None:
    node = cluster.nodes[0]
    with Wire(node) as wire:
        wire.send("GET", "/")
        sock = wire.http.sock
        assert sock is not None
        read, write = os.pipe()
        child = forked()
        if child == 0:
            os.close(write)
            cluster.close()
            os.read(read, 1)
            os._exit(0)
        os.close(read)
        try:
            # The child has copies of the sockets, and they keep neither the port nor the connection open.
            node.kill()
            assert sock.recv(1) == b""
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((node.host, node.port), 5)
            node.revive()
            create(cluster)
        finally:
            os.close(write)
            os.waitpid(child, 0)


def test_a_forked_child_cannot_control_the_cluster(cluster: LocalCluster) -> None:
    create(cluster)
    read, write = os.pipe()
    child = forked()
    if child == 0:
        refusals = 0
        for ask in (cluster.nodes[0].kill, cluster.expire, cluster.add_node, lambda: cluster.replicas("tab", "a")):
            try:
                ask()
            except AlternatorError as refused:
                refusals += "belongs to the process that started it" in str(refused)
        os.write(write, b"%d" % refusals)
        os._exit(0)
    os.close(write)
    try:
        assert os.read(read, 10) == b"4"
    finally:
        os.close(read)
        os.waitpid(child, 0)
    assert ok(cluster.nodes[0], "ListTables", {}) == {"TableNames": ["tab"]}


def test_the_topology_moves(cluster: LocalCluster) -> None:
    first, second, third = cluster.nodes
    with Wire(first) as wire:
        second.kill()
        assert wire.get("/localnodes") == [first.host, third.host]
        second.revive()
        second.kill(still_listed=True)
        assert wire.get("/localnodes") == [first.host, second.host, third.host]
        second.revive()
        third.leave()
        assert wire.get("/localnodes") == [first.host, second.host]
        create(cluster)
        assert ok(third, "ListTables", {})["TableNames"] == ["tab"]
        third.join()
        fourth = cluster.add_node(rack="rack9")
        assert (fourth.host, fourth.rack, fourth.port) == ("127.0.0.4", "rack9", cluster.port)
        assert wire.get("/localnodes") == [node.host for node in cluster.nodes]
        assert wire.get("/localnodes?rack=rack9") == [fourth.host]
        cluster.remove_node(second)
        assert second not in cluster.nodes
        assert wire.get("/localnodes") == [first.host, third.host, fourth.host]
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((second.host, second.port), 5)
        with pytest.raises(ConfigurationError, match="not of this cluster"):
            cluster.remove_node(second)
        assert cluster.add_node().host == "127.0.0.5"
    assert cluster.node("127.0.0.3") is third
    assert cluster.node(third.address) is third
    assert cluster[0] is first
    with pytest.raises(LookupError, match=r"no node 127\.0\.0\.9"):
        cluster.node("127.0.0.9")


def test_the_last_node_stays() -> None:
    with LocalCluster(nodes=1) as cluster, pytest.raises(ConfigurationError, match="last node"):
        cluster.remove_node(cluster.nodes[0])
