"""Event loops and programs that end without closing what they opened: no traceback, and a warning that helps."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import warnings
import weakref
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator import ClusterConfig, Hedge, Tls, aio, configure, get_cluster
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.local import LocalCluster

from .support import CREATE, get, put, until


def open_connections(cluster: Any) -> int:
    return sum(stats.connections_open for stats in cluster.stats().values())


def texts(warned: list[warnings.WarningMessage]) -> list[str]:
    return [str(warning.message) for warning in warned if "AsyncCluster" in str(warning.message)]


def test_connections_of_a_forgotten_cluster_are_closed_and_it_warns(local: LocalCluster) -> None:
    async def main() -> None:
        cluster: Any = AsyncCluster(local.url)
        shared, gone = cluster.cluster, weakref.ref(cluster)
        await (await cluster.client()).list_tables()
        connections = cluster.core.all_pools.all()[-1].connections()
        assert connections
        del cluster
        await until(lambda: gc.collect() is not None and gone() is None, "the cluster is collected")
        await until(lambda: not any(map(_is_open, connections)), "its connections are closed")
        await asyncio.to_thread(shared.close)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(main())
    (text,) = texts(warned)
    assert "was not closed: use it in an `async with`, or call `await cluster.aclose()`" in text
    assert len(warned) == 1


def _is_open(connection: Any) -> bool:
    return "open" in repr(connection)


def test_a_cluster_that_was_closed_or_not_used_does_not_warn(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(local.url) as cluster:
            await (await cluster.client()).list_tables()
        AsyncCluster(get_cluster())

    configure(default=local.url)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


def test_an_event_loop_that_is_closed_without_a_farewell_leaves_no_connection(local: LocalCluster) -> None:
    """Not even one that is kept alive without being open: some programs make an event loop for each job."""
    configure(default=local.url)
    connections: list[weakref.ref[Any]] = []

    async def job() -> None:
        await (await aio.get_client()).list_tables()
        pools = get_cluster().core.all_pools.all()[-1]
        connections.extend(map(weakref.ref, pools.connections()))

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        loop = asyncio.new_event_loop()
        loop.run_until_complete(job())
        loop.close()
        del loop
        asyncio.run(job())
        gc.collect()
    assert [connection() for connection in connections] == [None] * len(connections)
    assert any("call `await aio.close_connections()` before `loop.close()`" in str(each.message) for each in warned)
    assert {warning.category for warning in warned} == {ResourceWarning}


@pytest.mark.parametrize("way", ["plain", "tls", "hedge", "queue"])
def test_an_event_loop_that_is_closed_amid_requests(
    way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    limit = 1 if way == "queue" else 8
    under_way = {"queue": 3, "hedge": 12}.get(way, 6)
    with LocalCluster(3, tls=way == "tls") as nodes, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = ClusterConfig(
            [nodes[0].host],
            scheme=nodes.scheme,
            port=nodes.port,
            max_pool_connections=limit,
            hedge=Hedge(after=0.01, max_extra=1.0) if way == "hedge" else None,
            tls=Tls(ca=nodes.tls.ca_file) if way == "tls" else None,
        )
        cluster = AsyncCluster(config)
        tasks: list[asyncio.Task[Any]] = []

        async def main() -> None:
            client = await cluster.client()
            await client.create_table(**CREATE)
            await put(client)
            await get(client)
            await until(lambda: [node.state.value for node in cluster.core.membership.nodes()] == ["active"] * 3)
            for node in nodes.nodes:
                node.delay(60.0, operation="GetItem")
            read = client.get_item
            for _ in range(6):
                tasks.append(asyncio.create_task(read(TableName="items", Key={"id": {"S": "k"}})))
            await until(lambda: sum(node.operations["GetItem"] for node in nodes.nodes) >= 1 + under_way)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        tasks.clear()
        gc.collect()
        cluster.cluster.close()
    assert [str(each.exc_value) for each in unraisable] == []
    # That the tasks were pending is asyncio's to say.
    said = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert all("Task was destroyed" in text for text in said), said


PROGRAM = """
import asyncio, sys
from pynamodb_alternator import aio
from pynamodb_alternator.aio import AsyncCluster

async def main():
    cluster = AsyncCluster(sys.argv[1])
    client = await cluster.client()
    print((await client.list_tables())["TableNames"])
    {more}

{run}
"""


@pytest.mark.parametrize("more", ["", "tasks = [asyncio.create_task(client.list_tables()) for _ in range(9)]"])
@pytest.mark.parametrize("run", ["asyncio.run(main())", "asyncio.new_event_loop().run_until_complete(main())"])
def test_a_program_that_does_not_close_its_cluster(local: LocalCluster, run: str, more: str) -> None:
    said, warned = ended_well(PROGRAM.format(run=run, more=more), local, "-W", "default::ResourceWarning")
    assert said == "[]\n"
    if not more:
        assert "was not closed: use it in an `async with`" in warned


def ended_well(code: str, local: LocalCluster, *flags: str) -> tuple[str, str]:
    """Run a program to its end. Its output, and what it said on stderr: no error."""
    ended = subprocess.run(
        [sys.executable, *flags, "-c", code, local.url], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    return ended.stdout, ended.stderr


def test_a_program_whose_event_loop_has_no_end(local: LocalCluster) -> None:
    code = """
import asyncio, sys
from pynamodb_alternator import aio, configure
configure(default=sys.argv[1])

async def main():
    print((await (await aio.get_client()).list_tables())["TableNames"])

asyncio.new_event_loop().run_until_complete(main())
"""
    assert ended_well(code, local) == ("[]\n", "")
    _, warned = ended_well(code, local, "-W", "default::ResourceWarning")
    assert "call `await aio.close_connections()` before `loop.close()`" in warned
