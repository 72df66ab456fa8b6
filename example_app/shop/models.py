"""The tables of the shop: PynamoDB models, written as for DynamoDB.

Only the base class shows that they are on an Alternator cluster. The application calls `configure` when it starts, so
the models contain no addresses.
"""

from __future__ import annotations

from typing import Any

from pynamodb.attributes import (
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from pynamodb_alternator import Model

__all__ = ["TABLES", "Cart", "Counter", "Line", "Order", "Product", "create_tables"]


class ProductsByCategory(GlobalSecondaryIndex["Product"]):
    """All products of one category, by name."""

    class Meta:
        index_name = "by_category"
        projection = AllProjection()

    category = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)


class Product(Model):
    """Something to sell.

    `received`: how many pieces were delivered in total. `stock`: how many are left. `marks`: the recent changes of the
    stock, by their id, with the time (seconds since the epoch). A mark prevents that a change is made twice.
    """

    class Meta:
        table_name = "shop_products"

    sku = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute()
    category = UnicodeAttribute()
    price_cents = NumberAttribute()
    stock = NumberAttribute(default=0)
    received = NumberAttribute(default=0)
    marks: MapAttribute[str, Any] = MapAttribute(default=dict)

    by_category = ProductsByCategory()


class Line(MapAttribute[str, Any]):
    """Some pieces of one product, at the price at the time of the order."""

    sku = UnicodeAttribute()
    name = UnicodeAttribute()
    quantity = NumberAttribute()
    price_cents = NumberAttribute()


class OrdersByCustomer(GlobalSecondaryIndex["Order"]):
    """The orders of one customer, by time."""

    class Meta:
        index_name = "by_customer"
        projection = AllProjection()

    customer = UnicodeAttribute(hash_key=True)
    created_at = UTCDateTimeAttribute(range_key=True)


class Order(Model):
    """`status`: ``pending`` while the stock is being reserved, then ``placed``, or ``rejected`` with a `reason`."""

    class Meta:
        table_name = "shop_orders"

    order_id = UnicodeAttribute(hash_key=True)
    customer = UnicodeAttribute()
    created_at = UTCDateTimeAttribute()
    status = UnicodeAttribute(default="pending")
    reason = UnicodeAttribute(null=True)
    lines: ListAttribute[Line] = ListAttribute(of=Line)
    total_cents = NumberAttribute()

    by_customer = OrdersByCustomer()


class Cart(Model):
    """What a customer has picked so far: quantities by sku. It is always saved as a whole.

    `version`: makes each save a conditional one, so that a late copy of an older save changes nothing.
    `changed_by`: the id of the last change, by which a save of unknown outcome is recognised.
    `order_id`: the id of the order that will be made of it. After that order the cart gets another one.
    """

    class Meta:
        table_name = "shop_carts"

    customer = UnicodeAttribute(hash_key=True)
    quantities: MapAttribute[str, Any] = MapAttribute(default=dict)
    changed_by = UnicodeAttribute(null=True)
    order_id = UnicodeAttribute(null=True)
    version = VersionAttribute()


class Counter(Model):
    """A number that only grows, by atomic ADDs."""

    class Meta:
        table_name = "shop_counters"

    name = UnicodeAttribute(hash_key=True)
    value = NumberAttribute(default=0)


TABLES: tuple[type[Model], ...] = (Product, Order, Cart, Counter)


def create_tables() -> None:
    """Create the tables that do not exist yet."""
    for table in TABLES:
        if not table.exists():
            table.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
