"""Alternator's dialect over a DynamoDB engine: what is refused, renamed, left out and answered differently."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..core.table_description import hash_key_of
from . import isolation
from .answers import ERROR_PREFIX, Answer, DialectError, validation
from .engine import Engine, batch_limit_of
from .options import Options
from .virtual_tables import PREFIX as VIRTUAL
from .virtual_tables import VirtualTables

OPERATIONS = frozenset(
    [
        *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchGetItem", "BatchWriteItem", "Query", "Scan"),
        *("CreateTable", "DeleteTable", "DescribeTable", "UpdateTable", "ListTables", "DescribeEndpoints"),
        *("TagResource", "UntagResource", "ListTagsOfResource"),
        *("UpdateTimeToLive", "DescribeTimeToLive", "DescribeContinuousBackups"),
    ]
)
"""What Alternator implements. Transactions, PartiQL, backups, global tables and streams are refused."""

QUICK = frozenset(["GetItem", "PutItem", "UpdateItem", "DeleteItem", "DescribeTable", "ListTagsOfResource"])
"""Operations on one item or none: an in-process engine is through with them in well under a millisecond."""

_ARN = "arn:scylla:alternator:alternator_{0}:scylla:table/{0}"
_ARN_PATTERN = re.compile(r"arn:scylla:alternator:alternator_(?P<table>[^:]+):scylla:table/(?P=table)")
_TABLE_NAME = re.compile(r"[a-zA-Z0-9._-]{3,192}")
_MOST_BATCH_WRITES = 100
_WRITES = frozenset(["PutItem", "UpdateItem", "DeleteItem"])
_KEPT = (
    *("TableName", "TableStatus", "KeySchema", "AttributeDefinitions", "CreationDateTime", "BillingModeSummary"),
    *("ProvisionedThroughput", "StreamSpecification", "LatestStreamArn", "LatestStreamLabel"),
)
"""What Alternator tells of a table as DynamoDB does. There is no ItemCount."""


@dataclass(slots=True)
class TableInfo:
    """What the nodes know of a table beside the engine."""

    partition_key: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Parsed:
    """A request's parameters, and what a test wants to know of them."""

    operation: str
    parameters: dict[str, Any]
    table: str | None
    partition_key: Any = None
    asked: str = ""
    """The host of the node that was asked."""


