"""Answers become what botocore's parser makes of them."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import re
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.endpoint import convert_to_response_dict
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.errors import MalformedAnswerError, ReadTimeoutError
from pynamodb_alternator.transport import parsing
from pynamodb_alternator.transport.large_answers import document
from pynamodb_alternator.transport.parsing import loads, parse_error, response_metadata

from .attribute_values import nested, scalars

SERVICE = botocore.session.Session().get_service_model("dynamodb")
STOCK = create_parser("json")

many = settings(deadline=None, max_examples=80)


def stock(operation: str, body: bytes) -> Any:
    answer = {"status_code": 200, "headers": {}, "body": body}
    parsed = STOCK.parse(answer, SERVICE.operation_model(operation).output_shape)
    parsed.pop("ResponseMetadata")
    return parsed


def ours(operation: str, body: bytes) -> Any:
    """What `loads` gives, which is the same with looks in between."""
    model = SERVICE.operation_model(operation)
    try:
        parsed = loads(body, model)
    except MalformedAnswerError as wrong:
        with pytest.raises(MalformedAnswerError, match=f"^{re.escape(str(wrong))}$"):
            loads(body, model, Looks())
        raise
    assert canonical(loads(body, model, Looks())) == canonical(parsed)
    return parsed


class Looks:
    """Counts looks, and raises an error at the one with the number `last`."""

    def __init__(self, last: int | None = None) -> None:
        self.count = 0
        self.last = last

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.last:
            raise ReadTimeoutError("no more time")


def same(operation: str, answer: Any) -> None:
    """The same dict from ours as from botocore's; where botocore's parser breaks, our error."""
    bodies = [json.dumps(answer).encode(), json.dumps(answer, separators=(",", ":")).encode()]
    with contextlib.suppress(UnicodeEncodeError):
        bodies.append(json.dumps(answer, ensure_ascii=False, indent=1).encode())
    for body in bodies:
        try:
            expected = stock(operation, body)
        except Exception:
            with pytest.raises(MalformedAnswerError):
                ours(operation, body)
        else:
            # repr too: NaN equals nothing, 1 equals True and 1.0, and a list of bytes is not a list of text.
            assert canonical(ours(operation, body)) == canonical(expected)


def canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: canonical(value[key]) for key in sorted(value)}
    return [canonical(element) for element in value] if isinstance(value, list) else repr(value)


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=10) | st.sampled_from(
    ["B", "null", '{"a":null}', '"B":"', "\x00", "😀", "1e5"]
)
names = texts | st.sampled_from(["B", "BS", "M", "L", "S", "Item", "Items", "NULL"])
blobs = st.binary(max_size=12).map(lambda value: base64.b64encode(value).decode())
values = nested(scalars(texts, blobs), names)
items = st.dictionaries(names, values, max_size=4)
numbers = st.integers(0, 2**40) | st.floats(0, 1e9) | st.sampled_from([0.5, 1.0, 2**63, 2**64, 2**70])
per_index = st.fixed_dictionaries({"CapacityUnits": numbers})
capacities = st.fixed_dictionaries(
    {"CapacityUnits": numbers},
    optional={
        "TableName": texts,
        "ReadCapacityUnits": numbers,
        "WriteCapacityUnits": numbers,
        "Table": per_index,
        "GlobalSecondaryIndexes": st.dictionaries(names, per_index, max_size=2),
        "Unknown": numbers,
    },
)
metrics = st.fixed_dictionaries({"ItemCollectionKey": items, "SizeEstimateRangeGB": st.lists(numbers, max_size=2)})
extras = {"Unknown": texts | items, "__type": texts}


def answers(place: st.SearchStrategy[Any], capacity: Any = capacities) -> dict[str, st.SearchStrategy[Any]]:
    """Answers of each item operation whose items are `place`."""
    return {
        "GetItem": st.fixed_dictionaries({}, optional={"Item": place, "ConsumedCapacity": capacity, **extras}),
        "UpdateItem": st.fixed_dictionaries(
            {}, optional={"Attributes": place, "ConsumedCapacity": capacity, "ItemCollectionMetrics": metrics, **extras}
        ),
        "Query": st.fixed_dictionaries(
            {"Items": st.lists(place, max_size=3), "Count": numbers},
            optional={"ScannedCount": numbers, "LastEvaluatedKey": place, "ConsumedCapacity": capacity, **extras},
        ),
        "BatchGetItem": st.fixed_dictionaries(
            {"Responses": st.dictionaries(names, st.lists(place, max_size=3), max_size=2)},
            optional={
                "UnprocessedKeys": st.dictionaries(
                    names,
                    st.fixed_dictionaries(
                        {"Keys": st.lists(place, max_size=2)},
                        optional={"ConsistentRead": st.booleans(), "ExpressionAttributeNames": st.just({"#a": "B"})},
                    ),
                    max_size=2,
                ),
                "ConsumedCapacity": st.lists(capacity, max_size=2),
                **extras,
            },
        ),
        "BatchWriteItem": st.fixed_dictionaries(
            {},
            optional={
                "UnprocessedItems": st.dictionaries(
                    names,
                    st.lists(
                        place.map(lambda item: {"PutRequest": {"Item": item}})
                        | place.map(lambda key: {"DeleteRequest": {"Key": key}}),
                        max_size=2,
                    ),
                    max_size=2,
                ),
                "ItemCollectionMetrics": st.dictionaries(names, st.lists(metrics, max_size=2), max_size=2),
                "ConsumedCapacity": st.lists(capacity, max_size=2),
                **extras,
            },
        ),
        "TransactGetItems": st.fixed_dictionaries(
            {"Responses": st.lists(st.fixed_dictionaries({}, optional={"Item": place}), max_size=3)}
        ),
        "TransactWriteItems": st.fixed_dictionaries(
            {}, optional={"ItemCollectionMetrics": st.dictionaries(names, st.lists(metrics, max_size=2), max_size=2)}
        ),
    }


OPERATIONS = sorted(answers(items))
ALIKE = {"PutItem": "UpdateItem", "DeleteItem": "UpdateItem", "Scan": "Query"}


@pytest.mark.parametrize("operation", [*OPERATIONS, *ALIKE])
def test_answers_become_the_same(operation: str) -> None:
    @many
    @given(answers(items)[ALIKE.get(operation, operation)])
    def check(answer: Any) -> None:
        same(operation, answer)

    check()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_damaged_answers_end_the_same(operation: str) -> None:
    junk = st.sampled_from([None, 1, 1.5, True, "text", "S", "QUI=", [], ["S"], [None], {}, {"S": None}])
    kinds = st.sampled_from(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M", "Unknown"])
    broken = scalars(texts, blobs) | junk | st.dictionaries(kinds, junk, max_size=2)
    place = st.dictionaries(names, nested(broken, names), max_size=2) | junk

    @settings(deadline=None, max_examples=120)
    @given(answers(place, capacities | junk)[operation] | junk)
    def check(answer: Any) -> None:
        # What is not strict base64 is refused, where botocore leaves characters out. The junk has none such.
        if answer is None or not isinstance(answer, dict):
            with pytest.raises(MalformedAnswerError):
                ours(operation, json.dumps(answer).encode())
        else:
            same(operation, answer)

    check()


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("GetItem", {}),
        ("GetItem", {"Item": {}}),
        ("GetItem", {"Item": {"B": {"S": "QUI="}, "x": {"M": {"B": {"B": "QUI="}, "BS": {"BS": ["QUI="]}}}}}),
        ("GetItem", {"Item": {"a": {"S": "\ud800"}}}),
        ("GetItem", {"Item": {"a": {"S": math.nan}}}),
        ("GetItem", {"Item": {"a": {"L": [None, {"S": "x"}, {"NULL": None}]}, "b": None}}),
        ("GetItem", {"Item": None, "ConsumedCapacity": None}),
        ("GetItem", {"Item": {"a": {"S": "null", "Future": [1]}}}),
        ("GetItem", {"Item": {"a": {"SS": [None, 1, 2.5, "x"]}}}),
        ("GetItem", {"Item": {"a": {"SS": "text", "NS": {"a": 1}}}}),
        ("GetItem", {"Item": {"a": {"S": "x"}, "b": "S"}}),
        ("GetItem", {"Item": {"a": {"S": "x"}, "b": "text"}}),
        ("GetItem", {"Item": {"a": {"S": "x"}, "b": 5}}),
        ("GetItem", {"Item": {"a": {"S": "x"}, "b": ["S"]}}),
        ("GetItem", {"Item": {"a": {"S": "x"}, "b": {}}}),
        ("GetItem", {"Item": {"a": {"S": "x", "Future": 1}, "b": {"S": "x"}}}),
        ("GetItem", {"Item": {"a": {"S": None}, "b": {"S": "x"}}}),
        ("GetItem", {"ConsumedCapacity": {"CapacityUnits": 2**80, "TableName": None}}),
        ("GetItem", {"ConsumedCapacity": {"CapacityUnits": 2**80, "TableName": "t"}}),
        ("GetItem", {"ConsumedCapacity": {"CapacityUnits": -(2**80), "TableName": "t"}}),
        ("GetItem", {"ConsumedCapacity": {"CapacityUnits": 2.0**80, "TableName": "t"}}),
        ("GetItem", {"ConsumedCapacity": {"CapacityUnits": 0.5, "TableName": 5}}),
        ("GetItem", {"ConsumedCapacity": {"CapacityUnits": 0.5, "Future": "t"}}),
        ("GetItem", {"ConsumedCapacity": {"TableName": "t", "Future": 0.5}}),
        ("GetItem", {"ConsumedCapacity": ["CapacityUnits", "TableName"]}),
        ("Query", {"Items": [{"a": {"S": "x"}}, None], "Count": 2**80}),
        ("Query", {"Items": [{}] * 3, "Count": 1.0, "ScannedCount": None, "NextToken": "x"}),
        ("BatchGetItem", {"Responses": {"t": [{"a": {"B": ""}}]}, "UnprocessedKeys": {}}),
        ("DescribeTable", {"Table": {"TableName": "t", "CreationDateTime": 1700000000.5, "Unknown": 1}}),
    ],
)
def test_chosen_answers_become_the_same(operation: str, answer: Any) -> None:
    same(operation, answer)


def test_the_last_of_two_equal_names_counts() -> None:
    body = b'{"Item":{"a":{"S":"1"},"a":{"B":"QUI="}},"Count":1,"Item":{"a":{"S":"1","S":"2"}}}'
    assert ours("GetItem", body) == stock("GetItem", body) == {"Item": {"a": {"S": "2"}}}


def test_deep_nesting_is_read() -> None:
    value: Any = {"B": "QUI="}
    for _ in range(100):
        value = {"L": [{"M": {"a": value}}]}
    same("GetItem", {"Item": {"a": value}})
    with pytest.raises(MalformedAnswerError):
        ours("GetItem", b'{"Item":{"a":' + b'{"L":[' * 100_000 + b"]}" * 100_000 + b"}}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"<html></html>",
        b"{} {}",
        b'{"Item":{}}x',
        b"\xef\xbb\xbf{}",
        b'{"Item":{"a":{"S":"\xff"}}}',
        b'{"Item":{"a":{"S":"\x00"}}}',
        b'{"Item":{"a":{"B":"QUI"}}}',
        b'{"Item":{"a":{"B":"Q U I ="}}}',
        b'{"Item":{"a":{"B":"QUI=QUI="}}}',
        b'{"Item":{"a":{"BS":["QUI=","*"]}}}',
        '{"Item":{"a":{"B":"é"}}}'.encode(),
        b'{"Item":{"a":{"B":5}}}',
        b'{"Item":[]}',
        b'{"Item":"secret value"}',
        b'{"Item":{"a":"S"}}',
    ],
)
def test_unreadable_answers_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError, match="answer to GetItem") as caught:
        ours("GetItem", body)
    assert "secret" not in str(caught.value)


def test_an_operation_without_an_answer_may_have_an_empty_body() -> None:
    assert ours("TagResource", b"") == ours("TagResource", b"{}") == {}
    for body in (b"<html>welcome</html>", b"[]", b"\xff"):
        with pytest.raises(MalformedAnswerError, match="answer to TagResource"):
            ours("TagResource", body)
    with pytest.raises(MalformedAnswerError, match="empty"):
        ours("DescribeTable", b"")


def test_the_short_way_is_taken_for_ordinary_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the long way")

    monkeypatch.setattr(parsing, "_stock_loads", never)
    item = {
        "a": {"S": '{"x":null}'},
        "b": {"B": "QUI="},
        "l": {"L": [{"M": {"n": {"NS": ["1"]}}}]},
        "n": {"NULL": True},
    }
    capacity = {"CapacityUnits": 0.5, "TableName": "t"}
    for operation, answer in (
        ("GetItem", {"Item": item, "ConsumedCapacity": capacity, "New": 1}),
        ("PutItem", {"Attributes": item, "ConsumedCapacity": capacity}),
        ("Query", {"Items": [item, item], "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": item}),
        ("BatchGetItem", {"Responses": {"t": [item]}, "UnprocessedKeys": {}, "ConsumedCapacity": [capacity]}),
        ("BatchWriteItem", {"UnprocessedItems": {}, "ConsumedCapacity": [capacity]}),
    ):
        body = json.dumps(answer).encode()
        assert ours(operation, body) == stock(operation, body)


# --- Errors --------------------------------------------------------------------------------------------------------


def stock_error(status: int, headers: dict[str, str], body: bytes, operation: str) -> Any:
    """As botocore's Endpoint has it, in its own words."""
    model = SERVICE.operation_model(operation)

    class Raw:
        def stream(self) -> Any:
            yield body

    response = convert_to_response_dict(AWSResponse("http://x/", status, headers, Raw()), model)
    parsed = STOCK.parse(response, model.output_shape)
    code = parsed.get("Error", {}).get("Code")
    shape = None if code is None else model.service_model.shape_for_error_code(code)
    if shape is not None:
        parsed.update(STOCK.parse(response, shape))
    parsed["ResponseMetadata"]["RetryAttempts"] = 0
    return parsed


