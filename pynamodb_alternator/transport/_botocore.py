"""All private parts of botocore that this package uses, in one place.

Checked against botocore 1.35 to 1.44. A client that is assembled here has these parts of botocore: the client class and
its `_make_api_call`, the event system, the service model, the exceptions, the paginators and waiters. These parts are
our own: the endpoint, the serializer, the endpoint ruleset (there is nothing to resolve) and the User-Agent builder.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import botocore
import botocore.awsrequest
import botocore.client
import botocore.config
import botocore.endpoint
import botocore.errorfactory
import botocore.handlers
import botocore.model
import botocore.parsers
import botocore.session
import botocore.signers
from botocore.parsers import JSONParser

from ..errors import ServerFailureError
from ._calls import Calls, take_over
from ._hooks import Hooks
from ._service import SERVICE
from .vector_shapes import with_vector_search

__all__ = [
    "DocumentParser",
    "EndpointLike",
    "Kit",
    "OpenOutcomeCode",
    "Parts",
    "convert_answer",
    "load_service",
    "make_async_client",
    "make_client",
    "prepared_request",
]


class EndpointLike(Protocol):
    """The methods of an endpoint that a client calls."""

    host: str
    hooks: Hooks
    calls: Calls
    failure_class: Callable[[str], type[ServerFailureError]]
    error_of: Callable[[Any], Any]

    def make_request(self, operation_model: Any, request_dict: dict[str, Any]) -> Any: ...

    def close(self) -> Any: ...


class Kit(NamedTuple):
    """The classes from which a client is assembled: those of botocore, or those of aiobotocore, which have the same
    shape."""

    creator: Callable[..., Any]
    signer: Callable[..., Any]
    config: Callable[..., Any]


_KIT = Kit(botocore.client.ClientCreator, botocore.signers.RequestSigner, botocore.config.Config)


class Parts(NamedTuple):
    """Our own parts of a client, and the region that it shows. `endpoint`: makes the endpoint from a client's
    events."""

    region: str
    serializer: Any
    endpoint: Callable[[Any], EndpointLike]


def make_client(session: botocore.session.Session, parts: Parts) -> Any:
    """A DynamoDB client of `session` whose requests go through the endpoint of `parts`.

    botocore's `Session.create_client` is not called. It makes an HTTP session with an SSLContext, and reads the
    endpoints of all AWS services and the user's configuration, and nothing of this is needed here.
    """
    return _assemble(_creator(session, _KIT).create_client_class(SERVICE), session, _KIT, parts)


async def make_async_client(session: Any, kit: Kit, parts: Parts) -> Any:
    """Like `make_client`, for a session of aiobotocore, with the classes in `kit`."""
    return _assemble(await _creator(session, kit).create_client_class(SERVICE), session, kit, parts)


def load_service(session: Any) -> None:
    """Read the files that a client of `session` needs, so that later code does not read them. An event loop has a
    thread do this."""
    loader = session.get_component("data_loader")
    for description in ("service-2", "paginators-1", "waiters-2"):
        loader.load_service_model(SERVICE, description)


def _creator(session: Any, kit: Kit) -> Any:
    """The object that makes the class of a client, with a method for each operation. Tools may add to the class on an
    event."""
    return kit.creator(
        loader=_VectorLoader(session.get_component("data_loader")),
        endpoint_resolver=None,
        user_agent=session.user_agent(),
        event_emitter=session.get_component("event_emitter"),
        retry_handler_factory=None,
        retry_config_translator=None,
    )


class _VectorLoader:
    """The session's loader, which adds the parts of vector search that botocore's description does not have. The
    session itself is not changed: it may belong to the user, who may make clients for AWS with it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        description = self._loader.load_service_model(service_name, type_name, api_version)
        is_changed = (service_name, type_name) == (SERVICE, "service-2")
        return with_vector_search(description) if is_changed else description

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _assemble(client_class: type[Any], session: Any, kit: Kit, parts: Parts) -> Any:
    """A client of `client_class`, with our own parts in the places of botocore's."""
    loader = session.get_component("data_loader")
    # A model for this client alone, because it caches shapes, and a tool may change them.
    description = with_vector_search(loader.load_service_model(SERVICE, "service-2"))
    service = botocore.model.ServiceModel(description, service_name=SERVICE)
    events = copy.copy(session.get_component("event_emitter"))
    signer = kit.signer(service.service_id, parts.region, service.signing_name, botocore.UNSIGNED, None, events)
    agent = _NoUserAgent()
    endpoint, exceptions = parts.endpoint(events), _Exceptions()
    client = client_class(
        serializer=parts.serializer,
        endpoint=endpoint,
        response_parser=botocore.parsers.create_parser(service.metadata["protocol"]),
        event_emitter=events,
        request_signer=signer,
        service_model=service,
        loader=loader,
        client_config=_config(session, kit, parts.region),
        partition="aws",
        exceptions_factory=exceptions,
        endpoint_ruleset_resolver=None,
        user_agent_creator=agent,
    )
    # The endpoint does signing, User-Agent and retries. Handlers of the session or of other tools stay.
    service_id = service.service_id.hyphenize()
    created = f"request-created.{service_id}"
    events.unregister(created, signer.handler)
    events.unregister(created, agent.rebuild_and_replace_user_agent_handler)
    events.unregister("request-created", botocore.handlers.add_retry_headers)
    _keep_to_their_operations(events, service_id, description)
    endpoint.failure_class = _FailureClasses(exceptions, service).of
    endpoint.error_of = lambda code: exceptions.create_client_exceptions(service).from_code(code)
    endpoint.calls = Calls(events, endpoint.hooks, service, client_class)
    take_over(client_class)
    return client


