"""Which attributes of an item a request asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..answers import validation
from ..attribute_values import check_name
from . import parser
from .path_tree import PathTree, picked, tree_of
from .references import References
from .tree import Path

Projection = PathTree[Path]


def of_request(parameters: Mapping[str, Any], references: References) -> Projection | None:
    """The projection by ProjectionExpression or AttributesToGet; None for all attributes."""
    expression, names = parameters.get("ProjectionExpression"), parameters.get("AttributesToGet")
    if expression is not None and names is not None:
        raise validation("GetItem does not allow both ProjectionExpression and AttributesToGet to be given together")
    if expression is not None:
        return tree_of("ProjectionExpression", parser.projection(expression, references))
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise validation("AttributesToGet must be a list of strings")
    if not names:
        raise validation("Empty AttributesToGet is not allowed. Consider using Select=COUNT instead.")
    for name in names:
        check_name(name, "in AttributesToGet - ")
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise validation(f"Invalid AttributesToGet: Duplicate attribute: {twice}")
    return tree_of("AttributesToGet", map(Path, names))


def apply(projection: Projection | None, item: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen parts of an item."""
    if projection is None:
        return dict(item)
    result: dict[str, Any] = {}
    for name, branch in projection.below.items():
        value = item.get(str(name))
        part = picked(value, branch) if value is not None else None
        if part is not None:
            result[str(name)] = part
    return result