PREFIX = "com.amazonaws.dynamodb.v20120810#"
reasons = st.fixed_dictionaries({"Code": texts}, optional={"Message": texts | st.none(), "Item": items})
errors = st.fixed_dictionaries(
    {
        "__type": st.sampled_from(
            [
                PREFIX + "ConditionalCheckFailedException",
                PREFIX + "TransactionCanceledException",
                PREFIX + "ValidationException",
                PREFIX + "ProvisionedThroughputExceededException",
                "ResourceNotFoundException:http://x/",
                "Unheard",
                "",
            ]
        )
    },
    optional={
        "message": texts | st.none(),
        "Message": texts,
        "Item": items,
        "CancellationReasons": st.lists(reasons, max_size=3),
        "ThrottlingReasons": st.lists(st.fixed_dictionaries({"reason": texts, "resource": texts}), max_size=2),
        "Unknown": items,
    },
)


@many
@given(
    errors | st.just({}),
    st.sampled_from([300, 301, 400, 413, 500, 503]),
    st.sampled_from([{}, {"X-Amzn-RequestId": "id", "Date": "now"}, {"x-amzn-query-error": "Code;Sender"}]),
    st.sampled_from(["GetItem", "PutItem", "TransactWriteItems", "TagResource"]),
)
def test_errors_become_the_same(error: Any, status: int, headers: Any, operation: str) -> None:
    body = json.dumps(error).encode()
    got = parse_error(status, headers, body, SERVICE.operation_model(operation))
    assert got == parse_error(status, headers, body, SERVICE.operation_model(operation), look=Looks())
    assert got == stock_error(status, headers, body, operation)


