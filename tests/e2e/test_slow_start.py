"""A node that returns comes to its share slowly, and a process uses a subset of the nodes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from pynamodb_alternator import AsyncCluster, Cluster, ClusterConfig, Health
from pynamodb_alternator.local import LocalCluster
from tests.chaos.support import TABLE, all_active, create_table, get, put, put_if_absent, until

from .support import forget, is_active

READS = 300
QUICK = Health(suspect_after=0.2, probe_timeout=0.3, probe_interval=0.2)


def connect(local: LocalCluster, **settings: Any) -> Cluster:
    settings = {"key_route_affinity": "none", "token_aware": False, "health": QUICK, **settings}
    cluster = Cluster(ClusterConfig([node.host for node in local.nodes[:3]], port=local.port, **settings))
    create_table(cluster.client)
    put(cluster.client, "k")
    until(lambda: all_active(cluster, local), "all nodes active")
    return cluster


def reads(local: LocalCluster, cluster: Cluster, count: int = READS) -> dict[str, int]:
    forget(local)
    for _ in range(count):
        get(cluster.client, "k")
    return received(local)


def received(local: LocalCluster) -> dict[str, int]:
    counts = {node.address: sum(request.operation == "GetItem" for request in node.requests) for node in local.nodes}
    return {address: count for address, count in counts.items() if count}


def kill_and_revive(local: LocalCluster, cluster: Cluster, number: int = 1) -> str:
    node = local.nodes[number]
    node.kill(still_listed=True)
    until(lambda: get(cluster.client, "k") == 0 and not is_active(cluster, node), "down")
    node.revive()
    until(lambda: get(cluster.client, "k") == 0 and is_active(cluster, node), "active again")
    return node.address


@pytest.mark.parametrize("monitor", [True, False])
@pytest.mark.parametrize("balancing", ["round_robin", "random", "least_busy"])
def test_a_node_that_returns_gets_little_at_first(local: LocalCluster, monitor: bool, balancing: Any) -> None:
    with connect(local, slow_start=600, monitor=monitor, load_balancing=balancing) as cluster:
        young = kill_and_revive(local, cluster)
        counts = reads(local, cluster)
        assert counts.pop(young, 0) < 0.5 * READS / 3
        if balancing != "least_busy":  # which goes by latencies too
            assert min(counts.values()) > 0.3 * READS
        info = {node.address: node for node in cluster.nodes()}[young]
        assert info.share == 1 / 11
        assert info.starts_for is not None
        assert 500 < info.starts_for <= 600


@pytest.mark.parametrize("monitor", [True, False])
def test_and_its_share_in_the_end(local: LocalCluster, monitor: bool) -> None:
    with connect(local, slow_start=0.5, monitor=monitor) as cluster:
        young = kill_and_revive(local, cluster)

        def is_settled() -> bool:
            get(cluster.client, "k")
            return {node.address: node for node in cluster.nodes()}[young].share == 1.0

        until(is_settled, "the end of the slow start")
        assert reads(local, cluster) == dict.fromkeys(local.addresses, READS / 3)


def test_without_a_slow_start_it_has_its_share_at_once(local: LocalCluster) -> None:
    with connect(local, slow_start=0) as cluster:
        kill_and_revive(local, cluster)
        assert reads(local, cluster) == dict.fromkeys(local.addresses, READS / 3)


def test_no_node_starts_slowly_with_the_process(local: LocalCluster) -> None:
    with connect(local, slow_start=600) as cluster:
        assert reads(local, cluster) == dict.fromkeys(local.addresses, READS / 3)


def test_one_that_joins_gets_little_at_first(local: LocalCluster) -> None:
    with connect(local, slow_start=600) as cluster:
        node = local.add_node()
        cluster.refresh()
        until(lambda: get(cluster.client, "k") == 0 and is_active(cluster, node), "active")
        assert reads(local, cluster).get(node.address, 0) < 0.5 * READS / 4


def test_writes_with_affinity_go_to_their_coordinator_however_new_it_is(local: LocalCluster) -> None:
    with connect(local, slow_start=600, key_route_affinity="rmw") as cluster:
        keys = [f"key{number}" for number in range(30)]
        young = kill_and_revive(local, cluster)
        forget(local)
        cluster.register_table(TABLE, "id")
        for key in keys:
            put_if_absent(cluster.client, key)
        counts = {
            node.address: sum(request.operation == "PutItem" for request in node.requests) for node in local.nodes
        }
        coordinators = Counter(cluster.route(TABLE, key).nodes[0] for key in keys)
        assert counts == coordinators
        assert counts[young] > 3


def test_the_event_loop_sees_it_too(local: LocalCluster) -> None:
    async def run(cluster: Cluster) -> dict[str, int]:
        forget(local)
        async with AsyncCluster(cluster) as shared:
            client = await shared.client()
            for _ in range(READS):
                await client.get_item(TableName=TABLE, Key={"id": {"S": "k"}})
        return received(local)

    with connect(local, slow_start=600) as cluster:
        young = kill_and_revive(local, cluster)
        assert asyncio.run(run(cluster)).get(young, 0) < 0.5 * READS / 3


# ---- subsets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balancing", ["round_robin", "random", "least_busy"])
def test_a_process_uses_so_many_nodes_and_the_same_ones_again(balancing: Any) -> None:
    with LocalCluster(nodes=6) as local:
        with connect(local, subset=2, process_number=3, load_balancing=balancing) as cluster:
            used = {node.address for node in cluster.nodes() if node.in_subset}
            assert len(used) == 2
            counts = reads(local, cluster)
            assert counts.keys() == used
            if balancing != "least_busy":  # which goes by latencies too
                assert min(counts.values()) > READS / 4
        with Cluster(cluster.config) as again:
            again.client.list_tables()
            assert {node.address for node in again.nodes() if node.in_subset} == used


def test_the_next_node_takes_the_place_of_one_that_is_down_and_leaves_when_it_is_back() -> None:
    with LocalCluster(nodes=6) as local, connect(local, subset=2, process_number=3, slow_start=0.3) as cluster:
        before = {node.address for node in cluster.nodes() if node.in_subset}
        gone = local.node(min(before))
        gone.kill(still_listed=True)
        until(lambda: get(cluster.client, "k") == 0 and not is_active(cluster, gone), "down")
        counts = reads(local, cluster)
        assert len(counts) == 2
        assert before - counts.keys() == {gone.address}
        gone.revive()

        def is_back() -> bool:
            get(cluster.client, "k")
            return {node.address for node in cluster.nodes() if node.in_subset} == before

        until(is_back, "the subset that it was")
        assert reads(local, cluster).keys() == before


def test_requests_leave_a_subset_that_does_not_answer() -> None:
    with LocalCluster(nodes=4) as local, connect(local, subset=1, process_number=1) as cluster:
        (used,) = [node.address for node in cluster.nodes() if node.in_subset]
        local.node(used).kill(still_listed=True)
        assert [get(cluster.client, "k") for _ in range(20)] == [0] * 20


def test_processes_without_a_number_use_different_nodes() -> None:
    with LocalCluster(nodes=8) as local:
        uses: Counter[str] = Counter()
        for _ in range(12):
            with Cluster(f"{local.url}/?subset=2") as cluster:
                cluster.client.list_tables()
                uses.update(node.address for node in cluster.nodes() if node.in_subset)
        assert uses.total() == 24
        assert len(uses) >= 5
