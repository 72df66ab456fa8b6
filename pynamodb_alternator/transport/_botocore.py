"""Everything that is private in botocore and that we touch, in one place.

Checked against botocore 1.35 to 1.44. Stock parts that stay: the client class and its `_make_api_call`, the event
system, the service model, the exceptions, the paginators and waiters. What is replaced on the one instance that we
assemble: the endpoint, the serializer, the endpoint ruleset (there is none to resolve) and the User-Agent builder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Protocol

import botocore
import botocore.awsrequest
import botocore.client
import botocore.config
import botocore.endpoint
import botocore.handlers
import botocore.parsers
import botocore.session

from ..errors import ServerFailureError

__all__ = [
    "FAILURE",
    "EndpointLike",
    "Hooks",
    "client_session",
    "convert_answer",
    "is_stock_handler",
    "make_async_client",
    "make_client",
    "prepared_request",
]

_SERVICE = "dynamodb"
FAILURE = "pynamodb_alternator_failure"
"""Where the endpoint leaves, in a request's context, the error that the client raises for its answer."""
_REQUEST_EVENTS = (
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "before-parse",
    "response-received",
)
"""Events that botocore's endpoint emits for each attempt: whoever hooks them gets the compatible lane."""


class EndpointLike(Protocol):
    """What the client calls of its endpoint."""

    host: str
    failure_class: Callable[[str], type[ServerFailureError]]

    def make_request(self, operation_model: Any, request_dict: dict[str, Any]) -> Any: ...

    def close(self) -> Any: ...


def client_session(
    kind: Callable[[], botocore.session.Session] = botocore.session.Session,
) -> botocore.session.Session:
    """A session that reads no AWS configuration: an AWS_PROFILE that does not exist must not matter here.

    `kind`: botocore's, or aiobotocore's.
    """
    session = kind()
    session.set_config_variable("profile", "default")
    session._config = {"profiles": {"default": {}}}  # type: ignore[attr-defined]
    return session


def make_client(
    session: botocore.session.Session,
    *,
    region: str,
    url: str,
    serializer: Any,
    user_agent: str | None,
    endpoint: Callable[[Any], EndpointLike],
) -> Any:
    """A DynamoDB client of `session` whose requests go through `endpoint(events)`."""
    client: Any = session.create_client(_SERVICE, **_settings(region, url))
    return _refit(client, serializer, user_agent, endpoint)


async def make_async_client(
    session: Any,
    *,
    region: str,
    url: str,
    serializer: Any,
    user_agent: str | None,
    endpoint: Callable[[Any], EndpointLike],
) -> Any:
    """The same for a session of aiobotocore."""
    client = await session.create_client(_SERVICE, **_settings(region, url)).__aenter__()
    await client.close()  # its HTTP session, which is replaced
    return _refit(client, serializer, user_agent, endpoint)


def _settings(region: str, url: str) -> dict[str, Any]:
    config = botocore.config.Config(signature_version=botocore.UNSIGNED, parameter_validation=False)
    return {"region_name": region, "endpoint_url": url, "config": config}


def _refit(client: Any, serializer: Any, user_agent: str | None, endpoint: Callable[[Any], EndpointLike]) -> Any:
    """Put our parts in the place of the client's."""
    events = client.meta.events
    # Signing, User-Agent and retries are the endpoint's business now. What the session or other tools have
    # registered stays.
    service_id = client.meta.service_model.service_id.hyphenize()
    events.unregister(f"request-created.{service_id}", client._request_signer.handler)
    for event, name in (
        ("request-created", "add_retry_headers"),
        (f"request-created.{service_id}", "rebuild_and_replace_user_agent_handler"),
        (f"request-created.{service_id}", "seed_max_attempts"),
        (f"needs-retry.{service_id}", "needs_retry"),
        (f"after-call.{service_id}", "release_retry_quota"),
    ):
        for handler in _handlers(events, event):
            if getattr(handler, "__name__", "") == name:
                events.unregister(event, handler)
    _keep_to_their_operations(client)
    client._ruleset_resolver = None
    client._serializer = serializer
    client._user_agent_creator = _FixedUserAgent(user_agent)
    made = client._endpoint = endpoint(events)
    made.failure_class = _Failures(client).of
    # The last of them: the handlers of others see an answer that leaves the outcome open as they see all others.
    events.register_last(f"after-call.{service_id}", _raise_failure)
    return client


def _raise_failure(context: dict[str, Any], **_: Any) -> None:
    """A handler of ``after-call``: raise the error that the endpoint has made, in place of the client's own."""
    failure = context.pop(FAILURE, None)
    if failure is not None:
        raise failure


