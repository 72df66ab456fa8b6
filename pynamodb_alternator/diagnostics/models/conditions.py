"""Finds conditions in a source file: which expressions are conditions, and of which model's attribute."""

from __future__ import annotations

import ast
from collections.abc import Callable

__all__ = ["attribute_of", "is_condition"]

_METHODS = frozenset({"between", "contains", "does_not_exist", "exists", "is_in", "is_type", "startswith"})
"""The methods of PynamoDB's attributes that make conditions, in addition to comparisons."""


def attribute_of(node: ast.expr, model_of: Callable[[ast.expr], str]) -> tuple[str, int]:
    """The model of an attribute in an expression such as ``Order.price``, and the depth of the attribute in the item,
    from 1 on.

    `model_of`: returns the model that an expression means; empty for none.
    """
    depth = 0
    while isinstance(node, ast.Attribute | ast.Subscript):
        depth += 1
        node = node.value
        model = model_of(node)
        if model:
            return model, depth
    return "", 0


def is_condition(node: ast.expr, model_of: Callable[[ast.expr], str]) -> bool:
    """Whether an expression itself is a condition of a model's attributes. Values of variables are not followed."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitAnd | ast.BitOr):
            waiting += [part.left, part.right]
        elif isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Invert):
            waiting.append(part.operand)
        elif any(attribute_of(operand, model_of)[0] for operand in _operands(part)):
            return True
    return False


def _operands(node: ast.expr) -> list[ast.expr]:
    """The operands that may be the attribute of a condition."""
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        return [node.func.value]
    return []
