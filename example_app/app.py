"""The web pages of the shop: ``create_app()`` gives the Flask application.

Nothing here knows of nodes, but for the home page, which shows what `Traffic` has counted. A request that no node
could take is answered with a page that says so (503), and may be sent again.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from flask import Flask, abort, flash, jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from pynamodb.exceptions import PynamoDBException

from pynamodb_alternator import get_cluster
from pynamodb_alternator.errors import AlternatorError

from . import shop
from .models import Order, Product
from .traffic import Traffic

__all__ = ["create_app"]

_MOST_PIECES = 99


def create_app(traffic: Traffic | None = None) -> Flask:
    """The shop on the cluster under the alias ``default``. `traffic` is what the home page shows."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=os.environ.get("SHOP_SECRET_KEY") or secrets.token_hex(16),
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    watching = traffic or Traffic().watch(get_cluster())

    @app.before_request
    def know_customer() -> None:
        if request.endpoint not in ("static", "state"):
            session.setdefault("customer", f"guest-{secrets.token_hex(3)}")

    @app.after_request
    def be_strict(response: Any) -> Any:
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response

    @app.template_filter()
    def money(cents: float) -> str:
        return f"{cents / 100:,.2f} €"

    @app.get("/")
    def home() -> str:
        shop.bump("visits")
        category = request.args.get("category")
        if category is not None and category not in shop.CATEGORIES:
            abort(404)
        return render_template(
            "home.html",
            products=shop.products(category),
            categories=shop.CATEGORIES,
            category=category,
            state=_state(watching),
            most=_MOST_PIECES,
        )

    @app.get("/state.json")
    def state() -> ResponseReturnValue:
        answer = jsonify(_state(watching))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @app.get("/cart")
    def cart() -> str:
        quantities = _quantities(shop.cart_of(session["customer"]))
        goods = {product.sku: product for product in Product.batch_get(list(quantities))} if quantities else {}
        lines = [(goods[sku], quantity) for sku, quantity in quantities.items() if sku in goods]
        total = sum(product.price_cents * quantity for product, quantity in lines)
        return render_template("cart.html", lines=lines, total=total, order_id=shop.new_order_id())

    @app.post("/cart")
    def add() -> ResponseReturnValue:
        sku, pieces = request.form.get("sku", ""), request.form.get("quantity", 1, type=int)
        try:
            product = Product.get(sku) if sku else None
        except Product.DoesNotExist:
            product = None
        if product is None:
            abort(404)
        cart = shop.cart_of(session["customer"])
        quantities = _quantities(cart)
        quantities[sku] = max(0, min(_MOST_PIECES, quantities.get(sku, 0) + pieces))
        cart.quantities = {sku: quantity for sku, quantity in quantities.items() if quantity}
        cart.save()
        flash(f"In your cart: {quantities[sku]} × {product.name}")
        return redirect(url_for("cart" if request.form.get("back") == "cart" else "home"))

    @app.post("/orders")
    def checkout() -> ResponseReturnValue:
        customer = session["customer"]
        order_id = request.form.get("order_id", "")
        if not (order_id.isalnum() and len(order_id) == 32):
            abort(400)
        cart = shop.cart_of(customer)
        quantities = _quantities(cart)
        if quantities:
            order = shop.place_order(customer, quantities, order_id)
            if order.status == "placed":
                cart.quantities = {}
                cart.save()
        return redirect(url_for("order", order_id=order_id))

    @app.get("/orders/<order_id>")
    def order(order_id: str) -> str:
        try:
            found = Order.get(order_id, consistent_read=True)
        except Order.DoesNotExist:
            abort(404)
        if found.customer != session["customer"]:
            abort(404)
        return render_template("order.html", order=found)

    @app.get("/orders")
    def orders() -> str:
        return render_template("orders.html", orders=shop.orders_of(session["customer"]))

    @app.errorhandler(404)
    def not_found(error: Exception) -> ResponseReturnValue:
        return render_template("message.html", title="There is no such page", text="It may have been moved."), 404

    @app.errorhandler(AlternatorError)
    @app.errorhandler(PynamoDBException)
    def unavailable(error: Exception) -> ResponseReturnValue:
        cause = getattr(error, "cause", None) or error
        if not isinstance(cause, AlternatorError):
            raise error
        app.logger.warning("%s %s: %s", request.method, request.path, cause)
        text = "The shop's database did not answer. Nothing is lost: please try again in a moment."
        return render_template("message.html", title="One moment, please", text=text), 503

    return app


def _quantities(cart: Any) -> dict[str, int]:
    return {sku: int(quantity) for sku, quantity in cart.quantities.as_dict().items()}


def _state(traffic: Traffic) -> dict[str, Any]:
    """What the home page shows. The numbers of orders and visits come from their atomic counters."""
    state = traffic.snapshot()
    for name in ("orders", "visits"):
        try:
            state[name] = shop.count(name)
        except PynamoDBException:
            state[name] = None
    return state
