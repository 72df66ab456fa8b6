"""A pool of an event loop takes over the connections that probes have opened, as those of threads do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator.aio.connection import AsyncConnection
from pynamodb_alternator.aio.pool import AsyncNodePool
from pynamodb_alternator.errors import ConnectionLostError
from pynamodb_alternator.transport.control import ControlConnections
from pynamodb_alternator.transport.pool_core import PoolStats
from pynamodb_alternator.transport.request import build_head
from pynamodb_alternator.transport.turnover import NEVER, Renewal
from tests.transport.servers import Server

from .support import run, until


@contextlib.asynccontextmanager
async def pool_of(
    server: Server, control: ControlConnections, renewal: Renewal = NEVER
) -> AsyncIterator[AsyncNodePool]:
    loop = asyncio.get_running_loop()
    pool = AsyncNodePool(server.node(), loop, limit=4, max_idle=1e6, renewal=renewal, hand_over=control.hand_over)
    yield pool
    for connection in pool.close():
        await connection.wait_closed()
    control.close()


async def exchange(connection: AsyncConnection) -> int:
    answer = await connection.exchange(build_head("a.B", "h", 2), b"{}", read_timeout=20.0)
    return answer.status


async def until_it_breaks(connection: AsyncConnection) -> None:
    while True:
        await exchange(connection)


def test_the_first_connection_is_that_of_the_probe() -> None:
    async def main() -> None:
        control = ControlConnections()
        with Server() as server:
            async with pool_of(server, control) as pool:
                await asyncio.to_thread(control.fetch, server.node(), "/", timeout=5)
                first = await pool.acquire(5.0)
                assert (server.accepted, control.connections(), pool.stats()) == (1, [], PoolStats(1, 1, 1))
                assert await exchange(first) == 200
                second = await pool.acquire(5.0)  # there is no further one to take over
                assert await exchange(second) == 200
                assert server.accepted == 2
                for connection in (first, second):
                    pool.release(connection)
                assert await pool.acquire(5.0) is first
                assert await exchange(first) == 200
                pool.release(first)

    run(main)


def test_a_connection_that_has_reached_its_age_makes_room_for_a_new_one() -> None:
    """The connection of the probe may be as old."""

    async def main() -> None:
        control = ControlConnections()
        with Server() as server:
            async with pool_of(server, control, Renewal(1e-6, lambda low, high: 1.0)) as pool:
                old = await pool.acquire(5.0)
                pool.release(old)
                await asyncio.to_thread(control.fetch, server.node(), "/", timeout=5)
                new = await pool.acquire(5.0)
                assert new is not old
                assert await exchange(new) == 200
                assert (server.accepted, len(control.connections())) == (3, 1)
                pool.release(new)

    run(main)


def test_one_that_was_closed_meanwhile_is_not_taken_over() -> None:
    async def main() -> None:
        control = ControlConnections()
        with Server() as server:
            async with pool_of(server, control) as pool:
                await asyncio.to_thread(control.fetch, server.node(), "/", timeout=5)
                server.hang_up()
                (closed,) = control.connections()
                await until(closed.is_stale)
                connection = await pool.acquire(5.0)
                assert await exchange(connection) == 200
                assert pool.stats().open == 1
                pool.release(connection)

    run(main)


def test_one_that_breaks_at_its_first_request_lay_idle() -> None:
    """So it says nothing of its node."""

    async def main() -> None:
        control = ControlConnections()
        with Server() as server:
            async with pool_of(server, control) as pool:
                await asyncio.to_thread(control.fetch, server.node(), "/", timeout=5)
                connection = await pool.acquire(5.0)
                server.hang_up()
                with pytest.raises(ConnectionLostError) as lost:
                    await until_it_breaks(connection)
                assert lost.value.was_idle
                pool.release(connection)

    run(main)


@pytest.mark.parametrize("turns", range(4))
def test_a_task_that_is_cancelled_while_it_takes_one_over_leaves_nothing(turns: int) -> None:
    async def main() -> None:
        control = ControlConnections()
        with Server() as server:
            async with pool_of(server, control) as pool:
                await asyncio.to_thread(control.fetch, server.node(), "/", timeout=5)
                task = asyncio.create_task(pool.acquire(5.0))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    pool.release(await task)
                assert pool.stats().in_use == 0

    run(main)


def test_an_event_loop_that_ends_amid_a_take_over_ends_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    control = ControlConnections()
    tasks: list[asyncio.Task[Any]] = []

    async def main() -> None:
        tasks.append(asyncio.create_task(pool.acquire(5.0)))
        await asyncio.sleep(0)

    with Server() as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # asyncio warns of the transport that it could not close
        control.fetch(server.node(), "/", timeout=5)
        loop = asyncio.SelectorEventLoop()  # uvloop takes the connection over at once
        pool = AsyncNodePool(server.node(), loop, limit=4, max_idle=1e6, hand_over=control.hand_over)
        loop.run_until_complete(main())
        loop.close()
        assert not tasks[0].done()
        tasks.clear()
        gc.collect()
        control.close()
    assert [str(each.exc_value) for each in unraisable] == []
