"""Numbers with their nouns: ``1 failover``, ``2 failovers``. The pages and the output of the demo use the same form."""

from __future__ import annotations

__all__ = ["counted", "noun"]


def noun(count: float | None, singular: str, plural: str | None = None) -> str:
    """The form of a noun that fits the number; None is an unknown number. `plural`: by default `singular` with an
    ``s``."""
    return singular if count == 1 else plural or f"{singular}s"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """The number and its noun."""
    return f"{count:,} {noun(count, singular, plural)}"
