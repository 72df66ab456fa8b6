"""Small rules about names and hosts that all rooms share."""

from __future__ import annotations

import pytest

from pynamodb_alternator.settings import checks


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("prt", ["port", "seeds"], "Did you mean 'port'?"),
        ("R2", ["r1", "r2"], "Did you mean 'r2'?"),
        ("port", ["PORT", "SEEDS"], "Did you mean 'PORT'?"),
        ("ORDERS", ["Orders", "orders"], "Did you mean 'Orders'?"),
        ("frobnicate", ["port", "seeds"], ""),
        ("anything", [], ""),
        (5, ["port"], ""),
    ],
)
def test_the_nearest_name_is_suggested_as_it_is_spelled(name: object, known: list[str], hint: str) -> None:
    assert checks.did_you_mean(name, known) == hint


@pytest.mark.parametrize(
    ("bare", "in_brackets"),
    [("2001:db8::1", "[2001:db8::1]"), ("fe80::1%eth0", "[fe80::1%eth0]"), ("10.0.0.1", "10.0.0.1"), ("db", "db")],
)
def test_brackets_are_for_ipv6_alone(bare: str, in_brackets: str) -> None:
    assert checks.with_brackets(bare) == in_brackets
    assert checks.with_brackets(in_brackets) == in_brackets
    assert checks.without_brackets(in_brackets) == bare
    assert checks.without_brackets(bare) == bare


@pytest.mark.parametrize("half", ["[2001:db8::1", "db]"])
def test_half_a_pair_of_brackets_is_not_a_pair(half: str) -> None:
    assert checks.without_brackets(half) == half
