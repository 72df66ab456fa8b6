"""Models in an event loop: every operation, and every way in which a request or its task can end."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import random
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from types import MappingProxyType
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb import models as plain
from pynamodb.attributes import UnicodeAttribute
from pynamodb.connection.base import Connection
from pynamodb.exceptions import DeleteError, GetError, PutError, TransactWriteError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.signals import pre_dynamodb_send
from pynamodb.transactions import TransactWrite

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Health, Model, aio, configure, get_cluster
from pynamodb_alternator.aio import run as awaited
from pynamodb_alternator.errors import (
    ConfigurationError,
    DeadlineAfterSendError,
    OutcomeUnknownError,
)
from pynamodb_alternator.local import LocalCluster

from .conftest import Recorder
from .models import Member, Order, numbers, orders
from .support import PATIENCE, run, until

NEVER_SUSPECT = Health(suspect_after=1000.0, active_failure_threshold=1000)
"""So that nothing but what the test does ends a request."""
WAIT: dict[str, Any] = {"wait": True} if "wait" in inspect.signature(Model.delete_table).parameters else {}
"""PynamoDB 6.0 does not wait for the end of a table."""


@pytest.fixture(autouse=True)
def configured(local: LocalCluster) -> Iterator[None]:
    configure(default={"url": local.url, "health": NEVER_SUSPECT})
    yield
    pynamodb_alternator.close_all()


def on_tables(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in an event loop, in which the tables are there."""

    async def prepared() -> None:
        await Member.aio.create_table(wait=True)
        await Order.aio.create_table(wait=True)
        await main()

    run(prepared)


async def all_nodes_known(local: LocalCluster) -> None:
    membership = get_cluster().core.membership
    await until(lambda: [node.state.value for node in membership.nodes()] == ["active"] * len(local.nodes))


async def hang(local: LocalCluster) -> None:
    """Requests hang from now on."""
    await all_nodes_known(local)
    for node in local.nodes:
        node.forget()
        node.delay(60.0)


async def under_way(local: LocalCluster, count: int = 1) -> None:
    await until(lambda: sum(len(node.requests) for node in local.nodes) >= count)


# ---- operations --------------------------------------------------------------------------------------------------


def test_all_operations_of_a_model(local: LocalCluster) -> None:
    async def main() -> None:
        assert await Member.aio.exists()
        user = Member("alice", age=3)
        await user.aio.save(Member.name.does_not_exist())
        assert (await Member.aio.get("alice")).age == 3
        assert (await Member.aio.get("alice", None, True, ["age"])).age == 3
        await user.aio.update([Member.age.add(1)], Member.age == 3)
        assert user.age == 4
        await Member("alice", age=7).aio.save()
        await user.aio.refresh(consistent_read=True)
        assert user.age == 7
        assert (await Member.aio.describe_table())["TableStatus"] == "ACTIVE"
        await Member.aio.update_ttl(True)
        await user.aio.delete(Member.age == 7)
        with pytest.raises(Member.DoesNotExist):
            await Member.aio.get("alice")
        with pytest.raises(Member.DoesNotExist):
            await user.aio.refresh()
        await Member.aio.delete_table(**WAIT)
        assert not await Member.aio.exists()

    on_tables(main)


def test_queries_scans_and_counts(local: LocalCluster) -> None:
    async def main() -> None:
        async with Order.aio.batch_write() as batch:
            for order in orders(60):
                await batch.save(order)
        assert numbers(await Order.aio.query("alice").all()) == list(range(60))
        assert numbers(await Order.aio.query("alice", Order.number < 10, scan_index_forward=False).all())[0] == 9
        results = Order.aio.query("alice", page_size=7, limit=10)
        assert numbers([order async for order in results]) == list(range(10))
        assert results.total_count == 14
        further = Order.aio.query("alice", last_evaluated_key=results.last_evaluated_key)
        assert numbers([order async for order in further]) == list(range(10, 60))
        assert sorted(numbers(await Order.aio.scan(page_size=9).all())) == list(range(60))
        halves = [await Order.aio.scan(segment=half, total_segments=2).all() for half in range(2)]
        assert sum(map(len, halves)) == 60
        assert await Order.aio.count("alice") == 60
        assert await Order.aio.count("alice", Order.number < 7) == 7
        assert await Order.aio.count() == 60
        assert await Order.aio.query("nobody").all() == []
        got = [order async for order in Order.aio.batch_get([("alice", number) for number in range(60)])]
        assert sorted(numbers(got)) == list(range(60))

    on_tables(main)


