"""Python values as keys."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pynamodb_alternator.routing.attribute_value import attribute_value


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ("alice", {"S": "alice"}),
        ("", {"S": ""}),
        (7, {"N": "7"}),
        (-(10**30), {"N": "-1000000000000000000000000000000"}),
        (Decimal("1.50"), {"N": "1.50"}),
        (b"\x00\xff", {"B": b"\x00\xff"}),
        (bytearray(b"ab"), {"B": b"ab"}),
        (memoryview(b"ab"), {"B": b"ab"}),
    ],
)
def test_strings_numbers_and_bytes_can_be_keys(value: object, made: dict[str, Any]) -> None:
    assert attribute_value(value) == made
    assert [type(content) for content in (attribute_value(value) or {}).values()] == [type(*made.values())]


@pytest.mark.parametrize(
    "value", [True, 1.5, None, {"S": "alice"}, ["a"], {"a"}, object()], ids=lambda value: type(value).__name__
)
def test_nothing_else_can(value: object) -> None:
    assert attribute_value(value) is None
