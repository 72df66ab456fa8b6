"""Models in an event loop that call what an application wrote, which makes requests of models itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb.attributes import DiscriminatorAttribute, NumberAttribute, UnicodeAttribute

import pynamodb_alternator
from pynamodb_alternator import Health, Model, configure, get_cluster
from pynamodb_alternator.local import LocalCluster

from .models import Member, Order, numbers, orders
from .support import run, until


@pytest.fixture(autouse=True)
def configured(local: LocalCluster) -> Iterator[None]:
    """A request that holds the event loop is an error."""
    health = Health(suspect_after=1000.0, active_failure_threshold=1000)
    configure(default={"url": local.url, "health": health, "sync_in_loop": "error"})
    yield
    pynamodb_alternator.close_all()


def on_tables(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def prepared() -> None:
        for model in (Member, Order, Letter):
            await model.aio.create_table(wait=True)
        await main()

    run(prepared)


class Asking(UnicodeAttribute):
    """An application's own attribute, which reads another item to know its value."""

    def deserialize(self, value: Any) -> Any:
        return Member.get(value).city


class Letter(Model):
    class Meta:
        table_name = "letters"
        billing_mode = "PAY_PER_REQUEST"

    user = UnicodeAttribute(hash_key=True)
    number = NumberAttribute(range_key=True)
    city = Asking()

    @classmethod
    def of(cls, user: str, count: int) -> list[Letter]:
        return [Letter(user, number, city="alice") for number in range(count)]


@pytest.mark.parametrize("prefetch", [0, 1])
def test_an_attribute_of_the_applications_may_make_requests(prefetch: int, local: LocalCluster) -> None:
    """In each way to an item: the event loop goes on meanwhile."""

    async def main() -> None:
        await Member("alice", city="Rome").aio.save()
        async with Letter.aio.batch_write() as batch:
            for letter in Letter.of("alice", 7):
                await batch.save(letter)
        assert (await Letter.aio.get("alice", 1)).city == "Rome"
        keys = [("alice", number) for number in range(7)]
        for results in (
            Letter.aio.query("alice", page_size=3, prefetch=prefetch),
            Letter.aio.scan(page_size=3, prefetch=prefetch),
            Letter.aio.batch_get(keys),
        ):
            assert [letter.city async for letter in results] == ["Rome"] * 7
        limited = Letter.aio.query("alice", page_size=3, limit=5, prefetch=prefetch)
        assert [letter.number async for letter in limited] == [0, 1, 2, 3, 4]
        assert limited.last_evaluated_key == {"user": {"S": "alice"}, "number": {"N": "4"}}

    on_tables(main)


def test_an_item_whose_attribute_was_interrupted_comes_again(local: LocalCluster) -> None:
    async def main() -> None:
        await Member("alice", city="Rome").aio.save()
        for letter in Letter.of("alice", 4):
            await letter.aio.save()
        results = Letter.aio.query("alice", page_size=3, limit=4)
        assert (await anext(results)).number == 0
        await until(lambda: len(get_cluster().core.membership.nodes()) == len(local.nodes))
        for node in local.nodes:
            node.delay(60.0)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(results), 0.05)
        for node in local.nodes:
            node.clear_faults()
        assert numbers(await results.all()) == [1, 2, 3]

    on_tables(main)


def test_methods_of_the_applications_may_make_requests(local: LocalCluster) -> None:
    """One that gives an iterator is called in a greenlet too, when the first item is asked for."""

    class Eager(Member):
        class Meta(Member.Meta):
            pass

        @classmethod
        def scan(cls, *args: Any, **kwargs: Any) -> Any:
            return list(super().scan(*args, **kwargs))

        @classmethod
        def query(cls, *args: Any, **kwargs: Any) -> Any:
            assert cls.count("nobody") == 0
            return super().query(*args, **kwargs)

        @classmethod
        def batch_get(cls, *args: Any, **kwargs: Any) -> Any:
            return list(super().batch_get(*args, **kwargs))

    async def main() -> None:
        await Eager("a").aio.save()
        scan, query = Eager.aio.scan(), Eager.aio.query("a", prefetch=1)
        assert query.last_evaluated_key is None
        assert query.total_count == 0
        assert [user.name async for user in scan] == ["a"]
        assert [user.name async for user in query] == ["a"]
        assert [user.name async for user in Eager.aio.batch_get(["a"])] == ["a"]
        assert query.total_count == 1

    on_tables(main)


def test_results_begin_where_they_are_told(local: LocalCluster) -> None:
    key = {"user": {"S": "alice"}, "number": {"N": "1"}}

    async def main() -> None:
        for order in orders(3):
            await order.aio.save()
        results = Order.aio.query("alice", last_evaluated_key=key)
        assert results.last_evaluated_key == key
        assert numbers(await results.all()) == [2]
        assert Order.aio.scan(None, None, None, None, key).last_evaluated_key == key

    on_tables(main)


def age_of_alice() -> int:
    return int(Member.get("alice").age)


class Noted(Model):
    """Another view of the letters' table, where a default makes requests."""

    class Meta(Letter.Meta):
        pass

    user = UnicodeAttribute(hash_key=True)
    number = NumberAttribute(range_key=True)
    age = NumberAttribute(default=age_of_alice)


class Base(Model):
    class Meta(Letter.Meta):
        pass

    user = UnicodeAttribute(hash_key=True)
    number = NumberAttribute(range_key=True)
    kind = DiscriminatorAttribute()


class Derived(Base, discriminator="derived"):
    city = Asking()


def test_a_default_and_a_class_of_items_that_share_a_table_may_make_requests(local: LocalCluster) -> None:
    async def main() -> None:
        await Member("alice", city="Rome", age=30).aio.save()
        await Derived("alice", 1, city="alice").aio.save()
        assert [note.age async for note in Noted.aio.scan()] == [30]
        assert [getattr(item, "city", None) async for item in Base.aio.query("alice")] == ["Rome"]

    on_tables(main)
