"""The functions of the shop.

Alternator has no transactions over several items, and a node may die between executing a write and saying so. The shop
still makes no mistakes, because it follows two rules that any application can use:

1. **Each change of a stock carries an id, and leaves a mark with it in the same item.** The change is made on the
   condition that the mark is not there yet. So it may be asked for again as often as one likes, and is made once.
2. **An order is pending until all of its stock is reserved.** An order that stays pending, because the process died
   halfway, is rejected after a minute, and gives back what it had reserved (`settle`).

The library raises `OutcomeUnknownError` where it cannot know whether a write was executed and must not repeat it by
itself. `change_once` is what an application does about it: thanks to rule 1 it asks again. `carts` does the same for an
item that is saved as a whole. `books` compares the stocks with the orders.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from pynamodb.exceptions import PutError, UpdateError
from pynamodb.expressions.update import Action

from pynamodb_alternator import get_cluster
from pynamodb_alternator.errors import AlternatorError, OutcomeUnknownError

from .models import Counter, Line, Order, Product

__all__ = [
    "TRIES",
    "OutOfStock",
    "bump",
    "change_once",
    "count",
    "deliver",
    "new_order_id",
    "orders_of",
    "place_order",
    "products",
    "release",
    "reserve",
    "seed",
    "settle",
]

SETTLE_AFTER = 60.0
"""Seconds after which no request of an earlier attempt can still arrive at a node that answers: the server gives up
after ten."""

TRIES = 10
"""How often a change with an unknown outcome is tried."""
_SETTLED_AT_ONCE = 50
"""So many marks of a product are cleared away by one request: a busy shop makes more of them than it could clear by one
request each."""

CATEGORIES = ("Tea", "Pottery", "Garden")

GOODS = (
    ("assam", "Assam, first flush", "Tea", 890),
    ("sencha", "Sencha", "Tea", 1250),
    ("oolong", "Oolong, roasted", "Tea", 1480),
    ("rooibos", "Rooibos", "Tea", 640),
    ("teapot", "Teapot, cast iron", "Pottery", 5400),
    ("bowl", "Tea bowl", "Pottery", 1900),
    ("vase", "Vase, salt glaze", "Pottery", 3300),
    ("jug", "Milk jug", "Pottery", 1400),
    ("trowel", "Trowel", "Garden", 1150),
    ("shears", "Shears", "Garden", 2750),
    ("can", "Watering can", "Garden", 3200),
    ("bulbs", "Tulip bulbs, a dozen", "Garden", 780),
)


class OutOfStock(Exception):
    """There are not enough pieces of `sku`."""

    def __init__(self, sku: str) -> None:
        super().__init__(f"There are not enough pieces of {sku!r} left.")
        self.sku = sku


def change_once(change: Callable[[], object], has_happened: Callable[[], bool]) -> bool:
    """Make a conditional change, and find out whether it was made, now or by an earlier try.

    `change` must have a condition that is false after the change was executed, such as "this mark does not exist yet".
    If no answer says whether it was executed, another try does no harm: either it is executed now, or the condition
    fails. Then `has_happened` says whether the change was made before or is not possible.
    """
    for left in reversed(range(TRIES)):
        try:
            change()
            return True
        except (PutError, UpdateError) as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return has_happened()
            if not isinstance(error.cause, OutcomeUnknownError) or not left:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


# ---- stock ---------------------------------------------------------------------------------------------------------


def reserve(sku: str, quantity: int, order_id: str) -> None:
    """Take pieces out of the stock for an order: once, however often it is called. Raises `OutOfStock`."""
    mark = Product.marks[order_id]

    def change() -> None:
        Product(sku).update(
            actions=[Product.stock.set(Product.stock - quantity), mark.set(_now())],
            condition=(Product.stock >= quantity) & mark.does_not_exist(),
        )

    if not change_once(change, lambda: _is_marked(sku, order_id)):
        raise OutOfStock(sku)


def release(sku: str, quantity: int, order_id: str) -> None:
    """Give back the pieces that an order has reserved, if it has reserved any."""
    mark = Product.marks[order_id]

    def change() -> None:
        Product(sku).update(
            actions=[Product.stock.set(Product.stock + quantity), mark.remove()], condition=mark.exists()
        )

    change_once(change, lambda: not _is_marked(sku, order_id))


def deliver(sku: str, quantity: int, delivery_id: str) -> None:
    """Put pieces into the stock: once for each delivery, however often it is called."""
    mark = Product.marks[delivery_id]

    def change() -> None:
        Product(sku).update(
            actions=[
                Product.stock.set(Product.stock + quantity),
                Product.received.set(Product.received + quantity),
                mark.set(_now()),
            ],
            condition=mark.does_not_exist(),
        )

    change_once(change, lambda: _is_marked(sku, delivery_id))


def _is_marked(sku: str, change_id: str) -> bool:
    return change_id in Product.get(sku, consistent_read=True).marks.as_dict()


# ---- orders --------------------------------------------------------------------------------------------------------


def new_order_id() -> str:
    """An id for one order. With this id, the order is made once, even if it is requested several times."""
    return uuid.uuid4().hex


def place_order(customer: str, quantities: Mapping[str, int], order_id: str | None = None) -> Order:
    """Order some goods. May be called again with the same `order_id`: the order is made once.

    Returns the order, which is placed, or rejected because something is out of stock.
    """
    order_id = order_id or new_order_id()
    order = Order(
        order_id,
        customer=customer,
        created_at=datetime.now(UTC),
        lines=list(_lines(quantities)),
    )
    order.total_cents = sum(line.quantity * line.price_cents for line in order.lines)
    if not change_once(lambda: order.save(condition=Order.order_id.does_not_exist()), lambda: False):
        order = Order.get(order_id, consistent_read=True)
    if order.status != "pending":
        return order
    try:
        for line in order.lines:
            reserve(line.sku, int(line.quantity), order_id)
    except OutOfStock as shortage:
        _decide(order_id, "rejected", str(shortage))
    else:
        if _decide(order_id, "placed"):
            bump("orders")
    order = Order.get(order_id, consistent_read=True)
    if order.status == "rejected":
        _give_back(order)
    return order


def _lines(quantities: Mapping[str, int]) -> Iterator[Line]:
    positive = {sku: quantity for sku, quantity in quantities.items() if quantity > 0}
    if not positive:
        raise ValueError("An order needs at least one product.")
    on_sale = {product.sku: product for product in Product.batch_get(list(positive))}
    for sku, quantity in sorted(positive.items()):
        if sku not in on_sale:
            raise Product.DoesNotExist(f"There is no product {sku!r}.")
        product = on_sale[sku]
        yield Line(sku=sku, name=product.name, quantity=quantity, price_cents=product.price_cents)  # type: ignore[no-untyped-call]


def _decide(order_id: str, status: str, reason: str | None = None) -> bool:
    """Give a pending order its final status. An order that has a final status keeps it. True only if this call has
    certainly set it."""
    actions: list[Action] = [Order.status.set(status)]
    if reason is not None:
        actions.append(Order.reason.set(reason))
    return change_once(
        lambda: Order(order_id).update(actions=actions, condition=Order.status == "pending"), lambda: False
    )


def _give_back(order: Order) -> None:
    for line in order.lines:
        release(line.sku, int(line.quantity), order.order_id)


def _clear_marks(sku: str, change_ids: Sequence[str]) -> None:
    marks = [Product.marks[change_id] for change_id in change_ids]
    change_once(
        lambda: Product(sku).update(actions=[mark.remove() for mark in marks], condition=marks[0].exists()),
        lambda: True,
    )


def orders_of(customer: str, limit: int = 20) -> list[Order]:
    """The customer's last orders, the newest first."""
    return list(Order.by_customer.query(customer, scan_index_forward=False, limit=limit))


