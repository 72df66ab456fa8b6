"""An aiobotocore client over a cluster: every operation, and every way in which a node or a task can end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from botocore.exceptions import ClientError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

import pynamodb_alternator
from pynamodb_alternator import Cluster, ClusterConfig, Discovery, Health, Model, Retries, Timeouts, Tls
from pynamodb_alternator.aio import AsyncCluster, EventLoopError
from pynamodb_alternator.aio.connection import AsyncConnection
from pynamodb_alternator.errors import (
    ClusterClosedError,
    ConnectionLostError,
    ConnectTimeoutError,
    DeadlineAfterSendError,
    DeadlineBeforeSendError,
    NodeUnreachableError,
    NotSentError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadTimeoutError,
    ServerFailureError,
    TlsError,
)
from pynamodb_alternator.local import LocalCluster, LocalTls
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.tls import TlsContexts
from tests.chaos.support import UNHURRIED
from tests.chaos.support import until as eventually
from tests.transport.servers import FullListener, Server, read_request

from .conftest import Recorder
from .support import CREATE, KEY, PATIENCE, TABLE, get, increment, outcome, put, run, until

NEVER_SUSPECT = Health(suspect_after=1000.0, active_failure_threshold=1000)
"""So that nothing but what the test does ends a request."""


def config_of(local: LocalCluster, **settings: Any) -> ClusterConfig:
    # Without affinity there are no requests but the test's own: nothing has to be learnt of the tables.
    settings.setdefault("key_route_affinity", "none")
    return ClusterConfig([node.host for node in local.nodes], port=local.port, **settings)


async def prepared(cluster: AsyncCluster, local: LocalCluster) -> Any:
    """A client whose table is there, and all of whose nodes are known to be well."""
    client = await cluster.client()
    with cluster.options(timeouts=UNHURRIED):
        await client.create_table(**CREATE)
        await put(client)
    membership = cluster.core.membership
    await until(lambda: [node.state.value for node in membership.nodes()] == ["active"] * len(local.nodes))
    for node in local.nodes:
        node.forget()
    return client


def in_use(cluster: AsyncCluster) -> int:
    return sum(stats.connections_in_use for stats in cluster.stats().values())


def states(cluster: AsyncCluster) -> set[str]:
    return {node.state.value for node in cluster.core.membership.nodes()}


def hang_requests(local: LocalCluster, seconds: float = 60.0) -> None:
    """Requests hang, and probes do not."""
    for node in local.nodes:
        node.delay(seconds)


async def under_way(local: LocalCluster, count: int = 1) -> None:
    await until(lambda: sum(len(node.requests) for node in local.nodes) >= count)


# ---- operations --------------------------------------------------------------------------------------------------


def test_the_client_has_all_item_operations(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(local.url) as cluster:
            client = await cluster.client()
            assert await cluster.client() is client
            await client.create_table(**CREATE)
            await client.get_waiter("table_exists").wait(TableName=TABLE)
            await client.put_item(TableName=TABLE, Item={**KEY, "blob": {"B": b"\x00\xff"}, "value": {"N": "1"}})
            assert (await client.get_item(TableName=TABLE, Key=KEY))["Item"]["blob"] == {"B": b"\x00\xff"}
            await increment(client)
            assert await get(client) == 2
            with pytest.raises(client.exceptions.ConditionalCheckFailedException):
                await client.put_item(TableName=TABLE, Item=KEY, ConditionExpression="attribute_not_exists(id)")
            writes = [{"PutRequest": {"Item": {"id": {"S": f"b{n}"}}}} for n in range(7)]
            await client.batch_write_item(RequestItems={TABLE: writes})
            keys = [{"id": {"S": f"b{n}"}} for n in range(7)]
            answer = await client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
            assert len(answer["Responses"][TABLE]) == 7
            query = await client.query(
                TableName=TABLE, KeyConditionExpression="id = :k", ExpressionAttributeValues={":k": {"S": "b1"}}
            )
            assert query["Count"] == 1
            scan = client.get_paginator("scan").paginate(TableName=TABLE, PaginationConfig={"PageSize": 3})
            assert [page["Count"] async for page in scan] == [3, 3, 2]
            await client.delete_item(TableName=TABLE, Key=KEY)
            assert "Item" not in await client.get_item(TableName=TABLE, Key=KEY)
            with pytest.raises(ClientError, match="ResourceNotFoundException"):
                await client.get_item(TableName="none", Key=KEY)
            async with client:
                pass
            await client.close()
            assert (await client.list_tables())["TableNames"] == [TABLE]
            assert {node.address for node in await cluster.nodes()} == {node.address for node in local.nodes}
            assert await cluster.refresh()
            assert await cluster.check()
        assert all(node.requests for node in local.nodes)

    run(main)


def test_nothing_is_left_behind(local: LocalCluster) -> None:
    before = set(threading.enumerate())

    async def main() -> None:
        cluster = AsyncCluster(local.url)
        client = await cluster.client()
        await asyncio.gather(*(client.list_tables() for _ in range(40)))
        await cluster.aclose()
        await cluster.aclose()
        assert cluster.closed
        with pytest.raises(ClusterClosedError):
            await client.list_tables()
        with pytest.raises(ClusterClosedError):
            await cluster.client()

    run(main)
    assert not [
        thread for thread in threading.enumerate() if thread not in before and "pynamodb_alternator" in thread.name
    ]
    eventually(lambda: not any(node.open_connections for node in local.nodes))


def test_closing_while_the_client_is_being_made(local: LocalCluster) -> None:
    async def main() -> None:
        cluster = AsyncCluster(local.url)
        waiting = [asyncio.create_task(cluster.client()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await cluster.aclose()
        assert all(isinstance(outcome, BaseException) for outcome in await gathered(waiting))

    run(main)


def test_models_and_tasks_share_one_cluster(local: LocalCluster) -> None:
    with Cluster(config_of(local)) as made:

        class Item(Model):
            class Meta:
                table_name = TABLE
                billing_mode = "PAY_PER_REQUEST"
                cluster = made

            id = UnicodeAttribute(hash_key=True)
            value = NumberAttribute()

        Item.create_table()
        Item("k", value=7).save()

        async def main() -> None:
            async with AsyncCluster(made) as cluster:
                client = await cluster.client()
                assert await get(client) == 7
                local.nodes[1].kill(still_listed=True)  # else it is down for a moment only
                assert await asyncio.gather(*(get(client) for _ in range(20))) == [7] * 20
                # What the tasks found out, the models know.
                await until(lambda: made.core.membership.view.down)
            assert not made.closed

        run(main)
        assert Item.get("k").value == 7
    assert repr(AsyncCluster(made)).startswith("<AsyncCluster 'default'")


def test_it_is_exported_from_the_package() -> None:
    assert pynamodb_alternator.AsyncCluster is AsyncCluster
    with pytest.raises(AttributeError):
        pynamodb_alternator.Nothing  # type: ignore[attr-defined]  # noqa: B018


# ---- nodes that fail ---------------------------------------------------------------------------------------------


def test_nothing_fails_when_a_node_is_killed(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await prepared(cluster, local)
            unknown = 0
            numbers = iter(range(1_200))

            async def work() -> None:
                nonlocal unknown
                for number in numbers:
                    if number == 300:
                        await asyncio.to_thread(local.nodes[1].kill)
                    if number % 3:
                        await put(client, f"k{number}", number)
                        assert await get(client, f"k{number}") == number
                    else:
                        try:
                            await increment(client)
                        except OutcomeUnknownError:
                            unknown += 1

            await asyncio.gather(*(work() for _ in range(16)))
            assert unknown <= 16
            assert 400 - unknown <= (await get(client) or 0) <= 400
            assert in_use(cluster) == 0

    run(main)


def test_a_node_that_hangs_is_found_out_and_its_requests_move_on(local: LocalCluster, recorder: Recorder) -> None:
    async def main() -> None:
        config = config_of(local, health=Health(suspect_after=0.2, probe_timeout=0.3), timeouts=Timeouts(read=50.0))
        async with AsyncCluster(config) as cluster:
            client = await prepared(cluster, local)
            local.nodes[2].hang()
            started = time.monotonic()
            assert await asyncio.gather(*(get(client) for _ in range(12))) == [0] * 12
            assert time.monotonic() - started < 15
            down = recorder.of("node_down")
            assert {event["node"] for event in down} == {local.nodes[2].address}
            retried = recorder.of("request_retried")
            assert retried
            assert "declared down" in str(retried[0]["error"])
            assert in_use(cluster) == 0

    run(main)


@pytest.mark.parametrize(
    "fault", ["reset_mid_answer", "truncate_answer", "garbage_answer", "cut_chunked", "drop_after_execute"]
)
def test_a_read_is_repeated_and_an_increment_is_not(local: LocalCluster, fault: str) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await prepared(cluster, local)
            for node in local.nodes[:2]:
                getattr(node, fault)(None)
            assert [await get(client) for _ in range(6)] == [0] * 6
            for node in local.nodes:
                node.clear_faults()
                getattr(node, fault)(None, operation="UpdateItem")
            with pytest.raises(OutcomeUnknownError) as raised:
                await increment(client)
            assert len(raised.value.nodes_tried) == 1
            for node in local.nodes:
                node.clear_faults()
            assert await get(client) == 1
            assert in_use(cluster) == 0

    run(main)


def test_a_connection_that_the_node_has_closed_is_not_used_again(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await prepared(cluster, local)
            for number in range(9):
                # The loop has no time to look: the kernel is asked.
                assert sum(node.close_idle_connections() for node in local.nodes)
                await increment(client)
                assert await get(client) == number + 1

    run(main)


def test_the_read_timeout_ends_a_request(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local, timeouts=Timeouts(read=0.2), health=NEVER_SUSPECT)) as cluster:
            client = await prepared(cluster, local)
            hang_requests(local)
            with pytest.raises(ReadTimeoutError, match=r"did not answer within the read timeout of 0\.2 s"):
                await increment(client)
            with pytest.raises(ReadTimeoutError) as raised:
                await get(client)
            assert len(raised.value.nodes_tried) == 3

    run(main)


def test_the_deadline_of_the_whole_call(local: LocalCluster) -> None:
    async def main() -> None:
        timeouts = Timeouts(connect=15.0, read=15.0, total=0.4)
        async with AsyncCluster(config_of(local, timeouts=timeouts, health=NEVER_SUSPECT)) as cluster:
            client = await prepared(cluster, local)
            hang_requests(local)
            for request in (get, increment):
                started = time.monotonic()
                with pytest.raises(DeadlineAfterSendError, match=r"total timeout of 0\.4 s"):
                    await request(client)
                assert 0.35 <= time.monotonic() - started < 7
            for node in local.nodes:
                node.clear_faults()
                node.wrong_content_length(50, times=None)
            with pytest.raises(DeadlineAfterSendError):
                await get(client)

    run(main)


def test_the_start_does_not_block_the_event_loop_and_keeps_the_deadline(local: LocalCluster) -> None:
    async def main() -> None:
        for node in local.nodes:
            node.hang()
        turns = 0

        async def tick() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        for monitor in (True, False):
            config = config_of(local, timeouts=Timeouts(total=0.6), monitor=monitor, discovery=Discovery(timeout=5.0))
            async with AsyncCluster(config) as cluster:
                client = await cluster.client()
                turns, ticking = 0, asyncio.create_task(tick())
                with pytest.raises((DeadlineAfterSendError, DeadlineBeforeSendError)):
                    await client.list_tables()
                assert turns > 10
                ticking.cancel()
                await outcome(asyncio.wait([ticking]))

    run(main)


def test_a_cluster_without_a_monitor_serves_requests(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local, monitor=False, discovery=Discovery(interval=0.05))) as cluster:
            client = await cluster.client()
            await asyncio.gather(*(client.list_tables() for _ in range(20)))
            local.nodes[0].kill()
            await until(lambda: len(cluster.core.membership.view.topology.ring) == 3)

            async def without_it() -> bool:
                await client.list_tables()
                return len(cluster.core.membership.view.topology.ring) == 2

            while not await without_it():
                pass

    run(main)


def test_no_thread_can_be_started(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("pynamodb_alternator"):
            raise RuntimeError("can't start new thread")
        start(thread)

    async def main() -> None:
        async with AsyncCluster(config_of(local, discovery=Discovery(interval=0.05))) as cluster:
            client = await cluster.client()
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                await asyncio.gather(*(client.list_tables() for _ in range(20)))
                assert len(cluster.core.membership.view.topology.ring) == 3
                local.nodes[0].kill()
                while len(cluster.core.membership.view.topology.ring) == 3:
                    await client.list_tables()
                assert not cluster.core.monitor.running
            while not cluster.core.monitor.running:
                await client.list_tables()

    run(main)


def test_the_loop_starts_no_thread_for_requests(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    start, starters = threading.Thread.start, set[int]()

    def note(thread: threading.Thread) -> None:
        if thread.name.startswith("pynamodb_alternator"):
            starters.add(threading.get_ident())
        start(thread)

    async def main() -> None:
        async with AsyncCluster(config_of(local, key_route_affinity="any_write")) as cluster:
            client = await cluster.client()  # which is made in a thread
            monkeypatch.setattr(threading.Thread, "start", note)
            await asyncio.gather(*(client.list_tables() for _ in range(20)))
            # A write to a table of which nothing is known: a look-up asks about it.
            await outcome(client.put_item(TableName="t", Item={"k": {"S": "a"}}))
            local.nodes[0].kill()
            await until(lambda: len(cluster.core.membership.view.topology.ring) == 2)
            await asyncio.gather(*(client.list_tables() for _ in range(20)))
            assert starters
            assert threading.get_ident() not in starters

    run(main)


# ---- tasks that end ----------------------------------------------------------------------------------------------


def test_a_cancelled_request_leaves_pool_and_health_as_they_were(local: LocalCluster, recorder: Recorder) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local, health=Health(suspect_after=1000.0))) as cluster:
            client = await prepared(cluster, local)
            hang_requests(local)
            tasks = [asyncio.create_task(get(client)) for _ in range(9)]
            await under_way(local, 9)
            assert in_use(cluster) == 9
            for task in tasks:
                task.cancel()
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in await gathered(tasks))
            assert in_use(cluster) == 0
            # Their connections are closed, because the answers may still come.
            assert {stats.connections_open for stats in cluster.stats().values()} <= {0, 1}
            assert all(connection.reusable for pool in cluster._pools._pools.values() for connection in pool._idle)
            for node in local.nodes:
                node.clear_faults()
            assert states(cluster) == {"active"}
            assert not recorder.of("node_down")
            assert not recorder.of("node_quarantined")
            assert {stats.failures for stats in cluster.stats().values()} == {0}
            ended = [event for event in recorder.of("request_completed") if event["operation"] == "GetItem"]
            assert [type(event["error"]) for event in ended[-9:]] == [asyncio.CancelledError] * 9
            assert await asyncio.gather(*(get(client) for _ in range(9))) == [0] * 9

    run(main)


async def gathered(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def test_asyncio_timeout_ends_a_request(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local, health=NEVER_SUSPECT)) as cluster:
            client = await prepared(cluster, local)
            hang_requests(local)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await get(client)
            assert in_use(cluster) == 0
            assert states(cluster) == {"active"}

    run(main)


def test_a_node_whose_requests_are_always_cancelled_is_probed(local: LocalCluster) -> None:
    """A task that waits less than `suspect_after` would never find out that a node hangs."""

    async def main() -> None:
        async with AsyncCluster(config_of(local, health=Health(probe_timeout=0.3))) as cluster:
            client = await prepared(cluster, local)
            local.nodes[0].hang()

            async def impatient() -> None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.15):
                        await get(client)

            while not cluster.core.membership.view.down:
                await impatient()
            assert [await get(client) for _ in range(6)] == [0] * 6

    run(main)


@pytest.mark.parametrize("seed", range(3))
def test_cancelling_at_any_moment_loses_no_connection(local: LocalCluster, seed: int) -> None:
    """In the queue of a full pool, while connecting, sending and waiting."""

    async def main() -> None:
        chance = random.Random(seed)
        async with AsyncCluster(config_of(local, max_pool_connections=2)) as cluster:
            client = await prepared(cluster, local)
            for _ in range(15):
                tasks = [asyncio.create_task(get(client)) for _ in range(30)]
                for task in chance.sample(tasks, 20):
                    for _ in range(chance.randrange(4)):
                        await asyncio.sleep(0)
                    task.cancel()
                await gathered(tasks)
                assert in_use(cluster) == 0
            assert all(stats.connections_open <= 2 for stats in cluster.stats().values())
            # The pools are whole: both connections of each node can be had.
            for pool in cluster._pools._pools.values():
                taken = [await pool.acquire(5.0), await pool.acquire(5.0)]
                for connection in taken:
                    pool.release(connection)
            assert await asyncio.gather(*(get(client) for _ in range(30))) == [0] * 30

    run(main)


def test_requests_under_way_end_well_when_the_cluster_is_closed(local: LocalCluster) -> None:
    async def main() -> None:
        cluster = AsyncCluster(config_of(local))
        client = await prepared(cluster, local)
        for node in local.nodes:
            node.delay(0.3)
        task = asyncio.create_task(get(client))
        await under_way(local)
        await cluster.aclose()
        assert await task == 0
        await until(lambda: not any(node.open_connections for node in local.nodes))

    run(main)


# ---- pools -------------------------------------------------------------------------------------------------------


def test_the_limit_of_a_pool(local: LocalCluster) -> None:
    async def main() -> None:
        config = config_of(local, max_pool_connections=2, timeouts=Timeouts(pool=0.3), health=NEVER_SUSPECT)
        async with AsyncCluster(config) as cluster:
            client = await prepared(cluster, local)
            assert await asyncio.gather(*(get(client) for _ in range(60))) == [0] * 60
            assert all(stats.connections_open <= 2 for stats in cluster.stats().values())
            hang_requests(local)
            busy = [asyncio.create_task(get(client)) for _ in range(6)]
            await under_way(local, 66)
            with pytest.raises(PoolTimeoutError, match="all 2 connections"):
                await increment(client)
            for task in busy:
                task.cancel()
            await gathered(busy)

    run(main)


def test_a_node_that_goes_down_is_not_waited_for_in_the_queue(local: LocalCluster) -> None:
    async def main() -> None:
        config = config_of(local, max_pool_connections=1, retries=Retries(1), health=NEVER_SUSPECT)
        async with AsyncCluster(config) as cluster:
            client = await prepared(cluster, local)
            hang_requests(local)
            tasks = [asyncio.create_task(outcome(increment(client))) for _ in range(6)]
            await under_way(local, 3)
            cluster.core.all_pools.cut(cluster.core.membership.view.topology.ring[0], "a test says so")
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            assert all("a test says so" in str(task.result()) for task in ended)
            assert ended
            for task in tasks:
                task.cancel()
            await gathered(tasks)

    run(main)


# ---- event loops and processes -----------------------------------------------------------------------------------


def test_another_event_loop_is_refused(local: LocalCluster) -> None:
    cluster = AsyncCluster(config_of(local))
    clients = []

    async def first() -> None:
        client = await cluster.client()
        await client.list_tables()
        clients.append(client)
        for node in local.nodes:
            node.close_idle_connections()
        await until(lambda: not any(pool._idle and pool._idle[0].reusable for pool in cluster._pools._pools.values()))

    async def second() -> None:
        with pytest.raises(EventLoopError, match=r"that one is closed\. Ask for it at each use, with aio\.get_cluster"):
            await clients[0].list_tables()
        with pytest.raises(EventLoopError):
            await cluster.client()
        await cluster.aclose()
        assert cluster.cluster.closed

    async def third() -> None:
        clients.append(await AsyncCluster(local.url).client())

    run(first)
    run(second)
    with pytest.raises(EventLoopError, match="No event loop"):
        AsyncCluster(local.url)._here()
    asyncio.run(third())
    with pytest.raises(EventLoopError, match="No event loop"):
        clients[1].list_tables().send(None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_takes_an_event_loop_of_its_own(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await prepared(cluster, local)
            await asyncio.gather(*(get(client) for _ in range(9)))
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    made: list[Any] = []

                    async def in_child() -> None:
                        made.append(await asyncio.gather(*(get(client) for _ in range(9))))
                        await cluster.aclose()

                    thread = threading.Thread(target=asyncio.run, args=(in_child(),))
                    thread.start()
                    thread.join(30)
                    code = 0 if made == [[0] * 9] else 2
                finally:
                    os._exit(code)
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            opened = sum(stats.connections_opened for stats in cluster.stats().values())
            assert await asyncio.gather(*(get(client) for _ in range(9))) == [0] * 9
            # The parent's connections were not closed behind its back.
            assert sum(stats.connections_opened for stats in cluster.stats().values()) == opened

    run(main)


# ---- signals and options -----------------------------------------------------------------------------------------


def test_options_hold_in_their_own_task(local: LocalCluster, recorder: Recorder) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await prepared(cluster, local)
            recorder.clear()
            both = asyncio.Barrier(2)

            async def named(name: str) -> None:
                with cluster.options(extra_headers={"X-Task": name}, consistent_node=name):
                    await both.wait()
                    for _ in range(5):
                        await get(client)
                    await both.wait()

            await asyncio.gather(named("one"), named("two"))
            received = [request.headers.get("x-task") for node in local.nodes for request in node.requests]
            assert sorted(filter(None, received)) == ["one"] * 5 + ["two"] * 5
            nodes = {
                name: {
                    node.address
                    for node in local.nodes
                    for request in node.requests
                    if request.headers["x-task"] == name
                }
                for name in ("one", "two")
            }
            assert all(len(addresses) == 1 for addresses in nodes.values())
            with cluster.options(timeouts={"total": 0.2}):
                hang_requests(local)
                with pytest.raises(DeadlineAfterSendError):
                    await get(client)
            routed = recorder.of("request_routed")
            assert {event["sender"] for event in routed} == {cluster.cluster}
            assert len(recorder.of("request_completed")) == 11

    run(main)


# ---- TLS ---------------------------------------------------------------------------------------------------------


def test_tls_resumes_sessions() -> None:
    with LocalCluster(nodes=2, tls=True) as local:

        async def main() -> None:
            config = config_of(local, scheme="https", tls=Tls(ca=local.tls.ca_file))
            async with AsyncCluster(config) as cluster:
                client = await prepared(cluster, local)
                assert await asyncio.gather(*(get(client) for _ in range(10))) == [0] * 10
                assert any(node.tls_resumed for node in local.nodes)
                local.nodes[0].kill()
                assert await asyncio.gather(*(get(client) for _ in range(10))) == [0] * 10

        run(main)


def test_a_node_accepts_the_client_certificate() -> None:
    with LocalCluster(nodes=1, tls=LocalTls(client_certificates="required")) as local:
        pair = local.tls.client("alice")

        async def main() -> None:
            tls = Tls(ca=local.tls.ca_file, client_cert=(pair.certificate, pair.key))
            async with AsyncCluster(config_of(local, scheme="https", tls=tls)) as cluster:
                assert await (await cluster.client()).list_tables()

        run(main)


def test_a_certificate_that_is_not_accepted() -> None:
    with LocalCluster(nodes=1, tls=LocalTls(certificate="wrong_host")) as local:
        contexts = TlsContexts(Tls(ca=local.tls.ca_file))
        node = Node("https", local.nodes[0].host, local.port)

        async def main() -> None:
            config = config_of(local, scheme="https", tls=Tls(ca=local.tls.ca_file), retries=Retries(1))
            async with AsyncCluster(config) as cluster:
                client = await cluster.client()
                with pytest.raises(NotSentError, match="certificate"):
                    await client.list_tables()
            connection = AsyncConnection(node, asyncio.get_running_loop())
            with pytest.raises(TlsError, match=r"its certificate was not accepted: .*Have a certificate issued"):
                await connection.connect(connect_timeout=5.0, tls=contexts)
            await connection.wait_closed()

        run(main)


# ---- a connection by itself --------------------------------------------------------------------------------------


def test_connecting_fails_if_no_node_listens_or_accepts(local: LocalCluster) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        listed = AsyncConnection(Node("http", "localhost", local.port, is_listed_name=True), loop)
        with pytest.raises(NodeUnreachableError, match=r"a name that a node has listed, and leads to .*loopback"):
            await listed.connect(connect_timeout=5.0)
        assert not listed.reusable
        local.nodes[0].kill()
        connection = AsyncConnection(Node("http", local.nodes[0].host, local.port), loop)
        with pytest.raises(NodeUnreachableError, match="Connection refused"):
            await connection.connect(connect_timeout=5.0)
        with pytest.raises(NodeUnreachableError):
            await connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"", read_timeout=1.0)
        assert not connection.reusable
        with FullListener() as never:
            connection = AsyncConnection(never, loop)
            with pytest.raises(ConnectTimeoutError, match=r"did not accept the connection within 0\.1 s"):
                await connection.connect(connect_timeout=0.1)
            connection = AsyncConnection(never, loop)
            connecting = asyncio.create_task(connection.connect(connect_timeout=30.0))
            await asyncio.sleep(0)
            connection.cut("a test says so")
            with pytest.raises(NodeUnreachableError, match="a test says so"):
                await connecting

    run(main)


def test_a_request_that_the_node_does_not_read_times_out() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(1)
            connection = AsyncConnection(Node("http", *deaf.getsockname()), loop)
            await connection.connect(connect_timeout=5.0)
            with pytest.raises(ReadTimeoutError, match="took no more of the request"):
                await connection.exchange(b"POST / HTTP/1.1\r\n\r\n", bytes(15_000_000), read_timeout=0.2)
            await connection.wait_closed()

    run(main)


# ---- writes whose node goes silent -------------------------------------------------------------------------------


async def answered_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, go_on: asyncio.Event) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await go_on.wait()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    writer.close()


def test_a_patient_exchange_is_not_cut() -> None:
    async def main() -> None:
        go_on = asyncio.Event()
        server = await asyncio.start_server(lambda reader, writer: answered_late(reader, writer, go_on), "127.0.0.1", 0)
        async with server:
            loop = asyncio.get_running_loop()
            connections = [AsyncConnection(Node("http", *server.sockets[0].getsockname()), loop) for _ in range(2)]
            for connection in connections:
                await connection.connect(connect_timeout=5.0)
            patient, other = (
                asyncio.create_task(
                    outcome(connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"", read_timeout=60.0, patient=is_patient))
                )
                for connection, is_patient in zip(connections, (True, False), strict=True)
            )
            await until(lambda: all(connection._waiter is not None for connection in connections))
            for connection in connections:
                connection.cut("a test says so")
            error = await other
            assert isinstance(error, ConnectionLostError)
            assert error.may_still_execute
            assert not patient.done()
            go_on.set()
            assert (await patient).status == 200
            for connection in connections:
                connection.close()
                await connection.wait_closed()

    run(main)


@pytest.mark.parametrize("end", ["part", "answer", "close", "reset"])
def test_a_cut_after_the_node_has_spoken_is_not_silence(end: str) -> None:
    """The event loop has had no time to look: it is this very function that runs in it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connection = AsyncConnection(Node("http", *listener.getsockname()), loop)
            await connection.connect(connect_timeout=5.0)
            peer, _ = listener.accept()
            waiting = asyncio.create_task(
                outcome(connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"", read_timeout=60.0))
            )
            await until(lambda: connection._waiter is not None)
            poller = connection._poller
            if end == "part":
                peer.sendall(b"HTTP/1.1 200 OK\r\n")
            elif end == "answer":
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                if end == "reset":
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
            assert poller.poll(10_000)
            connection.cut("a test says so")
            error = await waiting
            if end == "answer":
                assert error.status == 200
            else:
                assert isinstance(error, ConnectionLostError)
                assert not error.may_still_execute
            assert not connection.reusable
            peer.close()
            connection.close()
            await connection.wait_closed()

    run(main)


