"""Taking the value of the partition key out of the key condition of a Query.

A key condition consists of terms that are joined by AND, one for each attribute of the key. That of the partition key
is an equality; the sort key may have one too. So a single equality is the partition key's. If there are two, the name
of the partition key decides. The server checks the conditions themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from . import reasons
from .partition_key import as_mapping

__all__ = ["queried_key"]

# The server takes either order. <= and >= are not taken: before the equals sign stands a name, a value or a blank.
_EQUALITY = (
    r"(?a)(?<![\w#:.\]])(?:(?P<name>#?\w+)\s*=\s*(?P<value>:\w+)|(?P<first>:\w+)\s*=\s*(?P<last>#?\w+))(?![\w.\[])"
)
_MAX_CACHED_LENGTH = 4096
"""The longest expression that DynamoDB allows; longer ones are not worth keeping."""


def queried_key(parameters: Mapping[str, Any], name: str | None) -> object:
    """The attribute value of the partition key that a Query asks for, or the reason why it cannot be told.

    `name`: of the partition key, of the index if the Query names one; None if it is not known.
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
    """The same for the parameter KeyConditions, which is older than expressions."""
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
