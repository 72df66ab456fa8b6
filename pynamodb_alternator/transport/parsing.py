"""Makes of the bytes of an answer the same dict that botocore's parser would make.

botocore's parser goes through an answer by the operation's output shape: it drops unknown and null members, and turns
base64 into bytes. This takes about ten times as long as to read the JSON. For item operations, `loads` reads the JSON
with orjson, changes binary values in place, and checks that botocore's parser would change nothing else. If it cannot
be sure, and for all other operations, botocore's parser does the work.

A success whose body cannot be read raises `MalformedAnswerError`. botocore returns an empty dict for an empty body and
for one that is not JSON, which a caller would understand as "no such item". It also drops values that are not base64.

One difference remains: if an attribute value has a JSON number (DynamoDB sends text) of more than 64 bits, it becomes a
float here, and an int with botocore.
"""

from __future__ import annotations

import json
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from http.client import responses as _reason_phrases
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson
from botocore.parsers import ResponseParserFactory

from ..errors import MalformedAnswerError, TransportError
from ._botocore import DocumentParser
from .large_answers import Every, Look, document, parts
from .unknown_operations import add_what_instead
from .vector_shapes import FLOAT32VECTOR

if TYPE_CHECKING:
    from botocore.model import OperationModel

__all__ = ["loads", "parse_error", "response_metadata"]


def loads(body: bytes, operation_model: OperationModel, look: Look | None = None) -> dict[str, Any]:
    """The content of a successful answer, without `ResponseMetadata`.

    `look`: for a large body (see `large_answers`). It is called now and then, and may raise an error to end the work.
    Raises `MalformedAnswerError` for a body that is empty although the operation has an answer, that is not a JSON
    object, or whose values do not have the types of the operation's output.
    """
    if look is not None:
        return _watched_loads(body, operation_model, look)
    places = _PLACES.get(operation_model.name)
    if places is not None:
        try:
            answer = orjson.loads(body)
            if _is_settled(answer, places, operation_model, b"null" in body, None):
                return answer  # type: ignore[no-any-return]
        except (ValueError, TypeError):
            # The body is not JSON, or has wrong base64 or a value of an unexpected type. The stock way raises the right
            # error.
            pass
    return _stock_loads(body, operation_model)


def parse_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    operation_model: OperationModel,
    *,
    retry_attempts: int = 0,
    look: Look | None = None,
) -> dict[str, Any]:
    """The content of an answer with `status` >= 300: `Error`, modelled members such as `Item`, and `ResponseMetadata`.

    It is the same as from botocore's endpoint, with two differences. The text of an error may say what to use instead
    of the operation (`unknown_operations`). And it does not raise: for a body that is not text or a JSON object (a
    proxy's page), the status is the error's code, and modelled members that cannot be read are left out. `look`: see
    `loads`; only its errors are raised.
    """
    parser = _parser if look is None else _watched_parser(_error_document(body, look), look)
    lower = {name.lower(): value for name, value in headers.items()}
    answer = {"status_code": status, "headers": lower, "body": body, "context": {}}
    # botocore's stubs are too narrow for both: the shape may be None, and a code is a str.
    output_shape: Any = operation_model.output_shape
    shape_for_error_code: Any = operation_model.service_model.shape_for_error_code
    try:
        parsed: dict[str, Any] = parser.parse(answer, output_shape)
    except TransportError:
        raise
    except Exception:
        parsed = {
            "Error": {"Code": str(status), "Message": _reason_phrases.get(status, "")},
            "ResponseMetadata": response_metadata(status, lower),
        }
    metadata = parsed["ResponseMetadata"]
    code = parsed.get("Error", {}).get("Code")
    shape = shape_for_error_code(code) if isinstance(code, str) else None
    if shape is not None:
        try:
            modelled: dict[str, Any] = parser.parse(answer, shape)
        except TransportError:
            raise
        except Exception:
            modelled = {}
        parsed.update(modelled)
    metadata["RetryAttempts"] = retry_attempts
    parsed["ResponseMetadata"] = metadata
    add_what_instead(parsed, operation_model.name)
    return parsed


def response_metadata(status: int, headers: Mapping[str, str], *, retry_attempts: int = 0) -> dict[str, Any]:
    """The `ResponseMetadata` of a successful answer. `headers`: with names in lower case."""
    metadata: dict[str, Any] = {"HTTPStatusCode": status, "HTTPHeaders": dict(headers), "RetryAttempts": retry_attempts}
    if "x-amzn-requestid" in headers:
        metadata["RequestId"] = headers["x-amzn-requestid"]
    return metadata


# --- The stock way -----------------------------------------------------------------------------------------------


def _strict_base64(value: Any) -> bytes:
    return a2b_base64(value, strict_mode=True)


_STRANGER = "Is that the port of Alternator, and is there a proxy in between that answers for it?"

_factory = ResponseParserFactory()
_factory.set_parser_defaults(blob_parser=_strict_base64)
_parser = _factory.create_parser("json")


