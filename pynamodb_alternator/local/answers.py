"""The answers of a node before they become bytes, and the errors of Alternator's dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

JSON = "application/x-amz-json-1.0"
ERROR_PREFIX = "com.amazonaws.dynamodb.v20120810#"

STATUS_OF_ERROR = {"InternalServerError": 500, "PayloadTooLarge": 413, "PayloadTooLargeException": 413}
"""HTTP statuses of the error types that are not answered with 400."""


@dataclass(slots=True)
class Answer:
    """One answer: its HTTP status, its body, and how the node has to send it."""

    status: int
    body: bytes
    content_type: str = JSON
    chunked: bool = False
    close: bool = False
    """Close the socket after the answer. Alternator does not announce this with `Connection: close`."""

    @property
    def is_error(self) -> bool:
        return self.status >= 400

    def value(self) -> Any:
        """The parsed JSON of the body."""
        return orjson.loads(self.body) if self.body else {}


class DialectError(Exception):
    """A refusal as Alternator sends it: the error type without its prefix, the message, and the HTTP status."""

    def __init__(self, error_type: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message
        self.status: int = STATUS_OF_ERROR.get(error_type, 400) if status is None else status

    def answer(self) -> Answer:
        return error_answer(self.error_type, self.message, self.status)


def json_answer(value: Any) -> Answer:
    """The answer to a request that succeeded."""
    return Answer(200, orjson.dumps(value))


def error_answer(error_type: str, message: str, status: int | None = None) -> Answer:
    """The JSON error answer that Alternator gives for `error_type` (named without its prefix)."""
    if status is None:
        status = STATUS_OF_ERROR.get(error_type, 400)
    return Answer(status, orjson.dumps({"__type": ERROR_PREFIX + error_type, "message": message}))


def validation(message: str) -> DialectError:
    return DialectError("ValidationException", message)
