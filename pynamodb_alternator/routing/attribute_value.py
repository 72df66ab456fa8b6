"""A Python value as the attribute value that a request has for it, where it may be a key."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["attribute_value"]


def attribute_value(value: object) -> dict[str, Any] | None:
    """The attribute value of a key, such as ``{"S": "alice"}``; None for what cannot be one.

    A key is a string, a number or bytes. A bool is not a number here, and neither is a float: the hash of a key is that
    of a number's exact text. The caller makes the error.
    """
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"B": bytes(value)}
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return {"N": str(value)}
    return None
