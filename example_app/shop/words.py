"""Numbers with their nouns: ``1 failover``, ``2 failovers``. The pages and the demo's account write them alike."""

from __future__ import annotations

__all__ = ["counted", "noun"]


def noun(count: float | None, one: str, many: str | None = None) -> str:
    """The form of a noun that fits the number, of which None is an unknown one. `many`: else `one` with an ``s``."""
    return one if count == 1 else many or f"{one}s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """The number and its noun."""
    return f"{count:,} {noun(count, one, many)}"