def _config(session: Any, kit: Kit, region: str) -> Any:
    """The value of `client.meta.config`, for tools that read it. Requests use only the region of it."""
    config = kit.config(
        region_name=region,
        signature_version=botocore.UNSIGNED,
        parameter_validation=False,
        user_agent=session.user_agent(),
        retries={"mode": "legacy"},
    )
    default = session.get_default_client_config()
    return config if default is None else default.merge(config)


class OpenOutcomeCode(str):
    """The error code of an answer that leaves the outcome of a write open, with the error for it.

    botocore's client finds the class of its error by the answer's code, after all handlers of ``after-call`` have seen
    the answer. So the endpoint replaces the code by this object, and the client raises our error instead of its own. A
    handler of ``after-call`` could do the same, but for every request it would take as long as routing.
    """

    failure: ServerFailureError

    @classmethod
    def into(cls, parsed: dict[str, Any], failure: ServerFailureError) -> None:
        """Have the client raise `failure` for the answer that botocore has parsed to `parsed`."""
        error = parsed.setdefault("Error", {})
        code = cls(error.get("Code", ""))
        code.failure = failure
        error["Code"] = code

    def error(self, parsed: dict[str, Any], operation_name: str) -> ServerFailureError:
        """The client calls this as if it were the class of its error."""
        parsed["Error"]["Code"] = str(self)
        return self.failure


class _Exceptions(botocore.errorfactory.ClientExceptionsFactory):
    """Makes a client's ``exceptions``: those of botocore, which also handle an `OpenOutcomeCode`."""

    def _create_client_exceptions(self, service_model: Any) -> Any:
        exceptions: Any = super()._create_client_exceptions(service_model)  # type: ignore[misc]
        stock = type(exceptions).from_code

        def from_code(self: Any, code: Any) -> Any:
            return code.error if type(code) is OpenOutcomeCode else stock(self, code)

        # botocore has made this class only for this client.
        type(exceptions).from_code = from_code
        return exceptions


