"""Calls the engine, and gives its answers in Alternator's form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from .answers import ERROR_PREFIX, Answer, DialectError
from .engine import Engine, batch_limit_of


class EngineClient:
    """One for each cluster. Several threads may use it at the same time. It waits for the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.batch_limit: int = batch_limit_of(engine)
        """How many items the engine accepts in one BatchWriteItem."""

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """The engine's answer; an error answer is in Alternator's form."""
        target = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
        status, _, body = self._engine.call(target, orjson.dumps(parameters))
        return Answer(status, body) if status < 400 else _error(status, body)

    def result(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The engine's answer as a mapping. Raises `EngineRefusal` for its errors."""
        answer = self.call(operation, parameters)
        if answer.is_error:
            raise EngineRefusal(answer)
        return orjson.loads(answer.body) if answer.body else {}

    def items(self, table: str) -> Iterator[dict[str, Any]]:
        """All items of a table, page by page. Raises `EngineRefusal`."""
        request: dict[str, Any] = {"TableName": table}
        while True:
            page = self.result("Scan", request)
            yield from page.get("Items", ())
            if not page.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


class EngineRefusal(DialectError):
    """An error answer of the engine, which the node sends to the client."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("", "", answer.status)
        self._answer = answer

    def answer(self) -> Answer:
        return self._answer


def _error(status: int, body: bytes) -> Answer:
    """An engine's error in Alternator's form: JSON with Alternator's prefix of the type, and ``message`` in lower
    case."""
    try:
        error = orjson.loads(body)
        kind, message = error["__type"], error.get("message", error.get("Message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        text = f"The engine answered {status}: {body[:200].decode('utf-8', 'replace')}"
        return DialectError("InternalServerError", text).answer()
    kind = str(kind).rpartition("#")[2].rpartition(":")[2]
    if kind in ("ResourceNotFound", "TableNotFoundException"):
        kind = "ResourceNotFoundException"
    answer = {"__type": ERROR_PREFIX + kind, "message": message}
    if "Item" in error:
        answer["Item"] = error["Item"]
    return Answer(500 if status >= 500 else 400, orjson.dumps(answer))
