"""Whether a request may be sent again, although it may have been executed already.

It may only if the second application leaves the same items *and* gives the same answer as the first. A request for
which this is not known is not sent again: the caller then gets an error that says that the outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import WRONG_VALUE
from .update_expression import analyse, is_set

__all__ = ["ITEM_WRITES", "READS", "is_idempotent", "is_read", "is_vector_search"]

READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "SearchVectors", "TransactGetItems"})
"""The operations that read items."""

ITEM_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
"""The operations that write one item, and whose answer holds at most that item."""

_REPEATABLE_WRITES = frozenset(
    {
        # Puts and deletes without conditions. The same item twice in one batch is refused.
        "BatchWriteItem",
        # They set or remove the tags that they name, and their answer is empty.
        "TagResource",
        "UntagResource",
    }
)
# These operations are left out on purpose: UpdateTimeToLive, which is refused the second time ("already enabled");
# CreateTable, DeleteTable and UpdateTable, which fail the second time because the table exists, is gone, or changes;
# TransactWriteItems and PartiQL, whose effect is not analysed here, with or without a client token.

_SAME_EACH_TIME = frozenset({None, "NONE", "ALL_NEW", "UPDATED_NEW"})
"""Values of ReturnValues for which the answers to a first and a second application are equal."""

_NOTHING: Mapping[Any, Any] = {}


def is_read(operation: str) -> bool:
    """Whether the operation changes nothing."""
    # All operations of AWS with such a name only read.
    return operation in READS or operation.startswith(("Describe", "List"))


def is_vector_search(operation: str, parameters: Mapping[str, Any]) -> bool:
    """Whether the request is a search for the nearest vectors of a table. It has no key, so any node may serve it.

    It is SearchVectors, or a Query with the parameter VectorSearch in Alternator's older dialect, where a condition
    only filters.
    """
    return operation == "SearchVectors" or (operation == "Query" and "VectorSearch" in parameters)


def is_idempotent(operation: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a second application of the request changes nothing, and gives the same answer. Never raises.

    A write with a condition is not idempotent: the condition may fail the second time, because the item has changed.
    Unknown operations are not idempotent.
    """
    if operation in READS or operation in _REPEATABLE_WRITES:
        return True
    if operation not in ITEM_WRITES:
        return is_read(operation)
    try:
        return _is_idempotent_write(operation, parameters)
    except WRONG_VALUE:
        # A method of a parameter has failed, so the request cannot be analysed.
        return False


def _is_idempotent_write(operation: str, parameters: Mapping[str, Any]) -> bool:
    get = parameters.get
    if get("ConditionExpression") is not None or get("Expected") is not None:
        return False
    if operation != "UpdateItem":
        return get("ReturnValues") in (None, "NONE")
    if get("ReturnValues") not in _SAME_EACH_TIME:
        return False
    expression = get("UpdateExpression")
    if expression is not None:
        names = get("ExpressionAttributeNames") or _NOTHING
        values = get("ExpressionAttributeValues") or _NOTHING
        if not analyse(expression).may_repeat(names, values):
            return False
    updates = get("AttributeUpdates")
    return updates is None or all(_is_repeatable_update(update) for update in updates.values())


def _is_repeatable_update(update: Mapping[str, Any]) -> bool:
    """Whether one entry of the legacy AttributeUpdates is idempotent. ADD appends to a list and increments a number."""
    action, value = update.get("Action"), update.get("Value")
    if action == "ADD":
        return is_set(value)
    if action == "DELETE":
        return value is None or is_set(value)
    return action in (None, "PUT")
