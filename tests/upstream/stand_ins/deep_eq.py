"""What PynamoDB's tests call to compare two requests, and its source distribution leaves out."""

from __future__ import annotations

from typing import Any


def deep_eq(actual: Any, expected: Any, *, _assert: bool = False) -> bool:
    """Whether both are equal; with `_assert`, fail if they are not."""
    if _assert:
        assert actual == expected
    return bool(actual == expected)