def settle(older_than: float = SETTLE_AFTER, unless: Callable[[], bool] = lambda: False) -> int:
    """Remove old marks, and reject orders that a process did not complete because it died. Returns the number of
    removed marks.

    A shop calls this from time to time. It may run several times at once. It does nothing while a node does not answer:
    this node may be frozen, and execute an old request when it thaws, and then the mark must still exist. `unless`:
    returns True if the caller has something more important to do. Then the rest is left for the next call.
    """
    if any(node.state.value != "active" for node in get_cluster().nodes()):
        return 0
    cleared = 0
    oldest = _now() - older_than
    for product in Product.scan(consistent_read=True):
        old = [change_id for change_id, marked_at in product.marks.as_dict().items() if marked_at <= oldest]
        for first in range(0, len(old), _SETTLED_AT_ONCE):
            if unless():
                return cleared
            some = old[first : first + _SETTLED_AT_ONCE]
            _settle_marks(product.sku, some)
            cleared += len(some)
    return cleared


def _settle_marks(sku: str, change_ids: Sequence[str]) -> None:
    order_ids = [change_id for change_id in change_ids if not change_id.startswith("delivery-")]
    orders = Order.batch_get(order_ids, consistent_read=True) if order_ids else ()
    unfinished = set(order_ids) - {order.order_id for order in orders if order.status == "placed"}
    for order_id in sorted(unfinished):
        _decide(order_id, "rejected", "It was not completed.")
        order = Order.get(order_id, consistent_read=True)
        if order.status == "rejected":
            _give_back(order)
        _clear_marks(sku, [order_id])
    finished = [change_id for change_id in change_ids if change_id not in unfinished]
    if finished:
        _clear_marks(sku, finished)


# ---- the rest ------------------------------------------------------------------------------------------------------


def products(category: str | None = None) -> list[Product]:
    """All products, or those of one category."""
    if category is not None:
        return list(Product.by_category.query(category))
    return sorted(Product.scan(), key=lambda product: (CATEGORIES.index(product.category), product.name))


def bump(name: str) -> bool:
    """Add one to a counter. False if it was perhaps not added, because no node took the request, or because the outcome
    is unknown.

    An increment cannot be made safe to repeat, and neither the library nor this function repeats it. So the number may
    be too low, but is never too high. If you need an exact number, count the orders themselves, as `books.audit` does.
    """
    try:
        Counter(name).update(actions=[Counter.value.add(1)])
    except UpdateError as error:
        if isinstance(error.cause, AlternatorError):
            return False
        raise
    return True


def count(name: str) -> int:
    """The value of the counter `name`."""
    try:
        return int(Counter.get(name).value)
    except Counter.DoesNotExist:
        return 0


def seed(stock: int = 200, rare: int = 12) -> None:
    """Fill an empty shop, in batches. The last product is rare, so that it sells out.

    No other program writes these products yet, so a batch may be repeated even if its node went silent.
    """
    with get_cluster().options(silent_writes="repeat"), Product.batch_write() as batch:
        for sku, name, category, price in GOODS:
            pieces = rare if sku == GOODS[-1][0] else stock
            batch.save(
                Product(sku, name=name, category=category, price_cents=price, stock=pieces, received=pieces, marks={})
            )


def _now() -> int:
    return int(time.time())
