"""Reads that wait for long are sent to a second node as well, in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pynamodb_alternator import AsyncCluster, ClusterConfig, Health, Hedge, Timeouts
from pynamodb_alternator.errors import TransportError
from pynamodb_alternator.local import LocalCluster, LocalNode
from pynamodb_alternator.settings.values import KeyRouteAffinity
from pynamodb_alternator.topology.health import State
from tests.chaos.support import UNHURRIED

from .conftest import Recorder
from .support import CREATE, KEY, TABLE, get, put, run, until

SLOW = 30.0
"""Seconds: an answer that no test waits for."""


@pytest.fixture(params=["short", "compatible"])
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.asynccontextmanager
async def connected(
    local: LocalCluster, lane: str = "short", **settings: Any
) -> AsyncIterator[tuple[AsyncCluster, Any]]:
    settings.setdefault("hedge", Hedge(after=0.1))
    settings.setdefault("health", Health(suspect_after=SLOW, probe_timeout=0.5, probe_interval=0.1))
    config = ClusterConfig(
        [node.host for node in local.nodes], port=local.port, key_route_affinity=KeyRouteAffinity.NONE, **settings
    )
    async with AsyncCluster(config) as cluster:
        client = await cluster.client()
        if lane == "compatible":
            client.meta.events.register("before-send.dynamodb", _do_nothing)
        with cluster.options(timeouts=UNHURRIED):
            await client.create_table(**CREATE)
            await put(client)
        membership = cluster.core.membership
        await until(lambda: [node.state for node in membership.nodes()] == [State.ACTIVE] * 3)
        yield cluster, client


async def _do_nothing(**_: Any) -> None:
    await asyncio.sleep(0)


async def read(client: Any) -> Any:
    return await client.get_item(TableName=TABLE, Key=KEY)


async def next_node(client: Any, local: LocalCluster, recorder: Recorder) -> LocalNode:
    """The node that the next read goes to, by its turn; all have an idle connection then."""
    recorder.clear()
    for _ in local.nodes:
        await get(client)
    first = recorder.of("request_routed")[0]["node"]
    recorder.clear()
    return next(node for node in local.nodes if node.address == first)


def in_use(cluster: AsyncCluster) -> int:
    return sum(pool.in_use for pool in cluster.core.pool_stats().values())


def hedges(recorder: Recorder) -> list[str | None]:
    return [event["hedge"] for event in recorder.of("request_completed")]


def test_another_node_answers(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    async def main() -> None:
        async with connected(local, lane) as (cluster, client):
            first = await next_node(client, local, recorder)
            polled = first.polls["/"]
            first.delay(SLOW, operation="GetItem")
            began = time.monotonic()
            await read(client)
            assert 0.1 <= time.monotonic() - began < SLOW / 2
            asked = recorder.of("request_routed")
            assert [(event["attempt"], event["hedge"]) for event in asked] == [(1, False), (2, True)]
            (done,) = recorder.of("request_completed")
            assert (done["hedge"], done["attempts"], done["node"]) == ("won", 2, asked[1]["node"])
            assert asked[0]["node"] == first.address != done["node"]
            assert (cluster.core.pool_stats()[first.address].open, in_use(cluster)) == (0, 0)
            assert cluster.stats()[first.address].failures == 0
            await until(lambda: first.polls["/"] > polled)
            await until(lambda: not cluster.core.membership.view.hedged)

    run(main)


def test_a_hedge_is_sent_once_a_connection_comes_free(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    """All nodes hold up one read for a moment, so that no pool has room; the first one holds its read up for long."""

    async def main() -> None:
        async with connected(local, lane, max_pool_connections=1) as (cluster, client):
            first = await next_node(client, local, recorder)
            polled = first.polls["/"]
            for node in local.nodes:
                node.delay(SLOW if node is first else 0.5, operation="GetItem")
            recorder.clear()
            with cluster.cluster.options(hedge=False):
                others = [asyncio.create_task(read(client)) for _ in local.nodes]
                await until(lambda: in_use(cluster) == 3)
            others[0].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await others[0]
            began = time.monotonic()
            await read(client)
            assert time.monotonic() - began < SLOW / 2
            assert hedges(recorder).count("won") == 1
            await until(lambda: first.polls["/"] > polled)
            await asyncio.gather(*others[1:])
            assert in_use(cluster) == 0

    run(main)


def test_the_first_attempt_wins_if_it_is_merely_slow(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    async def main() -> None:
        async with connected(local, lane) as (cluster, client):
            first = await next_node(client, local, recorder)
            for node in local.nodes:
                node.delay(0.5 if node is first else SLOW, operation="GetItem")
            await read(client)
            (done,) = recorder.of("request_completed")
            assert (done["hedge"], done["node"]) == ("lost", first.address)
            hedge = recorder.of("request_routed")[1]["node"]
            assert (cluster.core.pool_stats()[hedge].open, in_use(cluster)) == (0, 0)

    run(main)


@pytest.mark.parametrize("ends", ["first", "hedge", "both"])
def test_one_that_fails_leaves_it_to_the_other(local: LocalCluster, lane: str, recorder: Recorder, ends: str) -> None:
    async def main() -> None:
        async with connected(local, lane) as (cluster, client):
            first = await next_node(client, local, recorder)
            third = local.nodes[(local.nodes.index(first) + 2) % 3]
            first.delay(0.3 if ends != "hedge" else 0.9, operation="GetItem")
            for node in local.nodes:
                if ends == "both":
                    if node is not third:
                        node.drop_request(operation="GetItem")
                elif (node is first) == (ends == "first"):
                    node.drop_request(operation="GetItem")
                elif ends == "first":
                    node.delay(0.9, operation="GetItem")
            await read(client)
            (done,) = recorder.of("request_completed")
            expected = {"first": ("won", 2), "hedge": ("lost", 2), "both": ("lost", 3)}[ends]
            assert (done["hedge"], done["attempts"]) == expected
            assert in_use(cluster) == 0

    run(main)


def test_the_deadline_ends_both(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    async def main() -> None:
        async with connected(local, lane, timeouts=Timeouts(total=0.5)) as (cluster, client):
            recorder.clear()
            for node in local.nodes:
                node.delay(SLOW, operation="GetItem")
            with pytest.raises(TransportError, match=r"longer than its total timeout of 0\.5 s"):
                await read(client)
            assert hedges(recorder) == ["lost"]
            assert in_use(cluster) == 0

    run(main)


@pytest.mark.parametrize(("after", "under_way"), [(SLOW, 1), (0.1, 2)])
def test_a_task_that_is_cancelled_leaves_nothing(
    local: LocalCluster, lane: str, recorder: Recorder, after: float, under_way: int
) -> None:
    """Before the hedge, and while both are under way."""

    async def main() -> None:
        async with connected(local, lane, hedge=Hedge(after=after)) as (cluster, client):
            await next_node(client, local, recorder)
            before = sum(pool.open for pool in cluster.core.pool_stats().values())
            for node in local.nodes:
                node.delay(SLOW, operation="GetItem")
            task = asyncio.create_task(read(client))
            await until(lambda: sum(node.operations["GetItem"] for node in local.nodes) == 3 + under_way)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert in_use(cluster) == 0
            assert sum(pool.open for pool in cluster.core.pool_stats().values()) == before - under_way
            for node in local.nodes:
                node.clear_faults()
            await read(client)

    run(main)


def test_a_read_that_does_not_wait_for_long_makes_no_task(local: LocalCluster, lane: str) -> None:
    async def main() -> None:
        async with connected(local, lane, hedge=Hedge(after=SLOW)) as (_, client):
            await read(client)
            made: list[Any] = []

            def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **settings: Any) -> asyncio.Task[Any]:
                made.append(coroutine)
                return asyncio.Task(coroutine, loop=loop, **settings)

            asyncio.get_running_loop().set_task_factory(factory)
            try:
                for _ in range(3):
                    await read(client)
            finally:
                asyncio.get_running_loop().set_task_factory(None)
            assert made == []

    run(main)


def test_the_callers_own_timeout_and_cancellation_work_around_a_hedge_that_wins(
    local: LocalCluster, lane: str, recorder: Recorder
) -> None:
    """The hedge interrupts the task of the call, and must take exactly that back."""

    async def main() -> None:
        async with connected(local, lane) as (cluster, client):
            first = await next_node(client, local, recorder)
            first.delay(SLOW, operation="GetItem")
            caller = asyncio.current_task()
            assert caller is not None
            async with asyncio.timeout(SLOW):
                await read(client)
                assert caller.cancelling() == 0
                await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(SLOW)
            assert caller.cancelling() == 0
            assert hedges(recorder) == ["won"]
            assert in_use(cluster) == 0

    run(main)


def test_what_is_never_hedged(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    async def main() -> None:
        async with connected(local, lane, hedge=Hedge(after=0.01)) as (cluster, client):
            recorder.clear()
            for node in local.nodes:
                node.delay(0.1)
            await get(client)
            await put(client)
            await client.scan(TableName=TABLE)
            with cluster.cluster.options(hedge=False):
                await read(client)
            assert hedges(recorder) == [None] * 4

    run(main)


def test_one_frozen_node_of_three(recorder: Recorder) -> None:
    """The bound is generous; docs/reliability.md has the figures."""
    after = 0.4

    async def main() -> None:
        with LocalCluster(nodes=3, processes=True) as local:
            async with connected(local, hedge=Hedge(after=after)) as (cluster, client):
                await next_node(client, local, recorder)
                seconds: list[float] = []
                ends = False

                async def work() -> None:
                    while not ends:
                        began = time.monotonic()
                        await read(client)
                        seconds.append(time.monotonic() - began)

                tasks = [asyncio.create_task(work()) for _ in range(8)]
                await until(lambda: len(seconds) > 100)
                seconds.clear()
                recorder.clear()
                local.nodes[1].freeze()  # type: ignore[attr-defined]
                await until(lambda: recorder.of("node_down"))
                await until(lambda: len(seconds) > 1000)
                ends = True
                local.nodes[1].thaw()  # type: ignore[attr-defined]
                await asyncio.gather(*tasks)
                assert 1 <= hedges(recorder).count("won") <= 16
                assert sorted(seconds)[-3] <= 3 * after
                assert in_use(cluster) == 0

    run(main)
