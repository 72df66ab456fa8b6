"""Tells whether a write of one item is a read-modify-write, for which the server needs a lightweight transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .update_expression import analyse

__all__ = ["counts_as_read_modify_write", "needs_read_before_write"]

_RETURNED_WITH_OLD_CONTENT = ("ALL_OLD", "UPDATED_OLD", "ALL_NEW")
"""The values of ReturnValues for which the answer to an update contains parts of the old item."""


def needs_read_before_write(operation: str, parameters: Mapping[str, Any], *, force: bool = False) -> bool:
    """Whether the server reads the item before this PutItem, UpdateItem or DeleteItem writes it.

    This is exactly the server's own rule (``needs_read_before_write`` of put, delete and update in
    ``alternator/executor.cc``). A parameter of None counts as absent, because it is not sent. A request that the server
    would refuse counts as one that needs a read. `force`: the server's option ``alternator_force_read_before_write`` is
    set.
    """
    get = parameters.get
    if get("ConditionExpression") is not None or get("Expected") is not None:
        return True
    if operation == "PutItem":
        return bool(get("ReturnValues") == "ALL_OLD")
    if operation == "DeleteItem":
        return force or bool(get("ReturnValues") == "ALL_OLD")
    if operation != "UpdateItem":
        return False
    if force or get("ReturnValues") in _RETURNED_WITH_OLD_CONTENT:
        return True
    expression = get("UpdateExpression")
    if expression is not None and analyse(expression).needs_read:
        return True
    updates = get("AttributeUpdates")
    return updates is not None and _attribute_updates_need_read(updates)


def counts_as_read_modify_write(operation: str, parameters: Mapping[str, Any]) -> bool:
    """Whether ScyllaDB's other drivers count this write as a read-modify-write (``rmw_rule="driver"``).

    They count more writes than the server: every write with an UpdateExpression, and a put or delete with any
    ReturnValues. An empty condition does not count.
    """
    if operation not in ("PutItem", "UpdateItem", "DeleteItem"):
        return False
    get = parameters.get
    if _is_text(get("ConditionExpression")):
        return True
    expected = get("Expected")
    if expected and isinstance(expected, Mapping):
        return True
    returned = get("ReturnValues")
    if operation != "UpdateItem":
        return _is_text(returned) and returned != "NONE"
    if _is_text(get("UpdateExpression")) or returned in _RETURNED_WITH_OLD_CONTENT:
        return True
    updates = get("AttributeUpdates")
    return isinstance(updates, Mapping) and _attribute_updates_need_read(updates)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _attribute_updates_need_read(updates: object) -> bool:
    """A legacy update needs a read if it adds to an attribute, or removes elements from a set. It needs no read if it
    puts or removes an attribute."""
    if not isinstance(updates, Mapping):
        return True
    for update in updates.values():
        if isinstance(update, Mapping):
            action = update.get("Action")
            if action == "ADD" or (action == "DELETE" and update.get("Value") is not None):
                return True
    return False
