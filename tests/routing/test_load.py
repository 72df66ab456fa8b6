"""The rule by which averages of two nodes are compared."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.routing.load import (
    BETWEEN_TRIALS,
    FADES_IN,
    FAILURE,
    FORGOTTEN_AFTER,
    NOISE,
    slowness,
    with_failures,
)

MANY = 1000.0


@pytest.mark.parametrize(
    ("ratio", "age", "in_flight", "requests", "expected"),
    [
        (1.0, 0.0, 0, MANY, 1.0),
        (1.9, 0.0, 0, MANY, 1.0),  # noise
        (2.0, 0.0, 0, MANY, 2.0),
        (10.0, 0.0, 0, MANY, 10.0),
        (10.0, FADES_IN, 0, MANY, 1 + 9 / math.e),
        (10.0, 5.0, 0, MANY, 1.0),  # faded into noise: it is tried again
        (10.0, 5.0, 1, MANY, 10.0),  # and with one request at a time
        (10.0, 5.0, 0, BETWEEN_TRIALS - 1, 10.0),  # and not before all have had a few requests
        (10.0, FORGOTTEN_AFTER, 0, 0.0, 1.0),
        (100.0, 9.0, 0, MANY, 1 + 99 * math.exp(-4.5)),
        (100.0, FORGOTTEN_AFTER, 0, MANY, 1.0),
        (1e9, 0.0, 0, MANY, FAILURE),
        (math.inf, 9.5, 0, MANY, 1.0),
        (1e9, FORGOTTEN_AFTER, 5, MANY, 1.0),
    ],
)
def test_slowness_follows_the_formula(
    ratio: float, age: float, in_flight: int, requests: float, expected: float
) -> None:
    assert slowness(ratio, age, in_flight, requests) == pytest.approx(expected)


@given(
    st.floats(1.0, allow_nan=False),
    st.floats(0.0, 100.0),
    st.floats(0.0, 100.0),
    st.integers(0, 100),
    st.floats(0.0, 1e6),
)
def test_slowness_only_fades(ratio: float, age: float, later: float, in_flight: int, requests: float) -> None:
    now, then = slowness(ratio, age, in_flight, requests), slowness(ratio, age + later, in_flight, requests)
    assert 1.0 <= then <= now <= min(max(1.0, ratio), FAILURE)
    assert now == 1.0 or now >= NOISE


@pytest.mark.parametrize(
    ("slow", "part", "age", "in_flight", "expected"),
    [
        (1.0, 0.0, 0.0, 0, 1.0),
        (1.0, 1.0, 0.0, 0, FAILURE),
        (1.0, 0.5, 0.0, 0, (1 + FAILURE) / 2),
        (10.0, 0.5, 0.0, 0, (10 + FAILURE) / 2),
        (1.0, 1.0, FADES_IN, 0, 1 + 99 / math.e),
        (1.0, 1.0, FADES_IN, 1, FAILURE),
        (1.0, 1.0, FORGOTTEN_AFTER, 1, 1.0),
        (5.0, 1.0, math.inf, 0, 5.0),
    ],
)
def test_failures_make_a_node_slower(slow: float, part: float, age: float, in_flight: int, expected: float) -> None:
    assert with_failures(slow, part, age, in_flight) == pytest.approx(expected)


@given(st.floats(1.0, FAILURE), st.floats(0.0, 1.0), st.floats(0.0, 100.0), st.floats(0.0, 100.0), st.integers(0, 9))
def test_failures_only_fade(slow: float, part: float, age: float, later: float, in_flight: int) -> None:
    now, then = with_failures(slow, part, age, in_flight), with_failures(slow, part, age + later, in_flight)
    assert 1.0 <= slow <= then <= now <= FAILURE * (1 + 1e-9)
