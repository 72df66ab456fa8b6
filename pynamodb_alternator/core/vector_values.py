"""Checks vectors before they are sent, and makes attribute values from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import VectorError
from ..settings import checks

__all__ = ["HasToList", "Vector", "as_list", "checked_vector", "wire_numbers"]

_LARGEST = 3.4028234663852886e38
"""The largest float of 32 bits: the servers store vectors as such floats."""
_SMALLEST = 7e-46
"""A smaller number is 0 in 32 bits. It is sent as 0, because the servers refuse numbers below 1e-130."""


class HasToList(Protocol):
    """The method that an array of numpy, an `array.array` and a tensor have."""

    def tolist(self) -> Any: ...


Vector = Sequence[float] | HasToList
"""A list or tuple of numbers, an `array.array`, or an array of numpy."""


def as_list(vector: Any) -> Any:
    """The elements of an array as a list. Any other value is returned unchanged."""
    if isinstance(vector, list):
        return vector
    if isinstance(vector, tuple):
        return list(vector)
    return vector.tolist() if hasattr(vector, "tolist") else vector


def checked_vector(vector: Any, dimensions: int, where: str) -> list[float]:
    """The numbers of a vector. Raises `VectorError`, whose text begins with `where`, for a vector that no server
    accepts."""
    numbers = as_list(vector)
    if not isinstance(numbers, Sequence) or isinstance(numbers, str | bytes | bytearray):
        raise VectorError(
            f"{where} must be a list of {dimensions} numbers, an array.array, or an array of numpy "
            f"(got {checks.shown(vector)})."
        )
    if len(numbers) != dimensions:
        raise VectorError(
            f"{where} must have {dimensions} numbers (got {len(numbers)}). Store and search vectors of one length, "
            "the length that the model gives them, and write it as dimensions of the VectorAttribute."
        )
    if set(map(type, numbers)) != {float}:
        numbers = [_number(element, number, where) for number, element in enumerate(numbers)]
    # Comparisons with NaN are always False, so NaN is found by the sum, which becomes NaN.
    if math.isnan(sum(numbers)) or min(numbers) < -_LARGEST or max(numbers) > _LARGEST:
        raise VectorError(f"{where}: {_out_of_range(numbers)} Leave an item without such a vector, or write 0.")
    return list(numbers)


def _out_of_range(numbers: Sequence[float]) -> str:
    number, element = next(pair for pair in enumerate(numbers) if not -_LARGEST <= pair[1] <= _LARGEST)
    what = "must fit into 32 bits" if math.isfinite(element) else "must be a finite number"
    return f"element {number} {what} (got {element!r})."


def _number(element: Any, number: int, where: str) -> float:
    # Decimal, Fraction and numpy's scalars are numbers too. Text, True, and numpy's own type of True are not.
    element = as_list(element)
    if not isinstance(element, bool | str | bytes | bytearray):
        try:
            return float(element)
        except OverflowError:
            return math.inf
        except (TypeError, ValueError):
            pass
    raise VectorError(f"{where}: element {number} must be a number, such as 0.5 (got {checks.shown(element)}).")


def wire_numbers(numbers: Sequence[float]) -> list[dict[str, str]]:
    """The numbers as attribute values, for the content of an attribute value of type ``L``."""
    return [{"N": repr(number) if number >= _SMALLEST or number <= -_SMALLEST else "0"} for number in numbers]
