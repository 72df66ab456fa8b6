"""Reads the partition key's value from a request. For a malformed request there is a reason, and never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import reasons
from .hashing import key_hash

__all__ = ["KEY_PARAMETERS", "as_mapping", "attributes_of_write", "key_content", "partition_key_hash", "value_hash"]

KEY_PARAMETERS = {"PutItem": "Item", "UpdateItem": "Key", "DeleteItem": "Key"}
"""For each operation that writes one item, the parameter that has its key."""


def as_mapping(value: object) -> Mapping[Any, Any] | None:
    """The value, if it is a mapping."""
    # Nearly all are plain dicts. The check against the abstract class would take longer than everything else here.
    if type(value) is dict or isinstance(value, Mapping):
        return value
    return None


def partition_key_hash(attributes: object, name: str) -> int | str:
    """The hash of the attribute `name`, or the reason why there is none (`no_key_value`, `unsupported_key_type`).

    `attributes`: the request's `Key` or `Item`, such as ``{"id": {"S": "alice"}}``.
    """
    item = as_mapping(attributes)
    if item is None:
        return reasons.NO_KEY_VALUE
    return value_hash(item.get(name))


def value_hash(value: object) -> int | str:
    """The hash of one attribute value such as ``{"S": "alice"}``, or the reason why there is none.

    See `key_content`.
    """
    content = key_content(value)
    if isinstance(content, str):
        return content
    try:
        return key_hash(*content)
    except UnicodeEncodeError:
        return reasons.NO_KEY_VALUE


def key_content(value: object) -> tuple[str, str | bytes] | str:
    """The type and the content of one attribute value such as ``{"S": "alice"}``, or the reason why it is not a key.

    A binary value may be `bytes`, `bytearray`, `memoryview`, boto3's `Binary`, or text, which botocore sends as UTF-8.
    """
    typed = value if type(value) is dict else as_mapping(value)
    if typed and type(text := typed.get("S")) is str and len(typed) == 1:
        return "S", text  # nearly always
    if typed is None:
        return reasons.NO_KEY_VALUE
    if len(typed) != 1:
        return reasons.UNSUPPORTED_KEY_TYPE if typed else reasons.NO_KEY_VALUE
    ((kind, content),) = typed.items()
    if kind == "S" or kind == "N":
        if not isinstance(content, str):
            return reasons.UNSUPPORTED_KEY_TYPE
    elif kind == "B":
        content = _binary(content)
        if content is None:
            return reasons.UNSUPPORTED_KEY_TYPE
    else:
        return reasons.UNSUPPORTED_KEY_TYPE
    return kind, content


def _binary(content: object) -> bytes | str | None:
    if isinstance(content, bytes | str):
        return content
    if not isinstance(content, bytearray | memoryview):
        # boto3's Binary is recognised by its attribute, because boto3 may not be installed.
        content = getattr(content, "value", None)
    return bytes(content) if isinstance(content, bytes | bytearray | memoryview) else None


def attributes_of_write(write: object) -> Mapping[Any, Any] | None:
    """The `Item` or `Key` of one entry of a BatchWriteItem, or None if the entry is not exactly one put or delete."""
    entry = as_mapping(write)
    if entry is None or ("PutRequest" in entry) == ("DeleteRequest" in entry):
        return None
    kind, place = ("PutRequest", "Item") if "PutRequest" in entry else ("DeleteRequest", "Key")
    request = as_mapping(entry[kind])
    return None if request is None else as_mapping(request.get(place))
