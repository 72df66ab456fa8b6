"""The spellings of a write isolation: which writes of a table use a lightweight transaction.

The server accepts several spellings of each, in a table's tag and in its own option ``alternator_write_isolation``.
Source: ``rmw_operation::parse_write_isolation`` in the server's ``alternator/executor.cc``.
"""

from __future__ import annotations

from typing import Final

from ..errors import ConfigurationError
from . import checks

__all__ = ["ALWAYS", "FORBID_RMW", "ONLY_RMW", "UNSAFE_RMW", "check", "parse"]

ONLY_RMW: Final = "only_rmw_uses_lwt"
ALWAYS: Final = "always"
FORBID_RMW: Final = "forbid_rmw"
UNSAFE_RMW: Final = "unsafe_rmw"

_NAMES = (ONLY_RMW, ALWAYS, FORBID_RMW, UNSAFE_RMW)
_SPELLINGS = {name: name for name in _NAMES} | {
    "always_use_lwt": ALWAYS,
    "a": ALWAYS,
    "o": ONLY_RMW,
    "forbid": FORBID_RMW,
    "f": FORBID_RMW,
    "unsafe": UNSAFE_RMW,
    "u": UNSAFE_RMW,
}


def parse(text: object) -> str | None:
    """The full name of the write isolation that a server's text means; None for a text that it does not know."""
    return _SPELLINGS.get(text) if isinstance(text, str) else None


def check(where: str, value: object) -> str:
    """The full name of the write isolation that a user means. Raises `ConfigurationError` for another value."""
    name = parse(value)
    if name is None:
        raise ConfigurationError(f"{where} must be one of {', '.join(map(repr, _NAMES))} (got {checks.shown(value)}).")
    return name
