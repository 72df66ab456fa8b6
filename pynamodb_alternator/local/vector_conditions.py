"""The conditions of a vector search, which filter before the search: only comparisons, joined by AND."""

from __future__ import annotations

from dataclasses import dataclass

from .answers import validation
from .expressions import tree
from .expressions.tree import AttributeValue, Condition, Operand


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison of an attribute with values. `operator`: ``=``, ``BETWEEN`` or another."""

    attribute: str
    operator: str
    values: tuple[AttributeValue, ...]


def comparisons(condition: Condition, where: str) -> list[Compared]:
    """The comparisons of a condition. Raises `DialectError` for OR, NOT, <>, functions and nested attributes."""
    match condition:
        case tree.Every(parts):
            return [compared for part in parts for compared in comparisons(part, where)]
        case tree.Comparison(sign, left, right) if sign != "<>":
            return [_compared(sign, (left, right), where)]
        case tree.Between(value, low, high):
            return [_compared("BETWEEN", (value, low, high), where)]
        case tree.In(value, options):
            return [_compared("IN", (value, *options), where)]
    raise validation(f"{where}: the operator or comparator {_word(condition)} is not supported")


def _word(condition: Condition) -> str:
    match condition:
        case tree.Comparison(sign):
            return sign
        case tree.Test(call):
            return call.name
        case tree.Not():
            return "NOT"
        case tree.Either():
            return "OR"
    return type(condition).__name__.upper()


def _compared(operator: str, operands: tuple[Operand, ...], where: str) -> Compared:
    paths = [operand for operand in operands if isinstance(operand, tree.Path)]
    values = tuple(operand.value for operand in operands if isinstance(operand, tree.Constant))
    if len(paths) != 1 or len(values) != len(operands) - 1:
        raise validation(f"{where}: a condition must compare an attribute with a value")
    if paths[0].steps:
        raise validation(f"{where}: nested attributes are not supported (found {paths[0]})")
    return Compared(paths[0].root, operator, values)