def test_an_index_is_queried_and_counted(local: LocalCluster) -> None:
    async def main() -> None:
        for name in "abc":
            await Member(name, city="Rome").aio.save()
        await Member("d", city="Oslo").aio.save()
        index = Member.aio.index(Member.by_city)
        assert sorted(user.name for user in await index.query("Rome").all()) == ["a", "b", "c"]
        assert len(await index.query("Rome", page_size=1, prefetch=1).all()) == 3
        assert len(await index.scan(page_size=2, prefetch=1).all()) == 4
        assert await index.count("Rome") == 3
        assert len(await Member.aio.query("Rome", index_name="by-city").all()) == 3

    on_tables(main)


def test_a_batch_writer_saves_items(local: LocalCluster) -> None:
    async def main() -> None:
        async with Order.aio.batch_write() as batch:
            for order in orders(26):
                await batch.save(order)
            assert len(batch.pending_operations) == 1
            await batch.commit()
            assert await Order.aio.count("alice") == 26
            await batch.delete(Order("alice", 3))
        assert await Order.aio.count("alice") == 25
        assert batch.failed_operations == []
        full = Order.aio.batch_write(auto_commit=False)
        for order in orders(25):
            await full.save(order)
        with pytest.raises(ValueError, match="maximum of 25"):
            await full.save(Order("alice", 99))

    on_tables(main)


def test_tasks_share_a_batch(local: LocalCluster) -> None:
    async def main() -> None:
        async with Order.aio.batch_write() as batch:
            await asyncio.gather(*(batch.save(order) for order in orders(130)))
        assert await Order.aio.count("alice") == 130

    on_tables(main)


def test_a_batch_whose_block_fails_is_written_and_one_that_is_cancelled_is_not(local: LocalCluster) -> None:
    async def main() -> None:
        with contextlib.suppress(KeyError):
            async with Order.aio.batch_write() as batch:
                await batch.save(Order("failed", 1))
                raise KeyError
        assert await Order.aio.count("failed") == 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01), Order.aio.batch_write() as batch:
                await batch.save(Order("cancelled", 1))
                await asyncio.sleep(60)
        assert await Order.aio.count("cancelled") == 0
        assert len(batch.pending_operations) == 1

    on_tables(main)


@pytest.mark.parametrize("where", ["save", "commit", "the end of the block"])
def test_a_cancelled_batch_is_in_failed_operations(where: str, local: LocalCluster) -> None:
    """Some, all or none of it was written: that it is neither pending nor failed would hide this."""
    batch = Order.aio.batch_write()

    async def write() -> None:
        async with batch:
            for order in orders(25):
                await batch.save(order)
            if where == "save":
                await batch.save(Order("alice", 99))
            elif where == "commit":
                await batch.commit()

    async def main() -> None:
        await hang(local)
        task = asyncio.create_task(write())
        await under_way(local)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert batch.pending_operations == []
        put = [entry["PutRequest"]["Item"]["number"]["N"] for entry in batch.failed_operations]
        assert put == [str(number) for number in range(25)]

    on_tables(main)


def test_versions_and_conditions_protect_items(local: LocalCluster) -> None:
    async def main() -> None:
        order = Order("alice", 1)
        await order.aio.save()
        assert order.version == 1
        stale = await Order.aio.get("alice", 1)
        await order.aio.update([Order.text.set("new")])
        assert order.version == 2
        with pytest.raises(PutError) as raised:
            await stale.aio.save()
        assert raised.value.cause_response_code == "ConditionalCheckFailedException"
        with pytest.raises(UpdateError):
            await order.aio.update([Order.text.set("x")], Order.text == "old")
        with pytest.raises(DeleteError):
            await stale.aio.delete()
        await stale.aio.delete(add_version_condition=False)

    on_tables(main)


