"""Finds out whether a handler or a tool listens to a request between botocore's client and the network."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import botocore.endpoint
import botocore.handlers

from ._service import SERVICE

__all__ = ["Hooks", "is_stock_handler"]

_REQUEST_EVENTS = (
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "before-parse",
    "response-received",
)
"""The events that botocore's endpoint emits for each attempt. If a handler listens to one, the compatible lane is
used."""


class Hooks:
    """Tells whether a handler or a tool listens to a request between the client and the network.

    These are handlers of the six events of an attempt that botocore has not registered itself, and tools that have
    replaced or wrapped `Endpoint.prepare_request`. The result for each operation is cached as long as botocore keeps
    its own cache of handlers, which it replaces when a handler is registered. Threads may share the object.
    """

    def __init__(self, events: Any) -> None:
        self._emitter = getattr(events, "_emitter", events)
        # The results, and the state (botocore's cache and method) for which they are valid. Replaced as a whole.
        self._known: tuple[Any, Any, dict[str, bool]] = (None, None, {})

    def any_for(self, operation: str) -> bool:
        """Whether the attempts of this operation must use the compatible lane."""
        cache, method = self._emitter._lookup_cache, botocore.endpoint.Endpoint.__dict__["prepare_request"]
        known = self._known
        if known[0] is not cache or known[1] is not method:
            known = self._known = (cache, method, {})
        hooked = known[2].get(operation)
        if hooked is None:
            hooked = known[2][operation] = self._look(operation, method)
        return hooked

    def _look(self, operation: str, prepare_request: Any) -> bool:
        # OpenTelemetry's and X-Ray's instrumentations wrap this method, to add their headers.
        if (
            type(prepare_request) is not FunctionType
            or prepare_request.__module__ != botocore.endpoint.__name__
            or hasattr(prepare_request, "__wrapped__")
        ):
            return True
        return any(
            not is_stock_handler(event, handler)
            for event in _REQUEST_EVENTS
            for handler in self._emitter._handlers.prefix_search(f"{event}.{SERVICE}.{operation}")
        )


def is_stock_handler(event: str, handler: Any) -> bool:
    """Whether botocore itself has `handler` listen to `event`, for all services or for ours.

    Any other handler was registered by the user or a tool, perhaps when the client was made, as Sentry does. Function
    and event must both match: a user may register botocore's own `disable_signing` for `choose-signer`.
    """
    if type(handler).__module__.startswith("moto."):
        return True  # moto adds it to all clients, also for the embedded cluster. It handles only hosts of AWS.
    return any(handler is stock for stock in _STOCK_HANDLERS.get(event, ()))


def _stock_handlers() -> dict[str, list[Any]]:
    handlers: dict[str, list[Any]] = {event: [] for event in _REQUEST_EVENTS}
    for entry in botocore.handlers.BUILTIN_HANDLERS:
        name, _, service = str(entry[0]).partition(".")
        if name in handlers and service in ("", "*", SERVICE):
            handlers[name].append(entry[1])
    return handlers


_STOCK_HANDLERS = _stock_handlers()
