"""The carts of customers. Each cart is one item, which is always saved as a whole.

A version makes each save conditional, so that a save which its node executes late does not undo a newer one. A cart
also has the id of its future order. All pages that show the cart have this id in their form. So the cart is ordered
once, even if a visitor presses the button on several pages, or several times while a node does not answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from pynamodb.exceptions import PutError

from pynamodb_alternator.errors import OutcomeUnknownError

from . import trade
from .models import Cart, Order

__all__ = ["cart_of", "change_cart", "check_out", "quantities_of"]


def cart_of(customer: str) -> Cart:
    """The customer's cart, empty if there is none yet."""
    try:
        return Cart.get(customer, consistent_read=True)
    except Cart.DoesNotExist:
        return Cart(customer)


def quantities_of(cart: Cart) -> dict[str, int]:
    """The number of pieces of each product in the cart."""
    return {sku: int(quantity) for sku, quantity in cart.quantities.as_dict().items()}


def change_cart(customer: str, change: Callable[[dict[str, int]], object]) -> dict[str, int]:
    """Let `change` alter the quantities of the customer's cart, once, and save them. Returns the new quantities."""

    def alter(cart: Cart) -> bool:
        quantities = quantities_of(cart)
        change(quantities)
        cart.quantities = quantities
        cart.order_id = cart.order_id or trade.new_order_id()
        return True

    return quantities_of(_save(customer, alter))


def check_out(customer: str, order_id: str) -> bool:
    """Order the products in the cart, if `order_id` is the id of the cart.

    May be called again: the order is made once. False for another id, such as the id of an earlier order of this cart.
    """
    cart = cart_of(customer)
    quantities = quantities_of(cart)
    if cart.order_id != order_id or not quantities:
        return False
    order = trade.place_order(customer, quantities, order_id)

    def alter(cart: Cart) -> bool:
        if cart.order_id != order_id or order.status == "pending":
            return False  # another request for the same order has done this, or will do it
        cart.order_id = trade.new_order_id()
        if order.status == "placed":
            cart.quantities = _without(quantities_of(cart), order)
        return True

    _save(customer, alter)
    return True


def _without(quantities: dict[str, int], order: Order) -> dict[str, int]:
    """Products that were not ordered stay, because the customer may have added them meanwhile."""
    ordered = {line.sku: int(line.quantity) for line in order.lines}
    left = {sku: quantity - ordered.get(sku, 0) for sku, quantity in quantities.items()}
    return {sku: quantity for sku, quantity in left.items() if quantity > 0}


def _save(customer: str, alter: Callable[[Cart], bool]) -> Cart:
    """Let `alter` change the customer's cart, and save it, once. If `alter` returns False, there is nothing to save.
    Returns the cart.

    It tries again if another request has changed the cart meanwhile, and if the outcome of a save is unknown.
    """
    change_id = uuid.uuid4().hex
    for left in reversed(range(trade.TRIES)):
        cart = cart_of(customer)
        # An earlier try has saved a cart with this id, and its answer was lost.
        if cart.changed_by == change_id or not alter(cart):
            return cart
        cart.changed_by = change_id
        try:
            cart.save()
            return cart
        except PutError as error:
            was_changed = error.cause_response_code == "ConditionalCheckFailedException"
            if not (was_changed or isinstance(error.cause, OutcomeUnknownError)) or not left:
                raise
    raise AssertionError("unreachable: the last try returns or raises")
