"""The two ways on which one attempt gets to a node.

A lane is made for one call. It may be asked for several attempts, each on another node: the body is the same in all,
the Host header and the signature are new in each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Protocol

import botocore
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.model import OperationModel

from ..cluster.node import Node
from ..config import ClusterConfig, Credentials
from ..options import RequestOptions
from ._botocore import convert_answer, prepared_request
from .attempts import Attempts
from .credentials import Signers
from .http1 import Answer
from .parsing import loads, parse_error, response_metadata
from .pool import Pools
from .request import build_head
from .serialization import dumps

__all__ = ["PARAMETERS", "CompatibleLane", "Lane", "RequestSerializer", "ShortLane", "Wire"]

_TARGET = "X-Amz-Target"
PARAMETERS = "parameters"
"""Where the serializer leaves the parameters in botocore's request dict, for the endpoint to route by."""
_WRITTEN_BY_US = frozenset({"x-amz-target", "content-type", "host", "content-length", "user-agent"})
_AUTHENTICATION = ("X-Amz-Date", "Authorization", "X-Amz-Security-Token")


class RequestSerializer:
    """Stands where botocore's serializer does: makes the body, and keeps the parameters for routing."""

    def serialize_to_request(self, parameters: Mapping[str, Any], operation_model: OperationModel) -> dict[str, Any]:
        return {
            "url_path": "/",
            "query_string": "",
            "method": "POST",
            "headers": {_TARGET: f"{operation_model.metadata['targetPrefix']}.{operation_model.name}"},
            "body": dumps(parameters, operation_model),
            PARAMETERS: parameters,
        }


class Lane(Protocol):
    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        """Send the request to `node` and read its answer. Raises `TransportError`."""

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        """What botocore's client takes from its endpoint for `answer`."""


