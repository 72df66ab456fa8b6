"""The server's rules of write isolation.

This module was written from the server's documentation, independently of the module of this library that routes by
write isolation, so that tests can compare the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .expressions.tokens import MOST_BYTES

TAG = "system:write_isolation"
ALWAYS, FORBID_RMW, ONLY_RMW, UNSAFE = "always_use_lwt", "forbid_rmw", "only_rmw_uses_lwt", "unsafe_rmw"

MODES = {
    "a": ALWAYS,
    "always": ALWAYS,
    ALWAYS: ALWAYS,
    "f": FORBID_RMW,
    "forbid": FORBID_RMW,
    FORBID_RMW: FORBID_RMW,
    "o": ONLY_RMW,
    ONLY_RMW: ONLY_RMW,
    "u": UNSAFE,
    "unsafe": UNSAFE,
    UNSAFE: UNSAFE,
}
"""The values of the tag and the option, and the mode that each means."""

_OLD_VALUES = frozenset(["ALL_OLD", "UPDATED_OLD", "ALL_NEW"])
_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z_#:][A-Za-z0-9_]*)|(?P<number>\d+)|(?P<sign>[=,+\-()\[\].]))")


def allowed() -> str:
    return ", ".join(sorted(MODES))


def needs_read_before_write(operation: str, request: Mapping[str, Any]) -> bool:
    """Whether the server must read the item before it can do this write (alternator-server.md, "Write isolation").

    An expression that cannot be parsed counts as none: the engine will refuse it with a better message.
    """
    if operation not in ("PutItem", "DeleteItem", "UpdateItem"):
        return False
    if request.get("ConditionExpression") is not None or "Expected" in request:
        return True
    returned = request.get("ReturnValues")
    if operation != "UpdateItem":
        return returned == "ALL_OLD"
    if isinstance(returned, str) and returned in _OLD_VALUES:
        return True
    expression = request.get("UpdateExpression")
    if isinstance(expression, str):
        if len(expression) > MOST_BYTES:
            return False  # the engine will refuse it
        return _update_reads(expression)
    updates = request.get("AttributeUpdates")
    return isinstance(updates, Mapping) and any(_legacy_reads(update) for update in updates.values())


def _legacy_reads(update: Any) -> bool:
    if not isinstance(update, Mapping):
        return False
    action = update.get("Action", "PUT")
    return action == "ADD" or (action == "DELETE" and "Value" in update)


def _update_reads(expression: str) -> bool:
    clause = ""
    side = "path"
    for token in _tokens(expression):
        if token.upper() in ("SET", "REMOVE", "ADD", "DELETE") and side in ("path", "value"):
            # These words are reserved: an attribute with such a name needs an alias.
            clause, side = token.upper(), "path"
            if clause in ("ADD", "DELETE"):
                return True
        elif token in (".", "["):
            # A nested path. Before the sign it is written, after the sign it is read; the server reads the item for
            # both. A dot within a name is not found here, because such a name needs an alias.
            return True
        elif token == "=":
            side = "value"
        elif token == ",":
            side = "path"
        elif clause == "SET" and side == "value" and _is_path_or_function(token):
            return True
    return False


def _is_path_or_function(token: str) -> bool:
    return token[0].isalpha() or token[0] in "_#"


def _tokens(expression: str) -> Iterator[str]:
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            return
        yield match.group().strip()
        position = match.end()
