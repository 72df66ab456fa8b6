"""LocalCluster: its life, who stands where, what /localnodes says, what the counters count."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.errors import AlternatorError, ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.placement import host_of, places

from .local_wire import BY_K, Wire, call, create, n, ok, s, until


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3) as running:
        yield running
    assert running.failures == []


# Its life


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


def test_what_needs_a_running_cluster_says_so() -> None:
    cluster = LocalCluster(nodes=1)
    with pytest.raises(AlternatorError, match="not running"):
        _ = cluster.port
    with pytest.raises(AlternatorError, match="not running"):
        _ = cluster.url


def test_250_nodes_start_at_once() -> None:
    with LocalCluster(nodes=1):
        pass  # moto's import is not what is measured
    began = time.monotonic()
    with LocalCluster(nodes=250) as cluster:
        assert time.monotonic() - began < 1.0
        with Wire(cluster.nodes[249]) as wire:
            assert len(wire.get("/localnodes")) == 250


def test_two_clusters_share_nothing() -> None:
    with LocalCluster(nodes=1) as one, LocalCluster(nodes=1) as two:
        create(one)
        assert ok(one.nodes[0], "ListTables", {})["TableNames"] == ["tab"]
        assert ok(two.nodes[0], "ListTables", {})["TableNames"] == []
        assert call(two.nodes[0], "GetItem", {"TableName": "tab", "Key": {"k": s("a")}})[0] == 400


def test_the_users_mock_aws_is_left_alone(cluster: LocalCluster) -> None:
    moto = pytest.importorskip("moto")
    create(cluster)
    with moto.mock_aws():
        assert ok(cluster.nodes[0], "ListTables", {})["TableNames"] == ["tab"]
        from moto.dynamodb.models import dynamodb_backends

        assert not any(backend.tables for account in dynamodb_backends.values() for backend in account.values())
    assert ok(cluster.nodes[0], "ListTables", {})["TableNames"] == ["tab"]


def test_moto_does_not_remember_what_was_written(cluster: LocalCluster) -> None:
    from moto.dynamodb.models.dynamo_type import Item
    from moto.dynamodb.models.table import Table

    before = len(Item.instances_tracked), len(Table.instances_tracked)
    create(cluster)
    for number in range(3):
        ok(cluster.nodes[0], "PutItem", {"TableName": "tab", "Item": {"k": s(str(number))}})
    assert (len(Item.instances_tracked), len(Table.instances_tracked)) == before


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


def test_importing_it_does_not_import_moto() -> None:
    code = "import sys, pynamodb_alternator.local as l; l.LocalCluster(2); assert 'moto' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=os.getcwd())


def test_missing_moto_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from pynamodb_alternator.local import moto_engine

    moto_engine._moto.cache_clear()
    monkeypatch.setitem(sys.modules, "moto.dynamodb.models", None)
    with pytest.raises(ConfigurationError, match=r'pip install "pynamodb-alternator\[local\]"'):
        LocalCluster(1).start()


def test_a_port_in_use_is_an_error_that_says_so(cluster: LocalCluster) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot bind 127\.0\.0\.1:\d+.*Leave out `port`"):
        LocalCluster(nodes=2, port=cluster.port).start()


def test_a_missing_address_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from pynamodb_alternator.local import node

    def bound(host: str, port: int) -> socket.socket:
        if host != "127.0.0.1":
            raise OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")
        return real(host, port)

    real = node.bound
    monkeypatch.setattr(node, "bound", bound)
    with pytest.raises(ConfigurationError, match=r"sudo ifconfig lo0 alias 127\.0\.0\.2 up"):
        LocalCluster(nodes=2).start()


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
        ({"nodes": 4, "datacenters": {"dc1": 3}}, "nodes=4, but the datacenters have 3"),
        ({"datacenters": {}}, "datacenters is empty"),
        ({"datacenters": "dc1"}, "must be a list of names"),
        ({"datacenters": ["a", "a"]}, "names one twice"),
        ({"datacenters": {"a": 0}}, r"datacenters\['a'\] must be a whole number"),
        ({"nodes": 1, "datacenters": ["a", "b"]}, "1 nodes cannot fill 2"),
        ({"nodes": 3, "racks": {"r1": 1}}, "have 1 nodes, but 3 stand there"),
        ({"datacenters": ["a"], "racks": {"b": {"r": 1}}}, "racks does not take 'b'"),
        ({"racks": {"a": {}}}, "racks"),
        ({"racks": "r1"}, "racks must be a list"),
        ({"racks": [""]}, "non-empty string"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LocalCluster(**settings)


@pytest.mark.parametrize("engine", ["mongo", 7, "http://", "http://a/b"])
def test_wrong_engines_are_refused(engine: Any) -> None:
    with pytest.raises(ConfigurationError, match="engine"):
        LocalCluster(1, engine=engine).start()


def test_a_fork_leaves_the_cluster_to_its_parent(cluster: LocalCluster) -> None:
    node = cluster.nodes[0]
    with Wire(node) as wire:
        wire.send("GET", "/")
        sock = wire.http.sock
        assert sock is not None
        read, write = os.pipe()
        # fork() of a process with threads is what is tested; it warns since Python 3.12.
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
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


# Who stands where


def test_placement() -> None:
    def spread(*given: Any) -> list[tuple[str, str, str]]:
        return [(place.host.removeprefix("127.0.0."), place.datacenter, place.rack) for place in places(*given)]

    assert spread(2, None, None) == [("1", "datacenter1", "rack1"), ("2", "datacenter1", "rack1")]
    assert spread(None, {"a": 2, "b": 1}, None) == [("1", "a", "rack1"), ("2", "a", "rack1"), ("3", "b", "rack1")]
    assert [dc for _, dc, _ in spread(5, ["a", "b"], None)] == ["a", "b", "a", "b", "a"]
    assert [rack for *_, rack in spread(4, None, ["x", "y"])] == ["x", "y", "x", "y"]
    assert spread(None, {"a": 3, "b": 2}, ["x", "y"]) == [
        ("1", "a", "x"),
        ("2", "a", "y"),
        ("3", "a", "x"),
        ("4", "b", "x"),
        ("5", "b", "y"),
    ]
    assert [where[1:] for where in spread(None, None, {"a": {"x": 2, "y": 1}, "b": {"z": 1}})] == [
        ("a", "x"),
        ("a", "x"),
        ("a", "y"),
        ("b", "z"),
    ]
    assert [where[1:] for where in spread(None, ["a", "b"], {"x": 1, "y": 1})] == [
        ("a", "x"),
        ("b", "x"),
        ("a", "y"),
        ("b", "y"),
    ]
    assert host_of(254) == "127.0.0.254"
    assert host_of(255) == "127.0.1.1"


def test_localnodes_by_datacenter_and_rack() -> None:
    with LocalCluster(racks={"dc1": {"r1": 2, "r2": 1}, "dc2": {"r1": 1}}) as cluster:
        a, b, c, d = (node.host for node in cluster.nodes)
        with Wire(cluster.nodes[0]) as first, Wire(cluster.nodes[3]) as last:
            for path, expected in {
                "/localnodes": [a, b, c],
                "/localnodes?dc=": [a, b, c],
                "/localnodes?dc=dc2": [d],
                "/localnodes?dc=none": [],
                "/localnodes?rack=r2": [c],
                "/localnodes?rack=none": [],
                "/localnodes?dc=dc1&rack=r1": [a, b],
                "/localnodes?dc=dc2&rack=r2": [],
                "/localnodes?dc=dc%31&rack=": [a, b, c],
            }.items():
                assert first.get(path) == expected, path
            assert last.get("/localnodes") == [d]
            assert last.get("/localnodes?rack=r1") == [d]


def test_servers_before_2025_1_ignore_the_parameters() -> None:
    with LocalCluster(datacenters={"dc1": 2, "dc2": 1}, version="2024.2") as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.get("/localnodes?dc=dc2&rack=none") == ["127.0.0.1", "127.0.0.2"]


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


def test_lies_in_localnodes(cluster: LocalCluster) -> None:
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


# Counters


def test_counters(cluster: LocalCluster) -> None:
    create(cluster)
    node = cluster.nodes[1]
    with Wire(node) as wire:
        wire.ok("PutItem", {"TableName": "tab", "Item": {"v": n(1), "k": s("a")}})
        wire.ok("UpdateItem", {"TableName": "tab", "Key": {"k": s("b")}})
        wire.ok("BatchGetItem", {"RequestItems": {"tab": {"Keys": [{"k": s("a")}]}}})
        wire.get("/localnodes")
        wire.send("GET", "/")
    assert [(one.operation, one.table, one.partition_key) for one in node.requests] == [
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


def test_the_partition_key_of_a_table_with_a_sort_key(cluster: LocalCluster) -> None:
    ok(
        cluster.nodes[0],
        "CreateTable",
        {
            "TableName": "two",
            "KeySchema": [{"AttributeName": "z", "KeyType": "HASH"}, {"AttributeName": "a", "KeyType": "RANGE"}],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in "az"],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    ok(cluster.nodes[0], "GetItem", {"TableName": "two", "Key": {"a": s("sort"), "z": s("part")}})
    assert cluster.nodes[0].requests[-1].partition_key == s("part")


# No update is lost


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


# Any endpoint by URL


def test_an_engine_by_url() -> None:
    with LocalCluster(nodes=1) as behind, LocalCluster(nodes=2, engine=behind.url) as cluster:
        with Wire(cluster.nodes[0]) as wire:
            described = wire.ok("CreateTable", {"TableName": "tab", **BY_K, "Tags": [{"Key": "a", "Value": "b"}]})
            arn = described["TableDescription"]["TableArn"]
            assert wire.ok("ListTagsOfResource", {"ResourceArn": arn}) == {"Tags": [{"Key": "a", "Value": "b"}]}
            puts = [{"PutRequest": {"Item": {"k": s(str(i))}}} for i in range(60)]
            assert wire.ok("BatchWriteItem", {"RequestItems": {"tab": puts}}) == {"UnprocessedItems": {}}
            assert wire.ok("Scan", {"TableName": "tab"})["Count"] == 60
            assert behind.nodes[0].operations["BatchWriteItem"] == 3
            assert (
                wire.refused("GetItem", {"TableName": "none", "Key": {"k": s("a")}})[0] == "ResourceNotFoundException"
            )
        # Connections are kept alive, and one that the engine has closed is opened again.
        opened = behind.nodes[0].connections
        behind.nodes[0].close_idle_connections()
        until(lambda: behind.nodes[0].open_connections == 0)
        assert ok(cluster.nodes[1], "ListTables", {})["TableNames"] == ["tab"]
        assert behind.nodes[0].connections == opened + 1
        behind.nodes[0].kill()
        status, answer = call(cluster.nodes[1], "ListTables", {})
        assert status == 500
        assert answer["__type"].endswith("#InternalServerError")


def test_tables_that_were_there_before_are_known_by_their_key() -> None:
    with LocalCluster(nodes=1) as behind:
        create(behind)
        with (
            LocalCluster(nodes=1, engine=behind.url, write_isolation="forbid_rmw") as cluster,
            Wire(cluster[0]) as wire,
        ):
            wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("a"), "n": n(1)}})
            arn = wire.ok("DescribeTable", {"TableName": "tab"})["Table"]["TableArn"]
            kind, _ = wire.refused("PutItem", {"TableName": "tab", "Item": {"k": s("a")}, "ReturnValues": "ALL_OLD"})
            assert kind == "ValidationException"
            assert wire.ok("ListTagsOfResource", {"ResourceArn": arn}) == {"Tags": []}
            wire.ok("PutItem", {"TableName": "tab", "Item": {"n": n(1), "k": s("b")}})
            assert cluster.nodes[0].requests[-1].partition_key == s("b")


def test_it_stands_on_the_other_side_of_the_wire() -> None:
    """It imports nothing of the client that it is to test: of this package, its own modules, errors and checks."""
    import ast
    from pathlib import Path

    import pynamodb_alternator.local as local

    for path in Path(str(local.__file__)).parent.glob("*.py"):
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.ImportFrom) and statement.level == 2:
                names = [alias.name for alias in statement.names]
                assert (statement.module, names) == (None, ["_checks"]) or statement.module == "errors", path
            elif isinstance(statement, ast.ImportFrom):
                assert not (statement.module or "").startswith("pynamodb"), path
