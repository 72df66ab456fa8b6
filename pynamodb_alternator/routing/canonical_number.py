"""The canonical form of a number. DynamoDB stores every number in it, and answers of DynamoDB and Alternator have it.

It is plain decimal: no exponent, no plus sign, no leading zeros, no trailing zeros behind the point, a zero before the
point, and 0 for every zero. Alternator makes numbers canonical when it reads them from its storage. But it finds a
partition key by its stored bytes, and an element of a number set by its text. So for these, 1 and 1.0 are two different
numbers (SCYLLADB-1575).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .partition_key import as_mapping

__all__ = ["canonical_key", "canonical_number", "is_canonical"]

_MOST_DIGITS = 38
_SMALLEST, _LARGEST = -130, 125
"""The decimal exponents that a number may have, as in 1E-130 and 9.99E125."""

# A text that `re` compiles and caches at the first use, because hardly any process needs it.
_NUMBER = r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,9}))?"


def canonical_number(text: str) -> str:
    """The number in canonical form.

    A text that DynamoDB would refuse is returned unchanged, and the server refuses it: a text that is not a number, has
    more than 38 digits, or has a magnitude outside of 1E-130 … 9.99E125.
    """
    return _of_usual(text) or _of_any(text)


def _of_usual(text: str) -> str | None:
    """The canonical form of a usual number such as 0, -12, 12.0 or 12.5, computed much faster than by `_of_any`. None
    for any other text."""
    if text in ("0", "0.0"):
        return "0"
    integer, dot, rest = text.removeprefix("-").partition(".")
    if not integer.isdigit() or integer[0] == "0" or len(text) > _MOST_DIGITS or not text.isascii():
        return None
    if not dot or (rest.isdigit() and rest[-1] != "0"):
        return text
    return text.removesuffix(".0") if rest == "0" else None


def _of_any(text: str) -> str:
    """The canonical form of any number."""
    match = re.fullmatch(_NUMBER, text)
    if match is None:
        return text
    sign, whole, fraction, exponent = match.groups("")
    digits = whole + fraction
    if not digits:
        return text
    significant = digits.lstrip("0")
    if not significant:
        return "0"
    # The number of significant digits before the point. If it is negative, that many zeros follow the point.
    point = len(whole) + int(exponent or 0) - (len(digits) - len(significant))
    significant = significant.rstrip("0")
    if len(significant) > _MOST_DIGITS or not _SMALLEST <= point - 1 <= _LARGEST:
        return text
    if point <= 0:
        plain = f"0.{'0' * -point}{significant}"
    elif point >= len(significant):
        plain = significant + "0" * (point - len(significant))
    else:
        plain = f"{significant[:point]}.{significant[point:]}"
    return f"-{plain}" if sign == "-" else plain


def is_canonical(text: object) -> bool:
    """Whether the text is a number in canonical form, or is not a number."""
    return not isinstance(text, str) or canonical_number(text) == text


def canonical_key(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attribute value of a key, such as ``{"N": "1.0"}``, as it is sent where keys are made canonical."""
    typed = as_mapping(value)
    number = typed.get("N") if typed is not None and len(typed) == 1 else None
    return {"N": canonical_number(number)} if isinstance(number, str) and not is_canonical(number) else value
