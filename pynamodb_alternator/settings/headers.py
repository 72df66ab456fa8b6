"""HTTP headers: which of them this library writes itself, and which a user may add.

A header that the transport writes cannot be given as well: two values would make two readings of one request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ..errors import ConfigurationError
from . import checks
from .mapping import FrozenMapping
from .secrets import Secret

__all__ = ["AUTHENTICATION", "REQUEST_HEAD", "RESERVED", "check"]

REQUEST_HEAD: Final = frozenset({"host", "x-amz-target", "content-length"})
"""What the head of each request has, in lower case: where it goes, what it asks, and how long its body is."""
AUTHENTICATION: Final = ("X-Amz-Date", "Authorization", "X-Amz-Security-Token")
"""What signs a request."""
_CODINGS = frozenset({"content-encoding", "accept-encoding"})
_OF_THE_CONNECTION = frozenset({"transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"})

RESERVED: Final = REQUEST_HEAD | {name.lower() for name in AUTHENTICATION} | _CODINGS | _OF_THE_CONNECTION
"""What a user may not set, in lower case."""

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


def check(where: str, value: Any) -> Mapping[str, str]:
    """Header names and values that cannot end a header early, nor stand for one that the transport writes.

    The mapping does not change, and its repr has no values: a header may carry a secret. Raises `ConfigurationError`.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a mapping of names to values (got {type(value).__name__}).")
    checked: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise ConfigurationError(f"{where}: {name!r} is not an HTTP header name. Write letters, digits, hyphens.")
        if any(name.lower() == other.lower() for other in checked):
            raise ConfigurationError(f"{where}: {name!r} is named twice, in different spellings. Leave one out.")
        if name.lower() in RESERVED:
            raise ConfigurationError(f"{where}: {name!r} is written by the transport itself; leave it out.")
        if not isinstance(text, str):
            raise ConfigurationError(f"{where}: the value of {name!r} must be a string (got {type(text).__name__}).")
        if any((ord(c) < 0x20 and c != "\t") or ord(c) == 0x7F for c in text) or text != text.strip():
            raise ConfigurationError(
                f"{where}: the value of {name!r} has a control character, or a space at its start or end. Remove it."
            )
        checks.whole_characters(f"{where}: the value of {name!r}", text)
        checked[name] = Secret(text)
    return FrozenMapping(checked)
