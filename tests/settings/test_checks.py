"""The errors of wrong values: the name that was probably meant, and how a value is shown."""

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
