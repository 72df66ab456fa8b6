"""Checks of settings, each with an error that names the setting and the remedy.

`where` names the setting in the error. Numbers, words, and names that nobody knows; addresses, headers and the other
kinds of values have modules of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ConfigurationError

_LONGEST = 1_000_000
"""Seconds that a setting may say, at most: what sockets and locks of every platform can still count."""


def is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def positive(where: str, value: Any, *, remedy: str = "") -> None:
    if not is_number(value) or not 0 < value <= _LONGEST:
        raise ConfigurationError(
            f"{where} must be a number of seconds greater than 0 and at most {_LONGEST:,}"
            f"{', ' + remedy if remedy else ''} (got {shown(value)})."
        )


def not_negative(where: str, value: Any, *, zero: str = "not waiting") -> None:
    if not is_number(value) or not 0 <= value <= _LONGEST:
        raise ConfigurationError(
            f"{where} must be a number of seconds, 0 for {zero}, at most {_LONGEST:,} (got {shown(value)})."
        )


def shown(value: object) -> str:
    """The value as an error message shows it: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # among others: a whole number with more digits than Python is willing to write
        return f"a {type(value).__name__}"
    return text if len(text) <= 200 else text[:200] + "…"


def whole(where: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigurationError(f"{where} must be a whole number from {least} to {most} (got {shown(value)}).")


def one_of(where: str, value: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise ConfigurationError(f"{where} must be one of {', '.join(map(repr, allowed))} (got {shown(value)}).")


def flag(where: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{where} must be True or False (got {shown(value)}).")


def each(of: object, kind: str, names: Iterable[str], check: Callable[..., None], *bounds: int) -> None:
    """`check` these fields of a value, of the kind that errors name."""
    for name in names:
        check(f"{kind}: {name}", getattr(of, name), *bounds)


def boolean(text: str) -> bool:
    """What a URL's or the environment's word for yes or no means; ValueError for others."""
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("write true or false")


def known_names(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a name that is not known, and tell which one was probably meant."""
    allowed = list(known)
    for name in names:
        if name in allowed:
            continue
        hint = did_you_mean(name, allowed) or f"It takes: {', '.join(sorted(allowed))}."
        raise ConfigurationError(f"{where} does not take {name!r}. {hint}")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """``Did you mean 'orders'?``, if a name that is known resembles this one; otherwise an empty text."""
    close = closest(name, known)
    return f"Did you mean {close!r}?" if close else ""


def closest(name: object, known: Iterable[str]) -> str:
    """The name that is known and resembles this one the most; empty if none does.

    Upper and lower case do not count in the comparison, because they are a common slip; the answer has the name as it
    is known.
    """
    import difflib  # here, because nobody needs it who makes no mistake

    spelled: dict[str, str] = {}
    for candidate in known:
        spelled.setdefault(candidate.lower(), candidate)
    close = difflib.get_close_matches(str(name).lower(), spelled, n=1)
    return spelled[close[0]] if close else ""


def no_control_characters(where: str, value: str) -> None:
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in value):
        raise ConfigurationError(f"{where} has a control character in it. Leave that out.")
    whole_characters(where, value)


def whole_characters(where: str, value: str) -> None:
    """Refuse text that UTF-8 does not have."""
    if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise ConfigurationError(f"{where} has half a character (a lone surrogate) in it. Leave that out.")
