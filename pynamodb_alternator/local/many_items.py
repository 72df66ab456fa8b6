"""Query, Scan and batches: long answers come in chunks, system tables are read here, batches take 100 writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from . import capacity
from .answers import Answer, json_answer, validation
from .engine_client import EngineClient
from .options import Options
from .parsing import Parsed, Rule
from .virtual_tables import PREFIX as VIRTUAL
from .virtual_tables import VirtualTables

_MOST_BATCH_WRITES = 100


class ManyItemRules:
    """The operations on more than one item."""

    def __init__(self, client: EngineClient, options: Options, virtual_tables: VirtualTables) -> None:
        self._client = client
        self._options = options
        self._virtual = virtual_tables

    def rules(self) -> dict[str, Rule]:
        return {
            "BatchGetItem": self._batch_get,
            "BatchWriteItem": self._batch_write,
            "Query": self._read,
            "Scan": self._read,
        }

    def _read(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        parameters.pop("ReturnConsumedCapacity", None)  # the server ignores it here
        name = parsed.table
        if name is not None and name.startswith(VIRTUAL):
            answer = json_answer(self._virtual.read(name, parameters, parsed.asked, parsed.operation))
        else:
            answer = self._client.call(parsed.operation, parameters)
        return self._maybe_chunked(answer)

    def _maybe_chunked(self, answer: Answer) -> Answer:
        answer.chunked = not answer.is_error and len(answer.body) > self._options.chunk_threshold
        return answer

    def _batch_get(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        with_capacity = capacity.take_request(parameters)
        result = self._client.result("BatchGetItem", parameters)
        result.setdefault("UnprocessedKeys", {})
        result.pop("ConsumedCapacity", None)
        if with_capacity:
            result["ConsumedCapacity"] = [
                {"CapacityUnits": sum(capacity.read_units(len(orjson.dumps(item)), False) for item in items)}
                for items in result.get("Responses", {}).values()
            ]
        return self._maybe_chunked(json_answer(result))

    def _batch_write(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        with_capacity = capacity.take_request(parameters)
        requested = parameters.get("RequestItems")
        if not isinstance(requested, dict) or not all(isinstance(of, list) for of in requested.values()):
            raise validation("RequestItems must map table names to lists of requests")
        total = sum(len(requests) for requests in requested.values())
        if total > _MOST_BATCH_WRITES:
            raise validation(
                f"Invalid length of BatchWriteItem command, got {total} items, maximum is {_MOST_BATCH_WRITES}"
            )
        limit = self._client.batch_limit
        for part in [requested] if total <= limit else _parts(requested, limit):
            while part:
                # Alternator never returns UnprocessedItems: what an engine leaves over is sent to it again.
                part = self._client.result("BatchWriteItem", {"RequestItems": part}).get("UnprocessedItems") or {}
        result: dict[str, Any] = {"UnprocessedItems": {}}
        if with_capacity:
            result["ConsumedCapacity"] = [
                {"CapacityUnits": sum(capacity.write_units(len(orjson.dumps(request))) for request in requests)}
                for requests in requested.values()
            ]
        return json_answer(result)


def _parts(requested: Mapping[str, list[Any]], limit: int) -> list[dict[str, list[Any]]]:
    """The same writes in requests of at most `limit`."""
    flat = [(table, request) for table, requests in requested.items() for request in requests]
    parts: list[dict[str, list[Any]]] = []
    for start in range(0, len(flat), limit):
        part: dict[str, list[Any]] = {}
        for table, request in flat[start : start + limit]:
            part.setdefault(table, []).append(request)
        parts.append(part)
    return parts
