"""Which items a Query selects: those of one partition key, perhaps only a range of sort keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..answers import validation
from ..attribute_values import kind_of
from . import legacy, parser
from .references import References
from .tree import AttributeValue, Between, Call, Comparison, Condition, Constant, Every, Path, Test

_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SIGN_OF = {"EQ": "=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">=", "BETWEEN": "BETWEEN", "BEGINS_WITH": "begins_with"}
OPERATOR_OF: Mapping[str, str] = {sign: operator for operator, sign in _SIGN_OF.items()}


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a table or index: names, and their types by name."""

    partition: str
    sort: str | None
    types: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Restriction:
    """The condition on one key: `sign` is ``=``, ``<``, ``<=``, ``>``, ``>=``, ``BETWEEN`` or ``begins_with``."""

    name: str
    sign: str
    values: tuple[AttributeValue, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The condition on the partition key, and perhaps one on the sort key."""

    partition: Restriction
    sort: Restriction | None


def of_request(parameters: Mapping[str, Any], keys: Keys, references: References) -> Selection:
    """The selection of KeyConditionExpression or KeyConditions. Raises `DialectError` for mistakes in the request."""
    expression, conditions = parameters.get("KeyConditionExpression"), parameters.get("KeyConditions")
    if expression is not None and conditions is not None:
        raise validation("Query does not allow both KeyConditions and KeyConditionExpression to be given together")
    if expression is not None:
        return _selection([_restriction(part) for part in _parts(expression, references)], keys)
    if not isinstance(conditions, dict):
        raise validation("Query must have one of KeyConditions or KeyConditionExpression")
    return _selection([_legacy(name, condition) for name, condition in conditions.items()], keys, legacy_form=True)


def _parts(expression: object, references: References) -> tuple[Condition, ...]:
    tree = parser.condition(expression, "KeyConditionExpression", references)
    parts = _flat(tree)
    if len(parts) > 2:
        raise validation("KeyConditionExpression syntax error: must have 1 or 2 conditions")
    return parts


def _flat(tree: Condition) -> tuple[Condition, ...]:
    match tree:
        case Every(parts):
            return tuple(leaf for part in parts for leaf in _flat(part))
        case Comparison() | Between() | Test():
            return (tree,)
        case _:
            word = {"Either": "OR", "Not": "NOT", "In": "the IN operator"}[type(tree).__name__]
            raise validation(f"KeyConditionExpression cannot use {word}")


def _restriction(condition: Condition) -> Restriction:
    match condition:
        case Comparison("<>", _, _):
            raise validation("KeyConditionExpression does not support NE operator")
        case Comparison(sign, Path() as path, Constant(value)):
            return Restriction(_name(path), sign, (value,))
        case Comparison(sign, Constant(value), Path() as path):
            return Restriction(_name(path), _TURNED[sign], (value,))
        case Between(Path() as path, Constant(low), Constant(high)):
            return Restriction(_name(path), "BETWEEN", (low, high))
        case Test(Call("begins_with", (Path() as path, Constant(value)))):
            return Restriction(_name(path), "begins_with", (value,))
        case Test(Call("begins_with", _)):
            raise validation("KeyConditionExpression begins_with() takes attribute and value")
        case Test(Call(name, _)):
            raise validation(f"KeyConditionExpression function '{name}' not supported")
        case _:
            raise validation("KeyConditionExpression must compare attribute with constants")


def _name(path: Path) -> str:
    if path.steps:
        raise validation("KeyConditionExpression does not support nested attributes")
    return path.root


def _legacy(name: str, condition: Any) -> Restriction:
    if not isinstance(condition, dict):
        raise validation("KeyConditions must map attributes to conditions")
    operator, values = legacy.operator_of(condition)
    if operator not in _SIGN_OF:
        raise validation(f"Operator {operator} not supported for sort key")
    return Restriction(name, _SIGN_OF[operator], tuple(values))


def _selection(restrictions: list[Restriction], keys: Keys, legacy_form: bool = False) -> Selection:
    partition: Restriction | None = None
    sort: Restriction | None = None
    for restriction in restrictions:
        if restriction.name == keys.partition:
            if partition is not None:
                raise validation("KeyConditionExpression allows only one condition for each key")
            if restriction.sign != "=":
                raise validation(
                    f"KeyConditionExpression only '=' condition is supported on partition key {restriction.name}: "
                    f"Hash key can only be restricted with equality operator (EQ). {restriction.sign} not supported."
                )
            partition = restriction
        elif restriction.name == keys.sort:
            if sort is not None:
                raise validation("KeyConditionExpression allows only one condition for each key")
            sort = restriction
        else:
            what = "KeyConditions: condition missing on a key;" if legacy_form else "KeyConditionExpression"
            raise validation(f"{what} condition on non-key attribute {restriction.name}")
        _check_types(restriction, keys.types[restriction.name])
    if partition is None:
        raise validation(
            f"KeyConditionExpression requires a condition on partition key: Query missing condition on hash key "
            f"'{keys.partition}'"
        )
    return Selection(partition, sort)


def _check_types(restriction: Restriction, kind: str) -> None:
    for value in restriction.values:
        if kind_of(value) != kind:
            raise validation(
                f"Type mismatch: expected type {kind} for key column {restriction.name}, got type {kind_of(value)}"
            )
    if restriction.sign == "begins_with" and kind == "N":
        raise validation(
            f"KeyConditionExpression begins_with() not supported on type {kind}: BEGINS_WITH operator cannot be applied"
        )
