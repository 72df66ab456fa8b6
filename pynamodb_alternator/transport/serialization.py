"""Makes the JSON bytes of a request from the parameters of its operation.

The rule is botocore's `JSONSerializer` with `parameter_validation=False` (which PynamoDB sets): the bytes mean the same
JSON, without its spaces and ``\\u`` escapes. orjson writes the requests for which this is certain. botocore's own
serializer writes all others, with its own result or error: legacy conditions, transactions, tables, a set instead of a
list, a number of more than 64 bits, a mistake.

Attribute values are checked less strictly than by botocore: the server refuses a wrong shape (``{"Z": ...}``,
``{"SS": "a"}``).
"""

from __future__ import annotations

import enum
import json
import marshal
import re
import uuid
from binascii import b2a_base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from botocore.serialize import create_serializer

if TYPE_CHECKING:
    from botocore.model import OperationModel

__all__ = ["dumps"]

_stock = create_serializer("json", include_validation=False)

# json.dumps refuses a dataclass and a datetime, but orjson would write them.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

_ATTRIBUTE_MAPS = frozenset({"Key", "Item", "ExpressionAttributeValues", "ExclusiveStartKey"})
"""Request members that map names to attribute values."""

_WITHOUT_VALUES = frozenset(
    {"TableName", "IndexName", "AttributesToGet", "ConsistentRead", "ReturnConsumedCapacity", "ReturnValues"}
    | {"ReturnItemCollectionMetrics", "ReturnValuesOnConditionCheckFailure", "ConditionExpression", "Limit", "Select"}
    | {"FilterExpression", "KeyConditionExpression", "ProjectionExpression", "UpdateExpression", "ScanIndexForward"}
    | {"ExpressionAttributeNames", "TotalSegments", "Segment", "ConditionalOperator"}
    | {"SearchVector", "VectorSearch", "TopK", "SearchConditionExpression"}
)
"""Request members that have no binary value: names, numbers, switches, vectors."""

