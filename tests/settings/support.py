"""What the tests of settings share."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from pynamodb_alternator.errors import ConfigurationError

INJECTIONS = ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0b", "\r\n", "a\r\n\r\nPOST / HTTP/1.1"]
"""Texts that would end a header and begin another one."""


def refused(make: Any, *words: str) -> str:
    """The message of the ConfigurationError that `make` raises; it has all of these words."""
    with pytest.raises(ConfigurationError) as raised:
        make()
    message = str(raised.value)
    for word in words:
        assert word in message
    return message


def never_anything_else(make: Any) -> None:
    """What `make` is given is garbage: it may refuse it, and nothing else."""
    with contextlib.suppress(ConfigurationError):
        make()
