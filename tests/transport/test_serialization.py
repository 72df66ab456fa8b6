"""Request bodies mean what botocore's serializer makes of the same parameters."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import botocore.session
import pytest
from boto3.dynamodb.types import Binary
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.transport.serialization import dumps

from .attribute_values import nested, scalars

SERVICE = botocore.session.Session().get_service_model("dynamodb")
STOCK = create_serializer("json", include_validation=False)

many = settings(deadline=None, max_examples=150)


def stock(operation: str, parameters: Any) -> Any:
    body = STOCK.serialize_to_request(parameters, SERVICE.operation_model(operation))["body"]
    return json.loads(body)


def ours(operation: str, parameters: Any) -> Any:
    body = dumps(parameters, SERVICE.operation_model(operation))
    assert isinstance(body, bytes)
    return json.loads(body.decode("utf-8"))


def outcome(make: Any, operation: str, parameters: Any) -> Any:
    try:
        # repr, because NaN equals nothing
        return repr(sorted_deep(make(operation, parameters)))
    except RecursionError:
        return RecursionError
    except Exception as error:
        return type(error)


def sorted_deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_deep(value[key]) for key in sorted(value)}
    return [sorted_deep(element) for element in value] if isinstance(value, list) else value


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["B", "BS", '"B":"', '\\"B":"', "null", ":null", '{"a":null}', "\x00\x1f\x7f", "\u2028", "😀", "S"]
)
names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6) | st.sampled_from(
    ["B", "BS", "M", "L", "S", "Key", "Item", "value"]
)
blobs = st.binary(max_size=20) | st.binary(max_size=5).map(bytearray) | st.binary(max_size=5).map(memoryview) | texts
values = nested(scalars(texts, blobs), names)
items = st.dictionaries(names, values, max_size=4)
odd = st.one_of(
    values,
    st.sampled_from(
        [
            {"S": None},
            {"S": b"bytes"},
            {"S": bytearray(b"bytes")},
            {"N": 5},
            {"N": 1.5},
            {"N": math.nan},
            {"N": math.inf},
            {"N": -math.inf},
            {"N": 2**70},
            {"N": -(2**63) - 1},
            {"N": Decimal("1.5")},
            {"S": datetime(2026, 1, 1, tzinfo=UTC)},
            {"S": "\ud800"},
            {"B": "\ud800"},
            {"B": None},
            {"B": 5},
            {"BS": None},
            {"BS": (b"1", "2")},
            {"BS": {b"1"}},
            {"BS": "text"},
            {"BS": b"bytes"},
            {"SS": ("a", "b")},
            {"SS": {"a"}},
            {"SS": [b"bytes"]},
            {"NS": [1, 2.5, 2**65]},
            {"L": ({"B": b"x"}, {"S": "y"})},
            {"L": [{"N": math.nan}, {"B": "x"}, {"S": "y"}]},
            {"M": OrderedDict(a={"B": b"x"})},
            {"M": MappingProxyType({"a": {"B": b"x"}})},
            {"M": MappingProxyType({"a": {"S": "x"}})},
            {"M": {1: {"S": "int key"}, None: {"B": "x"}, False: {"S": "x"}}},
            {"S": "a", "N": "1", "B": b"x"},
            {},
            MappingProxyType({"S": "x"}),
        ]
    ),
)
odd_items = st.dictionaries(names, odd, max_size=3)


@many
@given(items, items, st.text("#:abc = ", max_size=10), st.dictionaries(texts, texts, max_size=2))
def test_requests_of_single_items_mean_the_same(item: Any, more: Any, expression: str, aliases: Any) -> None:
    common = {"TableName": "t", "ReturnConsumedCapacity": "TOTAL", "ExpressionAttributeNames": aliases}
    for operation, parameters in (
        ("GetItem", {"Key": item, "ConsistentRead": True, "ProjectionExpression": expression, "AttributesToGet": []}),
        ("PutItem", {"Item": item, "ConditionExpression": expression, "ExpressionAttributeValues": more}),
        ("UpdateItem", {"Key": item, "UpdateExpression": expression, "ExpressionAttributeValues": more}),
        ("DeleteItem", {"Key": item, "ReturnValues": "ALL_OLD"}),
        ("Query", {"KeyConditionExpression": expression, "ExpressionAttributeValues": item, "Limit": 3}),
        ("Scan", {"ExclusiveStartKey": item, "FilterExpression": expression, "Segment": 0, "TotalSegments": 2}),
    ):
        assert ours(operation, {**common, **parameters}) == stock(operation, {**common, **parameters})


@many
@given(st.lists(items, max_size=3), st.lists(items, max_size=2))
def test_batches_and_transactions_mean_the_same(puts: Any, keys: Any) -> None:
    writes = [{"PutRequest": {"Item": item}} for item in puts] + [{"DeleteRequest": {"Key": key}} for key in keys]
    for operation, parameters in (
        ("BatchWriteItem", {"RequestItems": {"t": writes, "B": []}, "ReturnConsumedCapacity": "TOTAL"}),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": keys, "ConsistentRead": True}}}),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": keys, "ExpressionAttributeNames": {"#a": "B"}}}}),
        ("TransactGetItems", {"TransactItems": [{"Get": {"Key": key, "TableName": "t"}} for key in keys]}),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"Item": item, "TableName": "t"}} for item in puts]}),
    ):
        assert ours(operation, parameters) == stock(operation, parameters)


@many
@given(items, values)
def test_legacy_conditions_mean_the_same(item: Any, value: Any) -> None:
    expected = {"B": {"Value": value}, "b": {"AttributeValueList": [value], "ComparisonOperator": "EQ"}}
    for operation, parameters in (
        ("PutItem", {"Item": item, "Expected": expected}),
        ("UpdateItem", {"Key": item, "AttributeUpdates": {"B": {"Value": value, "Action": "PUT"}}}),
        ("Query", {"KeyConditions": {"BS": {"AttributeValueList": [value], "ComparisonOperator": "EQ"}}}),
        ("Scan", {"ScanFilter": {"BS": {"AttributeValueList": [value], "ComparisonOperator": "EQ"}}}),
    ):
        assert ours(operation, parameters) == stock(operation, parameters)


@many
@given(odd_items)
def test_unusual_values_end_the_same(item: Any) -> None:
    for operation, parameters in (
        ("PutItem", {"Item": item}),
        ("Query", {"ExpressionAttributeValues": item, "KeyConditionExpression": "a = :b"}),
        ("BatchWriteItem", {"RequestItems": {"t": [{"PutRequest": {"Item": item}}]}}),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": [item]}}}),
    ):
        assert outcome(ours, operation, parameters) == outcome(stock, operation, parameters)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("GetItem", {}),
        ("GetItem", {"TableName": "t", "Key": None}),
        ("GetItem", {"TableName": None, "Key": {}}),
        ("GetItem", {"TableName": "t", "Item": {"a": {"S": "not of GetItem"}}}),
        ("PutItem", {"TableName": "t", "Item": {}, "ConditionExpresion": "misspelt"}),
        ("PutItem", {"TableName": "t", "Item": {}, "ReturnValues": b"bytes"}),
        ("PutItem", {"TableName": "t", "Item": {}, 5: "no name"}),
        ("PutItem", {"TableName": "t", "Item": {"a": None}}),
        ("PutItem", {"TableName": "t", "Item": {"a\\": None}}),
        ("PutItem", {"TableName": "t", "Item": {'a"': None}}),
        ("PutItem", {"TableName": "t", "Item": {"a": {"SS": None}}}),
        ("PutItem", {"TableName": "t", "Item": {"a": {"L": [None]}}}),
        ("PutItem", {"TableName": "t", "Item": {"a": {"L": [{"S": "x"}, None]}}}),
        ("PutItem", {"TableName": "t", "Item": {"a": {"M": {"a": None}}}}),
        ("PutItem", {"TableName": "t", "Item": {"a": {"S": '{"x":null}'}}}),
        ("PutItem", {"TableName": "t", "Item": {"a": {"S": '"[null,null]"'}}}),
        ("Query", {"TableName": "t", "Limit": math.nan}),
        ("Query", {"TableName": "t", "Limit": 2**64, "ConsistentRead": math.inf}),
        ("Query", {"TableName": "t", "Limit": True, "ExclusiveStartKey": {"a": {"B": b"x"}}, "Segment": math.nan}),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": [], "ConsistentReed": True}}}),
        ("BatchGetItem", {"RequestItems": {"t": {}}}),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": [{"a": {"B": "x"}}], "ConsistentRead": None}}}),
        ("BatchGetItem", {"RequestItems": None}),
        ("BatchWriteItem", {"RequestItems": {"t": ({"PutRequest": {"Item": {}}},)}}),
        ("BatchWriteItem", {"RequestItems": {"t": None}}),
        ("DescribeTable", {"TableName": "t"}),
        ("RestoreTableToPointInTime", {"TargetTableName": "t", "RestoreDateTime": datetime(2026, 1, 2, 3, 4, 5, 678)}),
        ("ListBackups", {"TimeRangeLowerBound": 1.5, "TimeRangeUpperBound": "2026-01-02T03:04:05Z"}),
        ("ListTables", {}),
    ],
)
def test_unusual_parameters_end_the_same(operation: str, parameters: Any) -> None:
    assert outcome(ours, operation, parameters) == outcome(stock, operation, parameters)


def test_a_misspelt_parameter_is_refused() -> None:
    # The server overlooks it, and would write without the condition.
    with pytest.raises(KeyError, match="ConditionExpresion"):
        ours("PutItem", {"TableName": "t", "Item": {}, "ConditionExpresion": "attribute_not_exists(a)"})


def test_deep_nesting_ends_the_same() -> None:
    for depth in (30, 200, 300):
        value: Any = {"B": b"x"}
        for _ in range(depth // 2):
            value = {"M": {"a": {"L": [value]}}}
        parameters = {"TableName": "t", "Item": {"a": value}}
        assert outcome(ours, "PutItem", parameters) == outcome(stock, "PutItem", parameters)
    circle: dict[str, Any] = {}
    circle["M"] = {"a": circle}
    with pytest.raises((RecursionError, ValueError)):
        ours("PutItem", {"TableName": "t", "Item": {"a": circle}})


def test_subclasses_of_plain_types_are_sent_as_these() -> None:
    class Name(str):
        __slots__ = ()

    class Colour(str, enum.Enum):  # noqa: UP042 - what applications have
        RED = "red"

    class Number(enum.IntEnum):
        ONE = 1

    class Bits(bytes):
        pass

    item = OrderedDict(
        a={"S": Name("x")}, b={"S": Colour.RED}, c={"N": Number.ONE}, d={"B": Bits(b"x")}, e={Name("B"): "x"}
    )
    parameters = {"TableName": Name("t"), "Item": item}
    assert ours("PutItem", parameters) == stock("PutItem", parameters)


@pytest.mark.parametrize("value", [{"SS": "text"}, {"L": "text"}, {"M": []}, {"Z": "unknown"}, {"S": {}}])
def test_what_is_wrong_inside_an_attribute_value_is_left_to_the_server(value: Any) -> None:
    assert ours("PutItem", {"TableName": "t", "Item": {"a": value}}) == {"TableName": "t", "Item": {"a": value}}


def test_the_binary_of_boto3_is_taken_for_its_bytes() -> None:
    item = {"a": {"B": Binary(b"\x00\xff")}, "b": {"BS": [Binary(b"x")]}, "c": {"S": '{"x":null}'}}
    assert ours("PutItem", {"TableName": "t", "Item": item})["Item"] == {
        "a": {"B": "AP8="},
        "b": {"BS": ["eA=="]},
        "c": {"S": '{"x":null}'},
    }


def test_parameters_are_left_as_they_were() -> None:
    item = {"a": {"B": b"x"}, "m": {"M": {"b": {"BS": ["text"]}, "l": {"L": [{"B": "y"}]}}}}
    before = repr(item)
    ours("PutItem", {"TableName": "t", "Item": item})
    ours("BatchWriteItem", {"RequestItems": {"t": [{"PutRequest": {"Item": item}}]}})
    assert repr(item) == before
