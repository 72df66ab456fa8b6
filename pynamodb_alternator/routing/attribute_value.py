"""Makes the attribute value of a key from a Python value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["attribute_value"]


def attribute_value(value: object) -> dict[str, Any] | None:
    """The attribute value of a key, such as ``{"S": "alice"}``; None for a value that cannot be a key.

    A key is a string, a number or bytes. A bool does not count as a number. A float does not either, because the hash
    of a number is computed from its exact text. The caller raises the error.
    """
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"B": bytes(value)}
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return {"N": str(value)}
    return None
