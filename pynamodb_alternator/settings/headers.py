"""HTTP headers: which of them this library writes itself, and which a user may add.

A user must not add a header that the transport writes: with two values, a request could be understood in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from .._version import __version__
from ..errors import ConfigurationError
from . import checks
from .mapping import FrozenMapping
from .secrets import Secret

__all__ = [
    "AUTHENTICATION",
    "OWN_USER_AGENT",
    "REQUEST_HEAD",
    "RESERVED",
    "check",
    "check_user_agent",
    "user_agent_sent",
]

OWN_USER_AGENT: Final = f"pynamodb-alternator/{__version__}"
"""The default User-Agent. It is short, like those of ScyllaDB's own drivers."""

REQUEST_HEAD: Final = frozenset({"host", "x-amz-target", "content-length"})
"""The headers that each request has, in lower case."""
AUTHENTICATION: Final = ("X-Amz-Date", "Authorization", "X-Amz-Security-Token")
"""The headers that sign a request."""
_CODINGS = frozenset({"content-encoding", "accept-encoding"})
_OF_THE_CONNECTION = frozenset({"transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"})

RESERVED: Final = REQUEST_HEAD | {name.lower() for name in AUTHENTICATION} | _CODINGS | _OF_THE_CONNECTION
"""The headers that a user must not set, in lower case."""

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


def check(where: str, value: Any) -> Mapping[str, str]:
    """Check header names and values: a value must not be able to end its header early, and no name may be one of
    `RESERVED`.

    The returned mapping is immutable, and its repr has no values, because a header may contain a secret. Raises
    `ConfigurationError`.
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


def check_user_agent(where: str, value: Any, extra_headers: Mapping[str, str]) -> str | Literal[True] | None:
    """The setting `user_agent` in the form that a configuration stores: a text, True for the default one, or None for
    none.

    A callable is called with the default User-Agent, and returns the text. The words for yes, no and none in a URL mean
    the same here, for settings that come as text. Raises `ConfigurationError`.
    """
    if isinstance(value, str):
        value = _switch_in(value)
    if value is True:
        return True
    if value is None or value is False:
        return None
    text = _made(where, value) if callable(value) else value
    if not isinstance(text, str) or not text:
        what = "the callable gave" if callable(value) else "got"
        raise ConfigurationError(
            f"{where} must be a text of your own, a callable that makes one of {OWN_USER_AGENT!r}, True for that, or "
            f"None to send none ({what} {checks.shown(text)})."
        )
    check(where, {"User-Agent": text})
    if not text.isascii():
        raise ConfigurationError(
            f"{where} must be in ASCII, which programs that show it expect of a User-Agent (got {checks.shown(text)})."
        )
    if _names_user_agent(extra_headers):
        raise ConfigurationError(f"{where}: give the User-Agent once: either here, or in extra_headers.")
    return text


def _switch_in(text: str) -> str | bool | None:
    if text.strip().lower() == "none":
        return None
    try:
        return checks.boolean(text)
    except ValueError:
        return text


def _made(where: str, make: Any) -> Any:
    try:
        return make(OWN_USER_AGENT)
    except Exception as error:
        raise ConfigurationError(
            f"{where}: the callable raised {type(error).__name__}: {error}. It is called with one argument, the text "
            f"{OWN_USER_AGENT!r}, and must return the text to send."
        ) from error


def user_agent_sent(user_agent: str | bool | None, extra_headers: Mapping[str, str]) -> str | None:
    """The User-Agent of all requests, list readings and probes of a cluster. `user_agent`: as `check_user_agent`
    returns it. None if there is none, or if `extra_headers` has one.

    A User-Agent in `extra_headers` is sent only with requests, like all these headers.
    """
    if isinstance(user_agent, str):
        return user_agent
    return OWN_USER_AGENT if user_agent and not _names_user_agent(extra_headers) else None


def _names_user_agent(names: Iterable[str]) -> bool:
    return any(name.lower() == "user-agent" for name in names)
