"""Vectors as Python has them, checked before they are sent, and as the wire has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import VectorError
from ..settings import checks

__all__ = ["HasToList", "Vector", "as_list", "checked_vector", "wire_numbers"]

_LARGEST = 3.4028234663852886e38
"""The largest number of 32 bits: the servers keep vectors in these."""
_SMALLEST = 7e-46
"""What is nearer to 0 is 0 in 32 bits; and the servers refuse numbers below 1e-130."""


class HasToList(Protocol):
    """What an array of numpy, `array.array`, and a tensor have."""

    def tolist(self) -> Any: ...


Vector = Sequence[float] | HasToList
"""A list or tuple of numbers, an `array.array`, or an array of numpy."""


def as_list(vector: Any) -> Any:
    """The list that an array stands for; anything else as it is."""
    if isinstance(vector, list):
        return vector
    if isinstance(vector, tuple):
        return list(vector)
    return vector.tolist() if hasattr(vector, "tolist") else vector


def checked_vector(vector: Any, dimensions: int, where: str) -> list[float]:
    """The numbers of a vector. Raises `VectorError`, which begins with `where`, for what no server takes."""
    numbers = as_list(vector)
    if not isinstance(numbers, Sequence) or isinstance(numbers, str | bytes | bytearray):
        raise VectorError(
            f"{where} must be a list of {dimensions} numbers, an array.array, or an array of numpy "
            f"(got {checks.shown(vector)})."
        )
    if len(numbers) != dimensions:
        raise VectorError(
            f"{where} must have {dimensions} numbers (got {len(numbers)}). Store and search vectors of one length, "
            "that of the model which makes them, and write it as dimensions of the VectorAttribute."
        )
    if set(map(type, numbers)) != {float}:
        numbers = [_number(element, number, where) for number, element in enumerate(numbers)]
    # NaN is what comparisons do not see, and it makes the sum NaN.
    if math.isnan(sum(numbers)) or min(numbers) < -_LARGEST or max(numbers) > _LARGEST:
        raise VectorError(f"{where}: {_out_of_range(numbers)} Leave an item without such a vector, or write 0.")
    return list(numbers)


def _out_of_range(numbers: Sequence[float]) -> str:
    number, element = next(pair for pair in enumerate(numbers) if not -_LARGEST <= pair[1] <= _LARGEST)
    what = "must fit into 32 bits" if math.isfinite(element) else "must be a finite number"
    return f"element {number} {what} (got {element!r})."


def _number(element: Any, number: int, where: str) -> float:
    # Decimal, Fraction and numpy's scalars too; but not text, and not True, which numpy has its own of.
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
    """Numbers as attribute values: the content of one of type ``L``."""
    return [{"N": repr(number) if number >= _SMALLEST or number <= -_SMALLEST else "0"} for number in numbers]
