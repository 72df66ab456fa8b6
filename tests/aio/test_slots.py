"""No slot of an event loop's pool is lost, whenever a task is cancelled, and wherever an exception comes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator.aio.connection import AsyncConnection
from pynamodb_alternator.aio.pool import AsyncNodePool, AsyncPools
from pynamodb_alternator.errors import ConnectionLostError, TransportError
from pynamodb_alternator.transport.all_pools import AllPools
from pynamodb_alternator.transport.pool import Pools
from pynamodb_alternator.transport.pool_core import PoolStats
from pynamodb_alternator.transport.request import build_head
from tests.transport.interruptions import Interruption, Tracer
from tests.transport.servers import Server, ok, read_request
from tests.transport.test_pool import Clock

from .support import run, until

LIMIT = 3


def answer(sock: socket.socket) -> None:
    """Answers with the request's own body, now at once and now late, and closes if it is told to."""
    while (asked := read_request(sock)) is not None:
        if b"a.Close" in asked[0]:
            return
        if b"a.Slow" in asked[0]:
            time.sleep(random.choice((0.0, 0.001, 0.003)))
        sock.sendall(ok(asked[1]))


async def use(pool: AsyncNodePool, body: bytes = b"{}", target: str = "a.B") -> bytes:
    connection = await pool.acquire(5.0, wait=20.0)
    try:
        head = build_head(target, "h", len(body))
        return (await connection.exchange(head, body, read_timeout=20.0)).body
    finally:
        pool.release(connection)


async def all_slots_can_be_had(pool: AsyncNodePool) -> None:
    connections = [await pool.acquire(5.0, wait=0.0) for _ in range(LIMIT)]
    assert len(set(connections)) == LIMIT
    for connection in connections:
        pool.release(connection)
    assert pool.stats().in_use == 0


# ---- tasks that are cancelled ------------------------------------------------------------------------------------


def test_cancelled_at_random_moments() -> None:
    """While it waits for a connection, while it connects, and during the exchange."""

    async def main() -> None:
        with Server(answer) as server:
            pool = AsyncNodePool(server.node(), asyncio.get_running_loop(), limit=LIMIT)
            outcomes: Counter[str] = Counter()

            async def request(number: int) -> None:
                body = b"%d" % number
                assert await use(pool, body, "a.Slow") == body
                outcomes["good"] += 1

            async def cancel_later(task: asyncio.Task[None]) -> None:
                for _ in range(random.randrange(12)):
                    await asyncio.sleep(0)
                if random.random() < 0.5:
                    await asyncio.sleep(random.uniform(0.0, 0.01))
                task.cancel()

            for _ in range(150):
                tasks = [asyncio.create_task(request(number)) for number in range(20)]
                cancelling = [asyncio.create_task(cancel_later(task)) for task in tasks[:16]]
                for result in await asyncio.gather(*tasks, *cancelling, return_exceptions=True):
                    if result is not None:
                        outcomes[type(result).__name__] += 1
                assert pool.stats()[2:] == (0, 0)
            assert set(outcomes) == {"good", "CancelledError"}
            assert min(outcomes.values()) > 600
            await all_slots_can_be_had(pool)
            for connection in pool.close():
                await connection.wait_closed()

    run(main)


# ---- exceptions out of signals' handlers, at every instruction ---------------------------------------------------


async def idle(pool: AsyncNodePool) -> None:
    await use(pool)


async def fresh(pool: AsyncNodePool) -> None:
    pool.drop_idle()
    await use(pool)


async def renewed(pool: AsyncNodePool) -> None:
    """The idle connection has reached its age, and another one is opened first."""
    for connection in pool.connections():
        connection.renew_at = 0.0
    await use(pool)


async def lost(pool: AsyncNodePool) -> None:
    with contextlib.suppress(ConnectionLostError):
        await use(pool, target="a.Close")


async def served(pool: AsyncNodePool) -> None:
    """A wait that another task ends."""
    held = [await pool.acquire(5.0, wait=0.0) for _ in range(LIMIT)]
    serving = asyncio.get_running_loop().call_later(0.0, lambda: pool.release(held.pop()))
    try:
        await use(pool)
    finally:
        serving.cancel()
        while held:
            pool.release(held.pop())


