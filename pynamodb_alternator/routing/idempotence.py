"""May a request be repeated, although it may have been executed already?

Yes only where the second application leaves the same items behind *and* gives the same answer as the first. What is
not known to be so is not repeated: the caller is then told that the outcome is unknown.
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
        # They set, or take away, what they name, and answer with nothing.
        "TagResource",
        "UntagResource",
    }
)
# Deliberately in neither: UpdateTimeToLive, which is refused the second time ("already enabled"); CreateTable,
# DeleteTable and UpdateTable, which find the table in use, gone or changing; TransactWriteItems and PartiQL, whose
# effect is not analysed here, with or without a client token.

_SAME_EACH_TIME = frozenset({None, "NONE", "ALL_NEW", "UPDATED_NEW"})
"""Values of ReturnValues for which the answers to a first and a second application are equal."""

_NOTHING: Mapping[Any, Any] = {}


def is_read(operation: str) -> bool:
    """Whether the operation changes nothing."""
    # All of AWS's operations of these names read.
    return operation in READS or operation.startswith(("Describe", "List"))


def is_vector_search(operation: str, parameters: Mapping[str, Any]) -> bool:
    """Whether the request looks for the nearest vectors of a table. It has no key, so no node is better for it than
    another.

    SearchVectors does, and in Alternator's older dialect a Query whose condition, if it has one, only filters.
    """
    return operation == "SearchVectors" or (operation == "Query" and "VectorSearch" in parameters)


def is_idempotent(operation: str, parameters: Mapping[str, Any]) -> bool:
    """Whether applying the request twice has the result of applying it once. Never raises.

    A write with a condition is not idempotent: the second application meets what the first one wrote, and its condition
    may fail. Unknown operations are not idempotent.
    """
    if operation in READS or operation in _REPEATABLE_WRITES:
        return True
    if operation not in ITEM_WRITES:
        return is_read(operation)
    try:
        return _is_idempotent_write(operation, parameters)
    except WRONG_VALUE:
        # Parameters whose own methods fail: the server has not seen such a request, but nothing is known of it.
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