def test_what_an_application_overrides_holds(local: LocalCluster) -> None:
    class Careful(Member):
        class Meta(Member.Meta):
            pass

        def save(self, *args: Any, **kwargs: Any) -> Any:
            self.age = 100 + len(list(Member.scan()))  # a method with several requests
            return super().save(*args, **kwargs)

        @classmethod
        def query(cls, *args: Any, **kwargs: Any) -> Any:
            return (user for user in super().query(*args, **kwargs))

        @classmethod
        def count(cls) -> int:  # type: ignore[override]  # it takes less than PynamoDB's does
            return 7

    async def main() -> None:
        await Careful("a").aio.save()
        await Careful("b").aio.save()
        assert (await Careful.aio.get("b")).age == 101
        assert [user.name async for user in Careful.aio.query("a")] == ["a"]
        with pytest.raises(ConfigurationError, match="prefetch is for a query or scan"):
            await anext(Careful.aio.query("a", prefetch=1))
        assert (await Careful.aio.count()) == 7

    on_tables(main)


def test_a_model_sets_the_write_isolation(local: LocalCluster) -> None:
    async def main() -> None:
        assert await Member.aio.alternator_write_isolation("forbid_rmw") == "forbid_rmw"
        assert await Member.aio.alternator_write_isolation() == "forbid_rmw"

    on_tables(main)


def test_other_connections_work_or_are_refused(local: LocalCluster) -> None:
    """A connection by itself, PynamoDB's transactions, and plain models."""

    class Plain(plain.Model):
        class Meta:
            table_name = "members"
            connection_class = AlternatorConnection

        name = UnicodeAttribute(hash_key=True)

    def transact() -> None:
        with TransactWrite(connection=AlternatorConnection()) as transaction:
            transaction.save(Member("a"))

    async def main() -> None:
        assert sorted((await awaited(AlternatorConnection().list_tables))["TableNames"]) == ["members", "orders"]
        with pytest.raises(TransactWriteError):  # Alternator has no transactions: the server says so
            await awaited(transact)
        pynamodb_alternator.install()
        await awaited(Plain("a").save)
        assert (await awaited(Plain.get, "a")).name == "a"
        await awaited(Plain.create_table, wait=True)
        assert await awaited(Plain.count) == 1
        await awaited(Plain.delete_table, **WAIT)

    on_tables(main)


class ElsewhereByCity(GlobalSecondaryIndex[Any]):
    class Meta:
        projection = AllProjection()

    city = UnicodeAttribute(hash_key=True)


