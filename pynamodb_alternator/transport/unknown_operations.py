"""Adds a sentence to the error of an operation that the server does not have: what to use instead.

Such an operation is sent as it is, because DynamoDB has it, and a later server may have it too.
"""

from __future__ import annotations

from typing import Any

__all__ = ["UNKNOWN", "add_what_instead"]

UNKNOWN = "UnknownOperationException"
"""The code of the server's error."""
_INSTEAD = {
    "TransactWriteItems": (
        "This server has no transactions. Use a condition on one item, which is checked and written in one step: keep "
        "what must change together in that item. Or write a batch (BatchWriteItem, Model.batch_write), of which some "
        "items may be written although others are not."
    ),
    "TransactGetItems": (
        "This server has no transactions. Read a batch (BatchGetItem, Model.batch_get), if need be with consistent "
        "reads; its items may be of different moments. Keep what must be read together in one item."
    ),
}
"""By the name of the operation."""


def add_what_instead(parsed: dict[str, Any], operation: str) -> None:
    """Add the sentence to an error, as botocore parses it, if the error says that the operation is unknown."""
    error = parsed.get("Error")
    if operation in _INSTEAD and isinstance(error, dict) and error.get("Code") == UNKNOWN:
        said = str(error.get("Message") or "").strip()
        error["Message"] = f"{said.rstrip('.')}. {_INSTEAD[operation]}" if said else _INSTEAD[operation]
