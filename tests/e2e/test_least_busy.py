"""A slow node of a real cluster gets few requests, and its share again when it is fast."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pynamodb_alternator import AsyncCluster, Cluster, ClusterConfig, KeyRouteAffinity, Timeouts
from pynamodb_alternator.errors import TransportError
from pynamodb_alternator.local import LocalCluster
from tests.aio.support import until as async_until
from tests.chaos.support import TABLE, UNHURRIED, all_active, create_table, get, put, until

from .conftest import Recorder

KEY = {"id": {"S": "k"}}


def connect(local: LocalCluster, **settings: Any) -> Cluster:
    config = ClusterConfig(
        [local.nodes[0].host],
        port=local.port,
        load_balancing="least_busy",
        key_route_affinity=KeyRouteAffinity.NONE,
        **{"token_aware": False, **settings},
    )
    cluster = Cluster(config)
    with cluster.options(timeouts=UNHURRIED):
        create_table(cluster.client)
        put(cluster.client, "k")
        until(lambda: all_active(cluster, local), "all nodes active")
    return cluster


def share(recorder: Recorder, address: str) -> float:
    sent = Counter(event["node"] for event in recorder.of("request_routed"))
    return sent[address] / sent.total()


def reads(cluster: Cluster, count: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda _: get(cluster.client, "k"), range(count)):
            pass


@pytest.mark.parametrize(("threads", "token_aware"), [(1, False), (8, True)])
def test_a_slow_node_gets_few_requests_and_then_its_share_again(
    local: LocalCluster, recorder: Recorder, threads: int, token_aware: bool
) -> None:
    slow = local.nodes[1]
    with connect(local, token_aware=token_aware) as cluster:
        with slow.delay(0.25):
            reads(cluster, 30, threads)  # it is found out
            recorder.clear()
            reads(cluster, 300, threads)
            assert share(recorder, slow.address) < 1 / 6
            latencies = {address: stats.latencies for address, stats in cluster.stats().items()}
            assert latencies[slow.address]["GetItem"] > 0.2
        recorder.clear()

        def has_its_share() -> bool:
            recorder.clear()
            reads(cluster, 60, threads)
            return share(recorder, slow.address) > 1 / 6

        until(has_its_share, "its share")
        policies = {event["policy"] for event in recorder.of("request_routed")}
        assert policies == {"replica" if token_aware else "least_busy"}


def test_requests_avoid_a_node_that_fails(local: LocalCluster, recorder: Recorder) -> None:
    sick = local.nodes[2]
    with connect(local) as cluster, sick.fail_with("InternalServerError", operation="GetItem"):
        reads(cluster, 200, 1)
        assert share(recorder, sick.address) < 1 / 6


def test_a_node_that_is_slower_than_callers_are_patient(local: LocalCluster, recorder: Recorder) -> None:
    """No answer of it ever comes, and no failure counts against it."""
    slow = local.nodes[1]
    with connect(local, timeouts=Timeouts(total=0.3)) as cluster, slow.delay(5.0, operation="GetItem"):
        failures = 0
        for _ in range(150):
            try:
                get(cluster.client, "k")
            except TransportError:
                failures += 1
        assert failures < 15
        assert share(recorder, slow.address) < 1 / 6


def test_in_an_event_loop(local: LocalCluster, recorder: Recorder) -> None:
    slow = local.nodes[1]

    async def main(cluster: Cluster) -> None:
        async with AsyncCluster(cluster) as shared:
            client = await shared.client()

            async def read() -> None:
                await client.get_item(TableName=TABLE, Key=KEY)

            for _ in range(10):
                await asyncio.gather(*(read() for _ in range(3)))
            recorder.clear()
            for _ in range(30):
                await asyncio.gather(*(read() for _ in range(5)))
            assert share(recorder, slow.address) < 1 / 6
            assert cluster.stats()[slow.address].latencies["GetItem"] > 0.2

    with connect(local) as cluster, slow.delay(0.25):
        asyncio.run(main(cluster))
        # Threads of the same cluster know it already.
        recorder.clear()
        reads(cluster, 50, 1)
        assert share(recorder, slow.address) < 1 / 6


def test_cancelled_tasks_count_for_a_slow_node_and_are_not_in_flight(local: LocalCluster, recorder: Recorder) -> None:
    slow = local.nodes[1]

    async def main(cluster: Cluster) -> None:
        async with AsyncCluster(cluster) as shared:
            client = await shared.client()
            patient = 0
            for _ in range(60):
                try:
                    await asyncio.wait_for(client.get_item(TableName=TABLE, Key=KEY), 0.4)
                except asyncio.TimeoutError:  # noqa: UP041 (another class than TimeoutError before Python 3.11)
                    patient += 1
            assert patient < 12
            assert share(recorder, slow.address) < 1 / 4
            assert sum(stats.connections_in_use for stats in cluster.stats().values()) == 0

    with connect(local) as cluster, slow.delay(5.0, operation="GetItem"):
        asyncio.run(main(cluster))


def test_requests_of_threads_and_of_event_loops_are_in_flight_together(local: LocalCluster) -> None:
    async def main(cluster: Cluster) -> None:
        async with AsyncCluster(cluster) as shared:
            client = await shared.client()
            task = asyncio.ensure_future(client.get_item(TableName=TABLE, Key=KEY))
            thread = threading.Thread(target=get, args=(cluster.client, "k"))
            thread.start()
            await async_until(lambda: sum(map(cluster.core.all_pools.in_flight, cluster.topology.nodes)) == 2)
            await task
            await asyncio.get_running_loop().run_in_executor(None, thread.join)
            assert [cluster.core.all_pools.in_flight(node) for node in cluster.topology.nodes] == [0, 0, 0]

    with connect(local) as cluster:
        for node in local.nodes:
            node.delay(1.0, operation="GetItem")
        asyncio.run(main(cluster))


def test_other_policies_have_no_figures(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        create_table(cluster.client)
        put(cluster.client, "k")
        assert cluster.core.loads is None
        assert all(stats.latencies == {} for stats in cluster.stats().values())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_sees_for_itself(local: LocalCluster) -> None:
    with connect(local) as cluster:
        reads(cluster, 10, 1)
        assert any(stats.latencies for stats in cluster.stats().values())
        pid = os.fork()
        if pid == 0:
            try:
                cluster.core.after_fork()
                os._exit(0 if cluster.core.loads is not None and not cluster.core.loads.latencies() else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
