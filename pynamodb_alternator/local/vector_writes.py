"""Checks writes to the attributes of a vector index: a value is refused if it is not a vector with the right
dimensions, or, for an attribute by which the index filters, if it has a wrong type.

An update is checked before it is executed. So a computed value is not checked, such as a vector that is copied from
another attribute. If such a value is wrong, searches ignore the item, as they do with items from before the index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .expressions import parser, tree
from .expressions.references import References
from .vector_tables import VectorTables
from .vectors import VectorIndex, check_filtered, vector_of


class VectorWrites:
    """Checks writes before they are executed. For a table without vector indexes, this costs one lookup."""

    def __init__(self, tables: VectorTables) -> None:
        self._tables = tables

    def check(self, operation: str, table: str | None, parameters: Mapping[str, Any]) -> None:
        """Raises `DialectError` for a PutItem or UpdateItem with a wrong value."""
        indexes = self._indexes(table)
        if not indexes:
            return
        if operation == "PutItem":
            _check_item(parameters.get("Item"), indexes)
        elif operation == "UpdateItem":
            _check_item(_assigned(parameters), indexes)

    def check_batch(self, requested: Any) -> None:
        """Raises `DialectError` for a BatchWriteItem with a wrong value, so that none of its writes is done."""
        for table, requests in requested.items() if isinstance(requested, dict) else ():
            indexes = self._indexes(table)
            for request in requests if indexes and isinstance(requests, list) else ():
                put = request.get("PutRequest") if isinstance(request, dict) else None
                _check_item(put.get("Item") if isinstance(put, dict) else None, indexes)

    def _indexes(self, table: str | None) -> list[VectorIndex]:
        known = self._tables.known(table)
        return [] if known is None else list(known.indexes.values())


def _check_item(item: Any, indexes: list[VectorIndex]) -> None:
    for index in indexes:
        if isinstance(item, dict) and index.attribute in item:
            vector_of(item[index.attribute], index.dimensions, f"The attribute {index.attribute}")
        if isinstance(item, dict):
            check_filtered(item, index)


def _assigned(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values in an UpdateItem that it writes to attributes; computed values are omitted."""
    legacy = parameters.get("AttributeUpdates")
    if isinstance(legacy, dict):
        return {
            name: update["Value"] for name, update in legacy.items() if isinstance(update, dict) and "Value" in update
        }
    expression = parameters.get("UpdateExpression")
    if expression is None:
        return {}
    values = {
        action.path.root: _constant(action.value)
        for action in parser.update(expression, References(parameters))
        if action.clause == "SET" and not action.path.steps
    }
    return {name: value for name, value in values.items() if value is not None}


def _constant(value: Any) -> Any:
    """The constant that an action writes, or writes if the attribute is missing; None for a computed value."""
    match value:
        case tree.Constant(constant):
            return constant
        case tree.Call("if_not_exists", (*_, tree.Constant(constant))):
            return constant
    return None
