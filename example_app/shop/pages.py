"""What each page of the shop shows, and what its forms do. The two web applications only speak HTTP around it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from pynamodb.exceptions import PynamoDBException

from pynamodb_alternator.errors import AlternatorError

from . import trade
from .dashboard import Dashboard
from .models import Order, Product
from .traffic import Traffic

__all__ = ["HEADERS", "HOSTS", "STATIC", "TEMPLATES", "BadRequest", "NotFound"]

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""By which names the shop is called: a page of another site must not reach it under a name of its own."""

_MOST_PIECES = 99
UNAVAILABLE = {
    "title": "One moment, please",
    "text": "The shop's database did not answer. Please look whether it was done, and try again in a moment.",
}
WRONG = {"title": "That was no form of this shop", "text": "Please go back, and try again."}
FOREIGN = {"title": "That form is too old", "text": "Please go back, load the page again, and press the button again."}
MISSING = {"title": "There is no such page", "text": "It may have been moved."}


class NotFound(Exception):
    """There is no such page."""


class BadRequest(Exception):
    """A form was sent that the shop has not made."""


def money(cents: float) -> str:
    return f"{cents / 100:,.2f} €"


def new_customer() -> str:
    return f"guest-{secrets.token_hex(3)}"


def home(traffic: Traffic, category: str | None) -> dict[str, Any]:
    trade.bump("visits")
    if category is not None and category not in trade.CATEGORIES:
        raise NotFound
    return {
        "products": trade.products(category),
        "categories": trade.CATEGORIES,
        "category": category,
        "state": state(traffic),
    }


def state(traffic: Traffic) -> dict[str, Any]:
    """The figures of the home page. The numbers of orders and visits come from their atomic counters."""
    state = traffic.snapshot()
    for name in ("orders", "visits"):
        try:
            state[name] = trade.count(name)
        except PynamoDBException:
            state[name] = None
    return state


def dashboard(board: Dashboard) -> dict[str, Any]:
    return {"state": board.state(), "why_no_faults": board.why_no_faults}


def cart(customer: str) -> dict[str, Any]:
    quantities = _quantities(trade.cart_of(customer))
    goods = {product.sku: product for product in Product.batch_get(list(quantities))} if quantities else {}
    lines = [(goods[sku], quantity) for sku, quantity in quantities.items() if sku in goods]
    total = sum(product.price_cents * quantity for product, quantity in lines)
    return {"lines": lines, "total": total, "order_id": trade.new_order_id()}


def add_to_cart(customer: str, sku: str, quantity: str) -> str:
    """Put so many pieces more (or less) into the cart, and say what is in it now."""
    try:
        pieces = int(quantity)
    except ValueError:
        pieces = 1
    try:
        product = Product.get(sku) if sku else None
    except Product.DoesNotExist:
        product = None
    if product is None:
        raise NotFound

    def add(quantities: dict[str, int]) -> None:
        quantities[sku] = max(0, min(_MOST_PIECES, quantities.get(sku, 0) + pieces))
        if not quantities[sku]:
            del quantities[sku]

    quantities = trade.change_cart(customer, add)
    return f"In your cart: {quantities.get(sku, 0)} × {product.name}"


def check_out(customer: str, order_id: str) -> None:
    """Order what is in the cart."""
    if not (order_id.isascii() and order_id.isalnum() and len(order_id) == 32):
        raise BadRequest
    cart = trade.cart_of(customer)
    quantities = _quantities(cart)
    if quantities:
        order = trade.place_order(customer, quantities, order_id)
        if order.status == "placed":
            trade.change_cart(customer, lambda ordered: ordered.clear())


def order(customer: str, order_id: str) -> dict[str, Any]:
    try:
        found = Order.get(order_id, consistent_read=True)
    except Order.DoesNotExist:
        raise NotFound from None
    if found.customer != customer:
        raise NotFound
    return {"order": found}


def orders(customer: str) -> dict[str, Any]:
    return {"orders": trade.orders_of(customer)}


def is_unavailable(error: BaseException) -> bool:
    """Whether no node could take a request, so that the visitor may try again."""
    return isinstance(getattr(error, "cause", None) or error, AlternatorError)


def _quantities(cart: Any) -> dict[str, int]:
    return {sku: int(quantity) for sku, quantity in cart.quantities.as_dict().items()}
