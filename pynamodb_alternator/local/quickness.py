"""Decides which requests an engine in process executes so fast that the event loop may wait for it."""

from __future__ import annotations

from .catalogue import LONG
from .parsing import Parsed

_QUICK = frozenset(["GetItem", "PutItem", "UpdateItem", "DeleteItem", "DescribeTable", "ListTagsOfResource"])
"""Operations on one item, and operations that only read the description or the tags of a table."""

_EXPRESSIONS = ("ConditionExpression", "UpdateExpression", "ProjectionExpression")
_MAPS = ("Expected", "AttributeUpdates")
_SHORTEST = 16
"""About the length in characters of the shortest part of an expression that reads a whole item: ``contains(a,:b)``."""


def is_quick(parsed: Parsed, longest_item: int) -> bool:
    """Whether a request takes a few milliseconds at most. `longest_item`: the size in bytes of the longest item of its
    table.

    Each part of an expression may have to read the whole item, and all values of the request.
    """
    if parsed.operation not in _QUICK or max(parsed.size, longest_item) >= LONG:
        return False
    return (parsed.size + longest_item) * (1 + _parts(parsed)) < 2 * LONG


def _parts(parsed: Parsed) -> int:
    """An upper limit for the number of parts of the conditions and updates of a request."""
    parameters = parsed.parameters
    texts = (parameters.get(name) for name in _EXPRESSIONS)
    maps = (parameters.get(name) for name in _MAPS)
    return sum(len(text) // _SHORTEST for text in texts if isinstance(text, str)) + sum(
        len(conditions) for conditions in maps if isinstance(conditions, dict)
    )
