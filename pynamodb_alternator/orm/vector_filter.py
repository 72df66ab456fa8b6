"""PynamoDB's conditions and attributes in the form that a vector search needs: terms, projection, placeholders."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from pynamodb.attributes import Attribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path, Value
from pynamodb.expressions.projection import create_projection_expression

from ..core.vector_dialects import Term
from ..errors import VectorError
from ..settings import checks

__all__ = ["Expressions", "checked_count"]

_COMPARED = frozenset({"=", "<", "<=", ">", ">=", "<>", "IN", "BETWEEN"})


class Expressions:
    """The expressions of one search. `where`: the place that errors name."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._placeholders: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    @property
    def names(self) -> dict[str, str]:
        """The names in the table, by their placeholders."""
        return {placeholder: name for name, placeholder in self._placeholders.items()}

    def terms(self, condition: Condition | None) -> tuple[Term, ...]:
        """The conditions, all of which must hold. Raises `VectorError` for a value that is not a condition."""
        if condition is None:
            return ()
        if not isinstance(condition, Condition):
            raise VectorError(
                f"{self._where}: filter must be a condition, such as Document.language == 'en', several of them joined "
                f"by & (got {checks.shown(condition)})."
            )
        if condition.operator == "AND":
            return tuple(term for part in condition.values for term in self.terms(part))
        return (self._term(condition),)

    def _term(self, condition: Condition) -> Term:
        known = dict.fromkeys(self.values)
        text = condition.serialize(self._placeholders, self.values)
        kinds = frozenset(kind for name, value in self.values.items() if name not in known for kind in value)
        return Term(_attribute_of(condition), condition.operator, kinds, text)

    def projection(self, attributes: Iterable[Any], always: Attribute[Any] | None) -> str:
        """The expression for these attributes, paths and names, and for the attribute that is always read.

        Raises `VectorError` for an empty list, and for a value that is not an attribute.
        """
        paths = [self._path(attribute) for attribute in attributes]
        if not paths:
            raise VectorError(f"{self._where}: attributes must name some. Leave it out for all of them.")
        if always is not None and [always.attr_name] not in [path.path for path in paths]:
            paths.append(Path(always))
        expression: str = create_projection_expression(paths, self._placeholders)
        return expression

    def _path(self, attribute: Any) -> Path:
        try:
            path = attribute if isinstance(attribute, Path) else Path(attribute)
            path.serialize({}, {})
        except (TypeError, ValueError):
            raise VectorError(
                f"{self._where}: attributes must be attributes of the model, or their names, such as ['name'] "
                f"(got {checks.shown(attribute)})."
            ) from None
        return path


def checked_count(k: Any, where: str) -> int:
    """The number of items to search for. Whole numbers of numpy are accepted too. Raises `VectorError`."""
    try:
        number = 0 if isinstance(k, bool) else operator.index(k)
    except TypeError:
        number = 0
    if number < 1:
        raise VectorError(f"{where}: k must be a whole number of at least 1 (got {checks.shown(k)}).")
    return number


def _attribute_of(condition: Condition) -> str | None:
    """The only attribute that a condition compares with values."""
    if condition.operator not in _COMPARED:
        return None
    paths = [value for value in condition.values if isinstance(value, Path)]
    others = [value for value in condition.values if not isinstance(value, Path)]
    if len(paths) != 1 or len(paths[0].path) != 1 or not all(isinstance(value, Value) for value in others):
        return None
    name = str(paths[0].path[0])
    return None if "[" in name else name
