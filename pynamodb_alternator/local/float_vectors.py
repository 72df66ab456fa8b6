"""``FLOAT32VECTOR``, a type of attribute values that only Alternator has, with engines that do not support it.

The engine gets such a value as a map with one text, whose name no client uses. Numbers are rounded to 4 bytes, as in
the server.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from .answers import validation
from .attribute_values import shown
from .engine import Engine, EngineAnswer

TYPE = "FLOAT32VECTOR"
_KEPT_AS = "~FLOAT32VECTOR~"
_SENT = b'"FLOAT32VECTOR":'
_KEPT = b'"~FLOAT32VECTOR~"'
_float32 = struct.Struct("<f")


def float32(number: float) -> float:
    """The nearest 4-byte floating point number; infinite if `number` is too large."""
    try:
        rounded: float = _float32.unpack(_float32.pack(number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    return rounded


def floats_of(value: object) -> list[float]:
    """The numbers of a ``FLOAT32VECTOR``. Raises `DialectError` for a value that is not one."""
    if not isinstance(value, list) or not all(type(number) in (int, float) for number in value):
        raise validation(f"{TYPE} must be a list of numbers")
    numbers = [float32(number) for number in value]
    for number, rounded in zip(value, numbers, strict=True):
        if not math.isfinite(rounded):
            raise validation(f"{TYPE}: the element {number} does not fit into a 32-bit float")
    return numbers


def with_float_vectors(engine: Engine, dialects: Collection[str]) -> Engine:
    """The engine for a server with these dialects of vector search: only ``alternator``, the older one, has the
    type."""
    return _WithFloatVectors(engine) if "alternator" in dialects else _WithoutFloatVectors(engine)


class _WithFloatVectors:
    """An engine that supports the type. `call` raises `DialectError` for numbers that do not fit into 4 bytes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        status, answered, answer = self._engine.call(headers, to_engine(body))
        return status, answered, from_engine(answer)

    def __getattr__(self, name: str) -> Any:
        """Any other attribute of the engine, such as its `batch_limit`."""
        return getattr(self._engine, name)


class _WithoutFloatVectors(_WithFloatVectors):
    """An engine that refuses the type. `call` raises `DialectError` for a request that has it."""

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        if _SENT in body:
            _changed(orjson.loads(body), TYPE, _refused)
        return self._engine.call(headers, body)


def to_engine(body: bytes) -> bytes:
    """The body of a request in the engine's form. Raises `DialectError` for numbers that do not fit into 4 bytes."""
    return orjson.dumps(_changed(orjson.loads(body), TYPE, _kept)) if _SENT in body else body


def from_engine(body: bytes) -> bytes:
    """The body of an answer in Alternator's form."""
    return orjson.dumps(_changed(orjson.loads(body), "M", _sent)) if _KEPT in body else body


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {TYPE: _changed(value, TYPE, _kept)}  # this is an attribute that has the name of the type
    return {"M": {_KEPT_AS: {"S": orjson.dumps(floats_of(value)).decode()}}}


def _refused(value: Any) -> Any:
    if isinstance(value, dict):
        return _changed(value, TYPE, _refused)  # this is an attribute that has the name of the type
    raise validation(f"unknown type {TYPE} for value {shown(value)}")


def _sent(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {_KEPT_AS}:
        return {TYPE: orjson.loads(value[_KEPT_AS]["S"])}
    return {"M": _changed(value, "M", _sent)}


def _changed(value: Any, kind: str, change: Any) -> Any:
    """The JSON, in which each object whose only member is called `kind` is replaced by `change`."""
    if isinstance(value, dict):
        if value.keys() == {kind} and isinstance(value[kind], list | dict):
            return change(value[kind])
        return {name: _changed(member, kind, change) for name, member in value.items()}
    if isinstance(value, list):
        return [_changed(element, kind, change) for element in value]
    return value
