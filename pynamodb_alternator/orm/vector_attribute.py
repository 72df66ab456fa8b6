"""The attribute of a model whose values are vectors: lists of numbers, all of one length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynamodb.attributes import Attribute
from pynamodb.constants import LIST
from pynamodb.expressions.operand import Value

from ..core.vector_values import Vector, as_list, checked_vector, wire_numbers
from ..errors import VectorError
from ..settings import checks
from ..transport.vector_shapes import FLOAT32VECTOR

__all__ = ["MOST_DIMENSIONS", "VectorAttribute"]

MOST_DIMENSIONS = 16_000
"""ScyllaDB's limit; AWS's is 4,096."""


class VectorAttribute(Attribute[list[float]]):
    """A vector of `dimensions` numbers, such as an embedding.

    It is set to a list or tuple of numbers, an `array.array`, or an array of numpy, and read as a list of floats. It is
    stored as a list of numbers, and read from ScyllaDB's ``FLOAT32VECTOR`` as well. The servers search with 32 bits of
    each number.

    `null`, `default`, `default_for_new`, `attr_name`: as for PynamoDB's attributes; an item without a vector is in no
    vector index. Raises `ConfigurationError` for other dimensions than 1 to 16,000.

    A vector of another length, with NaN or infinity, or with a number outside of the range of 32 bits, raises a
    `VectorError` when it is saved or used in a condition or update. Vectors that are read are not checked, because an
    item may be older than the model.
    """

    attr_type = LIST

    def __init__(
        self,
        dimensions: int,
        *,
        null: bool | None = None,
        default: Callable[[], Vector] | tuple[float, ...] | None = None,
        default_for_new: Callable[[], Vector] | tuple[float, ...] | None = None,
        attr_name: str | None = None,
    ) -> None:
        checks.whole("VectorAttribute: dimensions", dimensions, 1, MOST_DIMENSIONS)
        as_given: Any = default
        super().__init__(null=null, default=as_given, default_for_new=default_for_new, attr_name=attr_name)
        self.dimensions = dimensions
        self._model_name = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        super().__set_name__(owner, name)
        self._model_name = f"{owner.__qualname__}."

    def __set__(self, instance: Any, value: Vector | None) -> None:
        super().__set__(instance, as_list(value))

    def serialize(self, value: Vector) -> list[dict[str, str]]:
        """A vector in the form in which it is sent. Raises `VectorError`."""
        return wire_numbers(checked_vector(value, self.dimensions, self.where))

    # PynamoDB treats a value that is not a list as an element of a list.

    def set(self, value: Any) -> Any:
        return super().set(self._operand(value))

    def __eq__(self, other: Any) -> Any:
        return super().__eq__(self._operand(other))

    def __ne__(self, other: Any) -> Any:
        return super().__ne__(self._operand(other))

    def __or__(self, other: Any) -> Any:
        return super().__or__(self._operand(other))

    def is_in(self, *values: Any) -> Any:
        return super().is_in(*map(self._operand, values))

    def contains(self, item: Any) -> Any:
        if hasattr(item, "serialize"):
            return super().contains(item)
        (number,) = wire_numbers(checked_vector([item], 1, f"{self.where}: contains"))
        return super().contains(Value(number))

    def _operand(self, value: Any) -> Any:
        """A list for a vector. Values that PynamoDB knows stay as they are: None, its operands, and a sent form."""
        operand = as_list(value)
        if operand is None or isinstance(operand, list | dict) or hasattr(operand, "serialize"):
            return operand
        return checked_vector(operand, self.dimensions, self.where)

    @property
    def where(self) -> str:
        """The name of the attribute in errors."""
        return f"{self._model_name}{self.attr_name}"

    def get_value(self, value: dict[str, Any]) -> Any:
        return value[FLOAT32VECTOR] if FLOAT32VECTOR in value else super().get_value(value)

    def deserialize(self, value: list[Any]) -> list[float]:
        """The numbers of a list in either form. Raises `VectorError` for a list of something else."""
        try:
            return [float(element["N"]) if isinstance(element, dict) else float(element) for element in value]
        except (KeyError, TypeError, ValueError):
            raise VectorError(
                f"{self.where}: the item has a list that is not one of numbers. Its attribute was written by something "
                "else than this model: read it with a ListAttribute, and write vectors only."
            ) from None
