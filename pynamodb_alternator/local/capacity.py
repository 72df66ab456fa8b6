"""ConsumedCapacity as Alternator returns it: only the total, computed from the sizes of the JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from .answers import Answer, validation


def take_request(parameters: dict[str, Any]) -> bool:
    """Whether the request asks for ConsumedCapacity. The parameter is removed, because the engine's own numbers differ.

    Raises `DialectError` for a value that the server does not support.
    """
    level = parameters.pop("ReturnConsumedCapacity", None)
    if level is None:
        return False
    if level != "TOTAL":
        if level == "INDEXES":
            raise validation("INDEXES consumed capacity is not supported")
        raise validation(f"Unknown consumed capacity {level}")
    return True


def add_to(answer: Answer, units: float) -> None:
    """Add the units of an operation on one item to its answer."""
    capacity = b'"ConsumedCapacity":{"CapacityUnits":%b}}' % orjson.dumps(units)
    empty = answer.body in (b"", b"{}")
    answer.body = b"{" + capacity if empty else answer.body[:-1] + b"," + capacity


def of_one_item(operation: str, parameters: Mapping[str, Any], answer: Answer) -> float:
    """The capacity units of an operation on one item."""
    if operation == "GetItem":
        return read_units(len(answer.body), parameters.get("ConsistentRead") is True)
    return write_units(len(orjson.dumps(parameters.get("Item", parameters.get("Key")))))


def of_tables(units: Mapping[str, float]) -> list[dict[str, Any]]:
    """ConsumedCapacity of a batch: an entry for each table."""
    return [{"TableName": table, "CapacityUnits": of} for table, of in units.items()]


def read_units(size: int, consistent: bool) -> float:
    """One unit for each 4 KiB, and half of this if the read may be stale."""
    return max(1, math.ceil(size / 4096)) * (1.0 if consistent else 0.5)


def write_units(size: int) -> float:
    """One unit for each 1 KiB."""
    return float(max(1, math.ceil(size / 1024)))
