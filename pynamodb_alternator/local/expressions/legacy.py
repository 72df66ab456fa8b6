"""The conditions that DynamoDB had before expressions: Expected, QueryFilter, ScanFilter, KeyConditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..answers import DialectError, validation
from ..attribute_values import check, kind_of, shown
from . import values
from .tree import AttributeValue

_COUNTS = {
    "EQ": 1,
    "NE": 1,
    "LE": 1,
    "LT": 1,
    "GE": 1,
    "GT": 1,
    "IN": None,
    "NULL": 0,
    "NOT_NULL": 0,
    "BETWEEN": 2,
    "BEGINS_WITH": 1,
    "CONTAINS": 1,
    "NOT_CONTAINS": 1,
}
"""How many values each operator needs; None for one or more."""

_SIGNS = {"LT": "<", "LE": "<=", "GT": ">", "GE": ">="}


def require_all(parameters: Mapping[str, Any], name: str) -> bool:
    """Whether all conditions of the parameter `name` must hold, and not only one of them, by ConditionalOperator."""
    operator = parameters.get("ConditionalOperator")
    if operator is None:
        return True
    if not isinstance(operator, str):
        raise validation("'ConditionalOperator' parameter, if given, must be a string")
    if operator not in ("AND", "OR"):
        raise validation(f"'ConditionalOperator' parameter must be AND, OR or missing. Found {operator}.")
    if not parameters.get(name):
        raise validation(f"'ConditionalOperator' parameter cannot be specified for missing or empty {name}")
    return operator == "AND"


def holds(conditions: Mapping[str, Any], of_all: bool, item: Mapping[str, Any] | None) -> bool:
    """Whether all conditions hold for an item, or, without `of_all`, at least one of them. `item`: None if it does not
    exist."""
    verdicts = (
        _holds(condition, item.get(name) if item is not None else None) for name, condition in conditions.items()
    )
    return all(verdicts) if of_all else any(verdicts)


def _holds(condition: Any, value: AttributeValue | None) -> bool:
    if not isinstance(condition, dict):
        raise validation("a condition must be an object")
    expected, exists = condition.get("Value"), condition.get("Exists")
    has_operator = condition.get("ComparisonOperator") is not None
    if expected is not None:
        if exists not in (None, True):
            raise validation("Cannot combine Value with Exists!=true")
        if has_operator:
            raise validation("Cannot combine Value with ComparisonOperator")
        return values.equal(value, expected)
    if exists is not None:
        if has_operator:
            raise validation("Cannot combine Exists with ComparisonOperator")
        if exists is not False:
            raise validation("Exists!=false requires Value")
        return value is None
    if not has_operator:
        raise validation("Missing ComparisonOperator, Value or Exists")
    operator, arguments = operator_of(condition)
    return _compare(operator, value, arguments)


def operator_of(condition: Mapping[str, Any]) -> tuple[str, list[AttributeValue]]:
    """The operator of a condition and its values. Raises `DialectError` if it has the wrong number of values."""
    operator = condition.get("ComparisonOperator")
    if not isinstance(operator, str):
        raise validation(f"Invalid comparison operator definition {shown(operator)}")
    if operator not in _COUNTS:
        raise validation(f"Unsupported comparison operator {operator}")
    count = _COUNTS[operator]
    arguments = condition.get("AttributeValueList")
    if arguments is None and count == 0:
        return operator, []
    if not isinstance(arguments, list):
        raise validation("With ComparisonOperator, AttributeValueList must be given and an array")
    if len(arguments) != count if count is not None else not arguments:
        needed = "to be non-empty" if count is None else "to be empty" if count == 0 else f"of size {count}"
        raise validation(
            f"{operator} operator requires AttributeValueList {needed}, instead found list size {len(arguments)}"
        )
    for argument in arguments:
        if not values.is_value(argument):
            raise DialectError("SerializationException", f"{operator}: malformed AttributeValue {shown(argument)}")
        check(argument, operator)
    return operator, arguments


def _compare(operator: str, value: AttributeValue | None, arguments: list[AttributeValue]) -> bool:
    match operator:
        case "EQ":
            return values.equal(value, arguments[0])
        case "NE":
            return not values.equal(value, arguments[0])
        case "NULL":
            return value is None
        case "NOT_NULL":
            return value is not None
        case "BETWEEN":
            return values.between(value, arguments[0], arguments[1])
        case "BEGINS_WITH":
            return values.begins_with(value, arguments[0])
        case "IN":
            return _among(value, arguments)
        case "CONTAINS" | "NOT_CONTAINS":
            return _contains(operator, value, arguments[0])
        case _:
            return values.compare(_SIGNS[operator], value, arguments[0])


def _among(value: AttributeValue | None, options: list[AttributeValue]) -> bool:
    kind = kind_of(options[0])
    if kind not in ("S", "N", "B"):
        raise validation("IN operator requires AttributeValueList elements to be of type String, Number, or Binary ")
    if any(kind_of(option) != kind for option in options):
        raise validation("IN operator requires all AttributeValueList elements to have the same type ")
    return any(values.equal(value, option) for option in options)


def _contains(operator: str, value: AttributeValue | None, part: AttributeValue) -> bool:
    if kind_of(part) not in ("S", "N", "B"):
        raise validation(
            "CONTAINS operator requires a single AttributeValue of type String, Number, or Binary, "
            f"got {kind_of(part)} instead"
        )
    if value is None:
        return False
    return values.contains(value, part) == (operator == "CONTAINS")