class Dialect:
    """One for each cluster, shared by its nodes and threads.

    Tags are kept here and not in the engine, since DynamoDB's own engines know tables by another ARN, or know no
    tags at all.
    """

    def __init__(self, engine: Engine, options: Options, virtual_tables: VirtualTables) -> None:
        self._engine = engine
        self._options = options
        self._virtual = virtual_tables
        self._tables: dict[str, TableInfo] = {}
        self._lock = threading.Lock()
        self._special: dict[str, Callable[[Parsed], Answer]] = {
            "CreateTable": self._create_table,
            "DeleteTable": self._delete_table,
            "DescribeTable": self._describe_table,
            "UpdateTable": self._update_table,
            "TagResource": self._tag_resource,
            "UntagResource": self._untag_resource,
            "ListTagsOfResource": self._list_tags,
            "BatchWriteItem": self._batch_write,
            "BatchGetItem": self._batch_get,
            "Query": self._read_many,
            "Scan": self._read_many,
            "DescribeEndpoints": self._describe_endpoints,
            "DescribeContinuousBackups": self._describe_backups,
        }

    # Reading a request

    def parse(self, target: str | None, body: bytes) -> Parsed:
        """The operation and parameters of a request. Raises `DialectError` in the server's words."""
        operation = (target or "").rpartition(".")[2]
        if target is None or operation not in OPERATIONS:
            raise DialectError("UnknownOperationException", f"Unsupported operation {operation}")
        try:
            parameters = orjson.loads(body)
        except ValueError as wrong:
            raise validation(f"Parsing JSON failed: {wrong}") from None
        if not isinstance(parameters, dict):
            raise validation("The request must be a JSON object")
        table = parameters.get("TableName")
        if table is None and "RequestItems" in parameters and isinstance(parameters["RequestItems"], dict):
            names = list(parameters["RequestItems"])
            table = names[0] if len(names) == 1 else None
        parsed = Parsed(operation, parameters, table if isinstance(table, str) else None)
        parsed.partition_key = self._partition_key(parsed)
        return parsed

    def _partition_key(self, parsed: Parsed) -> Any:
        key = parsed.parameters.get("Item" if parsed.operation == "PutItem" else "Key")
        info = self._tables.get(parsed.table) if parsed.table is not None else None
        if not isinstance(key, dict):
            return None
        if info is not None:
            return key.get(info.partition_key)
        return next(iter(key.values())) if len(key) == 1 else None

    # Executing it

    def execute(self, parsed: Parsed) -> Answer:
        """The answer to a request. It may wait for the engine, and raises `DialectError` for a refusal."""
        parameters = parsed.parameters
        special = self._special.get(parsed.operation)
        if special is not None:
            return special(parsed)
        if parsed.operation in _WRITES:
            self._check_isolation(parsed)
        capacity = _wants_capacity(parameters)
        answer = self._call(parsed.operation, parameters)
        if capacity and not answer.is_error:
            _add_capacity(answer, _units(parsed.operation, parameters, answer))
        return answer

    def _call(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        target = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
        status, _, body = self._engine.call(target, orjson.dumps(parameters))
        return Answer(status, body) if status < 400 else _engine_error(status, body)

    def _result(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The engine's answer as a mapping; its errors are raised."""
        answer = self._call(operation, parameters)
        if answer.is_error:
            raise _Refused(answer)
        return orjson.loads(answer.body) if answer.body else {}

    def info(self, table: str) -> TableInfo | None:
        """What is known of a table, asked of the engine once; None if there is no such table."""
        known = self._tables.get(table)
        if known is None:
            try:
                described = self._result("DescribeTable", {"TableName": table})["Table"]
            except (_Refused, KeyError):
                return None
            with self._lock:
                known = self._tables.setdefault(table, TableInfo(hash_key_of(described)))
        return known

    def write_isolation(self, table: str) -> str:
        info = self._tables.get(table) or self.info(table)
        tag = info.tags.get(isolation.TAG) if info is not None else None
        return isolation.MODES[tag] if tag is not None else self._options.write_isolation

    def _check_isolation(self, parsed: Parsed) -> None:
        if parsed.table is None or not isolation.needs_read_before_write(parsed.operation, parsed.parameters):
            return
        if self.write_isolation(parsed.table) == isolation.FORBID_RMW:
            raise validation("Read-modify-write operations are disabled by 'forbid_rmw' write isolation policy.")

    # Tables

    def _create_table(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        name = parameters.get("TableName")
        if not isinstance(name, str) or not _TABLE_NAME.fullmatch(name):
            raise validation(
                "TableName must be 3-192 characters long and satisfy the regular expression [a-zA-Z0-9._-]+"
            )
        if name.startswith(VIRTUAL):
            raise validation(f"Prefix {VIRTUAL} is reserved for accessing internal tables")
        tags = _tags(parameters.pop("Tags", None) or [])
        described = self._result("CreateTable", parameters)["TableDescription"]
        with self._lock:
            self._tables[name] = TableInfo(hash_key_of(described), tags)
        return _json({"TableDescription": _as_alternator(described)})

    def _delete_table(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        described = self._result("DeleteTable", parameters)["TableDescription"]
        with self._lock:
            self._tables.pop(str(parameters.get("TableName")), None)
        return _json({"TableDescription": {**_as_alternator(described), "TableStatus": "DELETING"}})

    def _describe_table(self, parsed: Parsed) -> Answer:
        return _json({"Table": _as_alternator(self._result("DescribeTable", parsed.parameters)["Table"])})

    def _update_table(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        for name in ("ProvisionedThroughput", "ReplicaUpdates", "SSESpecification"):
            if name in parameters:
                raise validation(f"UpdateTable: {name} not supported")
        described = self._result("UpdateTable", parameters)["TableDescription"]
        return _json({"TableDescription": _as_alternator(described)})

    def _describe_endpoints(self, parsed: Parsed) -> Answer:
        return _json({"Endpoints": [{"Address": parsed.asked, "CachePeriodInMinutes": 1440}]})

    def _describe_backups(self, parsed: Parsed) -> Answer:
        self._table_named(str(parsed.table))
        status = {"PointInTimeRecoveryStatus": "DISABLED"}
        description = {"ContinuousBackupsStatus": "DISABLED", "PointInTimeRecoveryDescription": status}
        return _json({"ContinuousBackupsDescription": description})

    # Tags

    def _table_named(self, name: str) -> TableInfo:
        info = self.info(name)
        if info is None:
            raise DialectError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return info

    def _tagged(self, parameters: dict[str, Any]) -> TableInfo:
        arn = parameters.get("ResourceArn")
        if not isinstance(arn, str):
            raise DialectError("AccessDeniedException", "Incorrect resource identifier")
        match = _ARN_PATTERN.fullmatch(arn)
        if match is None:
            raise DialectError("AccessDeniedException", f"Incorrect resource identifier: {arn}")
        return self._table_named(match["table"])

    def _tag_resource(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        info = self._tagged(parameters)
        given = parameters.get("Tags")
        if not isinstance(given, list) or not given:
            raise validation("The number of tags must be at least 1")
        added = _tags(given)
        with self._lock:
            if len(info.tags | added) > 50:
                raise validation("Number of Tags exceed the current limit for the provided ResourceArn")
            info.tags.update(added)
        return Answer(200, b"")

    def _untag_resource(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        info = self._tagged(parameters)
        keys = parameters.get("TagKeys")
        if not isinstance(keys, list):
            raise validation("TagKeys must be a list")
        with self._lock:
            for key in keys:
                info.tags.pop(key, None)
        return Answer(200, b"")

    def _list_tags(self, parsed: Parsed) -> Answer:
        tags = dict(self._tagged(parsed.parameters).tags)
        return _json({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})

    # Many items

    def _read_many(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        parameters.pop("ReturnConsumedCapacity", None)  # the server ignores it here
        name = parsed.table
        if name is not None and name.startswith(VIRTUAL):
            answer = _json(self._virtual.read(name, parameters, parsed.asked, parsed.operation))
        else:
            answer = self._call(parsed.operation, parameters)
        return self._maybe_chunked(answer)

    def _maybe_chunked(self, answer: Answer) -> Answer:
        answer.chunked = not answer.is_error and len(answer.body) > self._options.chunk_threshold
        return answer

    def _batch_get(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        capacity = _wants_capacity(parameters)
        result = self._result("BatchGetItem", parameters)
        result.setdefault("UnprocessedKeys", {})
        result.pop("ConsumedCapacity", None)
        if capacity:
            result["ConsumedCapacity"] = [
                {"CapacityUnits": sum(_read_units(len(orjson.dumps(item)), False) for item in items)}
                for items in result.get("Responses", {}).values()
            ]
        return self._maybe_chunked(_json(result))

    def _batch_write(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        capacity = _wants_capacity(parameters)
        requested = parameters.get("RequestItems")
        if not isinstance(requested, dict) or not all(isinstance(of, list) for of in requested.values()):
            raise validation("RequestItems must map table names to lists of requests")
        total = sum(len(requests) for requests in requested.values())
        if total > _MOST_BATCH_WRITES:
            raise validation(
                f"Invalid length of BatchWriteItem command, got {total} items, maximum is {_MOST_BATCH_WRITES}"
            )
        limit = batch_limit_of(self._engine)
        for part in [requested] if total <= limit else _parts(requested, limit):
            while part:
                # Alternator never returns UnprocessedItems: what an engine leaves over is sent to it again.
                part = self._result("BatchWriteItem", {"RequestItems": part}).get("UnprocessedItems") or {}
        result: dict[str, Any] = {"UnprocessedItems": {}}
        if capacity:
            result["ConsumedCapacity"] = [
                {"CapacityUnits": sum(_write_units(len(orjson.dumps(one))) for one in requests)}
                for requests in requested.values()
            ]
        return _json(result)


class _Refused(DialectError):
    """An error answer of the engine, handed on."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("", "", answer.status)
        self._answer = answer

    def answer(self) -> Answer:
        return self._answer


def _json(value: Any) -> Answer:
    return Answer(200, orjson.dumps(value))


def _engine_error(status: int, body: bytes) -> Answer:
    """An engine's error in Alternator's form: its prefix for the type, ``message`` in lower case, nothing but JSON."""
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


def _wants_capacity(parameters: dict[str, Any]) -> bool:
    """Whether ConsumedCapacity is asked for. The parameter is taken out: the engine's own answer differs."""
    wanted = parameters.pop("ReturnConsumedCapacity", None)
    if wanted is None:
        return False
    if wanted != "TOTAL":
        if wanted == "INDEXES":
            raise validation("INDEXES consumed capacity is not supported")
        raise validation(f"Unknown consumed capacity {wanted}")
    return True


def _add_capacity(answer: Answer, units: float) -> None:
    capacity = b'"ConsumedCapacity":{"CapacityUnits":%b}}' % orjson.dumps(units)
    empty = answer.body in (b"", b"{}")
    answer.body = b"{" + capacity if empty else answer.body[:-1] + b"," + capacity


def _units(operation: str, parameters: Mapping[str, Any], answer: Answer) -> float:
    if operation == "GetItem":
        return _read_units(len(answer.body), parameters.get("ConsistentRead") is True)
    return _write_units(len(orjson.dumps(parameters.get("Item", parameters.get("Key")))))


def _read_units(size: int, consistent: bool) -> float:
    """4 KiB for a unit, half of it when the read may be stale. Sizes are those of the JSON: near enough."""
    return max(1, math.ceil(size / 4096)) * (1.0 if consistent else 0.5)


def _write_units(size: int) -> float:
    return float(max(1, math.ceil(size / 1024)))


def _tags(given: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in given:
        key, value = tag.get("Key"), tag.get("Value")
        if not isinstance(key, str) or not isinstance(value, str):
            raise validation("Each tag must have a Key and a Value, both strings")
        if not 1 <= len(key) <= 128:
            raise validation("A tag Key must be 1 to 128 characters long")
        if len(value) > 256:
            raise validation("A tag Value is limited to 256 characters")
        if key == isolation.TAG and value not in isolation.MODES:
            raise validation(f"Incorrect write isolation tag {value}. Allowed values: {isolation.allowed()}")
        tags[key] = value
    return tags


def _as_alternator(described: dict[str, Any]) -> dict[str, Any]:
    """A table's description with what Alternator says instead, and without what it does not tell."""
    name = described["TableName"]
    result = {key: described[key] for key in _KEPT if key in described}
    arn = _ARN.format(name)
    result |= {"TableArn": arn, "TableId": described.get("TableId", "00000000-0000-0000-0000-000000000000")}
    result.setdefault("TableStatus", "ACTIVE")
    for indexes in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        if described.get(indexes):
            result[indexes] = [_index(index, arn, indexes[0] == "G") for index in described[indexes]]
    return result


def _index(index: Mapping[str, Any], arn: str, is_global: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"IndexName": index["IndexName"], "IndexArn": f"{arn}/index/{index['IndexName']}"}
    result |= {"KeySchema": index["KeySchema"], "Projection": {"ProjectionType": "ALL"}}
    if is_global:
        result["IndexStatus"] = index.get("IndexStatus", "ACTIVE")
    return result


def _parts(requested: Mapping[str, list[Any]], limit: int) -> list[dict[str, list[Any]]]:
    flat = [(table, request) for table, requests in requested.items() for request in requests]
    parts: list[dict[str, list[Any]]] = []
    for start in range(0, len(flat), limit):
        part: dict[str, list[Any]] = {}
        for table, request in flat[start : start + limit]:
            part.setdefault(table, []).append(request)
        parts.append(part)
    return parts
