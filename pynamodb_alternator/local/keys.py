"""Checks of keys in requests: all parts are there, with the right types, and with values that can be keys."""

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
"""The most bytes of a key."""


def check_key(key: object, keys: Keys, caller: str) -> Mapping[str, Any]:
    """`key`, if it is exactly the key of one item. Raises `DialectError` if it is not."""
    if not isinstance(key, dict):
        raise validation(f"{caller} requires a Key parameter: {shown(key)} must be an object")
    check_key_of(key, keys)
    if len(key) != len(keys.types):
        raise validation("Given key attribute not in schema: the provided key element does not match the schema")
    return key


def check_key_of(item: Mapping[str, Any], keys: Keys) -> None:
    """Raises `DialectError` if the key of an item is missing, has another type, or is empty."""
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
        # The server's storage refuses the key, and Alternator reports this as an internal error.
        raise DialectError("InternalServerError", f"Key length of {size} is longer than maximum of {_LONGEST}")


def check_index_keys(item: Mapping[str, Any], types: Mapping[str, str]) -> None:
    """Raises `DialectError` if an attribute that is a key of an index has another type, or is empty."""
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
    """An item as the server returns it. A partition key that is a number is stored as it was written, but returned in
    the normal form of numbers: 1.0 and 1 are two keys, and both are returned as 1."""
    if not kept_as_written:
        return item
    return {**item, **{name: stored(item[name]) for name in kept_as_written if name in item}}


def token_of_value(value: object) -> int | None:
    """The token of a partition key with this attribute value, such as ``{"S": "alice"}``; None if it cannot be a
    key."""
    if not is_value(value):
        return None
    ((kind, content),) = cast("dict[str, Any]", value).items()
    if not isinstance(content, str) or len(content) > 2 * _LONGEST:
        return None
    return _token(kind, content)


@functools.lru_cache(16_384)
def _token(kind: str, content: str) -> int | None:
    """The tokens of the last keys are cached: to compute one takes longer than all other work for the counters."""
    try:
        return token_of(kind, base64.b64decode(content) if kind == "B" else content)
    except (ValueError, LookupError):
        return None


def segment_of(token: int, total: int) -> int:
    """Which of the `total` segments of a Scan has a token. All segments have the same size, except that the last one
    also has the remainder."""
    return min((token + 2**63) // ((2**64 - 1) // total), total - 1)


def identity(key: Mapping[str, Any], keys: Keys) -> Hashable:
    """A hashable value that is equal for equal keys: numbers are compared by value, binaries by their bytes."""
    parts: list[Hashable] = []
    for name, kind in keys.types.items():
        content = content_of(key[name])
        parts.append(number(content) if kind == "N" else decoded(content) if kind == "B" else content)
    return tuple(parts)
