"""An event loop that something else holds, and more tasks than connections: neither says anything of a node."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator import ClusterConfig, Health, Timeouts, Tls
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.aio.connection import AsyncConnection
from pynamodb_alternator.aio.pool import AsyncPools
from pynamodb_alternator.errors import ConnectTimeoutError, PoolTimeoutError, ReadTimeoutError
from pynamodb_alternator.local import LocalCluster, LocalTls
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.request import build_head
from tests.transport.servers import FullListener

from .conftest import Recorder
from .support import get, outcome, run
from .test_async_cluster import NEVER_SUSPECT, config_of, prepared

SHORT = 0.3
"""Seconds: timeouts in these tests, and much less than the event loop is held."""


def hold(seconds: float = 4 * SHORT) -> None:
    """Hold the event loop, as a computation does."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(left)


async def blocker(after: float = 0.0) -> None:
    await asyncio.sleep(after)
    hold()


async def outcomes(client: Any, tasks: int, *others: Any) -> Counter[str]:
    answers = await asyncio.gather(*(outcome(get(client)) for _ in range(tasks)), *others)
    return Counter(type(answer).__name__ for answer in answers[:tasks])


@pytest.mark.parametrize("secure", [False, True])
def test_connecting_while_the_loop_is_held(recorder: Recorder, secure: bool) -> None:
    tls = LocalTls() if secure else False

    async def main() -> None:
        with LocalCluster(nodes=3, tls=tls) as local:
            settings: dict[str, Any] = {"timeouts": Timeouts(connect=SHORT), "health": Health(suspect_after=0.2)}
            if tls:
                settings |= {"scheme": "https", "tls": Tls(ca=local.tls.ca_file)}
            config = ClusterConfig(
                [node.host for node in local.nodes], port=local.port, key_route_affinity="none", **settings
            )
            async with AsyncCluster(config) as cluster:
                client = await prepared(cluster, local)
                assert await outcomes(client, 60, blocker()) == {"int": 60}

    run(main)
    assert recorder.of("node_down") == []
    assert recorder.of("request_retried") == []


@pytest.mark.parametrize("deadline", [None, SHORT])
def test_answers_that_come_while_the_loop_is_held(
    local: LocalCluster, recorder: Recorder, deadline: float | None
) -> None:
    async def main() -> None:
        timeouts = Timeouts(read=SHORT, total=deadline)
        async with AsyncCluster(config_of(local, timeouts=timeouts, health=Health(suspect_after=0.2))) as cluster:
            client = await prepared(cluster, local)
            for node in local.nodes:
                node.delay(SHORT / 3, times=None, operation="GetItem")
            # Some are under way, and some are still connecting.
            answers = await outcomes(client, 30, blocker(SHORT / 4))
            if deadline is None:
                assert answers == {"int": 30}
            assert recorder.of("node_down") == []

    run(main)


def test_a_wait_for_a_connection_while_the_loop_is_held(local: LocalCluster) -> None:
    async def main() -> None:
        config = config_of(local, max_pool_connections=1, timeouts=Timeouts(pool=SHORT), health=NEVER_SUSPECT)
        async with AsyncCluster(config) as cluster:
            client = await prepared(cluster, local)
            for node in local.nodes:
                node.delay(SHORT / 3, times=None, operation="GetItem")
            assert await outcomes(client, 12, blocker(SHORT / 6), blocker(SHORT / 2)) == {"int": 12}

    run(main)


def test_a_silent_node_is_still_found_out() -> None:
    """Timeouts end in time where nothing holds the event loop, and after a while where something holds it often."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            node = Node("http", "127.0.0.1", listener.getsockname()[1])
            connection = AsyncConnection(node, loop)
            await connection.connect(connect_timeout=5.0)
            head = build_head("a.B", node.host_header, 2)
            started = time.monotonic()
            with pytest.raises(ReadTimeoutError, match=r"within the read timeout of 0\.3 s"):
                await connection.exchange(head, b"{}", read_timeout=SHORT)
            assert SHORT <= time.monotonic() - started < 10 * SHORT
            await connection.wait_closed()
        with FullListener() as never:
            started = time.monotonic()
            busy = asyncio.create_task(_often_held())
            with pytest.raises(ConnectTimeoutError, match=r"within 0\.3 s"):
                await AsyncConnection(never, loop).connect(connect_timeout=SHORT)
            assert SHORT <= time.monotonic() - started < 10
            busy.cancel()
            await asyncio.wait([busy])

    run(main)


async def _often_held() -> None:
    while True:
        hold(SHORT / 4)
        await asyncio.sleep(0)


def test_2000_gets_at_once(local: LocalCluster, recorder: Recorder) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await prepared(cluster, local)
            assert await outcomes(client, 2000) == {"int": 2000}
            opened = [stats.connections_open for stats in cluster.stats().values()]
            # And in a thread one for a question of the library's own: the token ring of a table in such use.
            assert max(opened) <= cluster.config.max_pool_connections + 1

    run(main)
    assert recorder.of("node_down") == []


def test_a_free_connection_of_another_node_comes_first(local: LocalCluster, recorder: Recorder) -> None:
    async def main() -> None:
        config = config_of(local, max_pool_connections=1, health=NEVER_SUSPECT)
        async with AsyncCluster(config) as cluster:
            client = await prepared(cluster, local)
            slow = local.nodes[1]
            fault = slow.delay(60.0, times=None, operation="GetItem")
            held = asyncio.create_task(get(client))
            while not slow.operations["GetItem"]:
                # The turn comes to the slow node within three requests.
                await asyncio.sleep(0.01)
                if held.done():
                    held = asyncio.create_task(get(client))
            before = len(recorder.of("request_routed"))
            async with asyncio.timeout(20):
                for _ in range(30):
                    assert await get(client) == 0
            routed = {event["node"] for event in recorder.of("request_routed")[before:]}
            assert routed == {node.address for node in local.nodes if node is not slow}
            assert recorder.of("request_retried") == []
            fault.cancel()
            held.cancel()
            await asyncio.wait([held])

    run(main)


def test_a_queue_that_moves_is_waited_in() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            pools = AsyncPools(1)
            pools.bind()
            node = Node("http", "127.0.0.1", listener.getsockname()[1])

            async def work() -> float:
                began = time.monotonic()
                connection = await pools.acquire(node, 5.0, wait=SHORT)
                waited = time.monotonic() - began
                await asyncio.sleep(SHORT / 4)
                pools.release(connection)
                return waited

            waits = await asyncio.gather(*(work() for _ in range(10)))
            assert max(waits) > SHORT
            # In the order in which they came.
            assert waits == sorted(waits)
            held = await pools.acquire(node, 5.0)
            with pytest.raises(PoolTimeoutError, match=r"all 1 connections stayed in use for 0\.3 s"):
                await pools.acquire(node, 5.0, wait=SHORT)
            with pytest.raises(PoolTimeoutError, match=r"stayed in use for 0\.1"):
                await pools.acquire(node, 5.0, time.monotonic() + 0.1, wait=SHORT)
            pools.release(held)
            await pools.aclose()

    run(main)


def test_a_deadline_that_passes_while_the_loop_is_blocked_does_not_count_against_a_node() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with FullListener() as never:
            connection = AsyncConnection(never, loop)
            connecting = asyncio.create_task(
                connection.connect(connect_timeout=30.0, deadline=time.monotonic() + SHORT)
            )
            await asyncio.sleep(0)
            hold()
            with pytest.raises(ConnectTimeoutError) as raised:
                await connecting
            assert str(raised.value).endswith("was not open at the deadline of the call")

    run(main)
