"""Query and Scan of system tables: conditions, pages, projections.

Only the conditions that clients use for system tables are supported: comparisons for equality, joined by AND.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from .answers import validation
from .expressions import legacy
from .expressions.tokens import MOST_BYTES

Row = dict[str, dict[str, str]]

PAGE_BYTES = 1024 * 1024
"""The largest page in bytes, about: the length of its JSON is used."""

_EQUAL = re.compile(r"\(?\s*(#?[A-Za-z_]\w*)\s*=\s*(:\w+)\s*\)?")
_ADDRESSES = frozenset(["endpoint"])
"""Columns of the type inet, which are sorted by the bytes of the address."""
_NUMBERS = frozenset(["port"])
"""Columns of the type int. All others are text."""


def row(**values: str | None) -> Row:
    """A row of a system table. Columns whose value is None are omitted."""
    return {name: {"S": value} for name, value in values.items() if value is not None}


def in_order(rows: Iterable[Row], key: Sequence[str]) -> list[Row]:
    """The rows, sorted by the partition key, and then by the clustering columns."""
    return sorted(rows, key=lambda row: (row[key[0]]["S"], _position(row, key)))


def answer(rows: list[Row], key: Sequence[str], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a Query or Scan of these rows, which are sorted. `key`: the partition key, then the clustering
    columns.

    Raises `DialectError` for parameters that the server refuses, and for those that are not supported here.
    """
    selected, last = _page(rows, key, parameters)
    scanned = len(selected)
    selected = matching(selected, _equalities(parameters, "FilterExpression"))
    result: dict[str, Any] = {"Count": len(selected), "ScannedCount": scanned}
    if parameters.get("Select") != "COUNT":
        kept = _projected(parameters)
        result["Items"] = [
            row if kept is None else {name: value for name, value in row.items() if name in kept} for row in selected
        ]
    if last is not None:
        result["LastEvaluatedKey"] = last
    return result


def key_conditions(parameters: Mapping[str, Any], key: Sequence[str]) -> dict[str, Any]:
    """The values of the partition key and, perhaps, of the first clustering column in the conditions of a Query."""
    old = parameters.get("KeyConditions")
    conditions = _equalities(parameters, "KeyConditionExpression") if old is None else _legacy(old)
    if key[0] not in conditions:
        raise validation(f"Query condition missed key schema element: {key[0]}")
    for name in conditions:
        if name not in key[:2]:
            raise validation(f"Key condition on an attribute that is not part of the key: {name}")
    return conditions


def _legacy(conditions: object) -> dict[str, Any]:
    values = {}
    for name, condition in conditions.items() if isinstance(conditions, dict) else ():
        operator, arguments = legacy.operator_of(condition) if isinstance(condition, dict) else ("", [])
        if operator != "EQ":
            raise validation("The embedded cluster knows only EQ for system tables")
        values[name] = arguments[0]
    return values


def matching(rows: list[Row], conditions: Mapping[str, Any]) -> list[Row]:
    return [row for row in rows if all(row.get(name) == value for name, value in conditions.items())]


def _equalities(parameters: Mapping[str, Any], kind: str) -> dict[str, Any]:
    expression = parameters.get(kind)
    if expression is None:
        return {}
    if not isinstance(expression, str) or len(expression) > MOST_BYTES:
        raise validation(f"{kind} must be a string of at most {MOST_BYTES} bytes")
    conditions = {}
    for part in re.split(r"\s+and\s+", expression.strip(), flags=re.IGNORECASE):
        match = _EQUAL.fullmatch(part.strip())
        if match is None:
            raise validation(f"The embedded cluster cannot read this {kind} for a system table: {expression}")
        values = _object(parameters, "ExpressionAttributeValues")
        if match[2] not in values:
            raise validation(f"{kind} refers to {match[2]}, which is not in ExpressionAttributeValues")
        conditions[_name(parameters, match[1])] = values[match[2]]
    return conditions


def _name(parameters: Mapping[str, Any], name: str) -> str:
    if not name.startswith("#"):
        return name
    names = _object(parameters, "ExpressionAttributeNames")
    if name not in names:
        raise validation(f"{name} is not in ExpressionAttributeNames")
    return str(names[name])


def _projected(parameters: Mapping[str, Any]) -> set[str] | None:
    expression = parameters.get("ProjectionExpression")
    if isinstance(expression, str):
        return {_name(parameters, name.strip()) for name in expression.split(",")}
    names = parameters.get("AttributesToGet")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise validation("AttributesToGet must be a list of strings")
    return set(names) if names is not None else None


def _object(parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = parameters.get(name)
    if value is not None and not isinstance(value, dict):
        raise validation(f"{name} must be an object")
    return value or {}


# ---- pages -------------------------------------------------------------------------------------------------------


def _page(rows: list[Row], key: Sequence[str], parameters: Mapping[str, Any]) -> tuple[list[Row], Row | None]:
    """The rows of one page, and the key of its last row if other rows follow."""
    start = parameters.get("ExclusiveStartKey")
    if start is not None:
        rows = rows[_after(rows, key, start) :]
    limit = parameters.get("Limit")
    most = limit if isinstance(limit, int) and limit > 0 else len(rows)
    size = 0
    for number, entry in enumerate(rows):
        size += len(orjson.dumps(entry)) + 1
        if number == most or (size > PAGE_BYTES and number > 0):
            return rows[:number], {name: rows[number - 1][name] for name in key}
    return rows, None


def _after(rows: Sequence[Row], key: Sequence[str], start: Any) -> int:
    """The index of the first row after the key `start`. The row with this key may not exist any more."""
    for name in key:
        value = start.get(name) if isinstance(start, dict) else None
        if not isinstance(value, dict) or not isinstance(value.get("S"), str):
            raise validation(f"Key column {name} not found in ExclusiveStartKey")
    same = [index for index, row in enumerate(rows) if row[key[0]] == start[key[0]]]
    if not same:
        return len(rows)
    position = _position(start, key)
    return next((index for index in same if _position(rows[index], key) > position), same[-1] + 1)


def _position(row: Mapping[str, Mapping[str, str]], key: Sequence[str]) -> list[str | bytes | int]:
    """The sort key of a row within its partition."""
    return [_sortable(name, row[name]["S"]) for name in key[1:]]


def _sortable(name: str, value: str) -> str | bytes | int:
    if name in _NUMBERS:
        return _int(value)
    return _inet(value) if name in _ADDRESSES else value


def _int(number: str) -> int:
    try:
        return int(number)
    except ValueError:
        raise validation(f"{number!r} is not a number") from None


def _inet(address: str) -> bytes:
    try:
        return socket.inet_aton(address)
    except OSError:
        raise validation(f"{address!r} is not an address") from None
