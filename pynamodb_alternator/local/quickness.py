"""Tells which requests an engine in process executes so fast that the event loop may wait for it."""

from __future__ import annotations

from .catalogue import LONG
from .parsing import Parsed

_QUICK = frozenset(["GetItem", "PutItem", "UpdateItem", "DeleteItem", "DescribeTable", "ListTagsOfResource"])
"""Operations on one item or none."""

_EXPRESSIONS = ("ConditionExpression", "UpdateExpression", "ProjectionExpression")
_MAPS = ("Expected", "AttributeUpdates")
_SHORTEST = 16
"""Characters of about the shortest part of an expression that looks through a whole item: ``contains(a,:b)``."""


def is_quick(parsed: Parsed, longest_item: int) -> bool:
    """Whether a request takes a few milliseconds at most, where no item of its table is longer than so many bytes.

    Each part of an expression may look through the whole item, and through all values of the request.
    """
    if parsed.operation not in _QUICK or max(parsed.size, longest_item) >= LONG:
        return False
    return (parsed.size + longest_item) * (1 + _parts(parsed)) < 2 * LONG


def _parts(parsed: Parsed) -> int:
    """How many parts the conditions and updates of a request have at most."""
    parameters = parsed.parameters
    texts = (parameters.get(name) for name in _EXPRESSIONS)
    maps = (parameters.get(name) for name in _MAPS)
    return sum(len(text) // _SHORTEST for text in texts if isinstance(text, str)) + sum(
        len(conditions) for conditions in maps if isinstance(conditions, dict)
    )
