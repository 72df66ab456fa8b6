"""Customers: some place orders, others look at products, with a pause after each. They are threads or tasks."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ..shop import models, trade
from ..shop.looks import Looks

__all__ = ["PATIENCE", "Customers", "CustomersInTasks", "CustomersInThreads", "Failed", "Stopped", "Tally"]

NAMES = ("ada", "barbara", "edsger", "frances", "grace", "hedy", "margaret", "radia")
PATIENCE = 30.0
"""Seconds within which something that must happen has happened."""

THREADS = 4
"""The number of customers who place orders. The same number look at products."""
TASKS = 12
"""The number of customers that are tasks. Each task pauses longer than a thread, so the cluster gets as many
requests."""

RESTOCK_BELOW = 40
DELIVERY = 200


class Failed(Exception):
    """The demo did not show what it must show."""


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


@dataclass
class Tally:
    """Counts the orders by their result, and the failed looks at products. `placed`: the ids of those orders."""

    placed: set[str] = field(default_factory=set)
    sold_out: int = 0
    failed: list[str] = field(default_factory=list)
    looks_failed: list[str] = field(default_factory=list)

    @property
    def all(self) -> int:
        return len(self.placed) + self.sold_out + len(self.failed)


class Customers(ABC):
    """The common part of customers in threads and in tasks: what they order, and the results.

    `pause`: seconds that a customer waits after an order or a look, varied by up to half. Without `looks`, no customers
    look at products.
    """

    def __init__(self, pause: float, looks: Looks | None, interrupted: threading.Event | None) -> None:
        self.pause = pause
        self.looks = looks
        self.tally = Tally()
        self._interrupted = interrupted or threading.Event()
        self._stopping = threading.Event()
        self._changed = threading.Condition()

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None:
        """Finish the running orders. A second call does nothing."""

    def wait_for(self, count: int, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until this number of further orders have a result, or until waiting makes no sense."""
        with self._changed:
            goal = self.tally.all + count
            self._changed.wait_for(lambda: self.tally.all >= goal or self._interrupted.is_set() or unless(), PATIENCE)
            if self._interrupted.is_set():
                raise Stopped
            if self.tally.all < goal and not unless():
                raise Failed(f"The orders stand still: {self.tally.all} of {goal} in {PATIENCE:.0f} s.")

    def _ordered(self, order: models.Order) -> None:
        with self._changed:
            if order.status == "placed":
                self.tally.placed.add(order.order_id)
            elif order.status == "rejected":
                self.tally.sold_out += 1
            else:
                self.tally.failed.append(f"an order stayed {order.status}")
            self._changed.notify_all()

    def _failed(self, error: Exception) -> None:
        with self._changed:
            self.tally.failed.append(_reason(error))
            self._changed.notify_all()

    def _saw_nothing(self, error: Exception) -> None:
        with self._changed:
            self.tally.looks_failed.append(_reason(error))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _rest(chance: random.Random) -> float:
    return chance.uniform(0.5, 1.5)


def _any_product(chance: random.Random) -> str:
    return chance.choice(trade.GOODS)[0]


def _some_products(chance: random.Random) -> dict[str, int]:
    goods = [sku for sku, *_ in trade.GOODS]
    return {sku: chance.randint(1, 3) for sku in chance.sample(goods, chance.randint(1, 3))}


def _delivery_for(product: models.Product) -> str | None:
    """The id of a delivery of a product whose stock is low, except of the rare product, which may sell out.

    The id contains the total number received so far, so customers that see the same total order one delivery.
    """
    if product.sku == trade.GOODS[-1][0] or product.stock >= RESTOCK_BELOW:
        return None
    return f"delivery-{int(product.received)}"


class CustomersInThreads(Customers):
    """Each customer is a thread. `context`: the context in which it uses models."""

    def __init__(
        self,
        pause: float,
        *,
        context: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
        looks: Looks | None = None,
        interrupted: threading.Event | None = None,
    ) -> None:
        super().__init__(pause, looks, interrupted)
        self._context = context
        self._threads = [self._thread(self._order, f"orders-{number}", number) for number in range(THREADS)]
        if looks is not None:
            self._threads += [self._thread(self._look, f"looks-{number}", number, looks) for number in range(THREADS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(PATIENCE)

    def _thread(self, run: Callable[..., None], name: str, number: int, *arguments: Any) -> threading.Thread:
        def in_context() -> None:
            with self._context():
                run(random.Random(number), *arguments)

        return threading.Thread(target=in_context, name=name, daemon=True)

    def _order(self, chance: random.Random) -> None:
        while not self._stopping.wait(self.pause * _rest(chance)):
            try:
                order = trade.place_order(chance.choice(NAMES), _some_products(chance))
                for line in order.lines:
                    product = models.Product.get(line.sku)
                    delivery = _delivery_for(product)
                    if delivery is not None:
                        trade.deliver(product.sku, DELIVERY, delivery)
            except Exception as error:
                self._failed(error)
            else:
                self._ordered(order)

    def _look(self, chance: random.Random, looks: Looks) -> None:
        while not self._stopping.wait(self.pause * _rest(chance)):
            try:
                with looks.reading():
                    models.Product.get(_any_product(chance))
            except Exception as error:
                self._saw_nothing(error)


class CustomersInTasks(Customers):
    """Each customer is a task of `loop`, which runs in another thread, such as that of the shop's server.

    Code that needs one request awaits ``Product.aio``. For code with several requests, such as placing an order, it
    calls the same function as threads do, with `aio.run`.
    """

    def __init__(
        self,
        pause: float,
        loop: asyncio.AbstractEventLoop,
        *,
        looks: Looks | None = None,
        interrupted: threading.Event | None = None,
    ) -> None:
        super().__init__(pause, looks, interrupted)
        self._loop = loop
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._in_loop(self._begin())

    def stop(self) -> None:
        self._stopping.set()
        if not self._loop.is_closed():
            self._in_loop(self._end())

    def _in_loop(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _begin(self) -> None:
        for number in range(TASKS):
            self._tasks.append(asyncio.create_task(self._order(random.Random(number))))
            if self.looks is not None:
                self._tasks.append(asyncio.create_task(self._look(random.Random(number), self.looks)))

    async def _end(self) -> None:
        await asyncio.gather(*self._tasks)

    async def _comes_again(self, chance: random.Random) -> bool:
        """False at the end. The pause is so long that all tasks together make as many requests as threads do."""
        until = self._loop.time() + self.pause * TASKS / THREADS * _rest(chance)
        while not self._stopping.is_set():
            left = until - self._loop.time()
            if left <= 0:
                return True
            await asyncio.sleep(min(left, 0.5))
        return False

    async def _order(self, chance: random.Random) -> None:
        from pynamodb_alternator import aio

        while await self._comes_again(chance):
            try:
                order = await aio.run(trade.place_order, chance.choice(NAMES), _some_products(chance))
                for line in order.lines:
                    product = await models.Product.aio.get(line.sku)
                    delivery = _delivery_for(product)
                    if delivery is not None:
                        await aio.run(trade.deliver, product.sku, DELIVERY, delivery)
            except Exception as error:
                self._failed(error)
            else:
                self._ordered(order)

    async def _look(self, chance: random.Random, looks: Looks) -> None:
        while await self._comes_again(chance):
            try:
                with looks.reading():
                    await models.Product.aio.get(_any_product(chance))
            except Exception as error:
                self._saw_nothing(error)
