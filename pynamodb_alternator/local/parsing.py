"""Parses a request: its operation, its table, its partition key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .answers import Answer, DialectError, validation

ITEM_OPERATIONS = frozenset(
    [
        *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchGetItem", "BatchWriteItem", "Query", "Scan"),
        "SearchVectors",
    ]
)
"""The operations that read or write items."""

OPERATIONS = ITEM_OPERATIONS | frozenset(
    [
        *("CreateTable", "DeleteTable", "DescribeTable", "UpdateTable", "ListTables", "DescribeEndpoints"),
        *("TagResource", "UntagResource", "ListTagsOfResource"),
        *("UpdateTimeToLive", "DescribeTimeToLive", "DescribeContinuousBackups"),
    ]
)
"""The operations of Alternator. Transactions, PartiQL, backups, global tables and streams are refused."""

_DEEPEST = 78
"""The server's limit of levels in JSON. It allows 32 levels of maps and lists, and each is two levels in JSON."""


@dataclass(slots=True)
class Parsed:
    """The parameters of a request, and facts about it that a test may ask for."""

    operation: str
    parameters: dict[str, Any]
    table: str | None
    partition_key: Any
    asked: str
    """The host of the node that got the request."""
    endpoint: str
    """The request's Host header."""
    size: int = 0
    """The size of the request's body in bytes, uncompressed."""


Rule = Callable[[Parsed], Answer]
"""A function that answers one operation. It may raise `DialectError`."""


def parse(
    target: str | None, body: bytes, asked: str, key_name: Callable[[str], str | None], endpoint: str | None = None
) -> Parsed:
    """The operation and parameters of a request to the node whose host is `asked`.

    `key_name`: returns the name of a table's partition key, or None if it is not known. Raises `DialectError` with the
    server's messages.
    """
    operation = (target or "").rpartition(".")[2]
    if target is None or operation not in OPERATIONS:
        raise DialectError("UnknownOperationException", f"Unsupported operation {operation}")
    parameters = _json(body)
    table = parameters.get("TableName")
    if table is None and "RequestItems" in parameters:
        table = _only_table(parameters["RequestItems"])
    elif not isinstance(table, str):
        table = None
    return Parsed(
        operation,
        parameters,
        table,
        _partition_key(operation, parameters, table, key_name),
        asked,
        endpoint or asked,
        len(body),
    )


def _json(body: bytes) -> dict[str, Any]:
    try:
        parameters = orjson.loads(body)
    except orjson.JSONDecodeError as wrong:
        if _is_json(body.decode(errors="replace")):
            # The server does not check UTF-8 here, but refuses such text when it stores it.
            raise DialectError("SerializationException", "The request is not valid UTF-8") from None
        raise validation(f"Parsing JSON failed: {wrong.msg} at {wrong.pos}") from None
    if not isinstance(parameters, dict):
        raise validation("The request must be a JSON object")
    if body.count(b"{") + body.count(b"[") > _DEEPEST:
        _check_depth(parameters)
    return parameters


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _check_depth(parameters: dict[str, Any]) -> None:
    """Raises `DialectError` for JSON that is nested more deeply than the server allows."""
    level: list[Any] = [parameters]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise validation(f"Parsing JSON failed: Max nested level reached: {_DEEPEST}")


def _only_table(requests: object) -> str | None:
    """The table of a batch that names exactly one table; else None."""
    return next(iter(requests)) if isinstance(requests, dict) and len(requests) == 1 else None


def _partition_key(
    operation: str, parameters: Mapping[str, Any], table: str | None, key_name: Callable[[str], str | None]
) -> Any:
    key = parameters.get("Item" if operation == "PutItem" else "Key")
    if not isinstance(key, dict):
        return None
    name = key_name(table) if table is not None else None
    if name is not None:
        return key.get(name)
    return next(iter(key.values())) if len(key) == 1 else None
