"""Comparisons of values, and arithmetic with them, as Alternator does them.

A value of the request that cannot be compared is a mistake in the request. The same value in an item makes the
comparison false. `constant` says for each value whether it comes from the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..answers import validation
from ..attribute_values import SETS, content_of, decoded, exact, kind_of, number, plain, shown
from .tree import AttributeValue

_COMPARABLE = frozenset(["S", "N", "B"])
_ELEMENT_OF = {"SS": "S", "NS": "N", "BS": "B"}
_COMPARE: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "<": ("LT operator", lambda left, right: left < right),
    "<=": ("LE operator", lambda left, right: left <= right),
    ">": ("GT operator", lambda left, right: left > right),
    ">=": ("GE operator", lambda left, right: left >= right),
}


def is_value(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 1


def equal(left: AttributeValue | None, right: AttributeValue | None) -> bool:
    """Whether two values are equal. A missing value (None) is not equal to any value.

    Numbers are compared as text, as the server does: 1 and 1.0 differ (they are equal in DynamoDB).
    """
    if left is None or right is None or not is_value(left) or not is_value(right):
        return False
    kind = kind_of(left)
    return kind == kind_of(right) and _same(kind, content_of(left), content_of(right))


def _same(kind: str, left: Any, right: Any) -> bool:
    if kind in SETS:
        return (
            isinstance(left, list) and isinstance(right, list) and len(left) == len(right) and set(left) == set(right)
        )
    if kind == "L":
        return len(left) == len(right) and all(equal(*pair) for pair in zip(left, right, strict=True))
    if kind == "M":
        return len(left) == len(right) and all(equal(value, right.get(name)) for name, value in left.items())
    return bool(left == right)


def ordering(value: AttributeValue) -> Any:
    """The sort key of a string, number or binary: its UTF-8, the number, or its bytes."""
    kind, content = kind_of(value), content_of(value)
    if kind == "N":
        return number(content)
    return decoded(content) if kind == "B" else content.encode("utf-8", "surrogatepass")


def compare(
    sign: str, left: AttributeValue | None, right: AttributeValue | None, constant: tuple[bool, bool] = (False, True)
) -> bool:
    """``left < right`` for the sign ``<``, and so on. False for values of different types."""
    name, holds = _COMPARE[sign]
    comparable = [_comparable(value) for value in (left, right)]
    if any(from_request and not is_one for is_one, from_request in zip(comparable, constant, strict=True)):
        raise validation(f"{name} allow only the types String, Number, or Binary: unsupported operand type")
    if left is None or right is None or not all(comparable):
        return False
    return kind_of(left) == kind_of(right) and holds(ordering(left), ordering(right))


def _comparable(value: AttributeValue | None) -> bool:
    return value is not None and is_value(value) and kind_of(value) in _COMPARABLE


def between(
    value: AttributeValue | None,
    low: AttributeValue | None,
    high: AttributeValue | None,
    constant: tuple[bool, bool, bool] = (False, True, True),
) -> bool:
    """Whether ``low <= value <= high``."""
    for each, from_request in zip((low, high, value), (*constant[1:], constant[0]), strict=True):
        if from_request and not _comparable(each):
            kind = kind_of(each) if each is not None and is_value(each) else "none"
            raise validation(
                "BETWEEN operator requires AttributeValueList elements to be of type String, Number, or Binary; "
                f"instead got {kind}"
            )
    if value is None or low is None or high is None or not all(map(_comparable, (value, low, high))):
        return False
    bounds = constant[1] and constant[2]
    if kind_of(low) != kind_of(high):
        if bounds:
            raise validation(
                "BETWEEN operator requires the same type for lower and upper bound; "
                f"instead got {kind_of(low)} and {kind_of(high)}"
            )
        return False
    first, last = ordering(low), ordering(high)
    if bounds and first > last:
        raise validation(f"BETWEEN operator requires lower_bound <= upper_bound, but {shown(low)} > {shown(high)}")
    return kind_of(value) == kind_of(low) and first <= ordering(value) <= last


def begins_with(
    value: AttributeValue | None, prefix: AttributeValue | None, constant: tuple[bool, bool] = (False, True)
) -> bool:
    """Whether a string or binary begins with another."""
    fit = [each is not None and is_value(each) and kind_of(each) in ("S", "B") for each in (value, prefix)]
    for each, is_fit, from_request in zip((value, prefix), fit, constant, strict=True):
        if from_request and not is_fit:
            raise validation(f"begins_with() supports only string or binary type, got: {shown(each)}")
    if value is None or prefix is None or not all(fit):
        return False
    return kind_of(value) == kind_of(prefix) and bool(ordering(value).startswith(ordering(prefix)))


def contains(value: AttributeValue | None, part: AttributeValue | None) -> bool:
    """Whether a string or binary contains a part, or a set or list contains an element."""
    if value is None or part is None or not is_value(value) or not is_value(part):
        return False
    kind, content = kind_of(value), content_of(value)
    if kind == "S" and kind_of(part) == "S":
        return content_of(part) in content
    if kind == "B" and kind_of(part) == "B":
        return decoded(content_of(part)) in decoded(content)
    if kind in SETS:
        return kind_of(part) == _ELEMENT_OF[kind] and content_of(part) in content
    if kind == "L":
        return any(
            is_value(element) and kind_of(element) == kind_of(part) and content_of(element) == content_of(part)
            for element in content
        )
    return False


def size(value: AttributeValue | None, from_item: bool) -> AttributeValue | None:
    """The result of ``size()``; None for a value of the item that has no size.

    Raises `DialectError` for a missing value (in DynamoDB, the condition is only false), and for a value of the request
    that has no size.
    """
    if value is None or not is_value(value):
        raise validation(f"invalid object: {shown(value)}")
    kind, content = kind_of(value), content_of(value)
    if kind == "S":
        return {"N": str(len(content.encode("utf-8", "surrogatepass")))}
    if kind == "B":
        return {"N": str(len(decoded(content)))}
    if kind in SETS or kind in ("L", "M"):
        return {"N": str(len(content))}
    if not from_item:
        raise validation(f"Unsupported operand type {kind} for function size()")
    return None


def added(left: AttributeValue | None, right: AttributeValue | None, sign: int = 1) -> AttributeValue:
    """``left + right``, or ``left - right`` for the sign -1."""
    for value in (left, right):
        if value is None or not is_value(value) or kind_of(value) != "N":
            raise validation(
                f"An operand in the update expression has an incorrect data type: {shown(value)}: expected a number"
            )
    assert left is not None
    assert right is not None
    first, second = number(content_of(left)), number(content_of(right))
    text = plain(exact.add(first, second) if sign > 0 else exact.subtract(first, second))
    number(text)
    return {"N": text}


def union(left: AttributeValue, right: AttributeValue) -> AttributeValue:
    """The elements of both sets."""
    kind = kind_of(left)
    return {kind: list(dict.fromkeys([*content_of(left), *content_of(right)]))}


def difference(left: AttributeValue, right: AttributeValue) -> AttributeValue | None:
    """The elements of the first set that are not in the second one; None if there are none."""
    if not is_value(left) or kind_of(left) not in SETS or kind_of(right) != kind_of(left):
        raise validation(
            f"Set DELETE type mismatch: {kind_of(left)} vs {kind_of(right)}. An operand has an incorrect data type"
        )
    removed = set(content_of(right))
    kept = [element for element in content_of(left) if element not in removed]
    return {kind_of(left): kept} if kept else None


def joined(left: AttributeValue | None, right: AttributeValue | None) -> AttributeValue:
    """The elements of the first list, then those of the second."""
    for value in (left, right):
        if value is None or not is_value(value) or kind_of(value) != "L":
            raise validation("UpdateExpression: list_append() given a non-list")
    assert left is not None
    assert right is not None
    return {"L": [*content_of(left), *content_of(right)]}