@pytest.mark.parametrize("status", [500, 503])
def test_an_answer_that_leaves_the_outcome_of_a_write_open(local: LocalCluster, status: int) -> None:
    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await prepared(cluster, local)
            seen: list[Any] = []
            client.meta.events.register("after-call.dynamodb", lambda **payload: seen.append(payload["parsed"]))
            kind = "InternalServerError" if status == 500 else "ServiceUnavailable"
            for node in local.nodes:
                node.fail_with(kind, status=status, operation="UpdateItem")
            with pytest.raises(ServerFailureError) as raised:
                await increment(client)
            error = raised.value
            assert isinstance(error, ClientError)
            assert isinstance(error, client.exceptions.from_code(kind))
            assert (error.response["Error"]["Code"], error.operation_name) == (kind, "UpdateItem")
            assert error.may_still_execute == (status == 503)
            assert seen[-1] is error.response

    run(main)


@pytest.mark.parametrize("says_farewell", [True, False])
def test_an_end_without_close_notify_does_not_complete_an_answer(says_farewell: bool) -> None:
    """Its body lasts until the connection ends, and anybody on the way can end a TCP connection."""

    def ends_so(sock: socket.socket) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}")
        if says_farewell:
            with contextlib.suppress(OSError):
                sock.unwrap()
        else:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    with LocalCluster(1, tls=True) as local, Server(ends_so, tls=local.tls.context_of("127.0.0.1")) as server:
        contexts = TlsContexts(Tls(ca=local.tls.ca_file))

        async def main() -> None:
            connection = AsyncConnection(server.node(), asyncio.get_running_loop())
            await connection.connect(connect_timeout=10.0, tls=contexts)
            got = await outcome(connection.exchange(b"POST / HTTP/1.1\r\n\r\n", b"", read_timeout=10.0))
            if says_farewell:
                assert got.body == b"{}"
            else:
                assert isinstance(got, ConnectionLostError), got
            assert not connection.reusable
            connection.close()
            await connection.wait_closed()

        run(main)


