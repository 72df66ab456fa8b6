"""Query, Scan and batches. Long answers are sent in chunks, and a batch may have 100 writes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import orjson

from . import capacity, keys
from .answers import Answer, json_answer, validation
from .attribute_values import item_size, shown
from .catalogue import Catalogue
from .engine_client import EngineClient
from .expressions import projections
from .expressions.projections import Projection
from .expressions.references import References
from .items import check_item, flag, key_of
from .options import Options
from .parsing import Parsed, Rule
from .reads import Reads
from .virtual_tables import PREFIX as VIRTUAL
from .virtual_tables import VirtualTables

_MOST_BATCH_WRITES = 100
_MOST_BATCH_READS = 100


class ManyItemRules:
    """The operations on more than one item."""

    def __init__(
        self,
        client: EngineClient,
        catalogue: Catalogue,
        options: Options,
        virtual_tables: VirtualTables,
        in_process: bool,
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._options = options
        self._virtual = virtual_tables
        self._reads = Reads(client, catalogue, in_process)
        self._in_process = in_process

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
            answer = self._reads.read(parsed)
        return self._maybe_chunked(answer)

    def _maybe_chunked(self, answer: Answer) -> Answer:
        answer.chunked = not answer.is_error and len(answer.body) > self._options.chunk_threshold
        return answer

    def _batch_get(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        with_capacity = capacity.take_request(parameters)
        asked = _tables(parameters, "BatchGetItem requires at least one table in RequestItems", dict)
        projected: dict[str, Projection | None] = {}
        for table, request in asked.items():
            projected[table] = self._check_get(table, request)
        if self._in_process:
            plain = {table: {"Keys": request["Keys"]} for table, request in asked.items()}
            result = self._got(plain)
        else:
            result = self._client.result("BatchGetItem", parameters)
        responses = result.get("Responses", {})
        units = {
            table: sum(
                capacity.read_units(item_size(item), asked.get(table, {}).get("ConsistentRead") is True)
                for item in responses.get(table, ())
            )
            for table in asked
        }
        if self._in_process:
            result["Responses"] = {
                table: [projections.apply(projected[table], self._as_read(table, item)) for item in items]
                for table, items in responses.items()
            }
        result.setdefault("UnprocessedKeys", {})
        result.pop("ConsumedCapacity", None)
        if with_capacity:
            result["ConsumedCapacity"] = capacity.of_tables(units)
        return self._maybe_chunked(json_answer(result))

    def _as_read(self, table: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
        info = self._catalogue.known(table)
        return item if info is None else keys.as_read(item, info.kept_as_written)

    def _got(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """All items of a batch. If the engine returns unprocessed keys, it is asked again."""
        responses: dict[str, list[Any]] = {table: [] for table in plain}
        while plain:
            part = self._client.result("BatchGetItem", {"RequestItems": plain})
            for table, items in part.get("Responses", {}).items():
                responses[table] += items
            plain = part.get("UnprocessedKeys") or {}
        return {"Responses": responses}

    def _check_get(self, table: str, request: Any) -> Projection | None:
        """The projection for one table of a batch. Raises `DialectError` for mistakes in the request."""
        info = self._catalogue.existing(table)
        asked = request.get("Keys") if isinstance(request, dict) else None
        if not isinstance(asked, list) or not asked:
            raise validation("BatchGetItem: Keys must be a non-empty array of keys")
        flag(request, "ConsistentRead")
        if len(asked) > _MOST_BATCH_READS:
            raise validation(f"Too many items requested for the BatchGetItem call: at most {_MOST_BATCH_READS}")
        for key in asked:
            keys.check_key(key, info.keys, "BatchGetItem")
        _check_duplicates([keys.identity(key, info.keys) for key in asked])
        references = References(request)
        projection = projections.of_request(request, references)
        references.check_all_used("BatchGetItem")
        return projection

    def _batch_write(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        with_capacity = capacity.take_request(parameters)
        requested = _tables(parameters, "RequestItems can't be empty", list)
        total = sum(len(requests) for requests in requested.values())
        if total > _MOST_BATCH_WRITES:
            raise validation(
                f"Invalid length of BatchWriteItem command, got {total} items, maximum is {_MOST_BATCH_WRITES}"
            )
        checked = {table: self._check_writes(table, requests) for table, requests in requested.items()}
        self._note_items(checked)
        limit = self._client.batch_limit
        for part in [checked] if total <= limit else _parts(checked, limit):
            while part:
                # Alternator never returns UnprocessedItems: they are sent to the engine again.
                part = self._client.result("BatchWriteItem", {"RequestItems": part}).get("UnprocessedItems") or {}
        result: dict[str, Any] = {"UnprocessedItems": {}}
        if with_capacity:
            units = {
                table: sum(
                    capacity.write_units(item_size(request.get("PutRequest", {}).get("Item", {})))
                    for request in requests
                )
                for table, requests in checked.items()
            }
            result["ConsumedCapacity"] = capacity.of_tables(units)
        return json_answer(result)

    def _note_items(self, checked: Mapping[str, list[Any]]) -> None:
        for table, requests in checked.items():
            for request in requests:
                if "PutRequest" in request:
                    # The size of the JSON is a little more than the item's own size, and faster to compute.
                    self._catalogue.note_item(table, len(orjson.dumps(request["PutRequest"]["Item"])))

    def _check_writes(self, table: str, requests: list[Any]) -> list[Any]:
        """The writes to one table, in the form in which they are stored. Raises `DialectError` for mistakes in the
        request."""
        info = self._catalogue.existing(table)
        if not requests:
            raise validation("Member of RequestItems must be a non-empty array of WriteRequest objects")
        checked: list[Any] = []
        identities: list[Hashable] = []
        for request in requests:
            if not isinstance(request, dict) or len(request) != 1:
                raise validation(f"Invalid BatchWriteItem request: {shown(request)}")
            ((kind, content),) = request.items()
            if kind not in ("PutRequest", "DeleteRequest"):
                raise validation(f"Unknown BatchWriteItem request type: {kind}")
            if not isinstance(content, dict):
                raise validation(f"{kind} must be an object")
            if kind == "PutRequest":
                item = check_item(content.get("Item"), info)
                key: Mapping[str, Any] = key_of(item, info)
                checked.append({kind: {"Item": item}})
            else:
                key = keys.check_key(content.get("Key"), info.keys, "DeleteRequest")
                checked.append({kind: {"Key": key}})
            identities.append(keys.identity(key, info.keys))
        _check_duplicates(identities)
        return checked


def _tables(parameters: Mapping[str, Any], empty: str, of: type) -> dict[str, Any]:
    requested = parameters.get("RequestItems")
    if not isinstance(requested, dict) or not requested:
        raise validation(empty)
    if not all(isinstance(request, of) for request in requested.values()):
        raise validation(f"RequestItems must map table names to {'lists of requests' if of is list else 'objects'}")
    return requested


def _check_duplicates(identities: list[Hashable]) -> None:
    if len(set(identities)) < len(identities):
        raise validation("Provided list of item keys contains duplicates")


def _parts(requested: Mapping[str, list[Any]], limit: int) -> list[dict[str, list[Any]]]:
    """The same writes as several requests, each with at most `limit` writes."""
    flat = [(table, request) for table, requests in requested.items() for request in requests]
    parts: list[dict[str, list[Any]]] = []
    for start in range(0, len(flat), limit):
        part: dict[str, list[Any]] = {}
        for table, request in flat[start : start + limit]:
            part.setdefault(table, []).append(request)
        parts.append(part)
    return parts