class Wire:
    """What all requests of a cluster need to get to a node: pools, signers, and the headers that go with each."""

    def __init__(self, config: ClusterConfig, pools: Pools, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._pools = pools
        self._wall_clock = wall_clock
        self._signers = Signers(config.credentials, config.region)
        self._signers_of: dict[tuple[Credentials | None, str | None], Signers] = {}
        self._headers = tuple(config.extra_headers.items())
        self.region = config.region

    def exchange(self, node: Node, head: bytes, body: bytes, attempts: Attempts) -> Answer:
        """One request and its answer on a connection of the node's pool."""
        timeouts, pools = attempts.timeouts, self._pools
        connection = pools.acquire(node, timeouts.connect, attempts.deadline)
        try:
            answer = connection.exchange(head, body, read_timeout=timeouts.read, deadline=attempts.deadline)
        finally:
            pools.release(connection)
        return answer

    def extra_headers(self, options: RequestOptions) -> list[tuple[str, str]]:
        """The cluster's headers and those of the model or block, which win."""
        if not options.extra_headers:
            return list(self._headers)
        own = {name.lower() for name in options.extra_headers}
        return [*(pair for pair in self._headers if pair[0].lower() not in own), *options.extra_headers.items()]

    def authentication(self, options: RequestOptions, node: Node, target: str, body: bytes) -> list[tuple[str, str]]:
        """The headers that sign the request for `node`; none where requests are unsigned."""
        signers = self._signers
        if options.credentials is not None or options.region is not None:
            # One per model at the most, because only a model has credentials or a region of its own.
            key = (options.credentials, options.region)
            known = self._signers_of.get(key)
            if known is None:
                credentials = options.credentials or self._config.credentials
                known = Signers(credentials, options.region or self._config.region)
                self._signers_of[key] = known
            signers = known
        signer = signers.current()
        if signer is None:
            return []
        return signer.headers(node.host_header, target, body, self._wall_clock())


class ShortLane:
    """Writes the request itself: the smallest set of headers that the server reads, in one piece with the body."""

    __slots__ = ("_body", "_headers", "_operation_model", "_options", "_parsed", "_target", "_wire")

    def __init__(
        self, wire: Wire, operation_model: OperationModel, request_dict: Mapping[str, Any], options: RequestOptions
    ) -> None:
        self._wire = wire
        self._operation_model = operation_model
        self._options = options
        self._body: bytes = request_dict["body"]
        headers: Mapping[str, str] = request_dict["headers"]
        self._target = headers[_TARGET]
        self._headers = wire.extra_headers(options)
        self._parsed: dict[str, Any] | None = None
        if len(headers) > 1:
            # What handlers of `before-call` have added, and the User-Agent, if there is one.
            self._headers += [
                (name, value)
                for name, value in headers.items()
                if name.lower() == "user-agent" or name.lower() not in _WRITTEN_BY_US
            ]

    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        authentication = self._wire.authentication(self._options, node, self._target, self._body)
        head = build_head(self._target, node.host_header, len(self._body), [*self._headers, *authentication])
        answer = self._wire.exchange(node, head, self._body, attempts)
        if answer.status < 300:
            # Here, so that an answer that cannot be read counts as a failed attempt.
            self._parsed = loads(answer.body, self._operation_model)
        return answer

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        response = _ShortResponse(answer)
        parsed = self._parsed
        if answer.status >= 300 or parsed is None:
            return response, parse_error(
                answer.status, answer.headers, answer.body, self._operation_model, retry_attempts=attempts - 1
            )
        parsed["ResponseMetadata"] = response_metadata(answer.status, answer.headers, retry_attempts=attempts - 1)
        return response, parsed


class CompatibleLane:
    """Builds botocore's request object for each attempt and emits its events, for those who hook them."""

    def __init__(
        self,
        endpoint: Any,
        wire: Wire,
        operation_model: OperationModel,
        request_dict: dict[str, Any],
        options: RequestOptions,
    ) -> None:
        self._endpoint = endpoint
        self._wire = wire
        self._operation_model = operation_model
        self._request_dict = request_dict
        self._options = options
        self._response: AWSResponse | None = None
        self._parsed: dict[str, Any] | None = None
        service = operation_model.service_model.service_id.hyphenize()
        self._event = f"{{}}.{service}.{operation_model.name}"

    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        self._request_dict["context"].setdefault("retries", {})["attempt"] = attempts.count
        request = prepared_request({**self._request_dict, "url": f"{node.endpoint}/"})
        for name, value in self._wire.extra_headers(self._options):
            request.headers[name] = value
        self._emit("request-created", request=request, operation_name=self._operation_model.name)
        self._sign(request, node)
        prepared = self._endpoint.prepare_request(request)
        answered = [one for _, one in self._emit("before-send", request=prepared) if one is not None]
        if answered:
            response: AWSResponse = answered[0]
        else:
            response = self._send(prepared, node, attempts)
        # A stub's or a cache's answer goes the same way as a node's.
        answer = Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)
        self._response = response
        self._parsed = self._parse(response, answer)
        return answer

    def _sign(self, request: Any, node: Node) -> None:
        name = self._operation_model.name
        chosen = [
            one
            for _, one in self._emit(
                "choose-signer", signing_name="dynamodb", region_name=None, signature_version="v4", context={}
            )
            if one is not None
        ]
        self._emit(
            "before-sign",
            request=request,
            signing_name="dynamodb",
            region_name=self._wire.region,
            signature_version="v4",
            request_signer=None,
            operation_name=name,
        )
        if chosen and chosen[0] is botocore.UNSIGNED:
            return
        body = _as_bytes(request.data)
        for header in _AUTHENTICATION:
            del request.headers[header]
        for header, value in self._wire.authentication(self._options, node, request.headers[_TARGET], body):
            request.headers[header] = value

    def _send(self, prepared: Any, node: Node, attempts: Attempts) -> AWSResponse:
        headers = {name: _as_text(value) for name, value in prepared.headers.items()}
        body = _as_bytes(prepared.body)
        extra = [(name, value) for name, value in headers.items() if name.lower() not in _WRITTEN_HERE]
        head = build_head(headers[_TARGET], node.host_header, len(body), extra)
        answer = self._wire.exchange(node, head, body, attempts)
        headers_dict: Any = HeadersDict(answer.headers)
        return AWSResponse(prepared.url, answer.status, headers_dict, _Raw(answer.body))

    def _parse(self, response: AWSResponse, answer: Answer) -> dict[str, Any]:
        customized: dict[str, Any] = {}
        response_dict = convert_answer(response, self._operation_model)
        self._emit(
            "before-parse",
            operation_model=self._operation_model,
            response_dict=response_dict,
            customized_response_dict=customized,
        )
        status, body = response_dict["status_code"], response_dict["body"]
        if status >= 300:
            parsed = parse_error(status, answer.headers, body, self._operation_model)
        else:
            parsed = loads(body, self._operation_model)
            parsed["ResponseMetadata"] = response_metadata(status, answer.headers)
        parsed.update(customized)
        self._emit(
            "response-received",
            response_dict=response_dict,
            parsed_response=parsed,
            context=self._request_dict["context"],
            exception=None,
        )
        return parsed

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        assert self._response is not None
        assert self._parsed is not None
        self._parsed["ResponseMetadata"]["RetryAttempts"] = attempts - 1
        return self._response, self._parsed

    def _emit(self, event: str, **payload: Any) -> list[tuple[Any, Any]]:
        emitted: list[tuple[Any, Any]] = self._endpoint.emit(self._event.format(event), **payload)
        return emitted


_WRITTEN_HERE = frozenset({"host", "content-length", "x-amz-target"})


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
