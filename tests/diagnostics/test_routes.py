"""Where the writes of a key go."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest

from pynamodb_alternator import Cluster, errors
from pynamodb_alternator.local import LocalCluster
from tests.e2e.conftest import Recorder

from .support import create, put


def test_the_route_is_where_writes_go(local: LocalCluster, recorder: Recorder) -> None:
    with Cluster(local.url + "/?key_route_affinity=any_write") as cluster:
        create(cluster, "things")
        cluster.register_table("things", "key")
        for key in ("alice", "bob", "carol"):
            route = cluster.route("things", key)
            recorder.clear()
            put(cluster, key)
            (event,) = recorder.of("request_routed")
            assert route.nodes[0] == event["node"]
            assert route.reason is None
            assert set(route.nodes) == set(route.ring) == set(local.addresses)
            assert "All writes" in route.explanation


def test_a_node_that_is_down_is_not_in_the_plan_but_in_the_ring(local: LocalCluster, recorder: Recorder) -> None:
    with Cluster(local.url) as cluster:
        dead = cluster.route("things", "alice").nodes[0]
        local.node(dead).kill(still_listed=True)
        with contextlib.suppress(Exception):
            cluster.client.list_tables()
        cluster.core.membership.suspect(next(node for node in cluster.topology.ring if node.address == dead))
        recorder.wait_for("node_down", node=dead)
        route = cluster.route("things", "alice")
    assert dead not in route.nodes
    assert dead in route.ring


def test_the_ring_is_told_with_its_scope_and_order(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        route = cluster.route("things", "alice")
        assert (route.ring_scope, route.ring_order) == ("cluster", "endpoint")
    where = "datacenter=datacenter1&rack=rack1&affinity_ring_order=host"
    with Cluster(f"{local.url}/?{where}") as cluster:
        route = cluster.route("things", "alice")
        assert (route.ring_scope, route.ring_order) == ("datacenter datacenter1", "host")
    with Cluster(f"{local.url}/?{where}&affinity_ring=scope") as cluster:
        assert cluster.route("things", "alice").ring_scope == "rack rack1 of datacenter datacenter1"


def test_no_request_is_sent(local: LocalCluster, cluster: Cluster) -> None:
    cluster.route("things", "alice")
    assert [node.requests for node in local.nodes] == [[], [], []]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a", {"S": "a"}),
        (7, {"N": "7"}),
        (Decimal("1.50"), {"N": "1.50"}),
        (b"\x00", {"B": b"\x00"}),
        (bytearray(b"x"), {"B": b"x"}),
        ({"N": "007"}, {"N": "007"}),
    ],
)
def test_keys(cluster: Cluster, key: Any, value: Any) -> None:
    cluster.register_table("things", "key")
    route = cluster.route("things", key)
    assert route.key == value
    assert isinstance(route.hash, int)
    assert route.partition_key == "key"


@pytest.mark.parametrize("key", [None, True, 1.5, ["a"], object()])
def test_what_is_no_key(cluster: Cluster, key: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"Cluster\.route: the key must be"):
        cluster.route("things", key)


def test_what_is_no_table(cluster: Cluster) -> None:
    with pytest.raises(errors.ConfigurationError, match="table's name"):
        cluster.route("", "a")


@pytest.mark.parametrize("key", [{"S": 5}, {}, {"S": "a", "N": "1"}, {"L": []}])
def test_attribute_values_that_are_no_key_have_a_reason(cluster: Cluster, key: Any) -> None:
    route = cluster.route("things", key)
    assert route.hash is None
    assert route.nodes == ()
    assert route.reason in ("unsupported_key_type", "no_key_value")
    assert "write would go to any node" in route.explanation


def test_reasons(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        assert cluster.route("things", "a").reason == "no_partition_key_name"
        cluster.learn_write_isolation("things", "unsafe_rmw")
        assert cluster.route("things", "a").reason == "no_lwt_in_table"
    with Cluster(local.url + "/?key_route_affinity=none") as cluster:
        route = cluster.route("things", "a")
        assert (route.reason, route.affinity.name) == ("affinity_off", "NONE")
