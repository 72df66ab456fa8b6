"""Finds conditions in a source file that compare an attribute with a float that the server stores in another form."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterator

from .conditions import attribute_of
from .facts import UseKind

__all__ = ["number_conditions"]

_METHODS = frozenset({"contains", "is_in"})
"""The methods of PynamoDB whose conditions compare the texts of numbers, in addition to ``==`` and ``!=``."""


def number_conditions(
    node: ast.Compare | ast.Call, model_of: Callable[[ast.expr], str]
) -> Iterator[tuple[int, UseKind, str, str]]:
    """Line, kind, text and model of each such condition in an expression. Only literal values are found.

    `model_of`: returns the model that an expression means; empty for none.
    """
    for attribute, value in _pairs(node):
        number = _float_of(value)
        model, depth = attribute_of(attribute, model_of)
        if model and number is not None and not _is_canonical(number):
            kind: UseKind = "number_condition" if depth == 1 else "nested_number_condition"
            yield node.lineno, kind, ast.unparse(node), model


def _pairs(node: ast.Compare | ast.Call) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Pairs of an expression that may be an attribute, and the expression with which it is compared."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            for argument in node.args:
                yield node.func.value, argument
    elif len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.NotEq):
        yield node.left, node.comparators[0]
        yield node.comparators[0], node.left


def _float_of(node: ast.expr) -> float | None:
    sign = -1.0 if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else 1.0
    value = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd) else node
    if isinstance(value, ast.Constant) and type(value.value) is float and math.isfinite(value.value):
        return sign * value.value
    return None


def _is_canonical(number: float) -> bool:
    """Whether the text that PynamoDB sends is the text that the server stores: no exponent, and no zeros at the end."""
    text = json.dumps(number)
    return not (text.endswith(".0") or "e" in text)
