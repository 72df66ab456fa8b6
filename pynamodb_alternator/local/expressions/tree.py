"""The parts of a parsed expression, in which ``#names`` and ``:values`` are resolved. All of them are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

AttributeValue = Mapping[str, Any]
"""A value as it is on the wire: ``{"S": "text"}``."""


@dataclass(frozen=True, slots=True)
class Path:
    """``a.b[2]``: the name of an attribute, and steps by name or index."""

    root: str
    steps: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return self.root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of ExpressionAttributeValues."""

    value: AttributeValue


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple[Operand, ...]


Operand: TypeAlias = "Path | Constant | Call"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left < right``; `sign` is one of ``= <> < <= > >=``."""

    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """``value BETWEEN low AND high``, both included."""

    value: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    """``value IN (options)``."""

    value: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Test:
    """A function that is a whole condition, such as ``attribute_exists(a)``."""

    call: Call


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT part``."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Every:
    """Parts joined by AND."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Parts joined by OR."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = "Comparison | Between | In | Test | Not | Every | Either"


@dataclass(frozen=True, slots=True)
class Sum:
    """``left + right`` or ``left - right``, the right side of a SET."""

    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Action:
    """One action of an update: `clause` is SET, REMOVE, ADD or DELETE; `value` is None for a REMOVE."""

    clause: str
    path: Path
    value: Operand | Sum | None = None
