"""Converts attribute values to Python values, and back, as PynamoDB's own attributes do.

Each function converts usual values fast, and leaves all others to PynamoDB: unusual values, and wrong ones, for which
PynamoDB raises its own errors. The values of maps and lists without declared attributes are called *free* here.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

from pynamodb.attributes import ListAttribute, MapAttribute
from pynamodb.constants import DATETIME_FORMAT, NULL
from pynamodb.exceptions import AttributeNullError

from ._pynamodb import RESERVED_IN_MAPS, parse_utc

__all__ = [
    "add_value",
    "dump_free_list",
    "dump_free_map",
    "dump_maps",
    "dump_numbers",
    "dump_scalars",
    "dump_utc",
    "load_elements",
    "load_free_list",
    "load_free_map",
    "load_json",
    "load_number",
    "load_utc",
    "scan_json",
]

scan_json: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
"""A function that returns the JSON value that begins at a position of a text, and the position of its end."""
_decode_json = json.JSONDecoder(strict=False).decode
_loads, _dumps = json.loads, json.dumps
_utc = datetime.UTC
_types: dict[str, Any] = {"datetime": datetime.datetime}
"""Stored in a dict, so that a tool that freezes the clock by replacing names in modules does not find it."""
_WRITES_USUAL_TIMES = DATETIME_FORMAT == "%Y-%m-%dT%H:%M:%S.%f+0000"


class _StrangeError(Exception):
    """A value that is left to PynamoDB."""


# ---- loading -----------------------------------------------------------------------------------------------------


def load_number(text: Any) -> Any:
    """Like `json.loads`, without its checks for white space and bytes."""
    try:
        number, end = scan_json(text, 0)
    except Exception:
        end = None
    # PynamoDB's own error is raised, without the first error as its context.
    return _loads(text) if end is None or end != len(text) else number


def load_json(text: Any) -> Any:
    """Like `json.loads` without `strict`, which would make a decoder for each text."""
    try:
        value = _decode_json(text)
    except Exception:
        is_decoded = False
    else:
        is_decoded = True
    return value if is_decoded else _loads(text, strict=False)


def load_utc(text: Any) -> Any:
    """The time of a `UTCDateTimeAttribute`: ``2026-11-21T03:15:45.000000+0000``."""
    moment = None
    try:
        if (
            len(text) == 31
            and text[26:] == "+0000"
            and text[4] == text[7] == "-"
            and text[10:14:3] == "T:"
            and text[16:20:3] == ":."
            and text[11:13] < "24"
        ):
            moment = _types["datetime"].fromisoformat(text)
    except Exception:
        moment = None
    return parse_utc(text) if moment is None else moment


def load_elements(attribute: ListAttribute[Any], elements: Any, tag: str, convert: Callable[[Any], Any]) -> Any:
    """The elements of a list that all have one type."""
    loaded: list[Any] = []
    for element in elements:
        if NULL in element:
            loaded.append(None)
        elif tag in element:
            loaded.append(convert(element[tag]))
        else:
            return attribute.deserialize(elements)
    return loaded


def load_free_list(attribute: ListAttribute[Any], elements: Any) -> Any:
    """The values of a list that may be of any type."""
    try:
        loaded = [_load_free(element) for element in elements]
    except Exception:
        loaded = None
    return attribute.deserialize(elements) if loaded is None else loaded


def load_free_map(attribute: MapAttribute[Any, Any], values: Any) -> Any:
    """A `MapAttribute` with these values; a dict, if a key has another meaning for its constructor."""
    try:
        loaded = {
            name: wire["S"] if "S" in wire and len(wire) == 1 else _load_free(wire) for name, wire in values.items()
        }
    except Exception:
        loaded = None
    if loaded is None:
        loaded = attribute.deserialize(values)
    if not RESERVED_IN_MAPS.isdisjoint(loaded):
        return loaded
    made: MapAttribute[Any, Any] = object.__new__(MapAttribute)
    # `__dict__` is not used, because this would make another object for each instance.
    object.__setattr__(made, "attribute_kwargs", {})
    object.__setattr__(made, "attribute_values", loaded)
    return made


def _load_free(wire: Any) -> Any:
    (tag,) = wire
    value = wire[tag]
    if tag == "S":
        return value
    return _LOAD_FREE[tag](value)


_LOAD_FREE: dict[str, Callable[[Any], Any]] = {
    "N": load_number,
    "BOOL": bool,
    "NULL": lambda value: None,
    "L": lambda elements: [_load_free(element) for element in elements],
    "M": lambda values: {name: _load_free(value) for name, value in values.items()},
    "SS": set,
    "NS": lambda values: {load_number(value) for value in values},
    "B": lambda value: value,
    "BS": set,
}


# ---- saving ------------------------------------------------------------------------------------------------------


def add_value(wire: dict[str, Any], attribute: Any, name: str, value: Any, null_check: Any) -> None:
    """Add one attribute's value to an item, in PynamoDB's way: every check, every error."""
    try:
        if isinstance(value, MapAttribute) and not value.validate(null_check=null_check):
            raise ValueError(f"Attribute '{name}' is not correctly typed")
        if value is None:
            dumped = None
        elif isinstance(attribute, ListAttribute | MapAttribute):
            dumped = attribute.serialize(value, null_check=null_check)
        else:
            dumped = attribute.serialize(value)
    except AttributeNullError as error:
        error.prepend_path(name)
        raise
    if null_check and dumped is None and not attribute.null:
        raise AttributeNullError(name)
    if dumped is not None:
        wire[attribute.attr_name] = {attribute.attr_type: dumped}


def dump_utc(moment: Any) -> str | None:
    """The text of a time for a `UTCDateTimeAttribute`; None for a time that is left to PynamoDB."""
    if type(moment) is not _types["datetime"] or not _WRITES_USUAL_TIMES:
        return None
    zone = moment.tzinfo
    if zone is not None and zone is not _utc:
        return None
    text: str = moment.isoformat("T", "microseconds")
    return text[:26] + "+0000"


def dump_numbers(values: Any) -> list[str]:
    """The texts of numbers for a `NumberSetAttribute`."""
    return [f"{value!r}" if type(value) is int else _dumps(value) for value in values]


def dump_scalars(elements: Any, of_text: bool) -> list[Any] | None:
    """The attribute values of a list of texts, or of numbers; None for a list that is left to PynamoDB."""
    kinds = {str} if of_text else {int, float}
    if type(elements) is not list or not {type(element) for element in elements} <= {*kinds, type(None)}:
        return None
    return dump_free_list(elements)


def dump_maps(elements: Any, kind: type, dump: Callable[[Any, Any], Any], null_check: Any) -> list[Any] | None:
    """The attribute values of a list of maps of one class; None for a list that is left to PynamoDB."""
    if type(elements) is not list or not all(type(element) is kind or element is None for element in elements):
        return None
    dumped: list[Any] = []
    for index, element in enumerate(elements):
        if element is None:
            dumped.append({NULL: True})
            continue
        try:
            dumped.append({"M": dump(element, null_check)})
        except AttributeNullError as error:
            error.prepend_path(f"[{index}]")
            raise
    return dumped


def dump_free_list(elements: Any) -> list[Any] | None:
    """The attribute values of a list with values of Python's own types; None for a list that is left to PynamoDB."""
    if type(elements) is not list:
        return None
    try:
        return [_dump_free(element) for element in elements]
    except _StrangeError:
        return None


def dump_free_map(container: Any) -> dict[str, Any] | None:
    """The attribute values of a `MapAttribute` with values of Python's own types; None if it is left to PynamoDB."""
    if type(container) is not MapAttribute:
        return None
    try:
        return {name: _dump_free(value) for name, value in container.attribute_values.items()}
    except _StrangeError:
        return None


def _dump_free(value: Any) -> dict[str, Any]:
    kind = type(value)
    if kind is str:
        return {"S": value}
    if kind is int or (kind is float and value - value == 0):  # not infinity or NaN
        return {"N": f"{value!r}"}
    if kind is bool:
        return {"BOOL": value}
    if value is None:
        return {NULL: True}
    if kind is dict:
        return {"M": {name: _dump_free(inner) for name, inner in value.items()}}
    if kind is list:
        return {"L": [_dump_free(element) for element in value]}
    if kind is bytes:
        return {"B": value}
    raise _StrangeError