def _stock_loads(body: bytes, operation_model: OperationModel) -> dict[str, Any]:
    if operation_model.output_shape is None and not body:
        return {}
    # botocore's parser does not raise an error for a body that is not JSON.
    _document(body, operation_model, lambda: json.loads(body.decode()))
    return _parsed(_parser, body, operation_model)


def _watched_loads(body: bytes, operation_model: OperationModel, look: Look) -> dict[str, Any]:
    """Like `loads`, with looks in between. It tries the same two ways."""
    if operation_model.output_shape is None and not body:
        return {}
    answer = _document(body, operation_model, lambda: document(body, look))
    places = _PLACES.get(operation_model.name)
    if places is not None:
        try:
            if _is_settled(answer, places, operation_model, b"null" in body, look):
                return answer
        except (ValueError, TypeError):
            pass
        # The short way may have changed some base64 to bytes, which the stock way does not accept.
        answer = _document(body, operation_model, lambda: document(body, look))
    return _parsed(_watched_parser(answer, look), body, operation_model)


def _watched_parser(answer: Any, look: Look) -> DocumentParser:
    return DocumentParser(answer, Every(look), _strict_base64)


def _error_document(body: bytes, look: Look) -> Any:
    """The document of an error; if it is not JSON, the document that botocore's parser makes of it."""
    try:
        return document(body, look)
    except (ValueError, RecursionError):
        return {"message": body.decode("utf-8", "replace")}


def _document(body: bytes, operation_model: OperationModel, read: Callable[[], Any]) -> dict[str, Any]:
    """The result of `read`, which reads the body. Raises `MalformedAnswerError` if it is not a JSON object."""
    name = operation_model.name
    if not body:
        raise MalformedAnswerError(f"The answer to {name} is empty. {_STRANGER}")
    try:
        answer = read()
    except (ValueError, RecursionError) as wrong:
        # The text of a UnicodeDecodeError is not used, because it may quote the body.
        what = "UTF-8" if isinstance(wrong, UnicodeDecodeError) else "JSON"
        raise MalformedAnswerError(f"The answer to {name} is not valid {what}. {_STRANGER}") from None
    if not isinstance(answer, dict):
        raise MalformedAnswerError(f"The answer to {name} is not a JSON object. {_STRANGER}")
    return answer


def _parsed(parser: Any, body: bytes, operation_model: OperationModel) -> dict[str, Any]:
    name, shape = operation_model.name, operation_model.output_shape
    if shape is None:
        return {}  # the operation has no output
    try:
        parsed: dict[str, Any] = parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    except TransportError:
        raise  # the deadline has passed
    except Exception as wrong:
        # The parser does not expect wrong types, so many kinds of errors are possible. Their texts may quote values.
        raise MalformedAnswerError(
            f"The answer to {name} has a value of the wrong type or encoding ({type(wrong).__name__})."
        ) from None
    del parsed["ResponseMetadata"]
    return parsed


# --- The short way -----------------------------------------------------------------------------------------------
# Each function returns whether botocore's parser would not change the value. False means "not sure".

_SCALARS = frozenset({"S", "N", "BOOL", "NULL"})
_LISTS = ("SS", "NS", "BS", "L", FLOAT32VECTOR)
_KINDS = _SCALARS | {"B", "M", *_LISTS}
_NUMBERS = {int, float}
_JUST_DICT = {dict}
_CAPACITY = frozenset({"TableName", "CapacityUnits", "ReadCapacityUnits", "WriteCapacityUnits"})
_LARGEST_EXACT = 2.0**63
"""From this number on, orjson makes a float of an integer, and json.loads an int."""


def _is_settled(
    answer: Any, places: _Places, operation_model: OperationModel, has_null: bool, look: Look | None
) -> bool:
    if type(answer) is not dict:
        return False
    has_unknown = False
    for name, value in answer.items():
        is_settled = places.get(name)
        if is_settled is None:
            has_unknown = True
        elif not is_settled(value, has_null, look):
            return False
    return not has_unknown or _without_unknown(answer, places, operation_model)


def _without_unknown(answer: dict[str, Any], places: _Places, operation_model: OperationModel) -> bool:
    """Remove members that the operation's output does not have. If there is another member that this module does not
    handle, nothing is removed, and the result is False."""
    unknown = answer.keys() - places.keys()
    if operation_model.output_shape is None or not unknown.isdisjoint(operation_model.output_shape.members):
        return False
    for name in unknown:
        del answer[name]
    return True


def _values(values: list[Any], has_null: bool, look: Look | None) -> bool:
    """Check attribute values, with all nested ones. Base64 becomes bytes, in place."""
    if look is None:
        level: list[Any] | None = values
        while level:
            level = _inside(level, has_null, None)
        return level is not None
    # The values are checked in parts, and the nested values of each part before the next part.
    waiting = [parts(values, look)]
    while waiting:
        some = next(waiting[-1], None)
        if some is None:
            waiting.pop()
            continue
        inner = _inside(some, has_null, look)
        if inner is None:
            return False
        if inner:
            waiting.append(parts(inner, look))
    return True


