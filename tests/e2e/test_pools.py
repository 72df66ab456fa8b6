"""Connections: how long a thread waits for one, which are used again, and that none is left over."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Health, KeyRouteAffinity, Timeouts
from pynamodb_alternator.errors import PoolTimeoutError
from pynamodb_alternator.local import LocalCluster
from tests.chaos.leaks import use_and_count
from tests.chaos.support import TABLE, all_active, create_table, get, increment, our_threads, put, until

from .conftest import Recorder


def test_waiting_for_a_connection_is_bounded_by_the_pool_timeout(local: LocalCluster) -> None:
    config = ClusterConfig(
        [local.nodes[0].host],
        port=local.port,
        max_pool_connections=1,
        # No background question for the write isolation, which would need a connection as well.
        key_route_affinity=KeyRouteAffinity.NONE,
        timeouts=Timeouts(read=30.0, pool=0.3),
        health=Health(suspect_after=1000.0),
    )
    with Cluster(config) as cluster, ThreadPoolExecutor(3) as threads:
        create_table(cluster.client)
        put(cluster.client, "k")
        until(lambda: all_active(cluster, local))
        for node in local.nodes:
            node.forget()
            node.delay(3.0, times=1, operation="GetItem")
        busy = [threads.submit(get, cluster.client, "k") for _ in range(3)]
        until(lambda: all(node.operations["GetItem"] for node in local.nodes), "every connection in use")
        started = time.monotonic()
        with pytest.raises(PoolTimeoutError, match=r"all 1 connections stayed in use for 0\.3 s.*max_pool_connections"):
            increment(cluster.client, "k")
        # One wait in all, and not one for each of the three nodes; the requests that fill the pools take 3 s.
        assert 0.2 < time.monotonic() - started < 2.5
        assert [node.operations["UpdateItem"] for node in local.nodes] == [0, 0, 0]
        assert [future.result(30) for future in busy] == [0, 0, 0]
        increment(cluster.client, "k")


@pytest.mark.parametrize("bound", [False, True])
def test_300_threads_over_few_connections_and_a_slow_node(local: LocalCluster, recorder: Recorder, bound: bool) -> None:
    """With affinity all of them wait for the coordinator of one key. The queue moves, so that nobody gives up."""
    config = ClusterConfig(
        [local.nodes[0].host],
        port=local.port,
        max_pool_connections=5,
        key_route_affinity=KeyRouteAffinity.RMW if bound else KeyRouteAffinity.NONE,
        partition_keys={TABLE: "id"},
        timeouts=Timeouts(pool=1.0),
    )
    with Cluster(config) as cluster:
        create_table(cluster.client)
        put(cluster.client, "k")
        until(lambda: all_active(cluster, local))
        for node in local.nodes if bound else local.nodes[:1]:
            node.delay(0.03 if bound else 0.1, times=None, operation="UpdateItem")
        with ThreadPoolExecutor(300) as threads:
            for done in [threads.submit(increment, cluster.client, "k") for _ in range(300)]:
                done.result(60)
        assert get(cluster.client, "k") == 300
        assert all(stats.connections_open <= 5 for stats in cluster.stats().values())
    assert recorder.of("node_down") == []


def test_a_free_connection_of_another_node_comes_first(local: LocalCluster, recorder: Recorder) -> None:
    config = ClusterConfig(
        [local.nodes[0].host],
        port=local.port,
        max_pool_connections=1,
        key_route_affinity=KeyRouteAffinity.NONE,
        health=Health(suspect_after=1000.0),
    )
    slow = local.nodes[1]
    with Cluster(config) as cluster, ThreadPoolExecutor(1) as threads:
        create_table(cluster.client)
        put(cluster.client, "k")
        until(lambda: all_active(cluster, local))
        slow.forget()
        fault = slow.delay(2.0, times=None, operation="GetItem")
        held = threads.submit(lambda: [get(cluster.client, "k") for _ in range(3)])
        until(lambda: slow.operations["GetItem"], "the turn of the slow node")
        before = len(recorder.of("request_routed"))
        for _ in range(12):
            increment(cluster.client, "k")
        routed = [
            event["node"] for event in recorder.of("request_routed")[before:] if event["operation"] == "UpdateItem"
        ]
        assert len(routed) == 12
        assert slow.address not in routed
        assert len(set(routed)) == 2
        fault.cancel()
        assert len(held.result(30)) == 3
    assert recorder.of("request_retried") == []


def test_connections_are_used_again(local: LocalCluster, cluster: Cluster) -> None:
    create_table(cluster.client)
    until(lambda: all_active(cluster, local))
    for number in range(30):
        put(cluster.client, f"k{number}")
    for node in local.nodes:
        node.forget()
    for number in range(300):
        get(cluster.client, f"k{number % 30}")
    assert sum(node.connections for node in local.nodes) <= 3  # none for requests; discovery may look at another node
    assert [node.operations["GetItem"] for node in local.nodes] == [100, 100, 100]


def test_idle_connections_that_died_are_dropped_in_silence(local: LocalCluster, recorder: Recorder) -> None:
    # Without these, whose questions in the background would use connections as well.
    with Cluster(ClusterConfig.from_url(local.url, key_route_affinity="none", token_aware=False)) as cluster:
        create_table(cluster.client)
        until(lambda: all_active(cluster, local))
        put(cluster.client, "k")
        for number in range(200):
            if number % 20 == 0:
                idle = [connection for pool in cluster.core.pools._pools.values() for connection in pool._idle]
                for node in local.nodes:
                    node.close_idle_connections()
                until(
                    lambda idle=idle: all(connection.is_stale() for connection in idle), "the closing has arrived here"
                )
            increment(cluster.client, "k")
        assert get(cluster.client, "k") == 200
    assert recorder.of("request_retried") == []
    assert recorder.of("node_down") == []


@pytest.mark.slow
def test_nothing_leaks_in_20_000_requests_with_faults(local: LocalCluster) -> None:
    config = ClusterConfig(
        [local.nodes[0].host],
        port=local.port,
        timeouts=Timeouts(read=2.0),
        health=Health(probe_interval=0.1),
    )
    with Cluster(config) as cluster:
        create_table(cluster.client)
        put(cluster.client, "k")
        until(lambda: all_active(cluster, local))
        leaks = use_and_count(local, cluster, 20_000)
    assert leaks == (0, 0)
    until(lambda: not our_threads(), "all threads ended")
    assert local.failures == []


def test_a_thousand_requests_to_a_hundred_nodes_open_a_hundred_connections() -> None:
    with LocalCluster(nodes=100) as local:
        config = ClusterConfig.from_url(local.url, key_route_affinity="none")
        with Cluster(config) as cluster:
            cluster.client.list_tables()
            membership = cluster.core.membership
            until(lambda: len(membership.view.topology.ring) == 100 and membership.last_success is not None)
            # Requests have new nodes probed a few at a time, which would take half a minute here.
            until(lambda: not [membership.probe(node, 5.0) for node in membership.view.unproven])
            until(lambda: all_active(cluster, local))
            for node in local.nodes:
                node.forget()
            for _ in range(1000):
                cluster.client.list_tables()
            assert sum(pool.opened for pool in cluster.core.pools.stats().values()) <= 100
            assert {node.operations["ListTables"] for node in local.nodes} == {10}
            # Of the hundred that were probed, few are kept for the next question.
            assert len(cluster.core.control._idle) <= 8
