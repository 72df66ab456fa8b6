"""How values that hold a secret are shown: not at all.

What is shown ends up in logs and in error trackers, which also show the values of local variables.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Secret", "SecretBytes", "has_userinfo", "without_userinfo"]

_ESCAPED = "%40"


class Secret(str):
    """A text whose repr hides it, also inside the repr of a dict and among the variables of a traceback. It is used as
    any other text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret, (str(self),)


class SecretBytes(bytes):
    """The same for bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> tuple[Any, ...]:
        return SecretBytes, (bytes(self),)


def without_userinfo(text: str) -> str:
    """A host or a URL, or their repr, without what stands before an ``@``: that is a user name, and often a password.

    All of it goes, because a password may have any character in it.
    """
    rest = text.replace(_ESCAPED, "@").rpartition("@")[2]
    return f"<hidden>@{rest}" if has_userinfo(text) else text


def has_userinfo(text: str) -> bool:
    """Whether a host, or a URL without its query, has a user name in it: an ``@``, or one that is escaped."""
    return "@" in text or _ESCAPED in text
