"""Where the requests of a key go."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from pynamodb_alternator import Cluster, errors
from pynamodb_alternator.local import LocalCluster, LocalNode
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


def test_a_route_has_the_ring_with_its_scope_and_order(local: LocalCluster) -> None:
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
def test_a_route_accepts_every_form_of_a_key(cluster: Cluster, key: Any, value: Any) -> None:
    cluster.register_table("things", "key")
    route = cluster.route("things", key)
    assert route.key == value
    assert isinstance(route.hash, int)
    assert route.partition_key == "key"


@pytest.mark.parametrize("key", [None, True, 1.5, ["a"], object()])
def test_a_route_refuses_what_is_not_a_key(cluster: Cluster, key: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"Cluster\.route: the key must be"):
        cluster.route("things", key)


def test_a_route_refuses_what_is_not_a_table(cluster: Cluster) -> None:
    with pytest.raises(errors.ConfigurationError, match="table's name"):
        cluster.route("", "a")


@pytest.mark.parametrize("key", [{"S": 5}, {}, {"S": "a", "N": "1"}, {"L": []}])
def test_attribute_values_that_are_no_key_have_a_reason(cluster: Cluster, key: Any) -> None:
    route = cluster.route("things", key)
    assert route.hash is None
    assert route.nodes == ()
    assert route.reason in ("unsupported_key_type", "no_key_value")
    assert "write would go to any node" in route.explanation
    assert (route.token, route.replicas, route.replicas_reason) == (None, (), route.reason)


def test_a_route_says_why_it_has_no_affinity(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        assert cluster.route("things", "a").reason == "no_partition_key_name"
        cluster.learn_write_isolation("things", "unsafe_rmw")
        assert cluster.route("things", "a").reason == "no_lwt_in_table"
    with Cluster(local.url + "/?key_route_affinity=none") as cluster:
        route = cluster.route("things", "a")
        assert (route.reason, route.affinity.name) == ("affinity_off", "NONE")


# ---- replicas --------------------------------------------------------------------------------------------------------


@pytest.fixture
def five() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=5, replication_factor=2) as local:
        yield local


def addresses(nodes: Iterable[LocalNode]) -> set[str]:
    return {node.address for node in nodes}


def test_the_replicas_are_those_of_the_server(five: LocalCluster, recorder: Recorder) -> None:
    with Cluster(five.url + "/?token_aware=true") as cluster:
        create(cluster, "things")
        cluster.register_table("things", "key")
        for key in ("alice", "bob", "carol", "\N{LATIN SMALL LETTER E WITH ACUTE}"):
            route = cluster.route("things", key)
            assert set(route.replicas) == set(route.all_replicas) == addresses(five.replicas("things", key))
            assert route.token is not None
            assert route.token_ring_age is not None
            assert 0 <= route.token_ring_age < 60
            assert route.replicas_reason is None
            assert "in turn" in route.replicas_explanation
            assert set(route.reads) == set(route.plain_writes) == set(five.addresses)
            recorder.clear()
            put(cluster, key)
            cluster.client.get_item(TableName="things", Key={"key": {"S": key}})
            items = ("PutItem", "GetItem")
            written, read = (event for event in recorder.of("request_routed") if event["operation"] in items)
            assert written["node"] == route.plain_writes[0]
            assert read["node"] in route.replicas
            assert (written["policy"], read["policy"]) == ("replica", "replica")


def test_the_ring_is_read_at_once_and_only_once(five: LocalCluster) -> None:
    with Cluster(five.url + "/?token_aware=true") as cluster:
        create(cluster, "things")
        for _ in range(3):
            cluster.route("things", "alice")
        assert len(ring_questions(five)) == 1


def ring_questions(local: LocalCluster) -> list[object]:
    return [request for node in local.nodes for request in node.requests if "token_ring" in (request.table or "")]


def test_a_ring_that_cannot_be_read_is_not_asked_for_again_and_again() -> None:
    with (
        LocalCluster(nodes=3, deny_virtual_tables=True) as local,
        Cluster(local.url + "/?token_aware=true") as cluster,
    ):
        create(cluster, "things")
        for _ in range(3):
            route = cluster.route("things", "alice")
            assert route.replicas_reason == "no_token_ring"
            assert "GRANT SELECT ON system.token_ring" in route.replicas_explanation
        assert len(ring_questions(local)) == 1


def test_a_route_says_that_a_server_has_no_ring() -> None:
    """Nobody has named the table, so there is no name to correct."""
    with LocalCluster(nodes=3, token_ring=False) as local, Cluster(local.url + "/?token_aware=true") as cluster:
        create(cluster, "things")
        route = cluster.route("things", "alice")
    assert route.replicas_reason == "no_token_ring"
    assert "This server does not tell token rings" in route.replicas_explanation
    assert "Requests are routed without them" in route.replicas_explanation
    assert "Correct" not in route.replicas_explanation


def test_without_true_no_ring_is_read(five: LocalCluster) -> None:
    with Cluster(five.url) as cluster:
        create(cluster, "things")
        route = cluster.route("things", "alice")
        assert (route.replicas, route.token_ring_age, route.replicas_reason) == ((), None, "no_token_ring")
        assert "1,000 requests" in route.replicas_explanation
        assert set(route.reads) == set(five.addresses)
        assert ring_questions(five) == []
        with cluster.options(token_aware=True):
            assert len(cluster.route("things", "alice").replicas) == 2
    with Cluster(five.url + "/?token_aware=false") as cluster:
        assert cluster.route("things", "alice").replicas_reason == "token_awareness_off"
    with Cluster(five.url + "/?monitor=false") as cluster:
        assert "Without a background thread" in cluster.route("things", "alice").replicas_explanation
    with Cluster(five.url + "/?monitor=false&token_aware=true") as cluster:
        assert len(cluster.route("things", "alice").replicas) == 2


def test_an_index_has_replicas_and_no_writes(five: LocalCluster) -> None:
    with Cluster(five.url + "/?token_aware=true") as cluster:
        create_with_index(cluster)
        cluster.register_table("things", "key", index_keys={"by_city": "city"})
        route = cluster.route("things", "Oslo", "by_city")
        assert set(route.replicas) == addresses(five.replicas("things", "Oslo", index="by_city"))
        assert (route.index, route.partition_key, route.hash) == ("by_city", "city", None)
        assert (route.nodes, route.plain_writes, route.reason) == ((), (), "read")
        assert set(route.reads[:2]) == set(route.replicas)
        assert cluster.route("things", "Oslo", index="unknown").replicas_reason == "no_token_ring"
        with pytest.raises(errors.ConfigurationError, match="index must be"):
            cluster.route("things", "Oslo", index="")


def create_with_index(cluster: Cluster) -> None:
    cluster.client.create_table(
        TableName="things",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("key", "city")],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_city",
                "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def test_replicas_out_of_the_scope() -> None:
    with (
        LocalCluster(racks={"r1": 2, "r2": 2}, replication_factor=2) as local,
        Cluster(f"{local.url}/?token_aware=true&datacenter=datacenter1&rack=r1") as cluster,
    ):
        create(cluster, "things")
        cluster.register_table("things", "key")
        route = cluster.route("things", "alice")
        assert len(route.replicas) == 1
        assert set(route.all_replicas) == addresses(local.replicas("things", "alice"))
        assert len(route.reads) == 2


def test_tables_whose_writes_are_all_transactions_have_no_plain_writes(five: LocalCluster) -> None:
    for query in ("", "&key_route_affinity=none"):
        with Cluster(f"{five.url}/?token_aware=true{query}") as cluster:
            if not query:
                create(cluster, "things", "always")
            cluster.register_table("things", "key")
            cluster.learn_write_isolation("things", "always")
            assert cluster.route("things", "alice").plain_writes == ()


def test_a_route_says_whether_replicas_are_in_the_subset(five: LocalCluster) -> None:
    with Cluster(five.url) as cluster:
        create(cluster, "things")
    explained = set()
    for number in range(20):
        with Cluster(f"{five.url}/?subset=1&process_number={number}&token_aware=true") as cluster:
            cluster.register_table("things", "key")
            route = cluster.route("things", "alice")
        assert len(route.subset) == 1
        is_replica = route.subset[0] in route.replicas
        assert route.replicas_reason == (None if is_replica else "no_replica_in_subset")
        assert route.reads[:1] == route.plain_writes[:1] == route.subset
        explained.add(route.replicas_explanation)
    assert len(explained) == 2
    assert all("this process uses" in explanation for explanation in explained)
