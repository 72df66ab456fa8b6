"""What the nodes of a cluster see of a client: probes, readings of the list, and no request before they were probed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator import AsyncCluster, Cluster, ClusterConfig, ClusterScope, DatacenterScope, Discovery, Health
from pynamodb_alternator.errors import NoNodesAvailableError, TransportError
from pynamodb_alternator.local import LocalCluster, LocalNode
from tests.chaos.support import TABLE, all_active, create_table, get, increment, put, states, until

from .support import take_lane

QUICK = {"health": Health(probe_interval=0.1, probe_timeout=0.3), "discovery": Discovery(interval=0.05, timeout=1.0)}


def config_of(local: LocalCluster, **settings: Any) -> ClusterConfig:
    return ClusterConfig([local.nodes[0].host], port=local.port, **{**QUICK, **settings})


def requests_of(node: LocalNode) -> int:
    return node.operations.total()


def probed(local: LocalCluster) -> list[LocalNode]:
    return [node for node in local.nodes if node.polls["/"]]


def readings(node: LocalNode) -> int:
    return sum(count for path, count in node.polls.items() if path.startswith("/localnodes"))


@pytest.fixture
def strange(local: LocalCluster) -> Iterator[list[LocalNode]]:
    """Two of three nodes: one accepts connections and answers nothing, one answers all but ``GET /``. Both are
    listed."""
    silent, ill = local.nodes[1:]
    silent.hang()
    ill.fail_with("InternalServerError", status=503, operation="/")
    yield [silent, ill]
    silent.resume()


def all_kinds(client: Any) -> None:
    """Requests of each policy."""
    for number in range(15):
        key = f"k{number}"
        put(client, key)
        get(client, key)
        increment(client, key)
    client.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": {"id": {"S": "b"}}}}]})
    client.scan(TableName=TABLE)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"monitor": False},
        {"load_balancing": "least_busy"},
        {"load_balancing": "random", "hedge": {"after": 0.01, "max_extra": 1.0}},
        {"key_route_affinity": "any_write", "token_aware": True},
        {"routing_scope": DatacenterScope("dc1", ClusterScope())},
    ],
    ids=["threads", "no-threads", "least-busy", "hedged", "affinity", "scopes"],
)
def test_a_node_that_has_not_answered_a_probe_sees_no_request(
    local: LocalCluster, strange: list[LocalNode], settings: dict[str, Any], lane: str
) -> None:
    with Cluster(config_of(local, **settings)) as cluster:
        take_lane(cluster.client, lane)
        create_table(cluster.client)
        all_kinds(cluster.client)
        until(lambda: all(node.polls["/"] for node in strange) or get(cluster.client, "k1") is None, "probes")
        all_kinds(cluster.client)
        cluster.check()
        assert [requests_of(node) for node in strange] == [0, 0]
        assert requests_of(local.nodes[0]) > 60


def test_nor_from_an_event_loop(local: LocalCluster, strange: list[LocalNode]) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await cluster.client()
            for _ in range(30):
                await client.list_tables()
                await asyncio.sleep(0.01)

    asyncio.run(main())
    assert [requests_of(node) for node in strange] == [0, 0]
    assert requests_of(local.nodes[0]) == 30


def test_a_seed_that_answers_no_probe_gets_no_request_and_the_error_says_so(local: LocalCluster) -> None:
    for node in local.nodes:
        node.fail_with("InternalServerError", status=503, operation="/")
    for monitor in (True, False):
        with Cluster(config_of(local, monitor=monitor)) as cluster, pytest.raises(TransportError) as raised:
            cluster.client.list_tables()
        assert isinstance(raised.value, NoNodesAvailableError)
        assert "GET / was answered with status 503" in str(raised.value)
    assert [requests_of(node) for node in local.nodes] == [0, 0, 0]


def test_the_first_request_waits_for_the_probe_of_a_slow_seed(local: LocalCluster) -> None:
    for node in local.nodes:
        node.delay(0.4, operation="/")
    slow = {"discovery": Discovery(startup_wait=0.01), "health": Health(probe_timeout=5.0)}
    with Cluster(config_of(local, **slow)) as cluster:
        cluster.client.list_tables()


@pytest.fixture
def eleven() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=11) as cluster:
        yield cluster


def test_few_nodes_are_probed_before_requests_name_them(eleven: LocalCluster) -> None:
    with Cluster(config_of(eleven)) as cluster:
        cluster.client.list_tables()
        until(lambda: len(cluster.topology.ring) == 11 and len(probed(eleven)) >= 8, "the start")
        before = sum(map(readings, eleven.nodes))
        until(lambda: sum(map(readings, eleven.nodes)) > before + 10, "some readings")
        assert len(probed(eleven)) <= 9, "eight, and the one that the request may have named"
        until(lambda: bool(cluster.client.list_tables()) and all_active(cluster, eleven), "all are named and probed")
        for node in eleven.nodes:
            assert node.polls["/"] == 1


def test_a_node_that_joins_is_probed_when_a_request_names_it(local: LocalCluster) -> None:
    with Cluster(config_of(local)) as cluster:
        until(lambda: bool(cluster.client.list_tables()) and all_active(cluster, local), "all active")
        node = local.add_node()
        until(lambda: node.address in {listed.address for listed in cluster.topology.ring}, "it is listed")
        before = sum(map(readings, local.nodes))
        until(lambda: sum(map(readings, local.nodes)) > before + 10, "some readings")
        assert node.polls["/"] == 0
        until(lambda: bool(cluster.client.list_tables()) and requests_of(node) > 0, "it has its share")
        assert node.polls["/"] == 1


def test_the_list_is_read_from_all_nodes_and_not_from_the_seed(eleven: LocalCluster) -> None:
    """Nearly all readings of the first minute went to the configured seeds."""
    seed, *others = eleven.nodes
    clusters = [Cluster(config_of(eleven)) for _ in range(6)]
    try:
        for cluster in clusters:
            cluster.client.list_tables()
        until(lambda: sum(map(readings, others)) >= 60, "readings")
        assert readings(seed) < 40
        assert len([node for node in others if readings(node)]) > 1
    finally:
        for cluster in clusters:
            cluster.close()


def test_a_list_that_does_not_change_is_read_less_often_until_there_is_trouble(local: LocalCluster) -> None:
    grown = Discovery(interval=0.05, active_interval_max=1000.0)
    with Cluster(config_of(local, discovery=grown)) as cluster:
        pace = cluster.core.membership.pace
        until(lambda: bool(cluster.client.list_tables()) and pace.interval > 1.0, "calm")
        local.nodes[1].kill(still_listed=True)
        local.nodes[2].leave()

        def has_noticed() -> bool:
            cluster.client.list_tables()
            return states(cluster).get(local.nodes[1].address) == "down" and local.nodes[2].address not in states(
                cluster
            )

        until(has_noticed, "the list was read soon after a node failed")
