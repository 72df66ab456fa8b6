"""Texts and bytes with a secret, whose repr hides them.

Reprs are written to logs, and to error trackers, which also show the values of local variables.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Secret", "SecretBytes", "has_userinfo", "without_userinfo"]

_ESCAPED = "%40"


class Secret(str):
    """A text whose repr hides it, also inside the repr of a dict and in the variables of a traceback. It is used like
    any other text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret, (str(self),)


class SecretBytes(bytes):
    """Like `Secret`, for bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> tuple[Any, ...]:
        return SecretBytes, (bytes(self),)


def without_userinfo(text: str) -> str:
    """A host or a URL, or its repr, without the part before an ``@``: this is a user name, and often a password.

    The whole part is removed, because a password may contain any character.
    """
    rest = text.replace(_ESCAPED, "@").rpartition("@")[2]
    return f"<hidden>@{rest}" if has_userinfo(text) else text


def has_userinfo(text: str) -> bool:
    """Whether a host, or a URL without its query, has a user name: an ``@``, also an escaped one."""
    return "@" in text or _ESCAPED in text
