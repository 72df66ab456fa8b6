"""The content of each page of the shop, and what its forms do. The web applications add only HTTP."""

from __future__ import annotations

import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pynamodb.exceptions import PynamoDBException

from pynamodb_alternator.errors import AlternatorError

from . import carts, trade
from .dashboard import Dashboard
from .faults import Refused
from .looks import HEDGE_AFTER
from .models import Order, Product
from .traffic import Traffic
from .words import duration, noun

__all__ = ["HEADERS", "IN_TEMPLATES", "STATIC", "TEMPLATES", "BadRequest", "NotFound", "hosts", "secret_key"]

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""The host names of the shop. It refuses other names, so that a page of another site cannot reach it under its own
name."""


def hosts() -> list[str]:
    """The host names of this shop: those of ``SHOP_HOSTS``, separated by commas, or `HOSTS`."""
    return os.environ["SHOP_HOSTS"].split(",") if "SHOP_HOSTS" in os.environ else list(HOSTS)


def secret_key() -> str:
    """The key that signs the visitors' cookies: ``SHOP_SECRET_KEY``. By default, cookies are valid as long as the
    process runs."""
    return os.environ.get("SHOP_SECRET_KEY") or secrets.token_hex(32)


_MOST_PIECES = 99


@dataclass(frozen=True)
class Message:
    """A page that only says something."""

    title: str
    text: str

    @property
    def context(self) -> dict[str, Any]:
        """The values for the template. It is a new dict each time, because frameworks add the request to it."""
        return asdict(self)


UNAVAILABLE = Message(
    "One moment, please",
    "The shop's database did not answer. Please look whether it was done, and try again in a moment.",
)
WRONG = Message("That is not a form of this shop", "Please go back, and try again.")
FOREIGN = Message("That form is too old", "Please go back, load the page again, and press the button again.")
MISSING = Message("There is no such page", "It may have been moved.")


class NotFound(Exception):
    """There is no such page."""


class BadRequest(Exception):
    """A form was sent that the shop has not made."""


def money(cents: float) -> str:
    return f"{cents / 100:,.2f} €"


IN_TEMPLATES = {"money": money, "noun": noun, "duration": duration}
"""Functions that all templates can call, in addition to ``url``, ``static``, ``notes`` and ``csrf_input`` of each
framework."""


def new_customer() -> str:
    return f"guest-{secrets.token_hex(3)}"


def home(board: Dashboard, category: str | None) -> dict[str, Any]:
    trade.bump("visits")
    if category is not None and category not in trade.CATEGORIES:
        raise NotFound
    return {
        "products": trade.products() if category is None else _of_category(board, category),
        "categories": trade.CATEGORIES,
        "category": category,
        "state": state(board.traffic),
    }


def _of_category(board: Dashboard, category: str) -> list[Product]:
    with board.looks.reading():
        return trade.products(category)


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
    return {
        "state": board.state(),
        "why_no_faults": board.why_no_faults,
        "hedge_after": f"{HEDGE_AFTER * 1000:.0f}",
    }


def press(board: Dashboard, action: str, node: str) -> tuple[str, int]:
    """What a button of the dashboard has done, or why it was refused, and the HTTP status of the answer."""
    try:
        return board.press(action, node), 200
    except Refused as refused:
        return str(refused), refused.status


def cart(customer: str) -> dict[str, Any]:
    cart = carts.cart_of(customer)
    quantities = carts.quantities_of(cart)
    goods = {product.sku: product for product in Product.batch_get(list(quantities))} if quantities else {}
    lines = [(goods[sku], quantity) for sku, quantity in quantities.items() if sku in goods]
    total = sum(product.price_cents * quantity for product, quantity in lines)
    return {"lines": lines, "total": total, "order_id": cart.order_id}


def add_to_cart(customer: str, sku: str, quantity: str) -> str:
    """Add pieces to the cart, or remove some, and say what is in it now."""
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

    quantities = carts.change_cart(customer, add)
    return f"In your cart: {quantities.get(sku, 0)} × {product.name}"


def check_out(customer: str, order_id: str) -> None:
    """Order what is in the cart. A page that is older than the last order orders nothing more: it shows that order."""
    if not (order_id.isascii() and order_id.isalnum() and len(order_id) == 32):
        raise BadRequest
    carts.check_out(customer, order_id)


def order(customer: str, order_id: str) -> dict[str, Any]:
    try:
        known = Order.get(order_id, consistent_read=True)
    except Order.DoesNotExist:
        raise NotFound from None
    if known.customer != customer:
        raise NotFound
    return {"order": known}


def orders(customer: str) -> dict[str, Any]:
    return {"orders": trade.orders_of(customer)}


def is_unavailable(error: BaseException) -> bool:
    """Whether no node could take a request, so that the visitor may try again."""
    return isinstance(getattr(error, "cause", None) or error, AlternatorError)
