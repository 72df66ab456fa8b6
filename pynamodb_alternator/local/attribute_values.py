"""Attribute values as the server checks and stores them: their shape, the range of numbers, their sizes.

A value is an object with one member, whose name is the type: ``{"N": "1"}``. At the top level of an item, the server
stores strings, numbers, binaries and booleans in its own form. It stores everything else as the JSON of the request. So
numbers are checked and normalized only at the top level of an item.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from decimal import (
    MAX_EMAX,
    MAX_PREC,
    MIN_EMIN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    Underflow,
)
from typing import Any

import orjson

from .answers import DialectError, validation

SETS = frozenset(["SS", "NS", "BS"])
MOST_DIGITS = 38
_LONGEST_NAME = 65535
_LARGEST, _SMALLEST = 125, -130
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
exact: Context = Context(
    prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[InvalidOperation, DivisionByZero, Overflow, Underflow]
)
_JSON_TYPES: Mapping[str, type] = {"BOOL": bool, "NULL": bool, "FLOAT32VECTOR": list}


def kind_of(value: Mapping[str, Any]) -> str:
    """The type of a well-formed value, such as ``"S"``."""
    return next(iter(value))


def content_of(value: Mapping[str, Any]) -> Any:
    """The content of a value, such as ``"text"`` of ``{"S": "text"}``."""
    return next(iter(value.values()))


def check(value: object, caller: str) -> None:
    """Raises `DialectError` if this is not a well-formed value, or contains something that is not.

    This is stricter than the server, which checks only the outermost value: it stores a wrong inner value, and fails
    when it reads it. No client sends such a value on purpose.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise validation(f"{caller}: improperly formatted value '{shown(value)}'")
    kind, content = next(iter(value.items()))
    if kind in SETS:
        _check_set(kind, content, value, caller)
    elif kind in ("S", "B"):
        if not isinstance(content, str):
            raise validation(f"{caller}: improperly formatted value '{shown(value)}'")
        if kind == "B":
            decoded(content)
    elif kind == "N":
        if not isinstance(content, str):
            text = f"{caller}: number value must be encoded as string '{shown(value)}'"
            raise DialectError("SerializationException", text)
    elif kind in ("L", "M"):
        _check_within(kind, content, value, caller)
    elif kind in _JSON_TYPES:
        if not isinstance(content, _JSON_TYPES[kind]):
            raise validation(f"{caller}: improperly formatted value '{shown(value)}'")
    else:
        raise validation(f"{caller}: unknown type {kind} for value {shown(value)}")


def _check_within(kind: str, content: object, value: object, caller: str) -> None:
    if not isinstance(content, list if kind == "L" else dict):
        raise validation(f"{caller}: improperly formatted value '{shown(value)}'")
    assert isinstance(content, list | dict)
    for element in content.values() if isinstance(content, dict) else content:
        check(element, caller)


def _check_set(kind: str, content: object, value: object, caller: str) -> None:
    if not isinstance(content, list):
        raise validation(f"{caller}: improperly formatted set '{shown(value)}'")
    if not content:
        raise validation(f"{caller}: empty set not allowed")
    if not all(isinstance(element, str) for element in content):
        raise validation(f"{caller}: improperly formatted set '{shown(value)}'")


def shown(value: object) -> str:
    """A value as text for an error message."""
    return orjson.dumps(value, default=str).decode()[:300]


def decoded(text: str) -> bytes:
    """The bytes of base64 text. Raises `DialectError` for other text."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise DialectError("SerializationException", f"Invalid base64 data: {text[:100]}") from None


def number(text: str) -> Decimal:
    """The number in this text, as the server would store it. Raises `DialectError` for text that is not a number, and
    for a number that is too large, too small or too precise."""
    if not _NUMBER.fullmatch(text):
        raise validation(f"The parameter cannot be converted to a numeric value: {text[:100]}")
    try:
        value = exact.create_decimal(text)
    except Underflow:
        raise _underflow(text) from None
    except ArithmeticError:
        raise _overflow(text) from None
    significant = "".join(map(str, value.as_tuple().digits)).strip("0")
    if not significant:
        # Zero has no magnitude. If it kept its exponent, its text would have as many zeros.
        return value if -MOST_DIGITS <= int(value.as_tuple().exponent) <= 0 else Decimal(0)
    magnitude = value.adjusted()
    if magnitude > _LARGEST:
        raise _overflow(text)
    if magnitude < _SMALLEST:
        raise _underflow(text)
    if len(significant) > MOST_DIGITS:
        raise validation(
            f"Number too precise: {text[:100]}. "
            "Attempting to store a number with more significant digits than supported."
        )
    return value


def _underflow(text: str) -> DialectError:
    return validation(
        f"Number underflow: {text[:100]}. Attempting to store a number with magnitude lower than supported range."
    )


def _overflow(text: str) -> DialectError:
    return validation(
        f"Number overflow: {text[:100]}. Attempting to store a number with magnitude larger than supported range."
    )


def plain(value: Decimal) -> str:
    """The text of a number as the server returns it: without an exponent, and without zeros at either end."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def stored(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The value that a read returns after this value was written at the top level of an item. Raises as `number`
    does."""
    text = value.get("N")
    if text is None:
        return value
    normal = plain(number(text))
    return value if normal == text else {"N": normal}


def size_of(value: object) -> int:
    """The size of a value in bytes, about as the server counts it for ConsumedCapacity."""
    if isinstance(value, dict):
        return sum(_size(kind, content) for kind, content in value.items())
    return len(orjson.dumps(value))


def _size(kind: str, content: object) -> int:
    if kind == "S" and isinstance(content, str):
        return len(content.encode("utf-8", "surrogatepass"))
    if kind == "B" and isinstance(content, str):
        return len(content) * 3 // 4
    if kind == "BOOL":
        return 1
    if kind == "N" and isinstance(content, str):
        return 4 + (len(content.strip("+-0").replace(".", "")) + 1) // 2
    return len(orjson.dumps({kind: content}))


def item_size(item: Mapping[str, Any]) -> int:
    """The size of an item in bytes: its names and values."""
    return sum(len(name.encode("utf-8", "surrogatepass")) + size_of(value) for name, value in item.items())


def check_name(name: str, context: str = "") -> None:
    """Raises `DialectError` if the name of an attribute is empty or too long."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if size == 0:
        raise validation(f"{context}Empty attribute name")
    if size > _LONGEST_NAME:
        raise validation(f"{context}Attribute name is too large, must be less than {_LONGEST_NAME + 1} bytes")