def _inside(values: list[Any], has_null: bool, look: Look | None) -> list[Any] | None:
    """Check these values, and return the values nested directly in them; None if this is not sure for one of them."""
    # Two fast passes in C: most values need no other check.
    if set(map(type, values)) != _JUST_DICT:
        return None
    kinds = set().union(*values)
    if has_null and None in chain.from_iterable(map(dict.values, values)):
        return None
    inner: list[Any] = []
    if kinds <= _SCALARS:
        return inner
    if not kinds <= _KINDS:
        return None
    if "B" in kinds:
        for value in values:
            if "B" in value:
                value["B"] = a2b_base64(value["B"], strict_mode=True)
    for kind in _LISTS:
        if kind in kinds and not all(type(value[kind]) is list for value in values if kind in value):
            return None
    if FLOAT32VECTOR in kinds and not all(set(map(type, value.get(FLOAT32VECTOR, ()))) <= _NUMBERS for value in values):
        return None
    if "BS" in kinds:
        for value in values:
            if "BS" in value:
                texts = value["BS"]
                some = [texts] if look is None else parts(texts, look)
                value["BS"] = [a2b_base64(text, strict_mode=True) for text in chain.from_iterable(some)]
    if "L" in kinds:
        for value in values:
            inner += value.get("L", ())
    if "M" in kinds:
        inner += chain.from_iterable(dict.values(value["M"]) for value in values if "M" in value)
    return inner


def _attributes(value: Any, has_null: bool, look: Look | None) -> bool:
    values = dict.values(value)
    # Most items have only scalars and need one pass in C. It raises a TypeError for a value that is not a map.
    if look is None and not has_null and _SCALARS.issuperset(chain.from_iterable(map(dict.keys, values))):
        return True
    return _values(list(values), has_null, look)


def _items(value: Any, has_null: bool, look: Look | None) -> bool:
    if type(value) is not list:
        return False
    if look is None:
        return _values(list(chain.from_iterable(map(dict.values, value))), has_null, None)
    return all(
        _values(list(chain.from_iterable(map(dict.values, some))), has_null, look) for some in parts(value, look)
    )


def _results(value: Any, has_null: bool, look: Look | None) -> bool:
    """Check the results of SearchVectors."""
    return (
        type(value) is list
        and all(type(result) is dict and result.keys() == {"Item", "Score"} for result in value)
        and _scores([result["Score"] for result in value], has_null, look)
        and _items([result["Item"] for result in value], has_null, look)
    )


def _scores(value: Any, has_null: bool, look: Look | None) -> bool:
    return type(value) is list and set(map(type, value)) <= _NUMBERS


def _tables(value: Any, has_null: bool, look: Look | None) -> bool:
    return all(_items(items, has_null, look) for items in dict.values(value))


def _count(value: Any, has_null: bool, look: Look | None) -> bool:
    return type(value) is int


def _nothing(value: Any, has_null: bool, look: Look | None) -> bool:
    """Check for an empty map, as ScyllaDB has it for unprocessed items. Any other value is left to botocore's
    parser."""
    return type(value) is dict and not value


def _capacity(value: Any, has_null: bool, look: Look | None) -> bool:
    if type(value) is dict:
        units = value.get("CapacityUnits")
        if type(units) is float and units < _LARGEST_EXACT and len(value) == 2 and type(value.get("TableName")) is str:
            return units > -_LARGEST_EXACT  # as Alternator tells it
        return value.keys() <= _CAPACITY and all(
            type(units) in (str, int) or (type(units) is float and abs(units) < _LARGEST_EXACT)
            for units in value.values()
        )
    return False


def _capacities(value: Any, has_null: bool, look: Look | None) -> bool:
    return type(value) is list and all(_capacity(capacity, has_null, look) for capacity in value)


_Places = Mapping[str, Callable[[Any, bool, Look | None], bool]]

_WRITE: _Places = {"Attributes": _attributes, "ConsumedCapacity": _capacity}
_PAGE: _Places = {
    "Items": _items,
    "Count": _count,
    "ScannedCount": _count,
    "LastEvaluatedKey": _attributes,
    "ConsumedCapacity": _capacity,
}
_PLACES: Mapping[str, _Places] = {
    "GetItem": {"Item": _attributes, "ConsumedCapacity": _capacity},
    "PutItem": _WRITE,
    "UpdateItem": _WRITE,
    "DeleteItem": _WRITE,
    "Query": {**_PAGE, "Scores": _scores},
    "SearchVectors": {"SearchResults": _results},
    "Scan": _PAGE,
    "BatchGetItem": {"Responses": _tables, "UnprocessedKeys": _nothing, "ConsumedCapacity": _capacities},
    "BatchWriteItem": {
        "UnprocessedItems": _nothing,
        "ItemCollectionMetrics": _nothing,
        "ConsumedCapacity": _capacities,
    },
}
"""For each operation: the function that checks each member of the answer."""
