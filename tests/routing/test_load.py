"""The rule by which averages of two nodes are compared."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.routing.load import FADES_IN, FORGOTTEN_AFTER, NOISE, slowness


@pytest.mark.parametrize(
    ("ratio", "age", "in_flight", "expected"),
    [
        (1.0, 0.0, 0, 1.0),
        (1.9, 0.0, 0, 1.0),  # noise
        (2.0, 0.0, 0, 2.0),
        (10.0, 0.0, 0, 10.0),
        (10.0, FADES_IN, 0, 1 + 9 / math.e),
        (10.0, 5.0, 0, 1.0),  # faded into noise: it is tried again
        (10.0, 5.0, 1, 10.0),  # and with one request at a time
        (100.0, 9.0, 0, 1 + 99 * math.exp(-4.5)),
        (100.0, FORGOTTEN_AFTER, 0, 1.0),
        (1e9, FORGOTTEN_AFTER, 5, 1.0),
    ],
)
def test_slowness(ratio: float, age: float, in_flight: int, expected: float) -> None:
    assert slowness(ratio, age, in_flight) == pytest.approx(expected)


@given(st.floats(1.0, 1e9), st.floats(0.0, 100.0), st.floats(0.0, 100.0), st.integers(0, 100))
def test_it_only_fades(ratio: float, age: float, later: float, in_flight: int) -> None:
    now, then = slowness(ratio, age, in_flight), slowness(ratio, age + later, in_flight)
    assert 1.0 <= then <= now <= max(1.0, ratio)
    assert now == 1.0 or now >= NOISE
