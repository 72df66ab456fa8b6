"""Checks of settings, each with an error that names the setting and the remedy.

`where` names the setting in the error. This module checks numbers, words and unknown names. Addresses, headers and
other kinds of values have modules of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ConfigurationError

_LONGEST = 1_000_000
"""The largest number of seconds of a setting. Sockets and locks of all platforms can handle it."""


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
    """The value as an error message shows it, always short."""
    try:
        text = repr(value)
    except Exception:  # for example a whole number with more digits than Python writes
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
    """Call `check` for these fields of `of`. `kind`: the name of its type in errors."""
    for name in names:
        check(f"{kind}: {name}", getattr(of, name), *bounds)


def boolean(text: str) -> bool:
    """The boolean of a word for yes or no in a URL or in the environment. Raises ValueError for other words."""
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
    """``Did you mean 'orders'?``, if a known name is similar to this one; otherwise an empty text."""
    close = closest(name, known)
    return f"Did you mean {close!r}?" if close else ""


def closest(name: object, known: Iterable[str]) -> str:
    """The known name that is most similar to this one; empty if none is similar.

    Upper and lower case do not matter in the comparison, because they are a common mistake. The result is the known
    spelling.
    """
    import difflib  # imported here, because it is needed only after a mistake

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
    """Refuse text that cannot be encoded in UTF-8."""
    if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise ConfigurationError(f"{where} has half a character (a lone surrogate) in it. Leave that out.")