@pytest.mark.parametrize("scene", [idle, fresh, renewed, lost, served])
def test_an_interruption_at_every_instruction_loses_no_slot(
    scene: Callable[[AsyncNodePool], asyncio.Future[None]],
) -> None:
    """In the task's own steps. What asyncio does with an exception in its callbacks is its own affair."""

    def is_ours(frame: FrameType) -> bool:
        code = frame.f_code
        # asyncio leaves a socket open if the making of the protocol fails, which is our only lambda.
        return (
            asyncio.current_task() is here and "pynamodb_alternator" in code.co_filename and code.co_name != "<lambda>"
        )

    here: asyncio.Task[Any] | None = None

    async def main() -> None:
        clock = Clock()
        nonlocal here
        here = asyncio.current_task()
        with Server(answer) as server:
            pool = AsyncNodePool(server.node(), asyncio.get_running_loop(), limit=LIMIT, max_idle=1e9, clock=clock)
            tracer = Tracer(0)
            while True:
                tracer = Tracer(tracer.number + 1, is_ours)
                try:
                    with tracer:
                        await scene(pool)
                except Interruption:
                    pass
                if not tracer.came:
                    break
                # Nothing waits; and what is lost, because asyncio keeps its transport, is found out.
                assert pool.waiting_since() is None
                for _ in range(4):
                    clock.ahead += 0.5
                    pool.heal()
                assert pool.stats()[1:] == (len(pool._idle), 0, 0)
                await all_slots_can_be_had(pool)
                assert await use(pool) == b"{}"
            assert tracer.number > 200
            for connection in pool.close():
                await connection.wait_closed()

    run(main)


# ---- what keeps a connection alive -------------------------------------------------------------------------------


def test_a_task_waits_until_a_lost_slot_is_found_out() -> None:
    async def main() -> None:
        with Server(answer) as server:
            pool = AsyncNodePool(server.node(), asyncio.get_running_loop(), limit=LIMIT)
            for _ in range(LIMIT):
                await pool.acquire(5.0)  # and forgotten: the event loop keeps it alive
            assert pool.stats().in_use == LIMIT
            started = time.monotonic()
            assert await use(pool) == b"{}"
            assert 1.0 <= time.monotonic() - started < 10.0
            for connection in pool.close():
                await connection.wait_closed()

    run(main)


def test_the_monitor_finds_it_out_from_its_own_thread() -> None:
    async def main() -> None:
        clock = Clock()
        with Server(answer) as server:
            pools = AsyncPools(LIMIT, clock=clock)
            pools.bind()
            node = server.node()
            connection: AsyncConnection = await pools.acquire(node, 5.0)
            for _ in range(6):
                assert await asyncio.to_thread(lambda: list(pools.waits(clock()))) == []
                clock.ahead += 0.25
                await asyncio.sleep(0)
            await until(lambda: pools.stats()[node.address] == PoolStats(1, 0, 0, 0))
            with pytest.raises(TransportError):
                await connection.exchange(build_head("a.B", "h", 2), b"{}", read_timeout=5.0)
            pools.release(connection)
            await connection.wait_closed()
            await pools.aclose()

    run(main)


def test_a_raised_limit_reaches_the_event_loop() -> None:
    """From another thread, and those that wait are let in."""

    async def main() -> None:
        with Server(answer) as server:
            pools = AsyncPools(1)
            pools.bind()
            everything = AllPools(Pools(1))
            everything.add(pools)
            node = server.node()
            held = await pools.acquire(node, 5.0)
            waiting = asyncio.create_task(pools.acquire(node, 5.0, wait=20.0))
            await until(lambda: pools.stats()[node.address].waiting)
            await asyncio.to_thread(everything.raise_limit, 2)
            second = await asyncio.wait_for(waiting, 10.0)
            for connection in (held, second):
                pools.release(connection)
            # And the pools of nodes that come later.
            with Server(answer) as other:
                connections = [await pools.acquire(other.node(), 5.0, wait=0.0) for _ in range(2)]
                for connection in connections:
                    pools.release(connection)
                await pools.aclose()

    run(main)
