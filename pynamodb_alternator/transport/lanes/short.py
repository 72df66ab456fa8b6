"""The short lane: it writes the request and reads the answer without objects of botocore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.awsrequest import HeadersDict
from botocore.model import OperationModel

from ...settings.headers import REQUEST_HEAD
from ...settings.options import RequestOptions
from ...topology.node import Node
from ..attempts import Attempts
from ..happy_path import Begun
from ..http1 import Answer, Steps
from ..large_answers import LARGE, Look
from ..parsing import loads, parse_error, response_metadata
from ..request import build_head
from ..signing import Signer
from .lane import TARGET, RawBody, explain_compression
from .sender import Sender

__all__ = ["ShortLane"]


class ShortLane:
    """Writes the request itself: the smallest set of headers that the server reads, in one piece with the body."""

    __slots__ = (
        "_body",
        "_coding",
        "_headers",
        "_large_errors",
        "_operation_model",
        "_options",
        "_parsed",
        "_sender",
        "_target",
    )

    def __init__(
        self, sender: Sender, operation_model: OperationModel, request_dict: Mapping[str, Any], options: RequestOptions
    ) -> None:
        self._sender = sender
        self._operation_model = operation_model
        self._options = options
        self._body, self._coding = sender.encoded(request_dict["body"], options)
        headers: Mapping[str, str] = request_dict["headers"]
        self._target = headers[TARGET]
        self._headers = sender.extra_headers(options)
        if self._coding is not None:
            self._headers.append(("Content-Encoding", self._coding))
        self._parsed: dict[str, Any] | None = None
        self._large_errors: list[tuple[Answer, dict[str, Any]]] = []
        if len(headers) > 1:
            # The headers that handlers of `before-call` have added, and the User-Agent, if there is one.
            ours = REQUEST_HEAD | {name.lower() for name, _ in self._headers}
            self._headers += [(name, value) for name, value in headers.items() if name.lower() not in ours]

    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        signer = self._sender.signers(self._options).current()
        answer = self._sender.exchange(node, self._head(node, signer), self._body, attempts)
        return self._settled(node, answer, attempts)

    def take(self, begun: Begun, answer: Answer, attempts: Attempts) -> Answer:
        """The same as `exchange`, for an answer that has already come."""
        return self._settled(begun.node, self._sender.plain(begun.node, begun.head, answer, attempts), attempts)

    def _settled(self, node: Node, answer: Answer, attempts: Attempts) -> Answer:
        if len(answer.body) > LARGE and attempts.deadline is not None:
            self._read(answer, self._sender.watch(node, attempts).look)
        else:
            self._read(answer)
        return answer

    def steps(self, node: Node, attempts: Attempts) -> Steps[Answer]:
        signer = self._sender.signers(self._options).current()
        answer = yield from self._sender.exchange_in_steps(node, self._head(node, signer), self._body, attempts)
        self._read(answer, self._sender.watch(node, attempts).look if len(answer.body) > LARGE else None)
        return answer

    def _head(self, node: Node, signer: Signer | None) -> bytes:
        authentication = self._sender.signature(signer, node, self._target, self._body)
        return build_head(self._target, node.host_header, len(self._body), [*self._headers, *authentication])

    def _read(self, answer: Answer, look: Look | None = None) -> None:
        """Parse the answer within the attempt, so that an answer that cannot be read is a failed attempt.

        `look`: for a large answer.
        """
        if answer.status < 300:
            self._parsed = loads(answer.body, self._operation_model, look)
        elif look is not None:
            error = parse_error(answer.status, answer.headers, answer.body, self._operation_model, look=look)
            self._large_errors.append((answer, error))

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        response = _ShortResponse(answer)
        parsed = self._parsed
        if answer.status >= 300 or parsed is None:
            error = next((error for of, error in self._large_errors if of is answer), None)
            if error is None:
                error = parse_error(answer.status, answer.headers, answer.body, self._operation_model)
            error["ResponseMetadata"]["RetryAttempts"] = attempts - 1
            return response, explain_compression(error, self._coding)
        parsed["ResponseMetadata"] = response_metadata(answer.status, answer.headers, retry_attempts=attempts - 1)
        return response, parsed


class _ShortResponse:
    """What handlers of ``after-call`` see of an answer: the attributes of botocore's own response object.

    botocore's object itself is not made, because few applications use it.
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
        return RawBody(self._answer.body)

    @property
    def content(self) -> bytes:
        return self._answer.body

    @property
    def text(self) -> str:
        return self._answer.body.decode("utf-8", "replace")
