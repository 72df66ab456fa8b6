"""Makes the botocore session for the clients of a cluster. It reads no AWS configuration.

botocore needs most of the time for its own event handlers, of which there are more than a hundred: for each of them, it
goes through all names that a service ever had, and inspects the handler's signature. This module does this in a fifth
of the time, with the same result.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, overload

import botocore.handlers
import botocore.hooks
import botocore.loaders
import botocore.session

from ._service import ServiceLoader

__all__ = ["client_session"]

_Session = TypeVar("_Session", bound=botocore.session.Session)


@overload
def client_session() -> botocore.session.Session: ...
@overload
def client_session(kind: Callable[..., _Session]) -> _Session: ...
def client_session(kind: Callable[..., botocore.session.Session] = botocore.session.Session) -> Any:
    """A session that reads no AWS configuration, so that an AWS_PROFILE that does not exist does no harm.

    `kind`: the class of botocore's session, or of aiobotocore's.
    """
    session = kind(include_builtin_handlers=False)
    _register_handlers(session)
    session.set_config_variable("profile", "default")
    session._config = {"profiles": {"default": {}}}  # type: ignore[attr-defined]
    folders = botocore.loaders.create_loader(session.get_config_variable("data_path")).search_paths
    session.register_component("data_loader", ServiceLoader(folders))
    return session


def _register_handlers(session: Any) -> None:
    """Do what botocore's `Session._register_builtin_handlers` does. moto adds handlers to the same list."""
    events = session.get_component("event_emitter")
    emitter = events._emitter
    substitutes = _substitutes(emitter)
    quick = {
        "register": emitter._register,
        "register_first": emitter._register_first,
        "register_last": emitter._register_last,
    }
    for event, handler, *when in botocore.handlers.BUILTIN_HANDLERS:
        how = _METHODS[when[0]] if when else "register"
        is_botocores = _module_of(handler).startswith("botocore.")
        if substitutes is not None and is_botocores and _keeps_its_name(event):
            quick[how](event, substitutes.get(handler, handler), None, False)
        else:
            getattr(events, how)(event, handler)


def _substitutes(emitter: Any) -> Mapping[Any, Any] | None:
    """By handler of botocore's, what `emitter` takes in its place: aiobotocore has coroutine functions for some. None
    if that is not known."""
    kind, botocores = type(emitter), cast(Any, botocore.hooks.HierarchicalEmitter)
    if kind._verify_and_register is botocores._verify_and_register:
        return {}
    return getattr(sys.modules.get(kind.__module__), "_HANDLER_MAPPING", None)


_METHODS = {botocore.handlers.REGISTER_FIRST: "register_first", botocore.handlers.REGISTER_LAST: "register_last"}
_FORMER_PARTS = frozenset(name for name in botocore.hooks.EVENT_ALIASES if "." not in name)
_FORMER_NAMES = tuple(name for name in botocore.hooks.EVENT_ALIASES if "." in name)


@functools.lru_cache(1024)
def _keeps_its_name(event: str) -> bool:
    """Whether botocore has only this name for the event, and no newer one."""
    return _FORMER_PARTS.isdisjoint(event.split(".")) and not any(name in event for name in _FORMER_NAMES)


def _module_of(handler: Any) -> str:
    return str(getattr(handler, "__module__", ""))
