"""The queue of a full pool in an event loop: one timer looks after all tasks that wait in it."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator.aio import pool as pool_module
from pynamodb_alternator.aio.connection import AsyncConnection
from pynamodb_alternator.aio.pool import AsyncNodePool
from pynamodb_alternator.errors import ClusterClosedError, PoolTimeoutError
from tests.transport.servers import Server

from .support import outcome, run, until
from .test_slots import answer, use


def pool_of(server: Server, limit: int = 1) -> AsyncNodePool:
    return AsyncNodePool(server.node(), asyncio.get_running_loop(), limit=limit)


async def close(pool: AsyncNodePool, *held: AsyncConnection) -> None:
    for connection in held:
        pool.release(connection)
    for connection in pool.close():
        await connection.wait_closed()


async def wait(pool: AsyncNodePool, seconds: float, deadline: float | None = None) -> tuple[str, float]:
    """How a wait in a queue that stands still ends, and after how long."""
    began = time.monotonic()
    with pytest.raises(PoolTimeoutError) as raised:
        pool.release(await pool.acquire(5.0, None if deadline is None else began + deadline, wait=seconds))
    return str(raised.value), time.monotonic() - began


def test_each_task_waits_as_long_as_it_may() -> None:
    async def main() -> None:
        with Server(answer) as server:
            pool = pool_of(server)
            held = await pool.acquire(5.0)
            waits: list[Any] = [wait(pool, 20.0, 0.3), wait(pool, 0.6), wait(pool, 0.02), wait(pool, 0.0)]
            waits += [wait(pool, float("inf"), 0.1)]
            for limit, (words, took) in zip((0.3, 0.6, 0.02, 0.0, 0.1), await asyncio.gather(*waits), strict=True):
                assert limit - 0.005 <= took < limit + 5.0
                assert "all 1 connections stayed in use" in words
            assert pool.stats().waiting == 0
            await close(pool, held)

    run(main)


def test_a_short_wait_behind_long_ones() -> None:
    """The look at the queue comes sooner for its sake."""

    async def main() -> None:
        with Server(answer) as server:
            pool = pool_of(server)
            held = await pool.acquire(5.0)
            long = [asyncio.create_task(use(pool)) for _ in range(100)]
            await until(lambda: pool.stats().waiting == 100)
            _, took = await wait(pool, 0.05)
            assert 0.045 <= took < 5.0
            assert not any(task.done() for task in long)
            pool.release(held)
            assert await asyncio.gather(*long) == [b"{}"] * 100
            await close(pool)

    run(main)


def test_a_deadline_that_has_passed() -> None:
    async def main() -> None:
        with Server(answer) as server:
            pool = pool_of(server)
            held = await pool.acquire(5.0)
            assert (await wait(pool, 20.0, -1.0))[1] < 5.0
            await close(pool, held)

    run(main)


def test_one_timer_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop, timers = asyncio.get_running_loop(), Counter[str]()
        call_later = loop.call_later

        def counted(delay: float, call: Any, *arguments: Any, **more: Any) -> asyncio.TimerHandle:
            timers[call.__name__] += 1
            return call_later(delay, call, *arguments, **more)

        with Server(answer) as server:
            pool = pool_of(server)
            await use(pool)
            held = await pool.acquire(5.0)
            monkeypatch.setattr(loop, "call_later", counted)
            waiting = [asyncio.create_task(use(pool)) for _ in range(1000)]
            await until(lambda: pool.stats().waiting == 1000)
            del timers["_set_result_unless_cancelled"]  # of the sleep in `until`
            assert timers.pop("_look") < 50
            assert not timers
            pool.release(held)
            assert await asyncio.gather(*waiting) == [b"{}"] * 1000
            monkeypatch.undo()
            await close(pool)

    run(main)


def test_no_look_where_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle process pays nothing, and the next wait is looked after again."""

    async def main() -> None:
        looks = 0
        heal = AsyncNodePool.heal

        def counted(pool: AsyncNodePool) -> None:
            nonlocal looks
            looks += 1
            heal(pool)

        monkeypatch.setattr(AsyncNodePool, "heal", counted)
        monkeypatch.setattr(pool_module, "HEAL_EVERY", 0.02)
        with Server(answer) as server:
            pool = pool_of(server)
            for _ in range(3):
                held = await pool.acquire(5.0)
                waiting = asyncio.create_task(use(pool))
                before = looks
                await until(lambda before=before: looks > before + 3)  # type: ignore[misc]
                pool.release(held)
                await waiting
                before = looks
                await asyncio.sleep(0.1)
                assert looks <= before + 1
            await close(pool)

    run(main)


@pytest.mark.parametrize("order", ["first to last", "last to first", "every other"])
def test_thousands_of_cancelled_tasks(order: str) -> None:
    async def main() -> None:
        with Server(answer) as server:
            pool = pool_of(server, 2)
            held = [await pool.acquire(5.0) for _ in range(2)]
            waiting = [asyncio.create_task(use(pool)) for _ in range(3000)]
            await until(lambda: pool.stats().waiting == 3000)
            cancelled = {"first to last": waiting, "last to first": waiting[::-1], "every other": waiting[::2]}[order]
            for number, task in enumerate(cancelled):
                task.cancel()
                if number % 500 == 250:
                    await asyncio.sleep(0)
            for connection in held:
                pool.release(connection)
            ends = Counter(type(end) for end in await asyncio.gather(*waiting, return_exceptions=True))
            # What was served in the moment in which it was cancelled may have been either.
            assert ends[asyncio.CancelledError] >= len(cancelled) - 2
            assert ends[bytes] + ends[asyncio.CancelledError] == 3000
            del waiting, cancelled, task
            gc.collect()
            assert pool.stats()[2:] == (0, 0)
            assert pool.queue_length == 0
            await close(pool, *[await pool.acquire(5.0, wait=0.0) for _ in range(2)])

    run(main)


def test_a_lost_slot_is_found_for_tasks_that_wait_for_ever() -> None:
    async def main() -> None:
        with Server(answer) as server:
            pool = pool_of(server)
            await pool.acquire(5.0)  # and forgotten: the event loop keeps it alive
            connection = await asyncio.wait_for(pool.acquire(5.0, wait=float("inf")), 20.0)
            await close(pool, connection)

    run(main)


def test_closing_ends_all_waits() -> None:
    async def main() -> None:
        with Server(answer) as server:
            pool = pool_of(server)
            held = await pool.acquire(5.0)
            waiting = [asyncio.create_task(outcome(use(pool))) for _ in range(10)]
            await until(lambda: pool.stats().waiting == 10)
            pool.close()
            assert {type(end) for end in await asyncio.gather(*waiting)} == {ClusterClosedError}
            pool.release(held)
            await held.wait_closed()

    run(main)
