"""Vectors as Python has them: what is taken, what is refused before it is sent, and what is sent."""

from __future__ import annotations

import array
import math
import struct
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pynamodb_alternator.core.vector_values import checked_vector, wire_numbers
from pynamodb_alternator.errors import AlternatorError, VectorError

LARGEST = 3.4028234663852886e38


class Scalar:
    """A number or truth value of numpy, as far as it matters here."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def tolist(self) -> Any:
        return self._value

    def __float__(self) -> float:
        return float(self._value)


class Array:
    """An array of numpy, as far as it matters here."""

    def __init__(self, *numbers: Any) -> None:
        self._numbers = list(numbers)

    def tolist(self) -> list[Any]:
        return self._numbers


@pytest.mark.parametrize(
    "vector",
    [
        [1, 0.5],
        (1.0, 0.5),
        [1.0, 0.5],
        Array(1.0, 0.5),
        array.array("f", [1, 0.5]),
        array.array("d", [1, 0.5]),
        [Decimal(1), Fraction(1, 2)],
        [Scalar(1), Scalar(0.5)],
        deque([1, 0.5]),
    ],
)
def test_what_is_a_vector(vector: Any) -> None:
    numbers = checked_vector(vector, 2, "x")
    assert numbers == [1.0, 0.5]
    assert set(map(type, numbers)) == {float}


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ([1.0], "x must have 2 numbers (got 1). Store and search vectors of one length"),
        ([1.0, 2.0, 3.0], "x must have 2 numbers (got 3)"),
        ([], "x must have 2 numbers (got 0)"),
        (None, "x must be a list of 2 numbers, an array.array, or an array of numpy (got None)"),
        ("ab", "x must be a list of 2 numbers"),
        (b"ab", "x must be a list of 2 numbers"),
        ({1.0, 2.0}, "x must be a list of 2 numbers"),
        (7, "x must be a list of 2 numbers"),
        (Array(1.0), "x must have 2 numbers (got 1)"),
        ([1.0, None], "x: element 1 must be a number, such as 0.5 (got None)"),
        ([1.0, "0.5"], "x: element 1 must be a number"),
        ([Scalar(True), 0.5], "x: element 0 must be a number, such as 0.5 (got True)"),
        ([True, 0.5], "x: element 0 must be a number, such as 0.5 (got True)"),
        ([[1.0], 0.5], "x: element 0 must be a number"),
        ([1j, 0.5], "x: element 0 must be a number"),
        ([0.0, math.nan], "x: element 1 must be a finite number (got nan)"),
        ([math.inf, 0.0], "x: element 0 must be a finite number (got inf)"),
        ([math.inf, -math.inf], "x: element 0 must be a finite number (got inf)"),
        ([0, -math.inf], "x: element 1 must be a finite number (got -inf)"),
        ([Decimal("NaN"), 0], "x: element 0 must be a finite number (got nan)"),
        ([10**400, 0], "x: element 0 must be a finite number (got inf)"),
        ([0.0, 1e39], "x: element 1 must fit into 32 bits (got 1e+39)"),
        ([0.0, -1e39], "x: element 1 must fit into 32 bits (got -1e+39)"),
    ],
)
def test_wrong_vectors_are_refused(vector: Any, says: str) -> None:
    with pytest.raises(VectorError) as raised:
        checked_vector(vector, 2, "x")
    assert str(raised.value).startswith(says)
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, AlternatorError)


def test_the_vector_of_the_caller_stays_his_own() -> None:
    vector = [1.0, 0.5]
    numbers = checked_vector(vector, 2, "x")
    vector[0] = 7.0
    assert numbers == [1.0, 0.5]


@given(some.lists(some.floats(), min_size=1, max_size=5))
def test_all_numbers_that_32_bits_have_are_taken_and_no_others(vector: list[float]) -> None:
    if all(abs(number) <= LARGEST for number in vector):
        assert checked_vector(vector, len(vector), "x") == vector
    else:
        with pytest.raises(VectorError):
            checked_vector(vector, len(vector), "x")


@given(some.floats(-LARGEST, LARGEST))
def test_the_wire_has_each_number_as_it_is(number: float) -> None:
    ((kind, text),) = wire_numbers([number])[0].items()
    assert kind == "N"
    # The servers take numbers from 1e-130 on, and 0; both read a number that 32 bits do not have as 0.
    assert struct.unpack(">f", struct.pack(">f", float(text))) == struct.unpack(">f", struct.pack(">f", number))
    assert float(text) == number or (float(text) == 0 and abs(number) < 1e-44)
