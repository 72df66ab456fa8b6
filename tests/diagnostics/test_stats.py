"""The counters of each node."""

from __future__ import annotations

import timeit

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.transport.counts import Counts

from .support import create, put


def test_the_stats_count_attempts(local: LocalCluster) -> None:
    # Without affinity nothing is asked about tables in the background, which would be counted too.
    with Cluster(local.url + "/?key_route_affinity=none") as cluster:
        assert list(cluster.stats()) == []
        create(cluster, "things")
        for number in range(9):
            put(cluster, str(number))
        stats = cluster.stats()
    assert list(stats) == local.addresses
    assert sum(node.requests for node in stats.values()) == 10
    for node in stats.values():
        assert node.state.value == "active"
        assert node.failures == 0
        assert node.connections_opened >= node.connections_open >= 1
        assert node.connections_in_use == 0


def test_failures_are_counted(local: LocalCluster, cluster: Cluster) -> None:
    _ = cluster.topology
    local[0].drop_request(times=1, operation="ListTables")
    for _ in range(3):
        cluster.client.list_tables()
    stats = cluster.stats()[local[0].address]
    assert stats.failures == 1
    assert stats.requests >= 1


def test_a_node_that_came_gets_counters(local: LocalCluster, cluster: Cluster) -> None:
    _ = cluster.topology
    node = local.add_node()
    cluster.refresh()
    assert cluster.stats()[node.address].requests == 0


def test_counting_costs_next_to_nothing() -> None:
    counts = Counts()

    def count() -> None:
        counts["127.0.0.1:8000"].answers += 1

    best = min(timeit.repeat(count, number=10_000, repeat=5)) / 10_000
    assert best < 1e-6  # 0.1 µs on an idle machine, the function call included


def test_counts_of_nodes_that_left_are_forgotten_when_they_are_many() -> None:
    counts = Counts()
    for number in range(1_500):
        counts[str(number)].answers += 1
    counts.forget_others(["0", "1499"])
    assert len(counts) == 1_002
    assert {"0", "1499"} <= counts.keys()
