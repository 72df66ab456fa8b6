"""Keys in requests: that they are whole, of the right types, and of values that can be keys."""

from __future__ import annotations

import base64
import functools
from collections.abc import Hashable, Mapping
from typing import Any, cast

from ..routing.token import token_of
from .answers import DialectError, validation
from .attribute_values import content_of, decoded, kind_of, number, shown, stored
from .expressions.key_conditions import Keys
from .expressions.values import is_value

_WORDS = {"S": " string", "B": " binary", "N": ""}
_LONGEST = 65535
"""Bytes of a key, and of its length."""


def check_key(key: object, keys: Keys, caller: str) -> Mapping[str, Any]:
    """`key` as the key of one item, and nothing else. Raises `DialectError` for others."""
    if not isinstance(key, dict):
        raise validation(f"{caller} requires a Key parameter: {shown(key)} must be an object")
    check_key_of(key, keys)
    if len(key) != len(keys.types):
        raise validation("Given key attribute not in schema: the provided key element does not match the schema")
    return key


def check_key_of(item: Mapping[str, Any], keys: Keys) -> None:
    """Raises `DialectError` where an item lacks its key, or has another type there, or something empty."""
    for name, kind in keys.types.items():
        if name not in item:
            raise validation(f"Key column {name} not found: Missing the key {name} in the item")
        check_key_value(name, item[name], kind)


def check_key_value(name: str, value: object, kind: str) -> None:
    if not isinstance(value, dict) or len(value) != 1:
        raise validation(f"Malformed value object for key column {name}: {shown(value)}")
    if kind_of(value) != kind:
        raise validation(
            f"Type mismatch: expected type {kind} for key column {name}, got type {kind_of(value)}: "
            "the type does not match the schema"
        )
    content = content_of(value)
    if not isinstance(content, str):
        raise validation(f"Malformed value object for key column {name}: {shown(value)}")
    if not content:
        raise validation(
            f"One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            f"empty{_WORDS[kind]} value. Key: {name}"
        )
    if kind == "N":
        number(content)
        return
    size = 2 + len(decoded(content) if kind == "B" else content.encode("utf-8", "surrogatepass"))
    if size > _LONGEST:
        # The server's storage says so, and Alternator takes it for a failure.
        raise DialectError("InternalServerError", f"Key length of {size} is longer than maximum of {_LONGEST}")


def check_index_keys(item: Mapping[str, Any], types: Mapping[str, str]) -> None:
    """Raises `DialectError` where an attribute that is an index's key has another type, or is empty."""
    for name, kind in types.items():
        value = item.get(name)
        if value is None:
            continue
        if not is_value(value) or kind_of(value) != kind:
            raise validation(
                f"Type mismatch: expected type {kind} for GSI or LSI key attribute {name}, got type "
                f"{kind_of(value) if is_value(value) else shown(value)}"
            )
        if not content_of(value):
            raise validation(f"GSI or LSI key attribute {name} cannot be set to an empty string")


def as_read(item: Mapping[str, Any], kept_as_written: frozenset[str]) -> Mapping[str, Any]:
    """An item as the server gives it back. A partition key that is a number is stored as it was written, and read in
    the form of all numbers: 1.0 is another key than 1, and comes back as 1."""
    if not kept_as_written:
        return item
    return {**item, **{name: stored(item[name]) for name in kept_as_written if name in item}}


def token_of_value(value: object) -> int | None:
    """The token of a key that has this attribute value, such as ``{"S": "alice"}``; None for what cannot be a key."""
    if not is_value(value):
        return None
    ((kind, content),) = cast("dict[str, Any]", value).items()
    if not isinstance(content, str) or len(content) > 2 * _LONGEST:
        return None
    return _token(kind, content)


@functools.lru_cache(16_384)
def _token(kind: str, content: str) -> int | None:
    """The tokens of the keys that were used last are kept: computing one takes longer than all other work for the
    counters."""
    try:
        return token_of(kind, base64.b64decode(content) if kind == "B" else content)
    except (ValueError, LookupError):
        return None


def segment_of(token: int, total: int) -> int:
    """Which of `total` segments of a Scan has a token: all are equal in size, except that the last has what is over."""
    return min((token + 2**63) // ((2**64 - 1) // total), total - 1)


def identity(key: Mapping[str, Any], keys: Keys) -> Hashable:
    """An identity of a key, equal for equal keys: numbers by value, binaries by their bytes."""
    parts: list[Hashable] = []
    for name, kind in keys.types.items():
        content = content_of(key[name])
        parts.append(number(content) if kind == "N" else decoded(content) if kind == "B" else content)
    return tuple(parts)