@pytest.mark.parametrize(
    ("mistake", "what"),
    [
        (lambda: Member.aio.index("by-city"), r"index\(\.\.\.\) takes an index .*got 'by-city'.*Write Member\.by_city"),
        (lambda: Member.aio.index(Member), r"Member\.aio\.index\(\.\.\.\) takes an index"),
        (lambda: Order.aio.index(Order.text), "Order has none"),
        (lambda: Order.aio.index(Member.by_city), r"an index of Member\. Write Member\.aio\.index\(\.\.\.\)"),
        (lambda: Member.aio.vector_index(Member.by_city), "takes a vector index of the model"),
    ],
)
def test_what_is_not_an_index_of_the_model(mistake: Callable[[], Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        mistake()


class Friend(Member):
    """With a method of the application's own."""

    class Meta(Member.Meta):
        pass

    @classmethod
    def of(cls, name: str) -> Friend:
        return cls.get(name)

    def greet(self) -> str:
        return f"Hello {self.name}"


@pytest.mark.parametrize(
    ("mistake", "what"),
    [
        (lambda: Friend.aio.gett, r"Friend\.aio has no 'gett'\. Did you mean 'get'\?"),
        (lambda: Friend.aio.save, r"It is of an instance: `Friend\(\.\.\.\)\.aio\.save\(\.\.\.\)`"),
        (lambda: Friend("a").aio.query, r"It is of the class: `Friend\.aio\.query\(\.\.\.\)`"),
        (lambda: Friend.aio.of, r"Write `await aio\.run\(Friend\.of, \.\.\.\)`, with"),
        (lambda: Friend("a").aio.greet, r"Write `await aio\.run\(Friend\(\.\.\.\)\.greet, \.\.\.\)`"),
        (lambda: Friend.aio.index(Friend.by_city).get, r"^Friend, index 'by-city'\.aio has no 'get'\.$"),
        (lambda: Friend.aio.nothing_like_it, r"^Friend\.aio has no 'nothing_like_it'\.$"),
    ],
)
def test_what_the_facade_does_not_have(mistake: Callable[[], Any], what: str) -> None:
    with pytest.raises(AttributeError, match=what):
        mistake()


def test_the_facade_is_shown_and_copied() -> None:
    assert repr(Member.aio) == "<Member.aio>"
    assert repr(copy.copy(Member("a").aio)) == "<Member(...).aio>"


def test_an_index_of_a_base_or_of_a_subclass() -> None:
    class Special(Member):
        class Meta(Member.Meta):
            pass

    assert Special.aio.index(Special.by_city) is not None
    assert Special.aio.index(Member.by_city) is not None


def test_a_model_that_is_not_on_a_cluster() -> None:
    class Elsewhere(Model):
        class Meta:
            table_name = "elsewhere"
            connection_class = Connection

        name = UnicodeAttribute(hash_key=True)
        by_city = ElsewhereByCity()

    async def main() -> None:
        with pytest.raises(ConfigurationError, match=r"Elsewhere: `aio` is for models on a cluster\..*Connection"):
            await Elsewhere.aio.get("a")
        with pytest.raises(ConfigurationError, match="write AlternatorConnection"):
            await Elsewhere("a").aio.save()
        with pytest.raises(ConfigurationError, match="write AlternatorConnection"):
            await Elsewhere.aio.index(Elsewhere.by_city).count("Rome")
        with pytest.raises(ConfigurationError, match="write AlternatorConnection"):
            await Elsewhere.aio.index(Elsewhere.by_city).query("Rome").all()

    run(main)


# ---- many tasks, and no thread -----------------------------------------------------------------------------------


def test_a_hundred_tasks_at_once_without_a_thread(local: LocalCluster) -> None:
    async def main() -> None:
        await all_nodes_known(local)
        before = set(threading.enumerate())
        seen: set[threading.Thread] = set()

        async def work(number: int) -> int:
            user = Member(str(number), age=number)
            await user.aio.save()
            await user.aio.update([Member.age.add(1)])
            seen.update(threading.enumerate())
            return int((await Member.aio.get(str(number), consistent_read=True)).age)

        assert await asyncio.gather(*map(work, range(100))) == list(range(1, 101))
        ours = {thread.name for thread in seen - before if "pynamodb_alternator" in thread.name}
        assert ours <= {"pynamodb_alternator-probe", "pynamodb_alternator-reader"}  # of the cluster, not of the tasks
        assert not [thread for thread in seen - before if thread.name.startswith("asyncio")]

    on_tables(main)


def test_no_lock_is_held_while_a_task_waits(local: LocalCluster) -> None:
    """A hundred tasks are in the middle of their first requests, and threads can do all that takes a lock."""

    async def main() -> None:
        await hang(local)
        tasks = [asyncio.create_task(Member.aio.get(str(number))) for number in range(100)]
        await under_way(local, 100)

        def all_that_takes_locks() -> None:
            cluster = get_cluster()
            assert cluster.client is cluster.client
            assert cluster.nodes()
            cluster.stats()
            cluster.allow_pool_connections(60)
            cluster.new_client()
            configure(another=local.url)
            get_cluster("another").close()
            Member._get_connection()

        await asyncio.wait_for(asyncio.to_thread(all_that_takes_locks), PATIENCE)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)

    on_tables(main)


# ---- cancellation, deadlines, errors -----------------------------------------------------------------------------


def test_a_request_is_cancelled_in_the_middle(local: LocalCluster) -> None:
    async def main() -> None:
        await Member("alice").aio.save()
        await hang(local)
        task = asyncio.create_task(Member.aio.get("alice"))
        await under_way(local)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        here = aio.get_cluster()
        assert sum(stats.connections_in_use for stats in here.stats().values()) == 0
        for node in local.nodes:
            node.clear_faults()
        assert (await Member.aio.get("alice")).name == "alice"

    on_tables(main)


def test_tasks_are_cancelled_at_any_moment(local: LocalCluster) -> None:
    """Whatever was under way: each item that comes is the one that was asked for, and no connection is lost."""
    chance = random.Random(7)

    async def main() -> None:
        for number in range(30):
            await Member(str(number), age=number).aio.save()

        async def work(number: int) -> None:
            for _ in range(20):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(chance.random() * 0.02):
                        assert (await Member.aio.get(str(number))).age == number
                        await Member(str(number), age=number).aio.save()
                        assert [user.age async for user in Member.aio.query(str(number), prefetch=1)] == [number]

        await asyncio.gather(*map(work, range(30)))
        # Pages that are fetched ahead end when nobody reads them any more.
        await until(lambda: not any(stats.connections_in_use for stats in aio.get_cluster().stats().values()))
        ages = await asyncio.gather(*(Member.aio.get(str(number)) for number in range(30)))
        assert [user.age for user in ages] == list(range(30))

    on_tables(main)


def test_a_deadline_ends_a_request_of_a_model(local: LocalCluster) -> None:
    async def main() -> None:
        await Member("alice").aio.save()
        await hang(local)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await Member.aio.get("alice")
        with get_cluster().options(timeouts={"total": 0.2}):
            with pytest.raises(GetError) as raised:
                await Member.aio.get("alice")
            assert isinstance(raised.value.cause, DeadlineAfterSendError)
            with pytest.raises(PutError) as raised_too:
                await Member("alice").aio.save()
            assert isinstance(raised_too.value.cause, OutcomeUnknownError)

    on_tables(main)


def test_options_hold_in_their_task_alone(local: LocalCluster) -> None:
    async def main() -> None:
        for node in local.nodes:
            node.forget()

        async def work(number: int) -> None:
            if number % 2:
                with aio.get_cluster().options(extra_headers={"X-Number": str(number)}):
                    await Member(str(number)).aio.save()
            else:
                await Member(str(number)).aio.save()

        await asyncio.gather(*map(work, range(20)))
        seen = {
            request.partition_key["S"]: request.headers.get("x-number")
            for node in local.nodes
            for request in node.requests
            if request.operation == "PutItem"
        }
        assert seen == {str(number): str(number) if number % 2 else None for number in range(20)}

    on_tables(main)


def test_settings_of_the_model_hold(local: LocalCluster) -> None:
    class Marked(Member):
        class Meta(Member.Meta):
            extra_headers = MappingProxyType({"X-Model": "marked"})

    async def main() -> None:
        for node in local.nodes:
            node.forget()
        await asyncio.gather(Marked("a").aio.save(), Member("b").aio.save())
        seen = {
            request.partition_key["S"]: request.headers.get("x-model")
            for node in local.nodes
            for request in node.requests
            if request.operation == "PutItem"
        }
        assert seen == {"a": "marked", "b": None}

    on_tables(main)


def test_an_error_is_pynamodbs_with_a_traceback_to_read(local: LocalCluster) -> None:
    async def main() -> None:
        await Member("alice").aio.save()
        with pytest.raises(PutError) as raised:
            await Member("alice").aio.save(Member.name.does_not_exist())
        names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
        assert names.index("main") < names.index("save") < names.index("put_item")
        text = "".join(traceback.format_exception(raised.value))
        assert "ConditionalCheckFailedException" in text
        assert text.index("happy_path") < text.index("The above exception")

    on_tables(main)


def test_signals_come_in_the_event_loop(local: LocalCluster, recorder: Recorder) -> None:
    async def main() -> None:
        seen: list[Any] = []

        def before(sender: Any, **payload: Any) -> None:
            seen.append((type(sender), payload["operation_name"], asyncio.current_task()))

        with pre_dynamodb_send.connected_to(before):
            recorder.clear()
            await Member("alice").aio.save()
        assert seen == [(AlternatorConnection, "PutItem", asyncio.current_task())]
        (completed,) = (event for event in recorder.of("request_completed") if event["operation"] == "PutItem")
        assert completed["sender"] is get_cluster()

    on_tables(main)


def test_a_receiver_may_use_models(local: LocalCluster) -> None:
    """A request inside of another one's: the settings of both hold."""

    def before(sender: Any, **payload: Any) -> None:
        if payload["operation_name"] == "PutItem":
            assert Member.get("other").age == 5

    async def main() -> None:
        await Member("other", age=5).aio.save()
        with pre_dynamodb_send.connected_to(before):
            await Member("alice").aio.save()
        assert (await Member.aio.get("alice")).name == "alice"

    on_tables(main)


def test_a_request_moves_to_another_node(local: LocalCluster) -> None:
    async def main() -> None:
        await Member("alice").aio.save()
        local.nodes[0].kill()
        for _ in range(9):
            assert (await Member.aio.get("alice")).name == "alice"

    on_tables(main)


# ---- sleeps ------------------------------------------------------------------------------------------------------


def test_a_table_is_waited_for_and_others_go_on(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """PynamoDB sleeps two seconds between looks: not by `time.sleep` here."""
    looks = iter([{"TableStatus": "CREATING"}, {"TableStatus": "CREATING"}, {"TableStatus": "ACTIVE"}])

    class Slow(Member):
        class Meta(Member.Meta):
            pass

    def forbidden(seconds: float) -> None:
        raise AssertionError("time.sleep was called")

    async def main() -> None:
        await Slow.aio.exists()
        monkeypatch.setattr(type(Slow._get_connection()), "describe_table", lambda self: next(looks))
        monkeypatch.setattr(asyncio, "sleep", lambda seconds: slept(seconds))
        await Slow.aio.create_table(wait=True)
        assert naps == [2]

    naps: list[float] = []
    stock_sleep = asyncio.sleep

    async def slept(seconds: float) -> None:
        naps.append(seconds)
        monkeypatch.setattr(time, "sleep", forbidden)
        await stock_sleep(0)

    on_tables(main)


@pytest.mark.parametrize("what", ["query", "scan", "count", "count of all", "ordinary"])
def test_a_limited_rate_lets_others_go_on(what: str, local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    async def main() -> None:
        async with Order.aio.batch_write() as batch:
            for order in orders(9):
                await batch.save(order)
        stock_sleep = asyncio.sleep

        async def slept(seconds: float) -> None:
            naps.append(seconds)
            await stock_sleep(0)

        monkeypatch.setattr(asyncio, "sleep", slept)
        if what == "query":
            assert len(await Order.aio.query("alice", page_size=3, rate_limit=0.5).all()) == 9
        elif what == "scan":
            assert len(await Order.aio.scan(page_size=3, rate_limit=0.5).all()) == 9
        elif what == "count":
            assert await Order.aio.count("alice", limit=9, rate_limit=0.5) == 9
        elif what == "count of all":
            assert await Order.aio.count(limit=3, rate_limit=0.5) == 9
        else:
            assert len(await awaited(list, Order.query("alice", page_size=3, rate_limit=0.5))) == 9
        assert naps

    on_tables(main)


# ---- beside threads ----------------------------------------------------------------------------------------------


def test_ordinary_use_in_a_thread_with_a_running_event_loop(local: LocalCluster) -> None:
    """As in Jupyter: it waits, and holds the event loop meanwhile."""

    async def main() -> None:
        Member("alice").save()
        assert Member.get("alice").name == "alice"
        assert len(list(Member.scan())) == 1
        await asyncio.to_thread(Member("bob").save)
        assert sorted([user.name async for user in Member.aio.scan()]) == ["alice", "bob"]

    on_tables(main)
