"""The short way past botocore's call machinery, which a client's calls take while no handler or tool listens to them.

botocore's `_make_api_call` emits five events, resolves an endpoint, and builds a request that other services need. This
changes nothing in our requests, as long as no handler listens and no tool has replaced one of botocore's methods. So
each client that we assemble has a `_make_api_call` of its own (`take_over`), which checks for such handlers and tools
at each call. If there are any, botocore's `_make_api_call` does the work.

It checks for three things: handlers of the events of a call and of its attempts, except those that botocore or moto
registers for all clients; methods of the client, its class and its bases that are not botocore's own functions
(ddtrace, OpenTelemetry, X-Ray, Elastic APM and `unittest.mock` replace them); and botocore's history recorder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import call, is_, itemgetter
from types import FunctionType
from typing import Any, NamedTuple

import botocore.client
import botocore.endpoint
from botocore.model import OperationModel, ServiceModel

from ._hooks import Hooks, is_stock_handler
from ._service import SERVICE

__all__ = ["Calls", "Operation", "take_over"]

_CALL_EVENTS = ("provide-client-params", "before-parameter-build", "before-call", "after-call", "after-call-error")
_OTHERS = ("_make_request", "_emit_api_params", "_convert_to_request_dict", "_resolve_endpoint_ruleset")
"""The methods that botocore's `_make_api_call` calls."""
_METHODS = ("_make_api_call", *_OTHERS)
_STOCK_MODULES = ("botocore.client", "botocore.context", "aiobotocore.client", "aiobotocore.context")
"""The modules with the code of botocore's methods. botocore wraps one of the methods in a context of its own."""


class Operation(NamedTuple):
    """The common part of all calls of one operation. `target`: the value of X-Amz-Target."""

    name: str
    model: OperationModel
    target: str


class _Known(NamedTuple):
    """Results for the operations, which are valid as long as `handlers` and `methods` are unchanged. `handlers`:
    botocore's cache of handlers, which is replaced when a handler is registered. `methods`: the methods that a tool
    might replace."""

    handlers: Any
    methods: Sequence[Any]
    operations: dict[str, Operation | None]


class Calls:
    """Decides which calls of one client take the short way. Threads may share it.

    `hooks`: knows the handlers of attempts. `client_class`: the class of this client, which has no other instance.
    """

    def __init__(self, events: Any, hooks: Hooks, service: ServiceModel, client_class: type) -> None:
        bases = client_class.__mro__[1:]
        self._client_class = client_class
        # The class's own names at this moment, without those of its bases.
        self._class_lacks = vars(client_class).keys().isdisjoint
        self._emitter = getattr(events, "_emitter", events)
        self._hooks = hooks
        self._service = service
        # The dicts of the classes that have each method. A tool would replace a method there, so each call looks there.
        names_of: dict[Any, list[str]] = {}
        for name in _METHODS:
            owner = next((base for base in bases if name in vars(base)), None)
            names_of.setdefault(owner, []).append(name)
        self._has_all = names_of.pop(None, None) is None
        # `hooks` checks these too.
        names_of[botocore.endpoint.Endpoint] = ["prepare_request"]
        self._namespaces: list[Mapping[str, Any]] = [vars(owner) for owner in names_of]
        # The last name is there twice, because an itemgetter with one name does not return a tuple.
        self._getters: list[Callable[[Any], Any]] = [itemgetter(*names, names[-1]) for names in names_of.values()]
        self._recorder: Any = botocore.client.history_recorder
        # The results, and the state for which they are valid. They are replaced as a whole.
        self._known = _Known(None, [], {})

    def operation(self, name: str, client: Any) -> Operation | None:
        """The operation, if its calls may take the short way now; None if botocore's machinery must do the work."""
        known = self._known
        try:
            # The methods are compared by identity: a wrapper of wrapt is equal to the function that it wraps.
            now = chain.from_iterable(map(call, self._getters, self._namespaces))
            if known.handlers is not self._emitter._lookup_cache or not all(map(is_, now, known.methods)):
                known = self._learn()
        except KeyError:
            return None  # for example a method that a tool is just replacing
        try:
            operation = known.operations[name]
        except KeyError:
            operation = known.operations[name] = self._look(name, known)
        if operation is None or self._recorder._enabled or type(client) is not self._client_class:
            return None
        # Methods that were replaced in this client, or in its class.
        return operation if client.__dict__.keys().isdisjoint(_OTHERS) and self._class_lacks(_OTHERS) else None

    def _learn(self) -> _Known:
        """Discard all results, and read the present handlers and methods. Raises KeyError if one is missing."""
        methods = list(chain.from_iterable(map(call, self._getters, self._namespaces)))
        known = self._known = _Known(self._emitter._lookup_cache, methods, {})
        return known

    def _look(self, name: str, known: _Known) -> Operation | None:
        methods = known.methods[:-2]  # without those of the endpoint, which `hooks` checks
        if not self._has_all or not all(map(_is_stock, methods)) or self._hooks.any_for(name):
            return None
        for event in _CALL_EVENTS:
            handlers = self._emitter._handlers.prefix_search(f"{event}.{SERVICE}.{name}")
            if not all(is_stock_handler(event, handler) for handler in handlers):
                return None
        model = self._service.operation_model(name)
        return Operation(name, model, f"{model.metadata['targetPrefix']}.{model.name}")


def _is_stock(method: Any) -> bool:
    """Whether it is a function of botocore or aiobotocore itself. The module of its code tells this: an object of a
    tool has another type, or code of another module, even if it has the same name."""
    return type(method) is FunctionType and method.__globals__.get("__name__") in _STOCK_MODULES


def take_over(client_class: type[Any]) -> None:
    """Have the only client of this class call its endpoint directly if nothing listens.

    Such an endpoint has `calls` and `call`. In an event loop both ways return a coroutine, which the client awaits.
    """

    def _make_api_call(self: Any, operation_name: str, api_params: Any) -> Any:
        operation = self._endpoint.calls.operation(operation_name, self)
        if operation is None:
            # Bound to the client as Python does it, so that a mock of a test gets no client as its argument.
            machinery: Any = super(client_class, self)
            return machinery._make_api_call(operation_name, api_params)
        parameters, body = self._serializer.written(api_params, operation.model)
        return self._endpoint.call(operation, parameters, body)

    client_class._make_api_call = _make_api_call
