"""Results in an event loop: when pages are fetched, and what errors and cancelled tasks leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb.exceptions import QueryError

import pynamodb_alternator
from pynamodb_alternator import configure, get_cluster
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .models import Order, numbers, orders
from .support import run, until

PAGE = 5
COUNT = 23


@pytest.fixture(autouse=True)
def configured(local: LocalCluster) -> Iterator[None]:
    configure(default={"url": local.url, "retries": {"max_attempts": 1}})
    yield
    pynamodb_alternator.close_all()


def on_orders(local: LocalCluster, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def prepared() -> None:
        await Order.aio.create_table()
        async with Order.aio.batch_write() as batch:
            for order in orders(COUNT):
                await batch.save(order)
        for node in local.nodes:
            node.forget()
        await main()

    run(prepared)


def pages_asked_for(local: LocalCluster) -> int:
    return sum(request.operation == "Query" for node in local.nodes for request in node.requests)


@pytest.mark.parametrize("prefetch", [0, 1, 2, 50])
def test_all_items_come_in_order(prefetch: int, local: LocalCluster) -> None:
    async def main() -> None:
        results = Order.aio.query("alice", page_size=PAGE, prefetch=prefetch)
        assert numbers(await results.all()) == list(range(COUNT))
        assert results.total_count == COUNT
        assert results.last_evaluated_key is None
        assert pages_asked_for(local) == 5
        assert await results.all() == []

    on_orders(local, main)


@pytest.mark.parametrize("prefetch", [0, 1, 2])
def test_pages_are_fetched_ahead_as_many_as_was_said(prefetch: int, local: LocalCluster) -> None:
    async def main() -> None:
        results = Order.aio.query("alice", page_size=PAGE, prefetch=prefetch)
        assert pages_asked_for(local) == 0
        assert (await anext(results)).number == 0
        await until(lambda: pages_asked_for(local) == 1 + prefetch)
        await asyncio.sleep(0.05)
        assert pages_asked_for(local) == 1 + prefetch
        assert results.last_evaluated_key == {"user": {"S": "alice"}, "number": {"N": "0"}}
        for _ in range(PAGE):
            order = await anext(results)
        assert order.number == PAGE
        await until(lambda: pages_asked_for(local) == 2 + prefetch)
        further = Order.aio.query("alice", last_evaluated_key=results.last_evaluated_key)
        assert numbers(await further.all()) == list(range(PAGE + 1, COUNT))
        await results.aclose()

    on_orders(local, main)


def test_nothing_is_fetched_ahead_that_a_limit_does_without(local: LocalCluster) -> None:
    async def main() -> None:
        assert numbers(await Order.aio.query("alice", limit=PAGE, prefetch=3).all()) == list(range(PAGE))
        await asyncio.sleep(0.05)
        assert pages_asked_for(local) == 1
        limited = Order.aio.query("alice", limit=PAGE + 1, page_size=PAGE, prefetch=3)
        assert numbers(await limited.all()) == list(range(PAGE + 1))

    on_orders(local, main)


@pytest.mark.parametrize("prefetch", [0, 1])
def test_after_an_error_the_next_that_asks_goes_on(prefetch: int, local: LocalCluster) -> None:
    async def main() -> None:
        results = Order.aio.query("alice", page_size=PAGE, prefetch=prefetch)
        seen = [await anext(results)]
        await until(lambda: pages_asked_for(local) == 1 + prefetch)
        for node in local.nodes:
            node.fail_with("ValidationException", times=None)
        while len(seen) < PAGE * (1 + prefetch):
            seen.append(await anext(results))
        for _ in range(2):
            with pytest.raises(QueryError):
                await anext(results)
        for node in local.nodes:
            node.clear_faults()
        seen += await results.all()
        assert numbers(seen) == list(range(COUNT))

    on_orders(local, main)


@pytest.mark.parametrize("prefetch", [0, 1])
def test_after_a_cancelled_task_the_next_one_goes_on(prefetch: int, local: LocalCluster) -> None:
    async def main() -> None:
        results = Order.aio.query("alice", page_size=PAGE, prefetch=prefetch)
        for node in local.nodes:
            node.delay(0.3)
        seen = []
        interrupted = 0
        while True:
            try:
                async with asyncio.timeout(0.02):
                    seen.append(await anext(results))
            except TimeoutError:
                interrupted += 1
                for node in local.nodes:
                    node.clear_faults()
            except StopAsyncIteration:
                break
        assert interrupted
        assert numbers(seen) == list(range(COUNT))

    on_orders(local, main)


def test_results_that_are_left_fetch_no_further(local: LocalCluster) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        async for order in Order.aio.query("alice", page_size=PAGE, prefetch=1):
            assert order.number == 0
            break
        await until(lambda: asyncio.all_tasks() <= before)
        assert pages_asked_for(local) <= 2

    on_orders(local, main)


@pytest.mark.parametrize("ends", ["by a break", "as a task that is cancelled", "in another thread"])
def test_results_that_are_left_end_what_they_fetch(ends: str, local: LocalCluster) -> None:
    configure(default={"url": local.url, "timeouts": {"read": 600}})

    def hold_the_next_page() -> None:
        for node in local.nodes:
            node.delay(600, operation="Query")

    async def read(is_reading: asyncio.Event) -> None:
        async for _ in Order.aio.query("alice", page_size=PAGE, prefetch=1):
            hold_the_next_page()
            is_reading.set()
            if ends == "by a break":
                break

    async def main() -> None:
        before = asyncio.all_tasks()
        if ends == "in another thread":
            held = [Order.aio.query("alice", page_size=PAGE, prefetch=1)]
            await anext(held[0])
            hold_the_next_page()
            await until(lambda: pages_asked_for(local) == 2)
            await asyncio.to_thread(held.clear)
        else:
            is_reading = asyncio.Event()
            reading = asyncio.create_task(read(is_reading))
            await is_reading.wait()
            reading.cancel()
            await asyncio.wait([reading])
            del reading  # its traceback has the results
        await until(lambda: asyncio.all_tasks() <= before)
        assert sum(stats.connections_in_use for stats in get_cluster().stats().values()) == 0

    on_orders(local, main)


def test_results_that_outlive_their_event_loop_end_without_a_word(local: LocalCluster) -> None:
    held: list[Any] = []

    async def prepared() -> None:
        """The orders are there."""

    async def begin() -> None:
        held.append(Order.aio.query("alice", page_size=PAGE, prefetch=1))
        await anext(held[0])

    on_orders(local, prepared)
    asyncio.run(begin())
    held.clear()


def test_results_that_are_closed_end_what_they_fetch(local: LocalCluster) -> None:
    async def main() -> None:
        results = Order.aio.query("alice", page_size=PAGE, prefetch=1)
        await anext(results)
        for node in local.nodes:
            node.delay(60)
        await results.aclose()
        assert await results.all() == []
        assert sum(stats.connections_in_use for stats in get_cluster().stats().values()) == 0

    on_orders(local, main)


def test_one_task_at_a_time(local: LocalCluster) -> None:
    async def main() -> None:
        results = Order.aio.query("alice", page_size=PAGE)
        outcomes = await asyncio.gather(anext(results), anext(results), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Order, RuntimeError]
        assert len(await results.all()) == COUNT - 1

    on_orders(local, main)


def test_a_batch_get_that_was_interrupted_does_not_look_complete(local: LocalCluster) -> None:
    async def main() -> None:
        for node in local.nodes:
            node.delay(60)
        got = Order.aio.batch_get([("alice", number) for number in range(COUNT)])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(got), 0.05)
        with pytest.raises(RuntimeError, match="cannot be read on"):
            await anext(got)

    on_orders(local, main)


@pytest.mark.parametrize("prefetch", [-1, True, 1.5, "1"])
def test_what_prefetch_may_be(prefetch: Any) -> None:
    with pytest.raises(ConfigurationError, match="prefetch must be the number of pages"):
        Order.aio.query("alice", prefetch=prefetch)
