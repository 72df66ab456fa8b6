"""Whether a condition or filter holds for an item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..answers import validation
from ..attribute_values import content_of, kind_of, shown
from . import values
from .tree import (
    AttributeValue,
    Between,
    Call,
    Comparison,
    Condition,
    Constant,
    Either,
    Every,
    In,
    Not,
    Operand,
    Path,
    Test,
)

Item = Mapping[str, Any]
_KINDS = frozenset(["N", "S", "B", "NS", "SS", "BS", "L", "M", "NULL", "BOOL"])
_ARGUMENTS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "size": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}


def holds(condition: Condition, item: Item | None, what: str = "ConditionExpression") -> bool:
    """Whether `condition` holds for `item` (None: it does not exist). Raises `DialectError` for mistakes in the
    request."""
    match condition:
        case Every(parts):
            return all(holds(part, item, what) for part in parts)
        case Either(parts):
            return any(holds(part, item, what) for part in parts)
        case Not(part):
            return not holds(part, item, what)
        case Test(call):
            return _test(call, item, what)
        case In(value, options):
            operand_value = operand(value, item, what)
            every = [operand(option, item, what) for option in options]
            return any(values.equal(operand_value, option) for option in every)
        case Between(value, low, high):
            parts_of = (value, low, high)
            low_value, mid, high_value = (operand(part, item, what) for part in (low, value, high))
            is_constant = tuple(isinstance(part, Constant) for part in parts_of)
            return values.between(mid, low_value, high_value, (is_constant[0], is_constant[1], is_constant[2]))
        case Comparison(sign, left, right):
            return _compare(sign, left, right, item, what)


def _compare(sign: str, left: Operand, right: Operand, item: Item | None, what: str) -> bool:
    first, second = operand(left, item, what), operand(right, item, what)
    if sign in ("=", "<>"):
        return values.equal(first, second) == (sign == "=")
    return values.compare(sign, first, second, (isinstance(left, Constant), isinstance(right, Constant)))


def operand(of: Operand, item: Item | None, what: str) -> AttributeValue | None:
    """The value of an operand of a comparison; None if the item does not have it."""
    match of:
        case Constant(value):
            return value
        case Path():
            return at(item, of)
        case Call("size", arguments):
            _check_count(of, what)
            return values.size(operand(arguments[0], item, what), isinstance(arguments[0], Path))
        case Call(name, _):
            raise _not_here(name, what)


def at(item: Item | None, path: Path) -> AttributeValue | None:
    """The value at a path of an item, or None."""
    value = item.get(path.root) if item is not None else None
    for step in path.steps:
        if value is None or not values.is_value(value):
            return None
        kind, content = kind_of(value), content_of(value)
        if isinstance(step, int):
            value = content[step] if kind == "L" and step < len(content) else None
        else:
            value = content.get(step) if kind == "M" else None
    return value


def _test(call: Call, item: Item | None, what: str) -> bool:
    if call.name not in _ARGUMENTS or call.name == "size":
        raise _not_here(call.name, what)
    _check_count(call, what)
    check = _TESTS[call.name]
    return check(call, item, what)


def _exists(call: Call, item: Item | None, what: str) -> bool:
    path = call.arguments[0]
    if not isinstance(path, Path):
        raise validation(f"{what}: {call.name}()'s parameter must be a path")
    return (at(item, path) is not None) == (call.name == "attribute_exists")


def _has_type(call: Call, item: Item | None, what: str) -> bool:
    value, kind = call.arguments
    if not isinstance(kind, Constant):
        raise validation(f"{what}: attribute_type()'s second parameter must be an expression attribute")
    if kind_of(kind.value) != "S":
        raise validation(f"{what}: attribute_type() second parameter must refer to a string, got {shown(kind.value)}")
    if content_of(kind.value) not in _KINDS:
        raise validation(f"{what}: attribute_type()'s second parameter, {content_of(kind.value)}, is not a known type")
    operand_value = operand(value, item, what)
    return (
        operand_value is not None
        and values.is_value(operand_value)
        and kind_of(operand_value) == content_of(kind.value)
    )


def _begins(call: Call, item: Item | None, what: str) -> bool:
    value, prefix = call.arguments
    constant = isinstance(value, Constant), isinstance(prefix, Constant)
    return values.begins_with(operand(value, item, what), operand(prefix, item, what), constant)


def _contains(call: Call, item: Item | None, what: str) -> bool:
    value, part = (operand(argument, item, what) for argument in call.arguments)
    return values.contains(value, part)


_TESTS: Mapping[str, Callable[[Call, Item | None, str], bool]] = {
    "attribute_exists": _exists,
    "attribute_not_exists": _exists,
    "attribute_type": _has_type,
    "begins_with": _begins,
    "contains": _contains,
}


def _check_count(call: Call, what: str) -> None:
    expected = _ARGUMENTS[call.name]
    if len(call.arguments) != expected:
        noun = "parameter" if expected == 1 else "parameters"
        raise validation(f"{what}: {call.name}() accepts {expected} {noun}, got {len(call.arguments)}")


def _not_here(name: str, what: str) -> Exception:
    if name in (*_ARGUMENTS, "if_not_exists", "list_append"):
        return validation(f"{what}: {name}() not allowed here: the function is of another kind")
    return validation(f"Invalid {what}: unknown function '{name}' called.")


def check_filter(condition: Condition) -> None:
    """Raises `DialectError` for mistakes in a filter, also if it is never applied to an item."""
    for of in operands(condition):
        _check_operand(of)


def _check_operand(of: Operand) -> None:
    if not isinstance(of, Call):
        return
    if of.name not in _ARGUMENTS:
        raise validation(f"Invalid FilterExpression: unknown function '{of.name}' called.")
    _check_count(of, "Invalid FilterExpression")
    if of.name == "begins_with":
        # Only constants are checked: they do not depend on an item.
        for argument in of.arguments:
            if isinstance(argument, Constant) and kind_of(argument.value) not in ("S", "B"):
                raise validation(
                    "Invalid FilterExpression: begins_with() supports only string or binary type, got: "
                    f"{shown(argument.value)}"
                )
    if of.name == "attribute_type":
        _has_type(of, None, "Invalid FilterExpression")
    for argument in of.arguments:
        _check_operand(argument)


def operands(condition: Condition) -> Iterator[Operand]:
    """All operands of a condition, without the arguments of functions."""
    match condition:
        case Every(parts) | Either(parts):
            for part in parts:
                yield from operands(part)
        case Not(part):
            yield from operands(part)
        case Test(call):
            yield call
        case In(value, options):
            yield value
            yield from options
        case Between(value, low, high):
            yield from (value, low, high)
        case Comparison(_, left, right):
            yield from (left, right)


def roots(condition: Condition) -> set[str]:
    """The names of the top-level attributes that a condition uses."""
    return {path.root for of in operands(condition) for path in _paths(of)}


def _paths(of: Operand) -> Iterator[Path]:
    if isinstance(of, Path):
        yield of
    elif isinstance(of, Call):
        for argument in of.arguments:
            yield from _paths(argument)
