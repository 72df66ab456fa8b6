"""Clusters by their alias in event loops: found when they are used, and closed with the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

import pynamodb_alternator
from pynamodb_alternator import Cluster, ClusterConfig, Model, aio, configure, get_cluster
from pynamodb_alternator.aio import AsyncCluster, EventLoopError
from pynamodb_alternator.errors import ClusterClosedError, ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.registry import replaced

from .models import Member
from .support import CREATE, KEY, TABLE, run, until


@pytest.fixture(autouse=True)
def configured(local: LocalCluster) -> Iterator[None]:
    configure(default=local.url)
    yield
    pynamodb_alternator.close_all()


def open_connections(cluster: Cluster) -> int:
    return sum(stats.connections_open for stats in cluster.stats().values())


def test_one_client_for_all_tasks_of_an_event_loop() -> None:
    async def main() -> None:
        clients = await asyncio.gather(*(aio.get_client() for _ in range(20)))
        assert len(set(map(id, clients))) == 1
        here = aio.get_cluster()
        assert here is aio.get_cluster("default")
        assert here.cluster is get_cluster()
        assert await here.client() is clients[0]
        await clients[0].create_table(**CREATE)
        await clients[0].put_item(TableName=TABLE, Item=KEY)

    run(main)


def test_models_and_clients_share_the_connections(local: LocalCluster) -> None:
    async def main() -> None:
        await Member.aio.create_table()
        for _ in range(9):
            await Member("a").aio.save()
        client = await aio.get_client()
        for _ in range(9):
            await client.get_item(TableName="members", Key={"name": {"S": "a"}})
        assert open_connections(get_cluster()) <= len(local.nodes)

    run(main)


def test_each_event_loop_has_connections_of_its_own_and_closes_them(local: LocalCluster) -> None:
    """An application asks by the alias, in one event loop after another: so each test may have its own."""

    async def main() -> None:
        await Member.aio.create_table()
        await Member("a").aio.save()
        assert (await Member.aio.get("a")).name == "a"
        client = await aio.get_client()
        await client.list_tables()
        assert open_connections(get_cluster()) > 0

    for _ in range(3):
        run(main)  # which looks for warnings of transports and sockets
        assert open_connections(get_cluster()) == 0


def test_event_loops_of_several_threads_at_once(local: LocalCluster) -> None:
    Member.create_table()

    async def main(name: str) -> None:
        await asyncio.gather(*(Member(f"{name}-{number}").aio.save() for number in range(30)))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(asyncio.run, main(str(number))) for number in range(8)]:
            done.result()
    assert len(list(Member.scan())) == 240


def test_what_an_alias_means_is_found_at_each_use(local: LocalCluster) -> None:
    async def main() -> None:
        await Member.aio.create_table()
        first = aio.get_cluster()
        with LocalCluster(nodes=1) as other:
            with replaced({"default": other.url}):
                assert aio.get_cluster() is not first
                assert not await Member.aio.exists()
                assert (await (await aio.get_client()).list_tables())["TableNames"] == []
            assert await Member.aio.exists()
            configure(default=other.url)
            assert not await Member.aio.exists()
            assert aio.get_cluster() is not first
            with pytest.raises(ClusterClosedError):
                await first.client()

    run(main)


def test_a_request_goes_to_the_new_cluster_if_its_cluster_is_closed(local: LocalCluster) -> None:
    class Other(Model):
        Meta: Any = type("Meta", (Member.Meta,), {"cluster": "default"})
        name = Member.name

    async def main() -> None:
        await Member.aio.create_table()
        get_cluster().close()
        assert await Member.aio.exists()
        await aio.get_cluster().aclose()
        assert await Member.aio.exists()

    run(main)


async def _asked(times: int, ask: Callable[[], Awaitable[object]]) -> None:
    for _ in range(times):
        await ask()
        await asyncio.sleep(0.001)


def test_an_alias_that_is_configured_often_fails_no_request(local: LocalCluster) -> None:
    """Not even while the client of one is made, which takes longer than the cluster exists."""

    async def ask_by_client() -> None:
        client = await aio.get_client()
        await client.describe_table(TableName="members")

    async def change() -> None:
        for limit in range(10, 30):
            configure(default={"url": local.url, "max_pool_connections": limit})
            await asyncio.sleep(0.005)

    async def main() -> None:
        await Member.aio.create_table()
        await asyncio.gather(change(), *(_asked(30, Member.aio.exists) for _ in range(10)))
        await asyncio.gather(change(), *(_asked(5, aio.get_client) for _ in range(10)))
        await ask_by_client()

    run(main)


def test_a_client_that_was_kept_says_what_to_do(local: LocalCluster) -> None:
    async def keep() -> None:
        nonlocal client
        client = await aio.get_client()

    async def use() -> None:
        with pytest.raises(ClusterClosedError, match=r"closed with its event loop.*`await aio\.get_client\(\)`"):
            await client.list_tables()

    client: Any = None
    run(keep)
    run(use)


def test_a_task_that_leaves_the_cluster_does_not_close_it_under_others(local: LocalCluster) -> None:
    async def leave() -> None:
        async with aio.get_cluster() as cluster:
            await cluster.client()

    async def main() -> None:
        await Member.aio.create_table()
        before = aio.get_cluster()
        await asyncio.gather(_asked(20, leave), *(_asked(30, Member.aio.exists) for _ in range(10)))
        assert aio.get_cluster() is before

    run(main)


def test_an_alias_that_means_nothing() -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match="No cluster is configured under the alias 'nobody'"):
            await aio.get_client("nobody")

    run(main)


def test_clusters_without_an_alias(local: LocalCluster) -> None:
    class ByHost(Member):
        class Meta(Member.Meta):
            host = local.url

    class ByConfig(Member):
        class Meta(Member.Meta):
            cluster = ClusterConfig.from_url(local.url)

    with Cluster(local.url) as cluster:

        class ByCluster(Member):
            class Meta(Member.Meta):
                pass

        ByCluster.Meta.cluster = cluster

        async def main() -> None:
            await Member.aio.create_table()
            for model in (ByHost, ByConfig, ByCluster):
                await model(model.__name__).aio.save()
            assert len(await Member.aio.scan().all()) == 3

        run(main)
        assert open_connections(cluster) == 0


def test_connections_are_closed_while_the_event_loop_goes_on(local: LocalCluster) -> None:
    Member.create_table()
    before = open_connections(get_cluster())  # of this thread

    async def main() -> None:
        await aio.close_connections()  # there are none
        for _ in range(2):
            await Member("a").aio.save()
            await (await aio.get_client()).list_tables()
            assert open_connections(get_cluster()) > before
            await aio.close_connections()
            assert open_connections(get_cluster()) == before
        async with AsyncCluster(local.url) as own:
            client = await own.client()
            await aio.close_connections()
            await client.list_tables()

    run(main)


def test_requests_that_are_under_way_finish_when_connections_are_closed(local: LocalCluster) -> None:
    Member.create_table()

    async def main() -> None:
        await Member("a").aio.save()
        for node in local.nodes:
            node.delay(0.3)
        under_way = [asyncio.create_task(Member.aio.get("a")) for _ in range(5)]
        await until(lambda: any(stats.connections_in_use for stats in get_cluster().stats().values()))
        await aio.close_connections()
        assert {member.name for member in await asyncio.gather(*under_way)} == {"a"}

    run(main)


def test_connections_of_no_event_loop() -> None:
    closing = aio.close_connections()
    with pytest.raises(EventLoopError, match="No event loop of asyncio runs here"):
        closing.send(None)


def test_the_next_event_loop_cleans_up_after_one_that_closed_no_generators(local: LocalCluster) -> None:
    Member.create_table()
    before = open_connections(get_cluster())  # of this thread
    loop = asyncio.new_event_loop()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        loop.run_until_complete(Member("a").aio.save())
        loop.close()
        assert open_connections(get_cluster()) > before

        async def main() -> None:
            assert (await Member.aio.get("a")).name == "a"

        asyncio.run(main())
        del loop
        gc.collect()
    assert open_connections(get_cluster()) == before
    assert {warning.category for warning in warned} == {ResourceWarning}


def test_the_end_of_an_event_loop_waits_for_no_task_of_ours(local: LocalCluster) -> None:
    """A task in the middle of a request is cancelled by `asyncio.run`, and its connection closed."""
    Member.create_table()
    before = open_connections(get_cluster())
    tasks: list[asyncio.Task[Any]] = []

    async def main() -> None:
        await Member("a").aio.save()
        for node in local.nodes:
            node.delay(60.0)
        tasks.append(asyncio.create_task(Member.aio.get("a")))
        await until(lambda: any(stats.connections_in_use for stats in get_cluster().stats().values()))

    asyncio.run(main())
    assert tasks[0].cancelled()
    assert open_connections(get_cluster()) == before


def test_the_documented_pattern_of_a_view(local: LocalCluster) -> None:
    """What a Django view or a FastAPI route does. It was a cached `AsyncCluster`, which belongs to one event loop."""
    Member.create_table()
    Member("a").save()

    async def view() -> str:
        client = await aio.get_client()
        answer = await client.get_item(TableName="members", Key={"name": {"S": "a"}})
        return str(answer["Item"]["name"]["S"])

    for _ in range(3):
        assert asyncio.run(view()) == "a"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_has_event_loops_of_its_own(local: LocalCluster) -> None:
    Member.create_table()
    Member("a").save()

    async def main() -> None:
        assert (await Member.aio.get("a")).name == "a"
        pid = os.fork()
        if pid == 0:
            os._exit(in_child())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0  # noqa: ASYNC222 (the child is short)
        assert (await Member.aio.get("a")).name == "a"

    def in_child() -> int:
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(asyncio.run(get())))
        thread.start()
        thread.join()
        return 0 if seen == ["a"] else 1

    async def get() -> str:
        return str((await Member.aio.get("a")).name)

    run(main)


def test_a_cluster_without_an_alias_stays_open(local: LocalCluster) -> None:
    @cache
    def cluster() -> AsyncCluster:
        return AsyncCluster(local.url)

    async def main() -> None:
        assert cluster() is not aio.get_cluster()
        await (await cluster().client()).list_tables()
        await cluster().aclose()

    run(main)
