"""Reads the value of the partition key from the key condition of a Query.

A key condition consists of terms that are joined by AND, one for each attribute of the key. The term of the partition
key is an equality, and the term of the sort key may be one too. So a single equality belongs to the partition key. If
there are two, the name of the partition key decides. Only the server checks whether a condition is right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from . import reasons
from .partition_key import as_mapping

__all__ = ["queried_key"]

# The server accepts both orders. <= and >= do not match, because a name, a value or a blank must be before the equals
# sign.
_EQUALITY = (
    r"(?a)(?<![\w#:.\]])(?:(?P<name>#?\w+)\s*=\s*(?P<value>:\w+)|(?P<first>:\w+)\s*=\s*(?P<last>#?\w+))(?![\w.\[])"
)
_MAX_CACHED_LENGTH = 4096
"""The longest expression that DynamoDB allows. A longer one is not cached."""


def queried_key(parameters: Mapping[str, Any], name: str | None) -> object:
    """The attribute value of the partition key that a Query asks for, or the reason why it is not known.

    `name`: the name of the partition key (of the index, if the Query names one); None if it is not known.
    """
    expression = parameters.get("KeyConditionExpression")
    if type(expression) is not str:
        return _legacy(parameters.get("KeyConditions"), name)
    equalities = (_cached if len(expression) <= _MAX_CACHED_LENGTH else _equalities)(expression)
    values = as_mapping(parameters.get("ExpressionAttributeValues")) or {}
    if len(equalities) == 1:
        return values.get(equalities[0][1], reasons.NO_KEY_VALUE)
    if name is None and equalities:
        return reasons.NO_PARTITION_KEY_NAME
    names = as_mapping(parameters.get("ExpressionAttributeNames")) or {}
    for spelled, value in equalities:
        if (names.get(spelled) if spelled[0] == "#" else spelled) == name:
            return values.get(value, reasons.NO_KEY_VALUE)
    return reasons.NO_KEY_VALUE


def _equalities(expression: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a name and a value that the expression says are equal."""
    matches = re.finditer(_EQUALITY, expression)
    return tuple((match["name"] or match["last"], match["value"] or match["first"]) for match in matches)


_cached = lru_cache(maxsize=1024)(_equalities)


def _legacy(conditions: object, name: str | None) -> object:
    """Like `queried_key`, for the parameter KeyConditions, which is older than expressions."""
    equal = {
        attribute: condition.get("AttributeValueList")
        for attribute, condition in (as_mapping(conditions) or {}).items()
        if as_mapping(condition) is not None and condition.get("ComparisonOperator") == "EQ"
    }
    if len(equal) == 1:
        ((name, _),) = equal.items()
    elif name is None and equal:
        return reasons.NO_PARTITION_KEY_NAME
    values = equal.get(name)
    return values[0] if isinstance(values, list | tuple) and values else reasons.NO_KEY_VALUE
