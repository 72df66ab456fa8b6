"""Everything that is private in botocore and that we touch, in one place.

Checked against botocore 1.35 to 1.44. Stock parts that stay: the client class and its `_make_api_call`, the event
system, the service model, the exceptions, the paginators and waiters. What is replaced on the one instance that we
assemble: the endpoint, the serializer, the endpoint ruleset (there is none to resolve) and the User-Agent builder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import botocore
import botocore.awsrequest
import botocore.client
import botocore.config
import botocore.endpoint
import botocore.parsers
import botocore.session

__all__ = ["EndpointLike", "Hooks", "client_session", "convert_answer", "make_client", "prepared_request"]

_SERVICE = "dynamodb"
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

    def make_request(self, operation_model: Any, request_dict: dict[str, Any]) -> tuple[Any, dict[str, Any]]: ...

    def close(self) -> None: ...


def client_session() -> botocore.session.Session:
    """A botocore session that reads no AWS configuration: an AWS_PROFILE that does not exist must not matter here."""
    session = botocore.session.Session()
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
    client: Any = session.create_client(
        _SERVICE,
        region_name=region,
        endpoint_url=url,
        config=botocore.config.Config(signature_version=botocore.UNSIGNED, parameter_validation=False),
    )
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
    client._ruleset_resolver = None
    client._serializer = serializer
    client._user_agent_creator = _FixedUserAgent(user_agent)
    client._endpoint = endpoint(events)
    return client


class _FixedUserAgent:
    """Gives the same User-Agent each time, or none, in place of the string that botocore builds for every request."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def to_string(self) -> str | None:
        return self._text

    def rebuild_and_replace_user_agent_handler(self, *args: Any, **kwargs: Any) -> None:
        return None


def _handlers(events: Any, event: str) -> list[Any]:
    emitter = getattr(events, "_emitter", events)
    return list(emitter._handlers.prefix_search(event))


class Hooks:
    """Tells whether somebody listens to what happens to a request between the client and the wire.

    The answer is kept for as long as botocore keeps its own cache of handlers: registering one drops that cache.
    """

    def __init__(self, events: Any) -> None:
        self._emitter = getattr(events, "_emitter", events)
        self._ours = {
            event: set(map(_identity, self._emitter._handlers.prefix_search(f"{event}.{_SERVICE}.GetItem")))
            for event in _REQUEST_EVENTS
        }
        self._cache: dict[str, bool] = {}
        self._valid_for: tuple[Any, Any] = (None, None)

    def any_for(self, operation: str) -> bool:
        state = (self._emitter._lookup_cache, botocore.endpoint.Endpoint.prepare_request)
        if self._valid_for[0] is not state[0] or self._valid_for[1] is not state[1]:
            self._cache, self._valid_for = {}, state
        found = self._cache.get(operation)
        if found is None:
            found = self._cache[operation] = self._look(operation)
        return found

    def _look(self, operation: str) -> bool:
        # OpenTelemetry's instrumentation wraps this method to add its headers.
        if hasattr(botocore.endpoint.Endpoint.prepare_request, "__wrapped__"):
            return True
        for event in _REQUEST_EVENTS:
            for handler in self._emitter._handlers.prefix_search(f"{event}.{_SERVICE}.{operation}"):
                if _identity(handler) not in self._ours[event]:
                    return True
        return False


def _identity(handler: Any) -> tuple[int, int]:
    # Bound methods are new objects at each access; what they are bound to is not.
    return id(getattr(handler, "__self__", None)), id(getattr(handler, "__func__", handler))


def convert_answer(response: Any, operation_model: Any) -> dict[str, Any]:
    """What botocore's parsers and its ``before-parse`` handlers take for an answer."""
    return dict(botocore.endpoint.convert_to_response_dict(response, operation_model))


def prepared_request(request_dict: Mapping[str, Any]) -> Any:
    """botocore's request object for `request_dict`, as handlers of ``request-created`` expect it."""
    return botocore.awsrequest.create_request_object(dict(request_dict))
