"""Makes texts of numbers, names and errors for findings."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import ClientError

from ..errors import AlternatorError, error_code, error_message

__all__ = ["answered", "duration", "milliseconds", "said", "some_of"]


def milliseconds(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.{2 if value < 1 else 1 if value < 100 else 0}f} ms"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def some_of(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", and {len(names) - 4} more" if len(names) > 4 else "")


def answered(code: str, message: str) -> str:
    """The error of an answer. Of a page of HTML, which is not Alternator's, its code says enough."""
    return code if not message or message.lstrip().startswith("<") else f"{code}: {message}"


def said(error: Exception) -> str:
    """The error as a part of a sentence: code and message of an answer, else Python's text."""
    if isinstance(error, ClientError):
        return answered(error_code(error) or "?", error_message(error))
    text = str(error)
    return text if isinstance(error, AlternatorError) and text else f"{type(error).__name__}: {text}"