# ---- a resolver that hangs ---------------------------------------------------------------------------------------


class HangingResolver:
    """Stands where the machine's resolver does. Names under ``hang.example`` wait while `go_on` is not set; those under
    ``example`` are 127.0.0.1, or what `addresses` has."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked: list[tuple[str, str]] = []
        """Each name with the name of the thread in which it was asked for."""
        self.addresses = ["127.0.0.1"]
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *more: Any, **settings: Any) -> Any:
        if not str(host).endswith("example"):
            return self._real(host, port, *more, **settings)
        self.asked.append((host, threading.current_thread().name))
        if host.endswith("hang.example"):
            self.go_on.wait(PATIENCE)
        return [answer for address in self.addresses for answer in self._real(address, port, *more, **settings)]


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingResolver]:
    resolver = HangingResolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.go_on.set()
    eventually(
        lambda: not [thread for thread in threading.enumerate() if thread.name == "pynamodb_alternator-resolver"]
    )


def test_a_resolver_that_hangs_is_bounded_by_the_deadline(local: LocalCluster, hanging: HangingResolver) -> None:
    async def main(config: ClusterConfig, text: str) -> None:
        try:
            async with AsyncCluster(config) as cluster:
                client = await cluster.client()
                with pytest.raises(NotSentError, match=text):
                    await asyncio.wait_for(put(client), PATIENCE / 2)
        finally:
            hanging.go_on.set()

    seed = ClusterConfig(["hang.example"], port=local.port, timeouts=Timeouts(total=0.3))
    run(lambda: main(seed, "."))
    hanging.go_on.clear()
    node = config_of(local, timeouts=Timeouts(total=0.3), address_translator=lambda address: "hang.example")
    # The request waits until that node has answered a probe, and goes there no sooner.
    run(lambda: main(node, r"no usable node has answered GET / yet \(hang.example:"))


def test_the_first_request_waits_for_a_slow_resolver(local: LocalCluster, hanging: HangingResolver) -> None:
    """Seen: it failed after `startup_wait`, though the resolver was still being asked."""

    async def main(total: float | None, monitor: bool) -> None:
        hanging.go_on.clear()
        hanging.asked.clear()
        config = ClusterConfig(
            ["hang.example"],
            port=local.port,
            monitor=monitor,
            timeouts=Timeouts(total=total),
            discovery=Discovery(startup_wait=0.05),
        )
        async with AsyncCluster(config) as cluster:
            client = await cluster.client()
            request = asyncio.create_task(client.list_tables())
            await until(lambda: hanging.asked)
            # Longer than a request took to fail: `startup_wait`, and all cycles with their pauses.
            assert not (await asyncio.wait([request], timeout=0.5))[0]
            hanging.go_on.set()
            assert (await request)["TableNames"] == []

    for total in (None, 60.0):
        for monitor in (True, False):
            run(lambda: main(total, monitor))  # noqa: B023 (it runs now)


def test_the_error_of_a_first_request_names_the_unresolved_seeds(local: LocalCluster, hanging: HangingResolver) -> None:
    async def main(timeouts: Timeouts, monitor: bool) -> None:
        async with AsyncCluster(
            ClusterConfig(["hang.example"], port=local.port, monitor=monitor, timeouts=timeouts)
        ) as cluster:
            client = await cluster.client()
            with pytest.raises(NotSentError, match=r"the names of the seeds are still being resolved \(hang.example\)"):
                await asyncio.wait_for(client.list_tables(), PATIENCE / 2)

    for timeouts in (Timeouts(total=0.3), Timeouts(read=0.3)):
        for monitor in (True, False):
            run(lambda: main(timeouts, monitor))  # noqa: B023 (it runs now)


def test_names_are_not_looked_up_in_the_executor_of_the_loop(hanging: HangingResolver) -> None:
    """Seen: one name that hung took all threads of the executor, and then healthy nodes could not be connected to."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as full, Server() as server:
            loop.set_default_executor(full)
            full.submit(hanging.go_on.wait, PATIENCE)
            lost, fine = (Node("http", name, server.node().port) for name in ("hang.example", "fine.example"))
            waiting = [asyncio.create_task(AsyncConnection(lost, loop).connect(connect_timeout=20)) for _ in range(5)]
            await until(lambda: hanging.asked)
            for _ in range(3):
                connection = AsyncConnection(fine, loop)
                await connection.connect(connect_timeout=PATIENCE)
                connection.close()
                await connection.wait_closed()
            # One that loses patience says why, and takes nothing from the others.
            with pytest.raises(NodeUnreachableError, match=r"the resolver did not answer for 'hang.example' within"):
                await AsyncConnection(lost, loop).connect(connect_timeout=0.05)
            assert [name for name, _ in hanging.asked].count("hang.example") == 1
            assert {thread for _, thread in hanging.asked} == {"pynamodb_alternator-resolver"}
            waiting.pop().cancel()
            hanging.go_on.set()
            assert await asyncio.gather(*waiting) == [None] * 4

    run(main)


def test_a_name_of_several_addresses(hanging: HangingResolver) -> None:
    hanging.addresses = ["127.0.0.99", "127.0.0.1"]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with Server() as server:
            connection = AsyncConnection(Node("http", "all.example", server.node().port), loop)
            await connection.connect(connect_timeout=PATIENCE)
            connection.close()
            await connection.wait_closed()
            hanging.addresses = ["127.0.0.99"]
            with pytest.raises(NodeUnreachableError, match="refused"):
                await AsyncConnection(Node("http", "all.example", server.node().port), loop).connect(connect_timeout=20)
            hanging.addresses = []
            with pytest.raises(NodeUnreachableError, match=r"all.example has no address"):
                await AsyncConnection(Node("http", "all.example", server.node().port), loop).connect(connect_timeout=20)

    run(main)
