"""The ``#names`` and ``:values`` of a request, and a record of those that its expressions use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import attribute_values
from ..answers import validation
from .tree import Constant


class References:
    """The names and values of one request, for all its expressions."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._names = parameters.get("ExpressionAttributeNames")
        self._values = parameters.get("ExpressionAttributeValues")
        for kind, entries in (("Names", self._names), ("Values", self._values)):
            if entries is not None and not isinstance(entries, dict):
                raise validation(f"ExpressionAttribute{kind} must be an object")
        self._used: set[str] = set()

    def name(self, reference: str) -> str:
        """The name of the attribute for ``#reference``; any other text is returned unchanged."""
        if not reference.startswith("#"):
            return reference
        if self._names is None:
            raise validation(f"ExpressionAttributeNames missing, entry '{reference}' required by expression")
        name = self._names.get(reference)
        if not isinstance(name, str):
            raise validation(f"ExpressionAttributeNames missing entry '{reference}' required by expression")
        attribute_values.check_name(name, "ExpressionAttributeNames contains invalid value: ")
        self._used.add(reference)
        return name

    def value(self, reference: str) -> Constant:
        """The value for ``:reference``."""
        if self._values is None:
            raise validation(f"ExpressionAttributeValues missing, entry '{reference}' required by expression")
        value = self._values.get(reference)
        if value is None:
            raise validation(f"ExpressionAttributeValues missing entry '{reference}' required by expression")
        attribute_values.check(value, "ExpressionAttributeValues")
        self._used.add(reference)
        return Constant(value)

    def check_all_used(self, operation: str) -> None:
        """Raises `DialectError` if no expression of the request uses one of the names or values."""
        for kind, entries in (("Names", self._names), ("Values", self._values)):
            if entries is None:
                continue
            if not entries:
                raise validation(f"ExpressionAttribute{kind} must not be empty")
            for reference in entries:
                if reference not in self._used:
                    raise validation(f"{operation}: ExpressionAttribute{kind} has spurious '{reference}'")
