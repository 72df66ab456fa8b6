"""Numbers with their nouns and units: ``1 failover``, ``2 failovers``. The pages and the output of the demo use the
same form."""

from __future__ import annotations

__all__ = ["counted", "duration", "noun"]


def noun(count: float | None, singular: str, plural: str | None = None) -> str:
    """The form of a noun that fits the number; None is an unknown number. `plural`: by default `singular` with an
    ``s``."""
    return singular if count == 1 else plural or f"{singular}s"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """The number and its noun."""
    return f"{count:,} {noun(count, singular, plural)}"


def duration(milliseconds: float | None) -> str:
    """Short enough for a figure of the dashboard: ``52 ms``, ``2.1 s``."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.1f} s"
