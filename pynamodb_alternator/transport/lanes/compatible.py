"""The compatible lane: each attempt builds botocore's request object and emits its events, for handlers of users.

Tracers, recorders and stubs register handlers for the six events of an attempt (`_botocore._REQUEST_EVENTS`). They get
the same as from botocore: the same objects, the same keyword arguments, the same order. They may change the request;
the changed request is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import botocore
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.model import OperationModel

from ...errors import TransportError
from ...settings.headers import AUTHENTICATION, REQUEST_HEAD
from ...settings.options import RequestOptions
from ...topology.node import Node
from .._botocore import convert_answer, prepared_request
from .._hooks import is_stock_handler
from ..attempts import Attempts
from ..http1 import Answer, Awaitable, Steps
from ..large_answers import LARGE, Look
from ..outcome import HandlerAnswer
from ..parsing import loads, parse_error, response_metadata
from ..request import build_head
from ..signing import Signer
from .lane import TARGET, RawBody, explain_compression
from .sender import Sender

__all__ = ["CompatibleLane"]


class CompatibleLane:
    """Builds botocore's request object for each attempt and emits its events, for handlers of users.

    The methods are coroutines, so that the same steps serve an event loop, where handlers may be coroutines too. Here
    they suspend only in `steps`: `exchange` runs them straight through.
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
        self._in_steps = False
        self._made: list[tuple[Answer, AWSResponse, dict[str, Any]]] = []
        service = operation_model.service_model.service_id.hyphenize()
        self._event = f"{{}}.{service}.{operation_model.name}"

    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        return _result_of(self._exchange(node, attempts))

    def steps(self, node: Node, attempts: Attempts) -> Steps[Answer]:
        self._in_steps = True
        answer: Answer = yield from self._exchange(node, attempts).__await__()
        return answer

    async def _exchange(self, node: Node, attempts: Attempts) -> Answer:
        self._request_dict["context"].setdefault("retries", {})["attempt"] = attempts.count
        prepared = await self._prepared(node)
        try:
            answered = [
                response for _, response in await self._emit("before-send", request=prepared) if response is not None
            ]
            response: AWSResponse
            response = await self._whole(answered[0]) if answered else await self._send(prepared, node, attempts)
        except Exception as error:
            await self._received(None, None, error)
            raise
        # The answer of a stub or a cache is handled as a node's answer is, but does not count for the node.
        headers = {name.lower(): value for name, value in response.headers.items()}
        answer = (HandlerAnswer if answered else Answer)(response.status_code, headers, response.content)
        self._made.append((answer, response, await self._parse(response, node, attempts)))
        return answer

    async def _prepared(self, node: Node) -> Any:
        """The request with the events that come before it is sent, signed for `node`."""
        request = prepared_request({**self._request_dict, "url": f"{node.scheme}://{node.host_header}/"})
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
            # botocore's own handlers use the client's config, which does not have the cluster's credentials.
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
            signer = await self._signer()
            for name, value in sender.signature(signer, node, _as_text(request.headers[TARGET]), body):
                request.headers[name] = value

    async def _signer(self) -> Signer | None:
        return self._sender.signers(self._options).current()

    async def _send(self, prepared: Any, node: Node, attempts: Attempts) -> AWSResponse:
        body = _as_bytes(prepared.body)
        extra = [
            (name, _as_text(value)) for name, value in prepared.headers.items() if name.lower() not in REQUEST_HEAD
        ]
        head = build_head(_as_text(prepared.headers[TARGET]), node.host_header, len(body), extra)
        answer = await self._over_the_wire(node, head, body, attempts)
        headers: Any = HeadersDict(answer.headers)
        return AWSResponse(prepared.url, answer.status, headers, RawBody(answer.body))

    async def _over_the_wire(self, node: Node, head: bytes, body: bytes, attempts: Attempts) -> Answer:
        if self._in_steps:
            return await Awaitable(self._sender.exchange_in_steps(node, head, body, attempts))
        return self._sender.exchange(node, head, body, attempts)

    async def _whole(self, response: Any) -> AWSResponse:
        """A handler's response, with its content read."""
        whole: AWSResponse = response
        return whole

    async def _parse(self, response: AWSResponse, node: Node, attempts: Attempts) -> dict[str, Any]:
        customized: dict[str, Any] = {}
        response_dict = convert_answer(response, self._operation_model)
        await self._emit(
            "before-parse",
            operation_model=self._operation_model,
            response_dict=response_dict,
            customized_response_dict=customized,
        )
        status, body = response_dict["status_code"], response_dict["body"]
        headers = {name.lower(): value for name, value in response_dict["headers"].items()}

        def read(look: Look | None) -> dict[str, Any]:
            if status < 300:
                return loads(body, self._operation_model, look)
            return parse_error(status, headers, body, self._operation_model, look=look)

        try:
            parsed = await self._in_time(read, len(body), node, attempts)
        except TransportError as error:
            await self._received(None, None, error)
            raise
        if status < 300:
            parsed["ResponseMetadata"] = response_metadata(status, headers)
        else:
            explain_compression(parsed, self._coding)
        parsed.update(customized)
        await self._received(response_dict, parsed, None)
        return parsed

    async def _in_time(
        self, read: Callable[[Look | None], dict[str, Any]], size: int, node: Node, attempts: Attempts
    ) -> dict[str, Any]:
        """The result of `read`, for an answer of `size` bytes. Only the reading of a large answer is watched."""
        is_watched = size > LARGE and attempts.deadline is not None
        return read(self._sender.watch(node, attempts).look if is_watched else None)

    async def _received(self, response: Any, parsed: Any, error: Exception | None) -> None:
        await self._emit(
            "response-received",
            response_dict=response,
            parsed_response=parsed,
            context=self._request_dict["context"],
            exception=error,
        )

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        # It is not always the last answer: an earlier one is preferred if it tells more.
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
    raise AssertionError("a lane of threads must not await anything except its own coroutines")


def _replace(headers: Any, name: str, value: str) -> None:
    # Without the deletion, botocore's headers would have both values.
    del headers[name]
    headers[name] = value


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
