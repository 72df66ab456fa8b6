"""The canonical form of numbers: ScyllaDB's own table of what DynamoDB makes of them, and its laws."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pynamodb_alternator.routing.canonical_number import canonical_key, canonical_number, is_canonical
from pynamodb_alternator.routing.token import token_of

CANONICAL = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        *((text, text) for text in ("0", "1", "-5", "10", "1000", "3.14159", "-273.15", "0.001")),
        *(("007", "7"), ("001.23", "1.23"), ("00", "0")),
        *(("+3", "3"), ("+0", "0"), ("+1.5", "1.5")),
        *(("1.0", "1"), ("1.10", "1.1"), ("100.000", "100"), ("0.0", "0"), ("0.10", "0.1"), ("1.", "1")),
        *(("1e3", "1000"), ("1E+3", "1000"), ("5e1", "50"), ("-3e2", "-300"), ("1.5e2", "150"), ("1.23e4", "12300")),
        *(("1e-3", "0.001"), ("123e-2", "1.23"), ("1.23e-1", "0.123"), ("1.0e-1", "0.1"), ("10e-1", "1")),
        *(("-0", "0"), ("-0.0", "0"), ("0e5", "0"), ("0.0e3", "0"), ("0e-5", "0"), ("0e1000", "0")),
        *((".5", "0.5"), ("-.5", "-0.5"), ("+.5", "0.5")),
        *(("1e125", "1" + "0" * 125), ("9.99E125", "999" + "0" * 123), ("-1e-130", "-0." + "0" * 129 + "1")),
        *(("1" * 38 + ".000", "1" * 38), ("0." + "0" * 50 + "1" * 38, "0." + "0" * 50 + "1" * 38)),
    ],
)
def test_what_dynamodb_makes_of_a_number(written: str, canonical: str) -> None:
    assert canonical_number(written) == canonical


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "-", "+", "e5", ".e5", "1e", "1e+", "dog", "NaN", "Infinity", " 1", "1 ", "1\n", "1_0", "0x1"),
        *("--1", "1.2.3", "１", "1,5"),
        *("1e126", "0.1e127", "1e-131", "0.9e-130", "1e999999999", "1e9999999999", "1" * 39, "1" * 39 + ".0"),
    ],
)
def test_what_dynamodb_refuses_is_left_to_the_server(text: str) -> None:
    assert canonical_number(text) == text
    assert is_canonical(text)


numbers = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda value: (
        not value
        or (len("".join(map(str, value.as_tuple().digits)).strip("0")) <= 38 and -130 <= value.adjusted() <= 125)
    )
)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Decimal]:
    """A number, and some way to write it."""
    digits = draw(st.text("0123456789", min_size=1, max_size=30))
    place = draw(st.integers(0, len(digits)))
    exponent = draw(st.none() | st.integers(-90, 90))
    text = draw(st.sampled_from(["", "+", "-"])) + digits[:place]
    if place < len(digits) or draw(st.booleans()):
        text += "." + digits[place:]
    if exponent is not None:
        text += (
            draw(st.sampled_from("eE")) + draw(st.sampled_from(["", "+"] if exponent >= 0 else [""])) + str(exponent)
        )
    return text, Decimal(text)


@given(st.one_of(written(), numbers.map(lambda value: (str(value), value))))
@example(("-0E+5", Decimal("-0E+5")))
def test_the_value_stays_and_the_form_is_the_shortest(number: tuple[str, Decimal]) -> None:
    text, value = number
    made = canonical_number(text)
    assert Decimal(made) == value
    assert canonical_number(made) == made
    assert re.fullmatch(CANONICAL, made)
    assert made != "-0"


@given(written(), written())
def test_equal_numbers_have_one_form_and_one_token(first: tuple[str, Decimal], second: tuple[str, Decimal]) -> None:
    ours, theirs = canonical_number(first[0]), canonical_number(second[0])
    assert (ours == theirs) == (first[1] == second[1])
    assert (token_of("N", ours) == token_of("N", theirs)) == (first[1] == second[1])


@given(st.text(max_size=8) | st.text("0123456789.eE+-", max_size=8))
def test_a_canonical_number_keeps_its_value(text: str) -> None:
    made = canonical_number(text)
    assert canonical_number(made) == made
    if made != text:
        assert Decimal(made) == Decimal(text)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ({"N": "1.0"}, {"N": "1"}),
        ({"N": "1"}, {"N": "1"}),
        ({"S": "1.0"}, {"S": "1.0"}),
        ({"N": 1.0}, {"N": 1.0}),
        ({"N": "1.0", "S": "x"}, {"N": "1.0", "S": "x"}),
        ({}, {}),
    ],
)
def test_a_key_is_sent_in_canonical_form(value: dict[str, Any], sent: dict[str, Any]) -> None:
    assert canonical_key(value) == sent
