"""Compares the stocks with the orders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .models import Order, Product

__all__ = ["Books", "Stock", "audit"]


@dataclass(frozen=True)
class Stock:
    """Where all received pieces of a product are. `reserved`: for orders that are not completed."""

    sku: str
    received: int
    sold: int
    reserved: int
    stock: int

    @property
    def agrees(self) -> bool:
        return self.stock >= 0 and self.received - self.sold - self.reserved == self.stock

    def __str__(self) -> str:
        reserved = f", reserved {self.reserved}" if self.reserved else ""
        return f"{self.sku}: received {self.received}, sold {self.sold}{reserved}, but {self.stock} in stock"


@dataclass(frozen=True)
class Books:
    """`placed`: the ids of the orders that were placed. `unfinished`: how many orders are still pending. `wrong`: the
    stocks that do not agree with the orders."""

    placed: frozenset[str]
    unfinished: int
    wrong: tuple[Stock, ...]


def audit() -> Books:
    """Compare all stocks with all orders. Call it while no order is running.

    If a process died in the middle of an order, or found no node, the order is still pending. Then the order's mark in
    a product says that it has reserved pieces of this product.
    """
    orders = {order.order_id: order for order in Order.scan(consistent_read=True)}
    placed = frozenset(order_id for order_id, order in orders.items() if order.status == "placed")
    sold: Counter[str] = Counter()
    for order_id in placed:
        sold.update(_pieces(orders[order_id]))
    stocks = []
    for product in Product.scan(consistent_read=True):
        reserving = product.marks.as_dict().keys() & orders.keys() - placed
        reserved = sum(_pieces(orders[order_id])[product.sku] for order_id in reserving)
        stocks.append(Stock(product.sku, int(product.received), sold[product.sku], reserved, int(product.stock)))
    unfinished = sum(order.status == "pending" for order in orders.values())
    return Books(placed, unfinished, tuple(stock for stock in stocks if not stock.agrees))


def _pieces(order: Order) -> Counter[str]:
    return Counter({line.sku: int(line.quantity) for line in order.lines})