_OPERATIONS = frozenset(
    {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchGetItem", "BatchWriteItem", "Query", "Scan"}
    | {"SearchVectors"}
)
_BATCHES = frozenset({"BatchGetItem", "BatchWriteItem"})
_NO_MEMBERS: frozenset[str] = frozenset()
_NULL = rb'(?:(?<!\\)|\\\\)":null|[\[,]null'
"""A null of the document itself. If an attribute's text is JSON, its null has an escaped quote before the colon. Other
text that looks the same costs only time."""

_members: dict[str, frozenset[str]] = {}
"""For each operation seen so far, the members that orjson may write."""


def dumps(parameters: Mapping[str, Any], operation_model: OperationModel) -> bytes:
    """The body of a request, in UTF-8.

    `bytes`, `bytearray`, `memoryview` and boto3's `Binary` become base64 where the operation has a binary value. A
    `str` in such a place is first encoded in UTF-8, as by botocore.

    Raises the errors of botocore's serializer: KeyError for an unknown parameter, TypeError for a value that JSON does
    not have, AttributeError for one of the wrong shape, ...
    """
    name = operation_model.name
    known = _members.get(name)
    if known is None:
        known = _members[name] = _fast_members(operation_model)
    if not parameters.keys() <= known or (name in _BATCHES and not _is_plain_batch(parameters)):
        return _stock_dumps(parameters, operation_model)
    try:
        body = orjson.dumps(parameters, option=_OPTIONS)
    except TypeError:
        # Mostly because of binary values. Otherwise botocore's serializer raises the error.
        pass
    else:
        # In JSON a quote inside a text is escaped. So these bytes are a member name, perhaps of a binary value.
        if b'"B":' not in body and b'"BS":' not in body:
            return _stock_dumps(parameters, operation_model) if _is_in_doubt(body, parameters) else body
    try:
        copy = _with_base64(parameters)
        body = orjson.dumps(copy, option=_OPTIONS)
        # From the copy, because botocore's serializer does not accept boto3's Binary.
        return json.dumps(copy).encode() if _is_in_doubt(body, copy) else body
    except (TypeError, AttributeError, ValueError, RecursionError):
        return _stock_dumps(parameters, operation_model)


def _is_in_doubt(body: bytes, parameters: Mapping[str, Any]) -> bool:
    """Whether orjson may have written a value that json.dumps would write in another way, or refuse."""
    return _may_have_null(body) or _may_hold_refused(parameters)


def _may_hold_refused(parameters: Any) -> bool:
    """Whether there is an enum or a UUID in it. orjson would write it as its value or text.

    marshal refuses every type that is not a plain type of Python. It takes 0.5 µs for a request that gets an item.
    """
    try:
        marshal.dumps(parameters)
    except ValueError:
        return _holds_refused(parameters)
    return False


def _holds_refused(value: Any) -> bool:
    if isinstance(value, enum.Enum | uuid.UUID):
        return True
    if isinstance(value, Mapping):
        return any(_holds_refused(inner) for inner in value.values())
    return isinstance(value, list | tuple) and any(map(_holds_refused, value))


def _may_have_null(body: bytes) -> bool:
    """Whether orjson may have written None, NaN or infinity: it writes all of them as null.

    A server could treat null as a missing parameter. json.dumps, and so botocore, writes NaN and infinity differently.
    """
    return b"null" in body and re.search(_NULL, body) is not None


def _stock_dumps(parameters: Mapping[str, Any], operation_model: OperationModel) -> bytes:
    body: bytes = _stock.serialize_to_request(parameters, operation_model)["body"]
    return body


def _fast_members(operation_model: OperationModel) -> frozenset[str]:
    if operation_model.name not in _OPERATIONS or operation_model.input_shape is None:
        return _NO_MEMBERS
    ours = _ATTRIBUTE_MAPS | _WITHOUT_VALUES | {"RequestItems"}
    return ours & operation_model.input_shape.members.keys()


_KEYS_AND_ATTRIBUTES = _WITHOUT_VALUES & {
    "AttributesToGet",
    "ConsistentRead",
    "ProjectionExpression",
    "ExpressionAttributeNames",
} | {"Keys"}


def _is_plain_batch(parameters: Mapping[str, Any]) -> bool:
    """Whether the tables of a batch have only members that we know.

    The server ignores an unknown member, such as a misspelt `ConsistentRead`, and botocore refuses it.
    """
    tables = parameters.get("RequestItems")
    if type(tables) is not dict:
        return False
    for requests in tables.values():
        if type(requests) is dict:
            if not requests.keys() <= _KEYS_AND_ATTRIBUTES:
                return False
        elif type(requests) is not list:
            return False
    return True


def _with_base64(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose binary values are base64 text. Parts without binary values are not copied."""
    copy = dict(parameters)
    for name in _ATTRIBUTE_MAPS & copy.keys():
        copy[name] = _map(copy[name])
    if "RequestItems" in copy:
        copy["RequestItems"] = {table: _requests(requests) for table, requests in copy["RequestItems"].items()}
    return copy


def _requests(requests: Any) -> Any:
    if isinstance(requests, dict):  # of BatchGetItem
        return {**requests, "Keys": [_map(key) for key in requests["Keys"]]} if "Keys" in requests else requests
    return [
        {kind: {place: _map(attributes) for place, attributes in body.items()} for kind, body in request.items()}
        for request in requests
    ]


def _map(attributes: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in attributes.items()}


def _value(value: Any) -> Any:
    copy = None
    for kind, content in value.items():
        if kind == "B":
            changed: Any = _base64(content)
        elif kind == "BS":
            changed = [_base64(element) for element in content]
        elif kind == "M":
            changed = _map(content)
        elif kind == "L":
            changed = [_value(element) for element in content]
        else:
            continue
        copy = copy or dict(value)
        copy[kind] = changed
    return value if copy is None else copy


def _base64(content: Any) -> str:
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = _unwrapped_binary(content)
    return b2a_base64(content, newline=False).decode()


def _unwrapped_binary(content: Any) -> Any:
    """The bytes in boto3's `Binary`. It is recognized by its attribute, so that boto3 need not be installed."""
    inner = getattr(content, "value", None)
    return inner if isinstance(inner, bytes | bytearray) else content
