"""Finds the ``:value`` references in a request's expressions for which the text of a number matters.

To test for equality (``=``, ``<>``, IN, ``contains``), the server compares the texts of numbers. A number at the top
level of an item, which the server reads from its storage, is canonical. A number within a map or a list is stored as it
was sent, so it is not changed here. The operators ``<``, ``<=``, ``>``, ``>=`` and BETWEEN, and arithmetic, use the
values of numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["CONDITIONS", "EXPRESSIONS", "Rewritten", "rewritten"]

CONDITIONS = ("ConditionExpression", "FilterExpression", "SearchConditionExpression")
EXPRESSIONS = (*CONDITIONS, "KeyConditionExpression", "UpdateExpression")
"""The parameters of a request that refer to values."""

_NAME = r"(?<![\w#:.\]])#?\w+"
# A name that is the whole path, or the parenthesis that ends a call such as size(a).
_TOP = rf"(?:{_NAME}|\))"
_EQUAL = rf"{_TOP}\s*(?:=|<>)\s*(:\w+)"
_EQUAL_TURNED = r"(:\w+)\s*(?:=|<>)\s*#?\w+(?![\w.\[])"
_IN = rf"{_TOP}\s+(?:IN|in|In|iN)\s*(\([^()]*\))"
_DEFAULT = rf"{_NAME}\s*=\s*if_not_exists\s*\([^(),]*,\s*(:\w+)\s*\)"
_ADDED = rf"{_NAME}\s+(:\w+)"
_REFERENCE = r":\w+"
_CONTAINS = r"(?<![\w#:.])(\(\s*)?contains\s*\(\s*([#:]?\w[^(),]*?)\s*,\s*(:\w+)\s*\)(\s*\))?"
_LONGEST = 4096
"""The largest number of bytes that an expression may have."""

Span = tuple[int, int]


class Rewritten(NamedTuple):
    """The changes that make the numbers of expressions canonical.

    `expressions`: the new texts of the expressions that change, by the names of their parameters. `changed`: the
    references whose value must become canonical. `added`: the references whose value stays the same, and whose twin
    must be added with the canonical value.
    """

    expressions: Mapping[str, str]
    changed: frozenset[str]
    added: frozenset[str]


_AS_IT_IS = Rewritten({}, frozenset(), frozenset())


def rewritten(parameters: Mapping[str, Any], members: Collection[str], twins: Mapping[str, str]) -> Rewritten:
    """The changes that make numbers canonical where expressions compare them with a whole attribute, or assign them to
    one.

    `members`: which of `EXPRESSIONS` may change. `twins`: for each reference to a number that would change, its twin,
    which is a reference that the request does not have. The twin is used if the reference also stands where its number
    must not change. In a condition, ``contains(path, :value)`` is made to look for both numbers, because an element of
    a list is stored as it was sent. If the expression would become too long, it looks only for the canonical one.
    """
    expressions = {
        member: _dense(expression) for member in EXPRESSIONS if isinstance(expression := parameters.get(member), str)
    }
    made = _rewritten(expressions, members, twins, either=True)
    if _is_too_long(made):
        made = _rewritten(expressions, members, twins, either=False)
    return _AS_IT_IS if _is_too_long(made) else made


def _is_too_long(made: Rewritten) -> bool:
    return any(len(expression.encode()) > _LONGEST for expression in made.expressions.values())


def _dense(expression: str) -> str:
    """The same expression without blanks in its paths."""
    return re.sub(r"(?a)\s*([.\[])\s*|\s+(?=\])", r"\1", expression)


def _rewritten(
    expressions: Mapping[str, str], members: Collection[str], twins: Mapping[str, str], *, either: bool
) -> Rewritten:
    spans = {
        member: [
            (start, end)
            for start, end in _at_top_level(expression, member, contained=not either)
            if expression[start:end] in twins
        ]
        for member, expression in expressions.items()
        if member in members
    }
    everywhere = Counter(
        reference for expression in expressions.values() for reference in re.findall(_REFERENCE, expression)
    )
    at_top_level = Counter(expressions[member][start:end] for member in spans for start, end in spans[member])
    changed = frozenset(reference for reference, count in at_top_level.items() if everywhere[reference] == count)
    others = {reference: twin for reference, twin in twins.items() if reference not in changed}
    made = {}
    for member, expression in expressions.items():
        text = _with_twins(expression, spans.get(member, ()), others)
        if either and member in CONDITIONS:
            text = _with_either(text, others)
        if text != expression:
            made[member] = text
    used = {reference for text in made.values() for reference in re.findall(_REFERENCE, text)}
    return Rewritten(made, changed, frozenset(reference for reference, twin in others.items() if twin in used))


def _at_top_level(expression: str, member: str, *, contained: bool) -> Iterator[Span]:
    """The places of the references that are compared with, or assigned to, a whole attribute.

    `contained`: whether references in ``contains(path, :value)`` of a condition are included.
    """
    patterns = [_EQUAL, _EQUAL_TURNED]
    if member == "UpdateExpression":
        patterns += [_DEFAULT, _ADDED]
    for pattern in patterns:
        for match in re.finditer(pattern, expression):
            yield match.span(1)
    for among in re.finditer(_IN, expression):
        for match in re.finditer(_REFERENCE, among[1]):
            yield among.start(1) + match.start(), among.start(1) + match.end()
    if contained and member in CONDITIONS:
        for match in re.finditer(_CONTAINS, expression):
            yield match.span(3)


def _with_twins(expression: str, spans: Collection[Span], twins: Mapping[str, str]) -> str:
    """The expression, in which the references at these places are replaced by their twins, if they have one."""
    for start, end in sorted(spans, reverse=True):
        reference = expression[start:end]
        expression = f"{expression[:start]}{twins.get(reference, reference)}{expression[end:]}"
    return expression


def _with_either(expression: str, twins: Mapping[str, str]) -> str:
    """The condition, in which ``contains(path, :value)`` looks for the value and its twin."""

    def replaced(match: re.Match[str]) -> str:
        opened, path, reference, closed = match.groups("")
        twin = twins.get(reference)
        if twin is None:
            return match[0]
        either = f"contains({path}, {reference}) OR contains({path}, {twin})"
        # DynamoDB refuses two pairs of parentheses around the same condition.
        return f"({either})" if opened and closed else f"{opened}({either}){closed}"

    return re.sub(_CONTAINS, replaced, expression)