@pytest.mark.parametrize("body", [b"", b" ", b"no JSON", b"<html>no</html>", b'{"__type":null}', b"{"])
@pytest.mark.parametrize("status", [302, 404, 500, 502])
def test_errors_of_others_become_the_same(body: bytes, status: int) -> None:
    got = parse_error(status, {"A": "b"}, body, SERVICE.operation_model("GetItem"))
    if body:  # what is watched is large
        assert got == parse_error(status, {"A": "b"}, body, SERVICE.operation_model("GetItem"), look=Looks())
    assert got == stock_error(status, {"A": "b"}, body, "GetItem")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[]", b'{"__type":5}', b"5", b"[" * 100_000])
def test_an_error_that_cannot_be_read_is_known_by_its_status(body: bytes) -> None:
    got = parse_error(502, {"X-Amzn-RequestId": "id"}, body, SERVICE.operation_model("GetItem"), retry_attempts=2)
    assert got == {
        "Error": {"Code": "502", "Message": "Bad Gateway"},
        "ResponseMetadata": {
            "HTTPStatusCode": 502,
            "HTTPHeaders": {"x-amzn-requestid": "id"},
            "RequestId": "id",
            "RetryAttempts": 2,
        },
    }


def test_an_error_with_an_unreadable_item_is_that_error() -> None:
    body = b'{"__type":"x#ConditionalCheckFailedException","message":"m","Item":{"a":{"B":"*"}}}'
    got = parse_error(400, {}, body, SERVICE.operation_model("PutItem"))
    assert got["Error"] == {"Code": "ConditionalCheckFailedException", "Message": "m"}
    assert "Item" not in got


ITEM = {"k": {"S": "x"}, "l": {"L": [{"N": "1"}, {"M": {"b": {"B": "AAEC"}}}]}}
LARGE_ANSWERS: dict[str, tuple[str, Any]] = {
    "items": ("Scan", {"Items": [ITEM] * 5_000, "Count": 1}),
    "an item": ("GetItem", {"Item": {f"a{number}": {"S": "x"} for number in range(10_000)}}),
    "a list in an item": ("GetItem", {"Item": {"a": {"L": [{"N": "1"}] * 10_000}}}),
    "a set": ("GetItem", {"Item": {"a": {"SS": ["x"] * 100_000}}}),
    "a set of bytes": ("GetItem", {"Item": {"a": {"BS": ["AAEC"] * 100_000}}}),
    "numbers": ("GetItem", {"Item": {"a": {"L": [1] * 200_000}}}),
    "nulls": ("GetItem", {"Item": {"a": {"L": [None] * 200_000}}}),
    "members without a value": ("GetItem", {"Item": {f"a{number}": None for number in range(50_000)}}),
    "lists in lists": ("GetItem", {"Item": {"a": {"L": [[[[1, True]]]] * 50_000}}}),
    "tables": ("BatchGetItem", {"Responses": {"t": [ITEM] * 5_000}}),
    "for the other parser": ("Scan", {"Items": [{**ITEM, "u": {"S": "x", "U": None}}] * 5_000}),
    "of another operation": ("ListTables", {"TableNames": ["x"] * 100_000}),
    "wrong types": ("GetItem", {"Item": {"a": {"L": [[]] * 100_000}}}),
    "an error": (
        "PutItem",
        {"__type": "x#ConditionalCheckFailedException", "Item": {"a": {"L": [{"N": "1"}] * 10_000}}},
    ),
}


@pytest.mark.parametrize("kind", LARGE_ANSWERS)
def test_a_large_answer_can_be_given_up_at_any_of_many_looks(kind: str) -> None:
    operation, answer = LARGE_ANSWERS[kind]
    model, body = SERVICE.operation_model(operation), json.dumps(answer).encode()

    def read(looks: Looks) -> None:
        if kind == "an error":
            parse_error(400, {}, body, model, look=looks)
        else:
            loads(body, model, looks)

    looks = Looks()
    with contextlib.suppress(MalformedAnswerError):
        read(looks)
    assert looks.count >= 20
    for last in (1, 2, looks.count // 2, looks.count):
        with pytest.raises(ReadTimeoutError):
            read(Looks(last))


@pytest.mark.parametrize(
    ("kind", "values"), [("numbers", 200_000), ("nulls", 200_000), ("members without a value", 50_000)]
)
def test_between_two_looks_are_few_values(kind: str, values: int) -> None:
    """Seen: only texts, arrays and objects were counted, so that 16 MB of numbers took seconds without a look."""
    looks = Looks()
    document(json.dumps(LARGE_ANSWERS[kind][1]).encode(), looks)
    assert looks.count >= values // 500


def test_base64_is_read_in_parts_too() -> None:
    looks, before = Looks(), Looks()
    body = json.dumps(LARGE_ANSWERS["a set of bytes"][1]).encode()
    document(body, before)
    loads(body, SERVICE.operation_model("GetItem"), looks)
    assert looks.count - before.count >= 100_000 // 500


def test_answers_have_metadata() -> None:
    assert response_metadata(200, {"content-type": "x", "x-amzn-requestid": "id"}) == {
        "HTTPStatusCode": 200,
        "HTTPHeaders": {"content-type": "x", "x-amzn-requestid": "id"},
        "RequestId": "id",
        "RetryAttempts": 0,
    }
    assert "RequestId" not in response_metadata(200, {}, retry_attempts=1)
