"""The two ways on which one attempt gets to a node.

A lane is made for one call. It may be asked for several attempts, each on another node: the body is the same in all,
the Host header and the signature are new in each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from io import BytesIO
from typing import Any, Protocol

import botocore
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.model import OperationModel
from botocore.validate import validate_parameters

from .._version import __version__
from ..errors import MalformedAnswerError
from ..settings.config import ClusterConfig
from ..settings.headers import AUTHENTICATION, REQUEST_HEAD
from ..settings.options import NOT_GIVEN, RequestOptions
from ..settings.values import Credentials
from ..topology.node import Node
from ._botocore import convert_answer, is_stock_handler, prepared_request
from .attempts import Attempts
from .compression import MAX_PLAIN, compress, decompress
from .credentials import Signers
from .http1 import Answer
from .parsing import loads, parse_error, response_metadata
from .pool import Pools
from .request import MAX_BODY, build_head
from .serialization import dumps

__all__ = ["PARAMETERS", "CompatibleLane", "Lane", "RequestSerializer", "Sender", "ShortLane"]

_TARGET = "X-Amz-Target"
PARAMETERS = "parameters"
"""Where the serializer leaves the parameters in botocore's request dict, for the endpoint to route by."""
_MOST_SIGNERS = 1_000


class RequestSerializer:
    """Stands where botocore's serializer does: makes the body, and keeps the parameters for routing.

    `validate`: whether parameters are checked as botocore checks them, before every request.
    """

    def __init__(self, *, validate: bool = False) -> None:
        self._validate = validate

    def serialize_to_request(self, parameters: Mapping[str, Any], operation_model: OperationModel) -> dict[str, Any]:
        if self._validate and operation_model.input_shape is not None:
            validate_parameters(parameters, operation_model.input_shape)
        return {
            "url_path": "/",
            "query_string": "",
            "method": "POST",
            "headers": {_TARGET: f"{operation_model.metadata['targetPrefix']}.{operation_model.name}"},
            "body": self._body(parameters, operation_model),
            PARAMETERS: parameters,
        }

    def _body(self, parameters: Mapping[str, Any], operation_model: OperationModel) -> bytes:
        try:
            return dumps(parameters, operation_model)
        except (KeyError, TypeError, ValueError, AttributeError):
            # botocore's validator says what is wrong with them, in words: a bare KeyError('Itm') helps nobody.
            if operation_model.input_shape is not None:
                validate_parameters(parameters, operation_model.input_shape)
            raise


class Lane(Protocol):
    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        """Send the request to `node` and read its answer. Raises `TransportError`."""

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        """What botocore's client takes from its endpoint for `answer`."""


