"""Connections of a cluster end at their age, and no request ends with them; requests use all cores of the nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, KeyRouteAffinity
from pynamodb_alternator.local import LocalCluster
from tests.chaos.support import create_table, get, increment, put, until

from .conftest import Recorder

THREADS = 8


def config_of(local: LocalCluster, age: float | None) -> ClusterConfig:
    return ClusterConfig.from_url(
        local.url, max_connection_age=age, key_route_affinity=KeyRouteAffinity.NONE, token_aware=False
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_under_load_no_request_ends_with_its_connection(scheme: str, recorder: Recorder) -> None:
    """Increments among them, which are not sent twice: each counts once."""
    with LocalCluster(3, tls=scheme == "https") as local:
        config = config_of(local, 0.01)
        if scheme == "https":
            config = config.replace(tls={"ca": str(local.tls.ca_file)})
        with Cluster(config) as cluster, ThreadPoolExecutor(THREADS) as threads:
            create_table(cluster.client)
            for number in range(THREADS):
                put(cluster.client, f"k{number}")

            def work(number: int) -> int:
                for _ in range(40):
                    increment(cluster.client, f"k{number}")
                    get(cluster.client, f"k{number}")
                return get(cluster.client, f"k{number}")

            assert list(threads.map(work, range(THREADS))) == [40] * THREADS
            stats = cluster.core.pool_stats().values()
            assert sum(each.opened for each in stats) > 40
            assert all(each.open <= THREADS and not each.in_use for each in stats)
            assert recorder.of("request_retried") == []
            assert all(done["error"] is None for done in recorder.of("request_completed"))
            if scheme == "https":
                assert sum(node.tls_resumed for node in local.nodes) > 20


def test_threads_use_all_cores_of_all_nodes() -> None:
    """Over real sockets: by counts, and not by time."""
    with LocalCluster(3, shards=8) as local, Cluster(config_of(local, 600.0)) as cluster:
        create_table(cluster.client)
        put(cluster.client, "k")
        for node in local.nodes:
            node.delay(0.02, operation="GetItem")
        with ThreadPoolExecutor(THREADS * 3) as threads:
            # A peak, which opens as many connections as the nodes have cores.
            list(threads.map(lambda _: get(cluster.client, "k"), range(THREADS * 9)))
        for node in local.nodes:
            node.forget()
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda _: get(cluster.client, "k"), range(480)))
        counts = [count for node in local.nodes for count in node.shard_requests]
        assert sum(counts) == 480
        assert max(counts) <= 2 * 480 / len(counts)


def test_one_thread_moves_on_to_another_core() -> None:
    with LocalCluster(1, shards=8) as local, Cluster(config_of(local, 0.001)) as cluster:
        (node,) = local.nodes
        for _ in range(50):
            cluster.client.list_tables()
        assert sum(count > 0 for count in node.shard_requests) > 1
        until(lambda: sum(node.shard_connections) <= 3)


def test_without_an_age_connections_stay_open() -> None:
    with LocalCluster(1) as local, Cluster(config_of(local, None)) as cluster:
        for _ in range(50):
            cluster.client.list_tables()
        assert [each.opened for each in cluster.core.pool_stats().values()] == [1]