class _Failures:
    """The classes of errors that are `ServerFailureError` and what a client has for a code in its ``exceptions``."""

    def __init__(self, client: Any) -> None:
        # Not the client, which would refer to itself through its endpoint.
        self._factory, self._service_model = client._exceptions_factory, client._service_model
        self._known: dict[type, type[ServerFailureError]] = {}

    def of(self, code: str) -> type[ServerFailureError]:
        botocores = self._factory.create_client_exceptions(self._service_model).from_code(code)
        if issubclass(ServerFailureError, botocores):
            return ServerFailureError
        kind = self._known.get(botocores)
        if kind is None:
            names = {"__module__": ServerFailureError.__module__, "__doc__": ServerFailureError.__doc__}
            kind = self._known[botocores] = type("ServerFailureError", (ServerFailureError, botocores), names)
        return kind


class _FixedUserAgent:
    """Gives the same User-Agent each time, or none, in place of the string that botocore builds for every request."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def to_string(self) -> str | None:
        return self._text

    def rebuild_and_replace_user_agent_handler(self, *args: Any, **kwargs: Any) -> None:
        return None


def _keep_to_their_operations(client: Any) -> None:
    """botocore asks these handlers of its own at every request of every service: they stay with the operations for
    which they do something."""
    events, service = client.meta.events, client.meta.service_model
    models = [service.operation_model(name) for name in service.operation_names]
    for event, name, is_needed in (
        ("before-parameter-build", "generate_idempotent_uuid", lambda model: model.idempotent_members),
        (
            "before-parameter-build",
            "_handle_request_validation_mode_member",
            lambda model: getattr(model, "http_checksum", {}).get("requestValidationModeMember"),
        ),
        (
            "before-call",
            "inject_api_version_header_if_needed",
            lambda model: getattr(model, "is_endpoint_discovery_operation", True),
        ),
        # In AWS Lambda, which is known when the process starts.
        ("before-call", "add_recursion_detection_header", lambda model: "AWS_LAMBDA_FUNCTION_NAME" in os.environ),
    ):
        handler = getattr(botocore.handlers, name, None)
        if handler is None or handler not in _handlers(events, event):
            continue
        events.unregister(event, handler)
        for model in models:
            if is_needed(model):
                events.register(f"{event}.{service.service_id.hyphenize()}.{model.name}", handler)


def _handlers(events: Any, event: str) -> list[Any]:
    emitter = getattr(events, "_emitter", events)
    return list(emitter._handlers.prefix_search(event))


class Hooks:
    """Tells whether somebody listens to what happens to a request between the client and the wire.

    The answer is kept for as long as botocore keeps its own cache of handlers: registering one drops that cache.
    """

    def __init__(self, events: Any) -> None:
        self._emitter = getattr(events, "_emitter", events)
        # What the answers hold for (botocore's cache and method), and the answers: threads swap it whole.
        self._known: tuple[Any, Any, dict[str, bool]] = (None, None, {})

    def any_for(self, operation: str) -> bool:
        cache, method = self._emitter._lookup_cache, botocore.endpoint.Endpoint.__dict__["prepare_request"]
        known = self._known
        if known[0] is not cache or known[1] is not method:
            known = self._known = (cache, method, {})
        found = known[2].get(operation)
        if found is None:
            found = known[2][operation] = self._look(operation, method)
        return found

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
            for handler in self._emitter._handlers.prefix_search(f"{event}.{_SERVICE}.{operation}")
        )


def is_stock_handler(event: str, handler: Any) -> bool:
    """Whether botocore itself has `handler` listen to `event`, for all services or for ours.

    What else is there was registered by somebody, be it when the client was made: Sentry does it then. Function and
    event must both match, because `choose-signer` with botocore's own `disable_signing` is a user's doing.
    """
    if type(handler).__module__.startswith("moto."):
        return True  # It is in all clients once moto is imported, as for the embedded cluster; AWS's hosts are its own.
    return any(handler is one for one in _STOCK_HANDLERS.get(event, ()))


def _stock_handlers() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {event: [] for event in _REQUEST_EVENTS}
    for entry in botocore.handlers.BUILTIN_HANDLERS:
        name, _, service = str(entry[0]).partition(".")
        if name in found and service in ("", "*", _SERVICE):
            found[name].append(entry[1])
    return found


_STOCK_HANDLERS = _stock_handlers()


def convert_answer(response: Any, operation_model: Any) -> dict[str, Any]:
    """What botocore's parsers and its ``before-parse`` handlers take for an answer."""
    return dict(botocore.endpoint.convert_to_response_dict(response, operation_model))


def prepared_request(request_dict: Mapping[str, Any]) -> Any:
    """botocore's request object for `request_dict`, as handlers of ``request-created`` expect it."""
    return botocore.awsrequest.create_request_object(dict(request_dict))