class Sender:
    """What all requests of a cluster need to get to a node: pools, signers, and the headers that go with each."""

    def __init__(self, config: ClusterConfig, pools: Pools, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._pools = pools
        self._wall_clock = wall_clock
        self._signers = Signers(config.credentials, config.region)
        self._signers_of: dict[tuple[Credentials | None, str | None], Signers] = {}
        self._headers = tuple(_headers_of(config))
        self.key = object()
        """Stands for the cluster in the context variable of ``with cluster.options(...)``."""

    def has_room(self, node: Node) -> bool:
        """Whether a connection to `node` can be had without waiting for one that is in use."""
        return self._pools.has_room(node)

    def exchange(self, node: Node, head: bytes, body: bytes, attempts: Attempts) -> Answer:
        """One request and its answer on a connection of the node's pool."""
        timeouts, pools = attempts.timeouts, self._pools
        connection = pools.acquire(node, timeouts.connect, attempts.deadline, attempts.pool_wait)
        try:
            answer = connection.exchange(
                head, body, read_timeout=timeouts.read, deadline=attempts.deadline, patient=attempts.patient
            )
        finally:
            pools.release(connection)
        return self.decoded(node, answer)

    def decoded(self, node: Node, answer: Answer) -> Answer:
        """The answer of `node` with its body as it was before it was compressed."""
        coding = answer.headers.get("content-encoding")
        if coding is not None:
            plain = decompress(answer.body, coding, MAX_PLAIN, who=f"Node {node}")
            answer = Answer(answer.status, answer.headers, plain)
        return answer

    def encoded(self, body: bytes, options: RequestOptions) -> tuple[bytes, str | None]:
        """The body as it is sent in every attempt, and its Content-Encoding, if it has one."""
        how = options.request_compression
        if how is NOT_GIVEN:
            how = self._config.request_compression
        # A body that is too long stays as it is, to be refused: the server's limit is for both forms of it.
        return (body, None) if how is None or len(body) > MAX_BODY else compress(how, body)

    def extra_headers(self, options: RequestOptions) -> list[tuple[str, str]]:
        """The cluster's headers and those of the model or block, which win."""
        accepted = options.response_compression
        if not options.extra_headers and accepted is None:
            return list(self._headers)
        of_request = list((options.extra_headers or {}).items())
        own = {name.lower() for name, _ in of_request}
        if accepted is not None:
            own.add("accept-encoding")
            of_request += _accept_encoding(accepted)
        return [*(pair for pair in self._headers if pair[0].lower() not in own), *of_request]

    def is_signed(self, options: RequestOptions) -> bool:
        return (options.credentials or self._config.credentials) is not None

    def region_of(self, options: RequestOptions) -> str:
        return options.region or self._config.region

    def authentication(self, options: RequestOptions, node: Node, target: str, body: bytes) -> list[tuple[str, str]]:
        """The headers that sign the request for `node`; none where requests are unsigned."""
        signers = self._signers
        if options.credentials is not None or options.region is not None:
            # Mostly one per model. A connection made for each request may have other credentials each time.
            key = (options.credentials, options.region)
            known = self._signers_of.get(key)
            if known is None:
                credentials = options.credentials or self._config.credentials
                known = Signers(credentials, options.region or self._config.region)
                if len(self._signers_of) >= _MOST_SIGNERS:
                    self._signers_of.clear()
                self._signers_of[key] = known
            signers = known
        signer = signers.current()
        if signer is None:
            return []
        return signer.headers(node.host_header, target, body, self._wall_clock())


def _headers_of(config: ClusterConfig) -> list[tuple[str, str]]:
    headers = list(config.extra_headers.items())
    if config.user_agent is not None:
        text = config.user_agent if isinstance(config.user_agent, str) else f"pynamodb_alternator/{__version__}"
        headers.append(("User-Agent", text))
    return headers + _accept_encoding(config.response_compression)


def _accept_encoding(codings: Any) -> list[tuple[str, str]]:
    return [("Accept-Encoding", ", ".join(codings))] if codings else []


def _explain(parsed: dict[str, Any], coding: str | None) -> dict[str, Any]:
    """Say in an error answer that it may come from a server that does not know compressed requests."""
    error = parsed.get("Error")
    if coding is None or not error or error.get("Code") != "ValidationException":
        return parsed
    # What an old server says, which takes the compressed bytes for the JSON that it expects.
    if "JSON" in error.get("Message", ""):
        error["Message"] += (
            f" (The request was compressed with {coding}, and the server did not unpack it: ScyllaDB takes compressed "
            "requests since 2026.1, and this server is probably older. Set request_compression=None, or upgrade it.)"
        )
    return parsed


class ShortLane:
    """Writes the request itself: the smallest set of headers that the server reads, in one piece with the body."""

    __slots__ = ("_body", "_coding", "_headers", "_operation_model", "_options", "_parsed", "_sender", "_target")

    def __init__(
        self, sender: Sender, operation_model: OperationModel, request_dict: Mapping[str, Any], options: RequestOptions
    ) -> None:
        self._sender = sender
        self._operation_model = operation_model
        self._options = options
        self._body, self._coding = sender.encoded(request_dict["body"], options)
        headers: Mapping[str, str] = request_dict["headers"]
        self._target = headers[_TARGET]
        self._headers = sender.extra_headers(options)
        if self._coding is not None:
            self._headers.append(("Content-Encoding", self._coding))
        self._parsed: dict[str, Any] | None = None
        if len(headers) > 1:
            # What handlers of `before-call` have added, and the User-Agent, if there is one.
            ours = REQUEST_HEAD | {name.lower() for name, _ in self._headers}
            self._headers += [(name, value) for name, value in headers.items() if name.lower() not in ours]

    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        return self._taken(self._sender.exchange(node, self._head(node), self._body, attempts))

    def _head(self, node: Node) -> bytes:
        authentication = self._sender.authentication(self._options, node, self._target, self._body)
        return build_head(self._target, node.host_header, len(self._body), [*self._headers, *authentication])

    def _taken(self, answer: Answer) -> Answer:
        if answer.status < 300:
            # Here, so that an answer that cannot be read counts as a failed attempt.
            self._parsed = loads(answer.body, self._operation_model)
        return answer

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        response = _ShortResponse(answer)
        parsed = self._parsed
        if answer.status >= 300 or parsed is None:
            error = parse_error(
                answer.status, answer.headers, answer.body, self._operation_model, retry_attempts=attempts - 1
            )
            return response, _explain(error, self._coding)
        parsed["ResponseMetadata"] = response_metadata(answer.status, answer.headers, retry_attempts=attempts - 1)
        return response, parsed


class CompatibleLane:
    """Builds botocore's request object for each attempt and emits its events, for those who hook them.

    The methods are coroutines, so that the same steps serve an event loop, where handlers may be coroutines too. Here
    they never suspend: `exchange` runs them straight through.
    """

    def __init__(
        self,
        endpoint: Any,
        sender: Sender,
        operation_model: OperationModel,
        request_dict: dict[str, Any],
        options: RequestOptions,
    ) -> None:
        self._endpoint = endpoint
        self._sender = sender
        self._operation_model = operation_model
        self._request_dict = request_dict
        request_dict["body"], self._coding = sender.encoded(request_dict["body"], options)
        if self._coding is not None:
            request_dict["headers"]["Content-Encoding"] = self._coding
        self._options = options
        self._made: list[tuple[Answer, AWSResponse, dict[str, Any]]] = []
        service = operation_model.service_model.service_id.hyphenize()
        self._event = f"{{}}.{service}.{operation_model.name}"

    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        return _result_of(self._exchange(node, attempts))

    async def _exchange(self, node: Node, attempts: Attempts) -> Answer:
        self._request_dict["context"].setdefault("retries", {})["attempt"] = attempts.count
        prepared = await self._prepared(node)
        try:
            answered = [one for _, one in await self._emit("before-send", request=prepared) if one is not None]
            response: AWSResponse
            response = await self._whole(answered[0]) if answered else await self._send(prepared, node, attempts)
        except Exception as error:
            await self._received(None, None, error)
            raise
        # A stub's or a cache's answer goes the same way as a node's.
        headers = {name.lower(): value for name, value in response.headers.items()}
        answer = Answer(response.status_code, headers, response.content)
        self._made.append((answer, response, await self._parse(response)))
        return answer

    async def _prepared(self, node: Node) -> Any:
        """The request with the events that come before it is sent, signed for `node`."""
        request = prepared_request({**self._request_dict, "url": f"{node.endpoint}/"})
        for name, value in self._sender.extra_headers(self._options):
            _replace(request.headers, name, value)
        await self._emit("request-created", request=request, operation_name=self._operation_model.name)
        await self._sign(request, node)
        return self._endpoint.prepare_request(request)

    async def _sign(self, request: Any, node: Node) -> None:
        sender, options = self._sender, self._options
        is_signed = sender.is_signed(options)
        chosen = await self._emit(
            "choose-signer",
            signing_name="dynamodb",
            region_name=sender.region_of(options),
            signature_version="v4" if is_signed else botocore.UNSIGNED,
            context=request.context,
        )
        for handler, choice in chosen:
            # botocore's own handlers go by the client's config, which knows nothing of the cluster's credentials.
            if choice is not None and not is_stock_handler("choose-signer", handler):
                is_signed = is_signed and choice is not botocore.UNSIGNED
                break
        await self._emit(
            "before-sign",
            request=request,
            signing_name="dynamodb",
            region_name=sender.region_of(options),
            signature_version="v4" if is_signed else botocore.UNSIGNED,
            request_signer=None,
            operation_name=self._operation_model.name,
        )
        if is_signed:
            for name in AUTHENTICATION:
                del request.headers[name]
            body = _as_bytes(request.data)
            for name, value in sender.authentication(options, node, _as_text(request.headers[_TARGET]), body):
                request.headers[name] = value

    async def _send(self, prepared: Any, node: Node, attempts: Attempts) -> AWSResponse:
        body = _as_bytes(prepared.body)
        extra = [
            (name, _as_text(value)) for name, value in prepared.headers.items() if name.lower() not in REQUEST_HEAD
        ]
        head = build_head(_as_text(prepared.headers[_TARGET]), node.host_header, len(body), extra)
        answer = await self._over_the_wire(node, head, body, attempts)
        headers: Any = HeadersDict(answer.headers)
        return AWSResponse(prepared.url, answer.status, headers, _Raw(answer.body))

    async def _over_the_wire(self, node: Node, head: bytes, body: bytes, attempts: Attempts) -> Answer:
        return self._sender.exchange(node, head, body, attempts)

    async def _whole(self, response: Any) -> AWSResponse:
        """A handler's response, whose content is there."""
        whole: AWSResponse = response
        return whole

    async def _parse(self, response: AWSResponse) -> dict[str, Any]:
        customized: dict[str, Any] = {}
        response_dict = convert_answer(response, self._operation_model)
        await self._emit(
            "before-parse",
            operation_model=self._operation_model,
            response_dict=response_dict,
            customized_response_dict=customized,
        )
        status, body = response_dict["status_code"], response_dict["body"]
        headers = dict(response_dict["headers"].items())
        if status >= 300:
            parsed = _explain(parse_error(status, headers, body, self._operation_model), self._coding)
        else:
            try:
                parsed = loads(body, self._operation_model)
            except MalformedAnswerError as error:
                await self._received(None, None, error)
                raise
            parsed["ResponseMetadata"] = response_metadata(status, headers)
        parsed.update(customized)
        await self._received(response_dict, parsed, None)
        return parsed

    async def _received(self, response: Any, parsed: Any, error: Exception | None) -> None:
        await self._emit(
            "response-received",
            response_dict=response,
            parsed_response=parsed,
            context=self._request_dict["context"],
            exception=error,
        )

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        # Not always the last one: an earlier answer counts more than a later one that says less.
        response, parsed = next((response, parsed) for made, response, parsed in self._made if made is answer)
        parsed["ResponseMetadata"]["RetryAttempts"] = attempts - 1
        return response, parsed

    async def _emit(self, event: str, **payload: Any) -> list[tuple[Any, Any]]:
        emitted: list[tuple[Any, Any]] = self._endpoint.emit(self._event.format(event), **payload)
        return emitted


def _result_of(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration as ended:
        answer: Answer = ended.value
        return answer
    raise AssertionError("a lane of threads waits for nothing but its own calls")


def _replace(headers: Any, name: str, value: str) -> None:
    # botocore's headers would else have both values.
    del headers[name]
    headers[name] = value


class _Raw(BytesIO):
    """A body as botocore's response object reads it."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


class _ShortResponse:
    """What handlers of ``after-call`` see of an answer: the attributes of botocore's own response object.

    That one is not made, because hardly anybody looks at it.
    """

    __slots__ = ("_answer", "status_code")

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self._answer = answer

    @property
    def headers(self) -> Any:
        return HeadersDict(self._answer.headers)

    @property
    def url(self) -> str:
        return "/"

    @property
    def raw(self) -> Any:
        return _Raw(self._answer.body)

    @property
    def content(self) -> bytes:
        return self._answer.body

    @property
    def text(self) -> str:
        return self._answer.body.decode("utf-8", "replace")


def _as_bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if hasattr(body, "read"):
        content: bytes = body.read()
        body.seek(0)
        return content
    return bytes(body)


def _as_text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