class _FailureClasses:
    """Makes the classes of the errors that the client raises for answers that leave the outcome of a write open.

    Such a class is a subclass of `ServerFailureError`, and of the class that the client's ``exceptions`` has for the
    answer's code. So ``except client.exceptions.InternalServerError`` catches the error.
    """

    def __init__(self, factory: Any, service: Any) -> None:
        # No reference to the client is kept here, because the client would refer to itself through its endpoint.
        self._factory, self._service = factory, service
        self._known: dict[type, type[ServerFailureError]] = {}

    def of(self, code: str) -> type[ServerFailureError]:
        botocores = self._factory.create_client_exceptions(self._service).from_code(code)
        if issubclass(ServerFailureError, botocores):
            return ServerFailureError
        kind = self._known.get(botocores)
        if kind is None:
            names = {"__module__": ServerFailureError.__module__, "__doc__": ServerFailureError.__doc__}
            kind = self._known[botocores] = type("ServerFailureError", (ServerFailureError, botocores), names)
        return kind


class _NoUserAgent:
    """Replaces botocore's builder of a User-Agent, which would run for every request. Our User-Agent, if there is one,
    is one of the headers."""

    def to_string(self) -> None:
        return None

    def rebuild_and_replace_user_agent_handler(self, *args: Any, **kwargs: Any) -> None:
        return None


def _keep_to_their_operations(events: Any, service_id: str, description: Mapping[str, Any]) -> None:
    """Register some of botocore's own handlers only for the operations for which they do something. botocore registers
    them for every request of every service.

    The operations are found in the description, and not through the service model. The service model caches each shape
    that it has read, so a later change of the shape's description would have no effect.
    """
    for event, name, is_needed in (
        ("before-parameter-build", "generate_idempotent_uuid", _has_idempotency_token),
        (
            "before-parameter-build",
            "_handle_request_validation_mode_member",
            lambda operation, shapes: "requestValidationModeMember" in operation.get("httpChecksum", {}),
        ),
        (
            "before-call",
            "inject_api_version_header_if_needed",
            lambda operation, shapes: operation.get("endpointoperation", False),
        ),
        # Only in AWS Lambda. This is known when the process starts.
        (
            "before-call",
            "add_recursion_detection_header",
            lambda operation, shapes: "AWS_LAMBDA_FUNCTION_NAME" in os.environ,
        ),
    ):
        handler = getattr(botocore.handlers, name, None)
        if handler is None or handler not in _handlers(events, event):
            continue
        events.unregister(event, handler)
        for operation, words in description["operations"].items():
            if is_needed(words, description["shapes"]):
                events.register(f"{event}.{service_id}.{operation}", handler)


def _has_idempotency_token(operation: Mapping[str, Any], shapes: Mapping[str, Any]) -> bool:
    members = shapes[operation["input"]["shape"]].get("members", {}) if "input" in operation else {}
    return any(member.get("idempotencyToken") for member in members.values())


def _handlers(events: Any, event: str) -> list[Any]:
    emitter = getattr(events, "_emitter", events)
    return list(emitter._handlers.prefix_search(event))


def convert_answer(response: Any, operation_model: Any) -> dict[str, Any]:
    """An answer in the form that botocore's parsers and ``before-parse`` handlers expect."""
    return dict(botocore.endpoint.convert_to_response_dict(response, operation_model))


class DocumentParser(JSONParser):
    """botocore's parser, for a JSON body that has been parsed already.

    `look` is called before each value. It may raise an error to end the work.
    """

    def __init__(self, document: Any, look: Callable[[Any], Any], blob_parser: Callable[[Any], bytes]) -> None:
        super().__init__(blob_parser=blob_parser)
        self._document = document
        self._look = look

    def _parse_body_as_json(self, body_contents: bytes) -> Any:
        return self._document

    def _parse_shape(self, shape: Any, node: Any) -> Any:
        self._look(node)
        return super()._parse_shape(shape, node)  # type: ignore[misc]  # not in the stubs


def prepared_request(request_dict: Mapping[str, Any]) -> Any:
    """botocore's request object for `request_dict`, as handlers of ``request-created`` expect it."""
    return botocore.awsrequest.create_request_object(dict(request_dict))
