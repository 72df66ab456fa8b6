"""Query and Scan: what they find, page by page, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.keys import segment_of
from pynamodb_alternator.routing.token import token_of

from .test_items import n, table
from .wire import Wire, s

COUNT = 25


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with LocalCluster(1) as local, Wire(local.nodes[0]) as connected:
        definitions = [{"AttributeName": "g", "AttributeType": "S"}, {"AttributeName": "l", "AttributeType": "N"}]
        connected.ok(
            "CreateTable",
            table(
                "tab",
                "S",
                "N",
                definitions=definitions,
                GlobalSecondaryIndexes=[
                    {
                        "IndexName": "by_g",
                        "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                        "Projection": {"ProjectionType": "ALL"},
                    }
                ],
                LocalSecondaryIndexes=[
                    {
                        "IndexName": "by_l",
                        "KeySchema": [
                            {"AttributeName": "p", "KeyType": "HASH"},
                            {"AttributeName": "l", "KeyType": "RANGE"},
                        ],
                        "Projection": {"ProjectionType": "ALL"},
                    }
                ],
            ),
        )
        for number in range(COUNT):
            item = {
                "p": s("a"),
                "c": n(str(number)),
                "g": s("x"),
                "l": n(str(-number)),
                "odd": {"BOOL": number % 2 == 1},
            }
            connected.ok("PutItem", {"TableName": "tab", "Item": item})
        connected.ok("PutItem", {"TableName": "tab", "Item": {"p": s("b"), "c": n("1")}})
        yield connected
    assert local.failures == []


def pages(wire: Wire, operation: str, **request: Any) -> list[dict[str, Any]]:
    result = [wire.ok(operation, {"TableName": "tab", **request})]
    while start := result[-1].get("LastEvaluatedKey"):
        result.append(wire.ok(operation, {"TableName": "tab", **request, "ExclusiveStartKey": start}))
    return result


def numbers(answers: list[dict[str, Any]]) -> list[int]:
    return [int(item["c"]["N"]) for page in answers for item in page["Items"]]


KEY: dict[str, Any] = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": s("a")}}


def test_pages_of_a_query(wire: Wire) -> None:
    assert numbers(pages(wire, "Query", **KEY)) == list(range(COUNT))
    assert numbers(pages(wire, "Query", **KEY, Limit=4)) == list(range(COUNT))
    assert numbers(pages(wire, "Query", **KEY, Limit=4, ScanIndexForward=False)) == list(range(COUNT))[::-1]
    assert numbers(pages(wire, "Query", **KEY, Limit=4, IndexName="by_l")) == list(range(COUNT))[::-1]
    by_g = {"KeyConditionExpression": "g = :p", "ExpressionAttributeValues": {":p": s("x")}, "IndexName": "by_g"}
    assert sorted(numbers(pages(wire, "Query", **by_g, Limit=4))) == list(range(COUNT))


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("Query", KEY),
        ("Query", {**KEY, "IndexName": "by_l"}),
        ("Query", {**KEY, "Select": "COUNT"}),
        ("Scan", {"IndexName": "by_g"}),
        ("Scan", {"FilterExpression": "c < :p", "ExpressionAttributeValues": {":p": n("0")}}),
    ],
)
def test_a_full_page_is_not_known_to_be_the_last(wire: Wire, operation: str, more: dict[str, Any]) -> None:
    there = wire.ok(operation, {"TableName": "tab", **more})
    assert "LastEvaluatedKey" not in there
    full = wire.ok(operation, {"TableName": "tab", **more, "Limit": there["ScannedCount"]})
    last = full.pop("LastEvaluatedKey")
    assert full == there
    rest = wire.ok(operation, {"TableName": "tab", **more, "ExclusiveStartKey": last})
    assert (rest["ScannedCount"], "LastEvaluatedKey" in rest) == (0, False)
    larger = wire.ok(operation, {"TableName": "tab", **more, "Limit": there["ScannedCount"] + 1})
    assert larger == there


def test_an_index_without_a_sort_key_is_in_the_order_of_the_tables_keys(cluster: LocalCluster) -> None:
    index = {
        "IndexName": "by_g",
        "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    definitions = [{"AttributeName": "g", "AttributeType": "S"}]
    keys = [("a", 2), ("a", 10), ("b", 1), ("c", 0), ("ä", -1)]
    with Wire(cluster.nodes[0]) as wire:
        wire.ok("CreateTable", table("tab", "S", "N", definitions=definitions, GlobalSecondaryIndexes=[index]))
        for p, c in (keys[3], keys[0], keys[4], keys[2], keys[1]):
            wire.ok("PutItem", {"TableName": "tab", "Item": {"p": s(p), "c": n(str(c)), "g": s("x")}})
        by_g = {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": s("x")}, "IndexName": "by_g"}
        for limit in ({}, {"Limit": 1}, {"Limit": 2}):
            for forward in (True, False):
                answers = pages(wire, "Query", **by_g, **limit, ScanIndexForward=forward)
                keys_read = [(item["p"]["S"], int(item["c"]["N"])) for page in answers for item in page["Items"]]
                assert keys_read == (keys if forward else keys[::-1])
            keys_read = [
                item["p"]["S"] for page in pages(wire, "Scan", IndexName="by_g", **limit) for item in page["Items"]
            ]
            assert keys_read == [p for p, _ in keys]


def test_a_filter_counts_what_it_looked_at(wire: Wire) -> None:
    values = {":p": s("a"), ":true": {"BOOL": True}}
    query = {**KEY, "ExpressionAttributeValues": values, "FilterExpression": "odd = :true", "Limit": 10}
    answers = pages(wire, "Query", **query)
    assert numbers(answers) == [number for number in range(COUNT) if number % 2]
    assert [(page["Count"], page["ScannedCount"]) for page in answers] == [(5, 10), (5, 10), (2, 5)]
    counted = pages(wire, "Query", **query, Select="COUNT")
    assert [(page["Count"], page["ScannedCount"]) for page in counted] == [(5, 10), (5, 10), (2, 5)]
    assert not any("Items" in page for page in counted)


def test_segments_of_a_scan(wire: Wire) -> None:
    seen: list[int] = []
    for segment in range(3):
        seen += numbers(pages(wire, "Scan", Segment=segment, TotalSegments=3, Limit=3))
    assert sorted(seen) == sorted([*range(COUNT), 1])
    segments = [numbers(pages(wire, "Scan", Segment=segment, TotalSegments=3)) for segment in range(3)]
    segment = segment_of(token_of("S", "a"), 3)
    assert set(segments[segment]) >= set(range(COUNT)), "the segments are those of the tokens"
    start = {"p": s("a"), "c": n("1")}
    other = {"TableName": "tab", "Segment": (segment + 1) % 3, "TotalSegments": 3, "ExclusiveStartKey": start}
    assert "ExclusiveStartKey" in wire.refused("Scan", other)[1]


@pytest.mark.parametrize(
    ("token", "total", "segment"),
    [
        (-(2**63), 2, 0),
        (-2, 2, 0),
        (-1, 2, 1),
        (0, 2, 1),
        (2**63 - 1, 2, 1),
        (2**63 - 1, 1, 0),
        (2**63 - 1, 1_000_000, 999_999),
        (-(2**63), 1_000_000, 0),
    ],
)
def test_the_segment_of_a_token(token: int, total: int, segment: int) -> None:
    assert segment_of(token, total) == segment


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("p = :p AND c = :ten", [10]),
        ("c = :ten AND p = :p", [10]),
        ("(p = :p) AND (c < :two)", [0, 1]),
        ("p = :p AND c <= :two", [0, 1, 2]),
        ("p = :p AND c > :last", []),
        ("p = :p AND c >= :last", [COUNT - 1]),
        ("p = :p AND c BETWEEN :two AND :ten", list(range(2, 11))),
        ("#p = :p AND :two > c", [0, 1]),
    ],
)
def test_a_key_condition_picks_items(wire: Wire, condition: str, expected: list[int]) -> None:
    values = {":p": s("a"), ":ten": n("10.0"), ":two": n("2"), ":last": n(str(COUNT - 1))}
    used = {name: value for name, value in values.items() if name in condition}
    names = {"ExpressionAttributeNames": {"#p": "p"}} if "#p" in condition else {}
    query = {"KeyConditionExpression": condition, "ExpressionAttributeValues": used, **names}
    assert numbers(pages(wire, "Query", **query)) == expected


def test_key_conditions_from_before_expressions(wire: Wire) -> None:
    conditions = {
        "p": {"ComparisonOperator": "EQ", "AttributeValueList": [s("a")]},
        "c": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [n("2"), n("4")]},
    }
    assert numbers(pages(wire, "Query", KeyConditions=conditions)) == [2, 3, 4]


@pytest.mark.parametrize(
    ("operation", "request_", "message"),
    [
        ("Query", {}, "KeyCondition"),
        ("Query", {**KEY, "IndexName": "nowhere"}, "Index 'nowhere'"),
        ("Scan", {"IndexName": "nowhere"}, "Index 'nowhere'"),
        ("Scan", {"IndexName": "by_g", "ConsistentRead": True}, "Consistent reads are not allowed"),
        ("Scan", {"Limit": 0}, "Limit must be greater than 0"),
        ("Scan", {"Limit": "x"}, "Limit"),
        ("Scan", {"Limit": True}, "Limit"),
        ("Scan", {"Select": "SOME"}, "Unknown Select"),
        ("Scan", {"Select": "SPECIFIC_ATTRIBUTES"}, "requires AttributesToGet or ProjectionExpression"),
        ("Scan", {"Select": "COUNT", "ProjectionExpression": "p"}, "require Select"),
        ("Scan", {"Select": "ALL_PROJECTED_ATTRIBUTES"}, "only allowed for indexes"),
        ("Scan", {"Segment": 1}, "Both Segment and TotalSegments"),
        ("Scan", {"Segment": 3, "TotalSegments": 3}, "less than TotalSegments"),
        ("Scan", {"Segment": -1, "TotalSegments": 3}, "non-negative"),
        ("Scan", {"Segment": 0, "TotalSegments": 1_000_001}, "1000000"),
        ("Scan", {"ExclusiveStartKey": {"p": s("a")}}, "Key column c not found"),
        ("Scan", {"ExclusiveStartKey": {"p": s("a"), "c": s("1")}}, "Type mismatch"),
        ("Scan", {"ExclusiveStartKey": {"p": s("a"), "c": n("1"), "d": n("1")}}, "not in schema"),
        ("Scan", {"ExclusiveStartKey": "x"}, "must be an object"),
        ("Query", {"KeyConditionExpression": "c = :c", "ExpressionAttributeValues": {":c": n("1")}}, "partition key"),
        ("Query", {"KeyConditionExpression": "p > :p", "ExpressionAttributeValues": {":p": s("a")}}, "only '='"),
        ("Query", {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": n("1")}}, "Type mismatch"),
        (
            "Query",
            {"KeyConditionExpression": "p = :p AND odd = :p", "ExpressionAttributeValues": {":p": s("a")}},
            "non-key attribute odd",
        ),
        (
            "Query",
            {"KeyConditionExpression": "p = :p OR c = :c", "ExpressionAttributeValues": {":p": s("a"), ":c": n("1")}},
            "OR",
        ),
        (
            "Query",
            {**KEY, "FilterExpression": "c = :c", "ExpressionAttributeValues": {":p": s("a"), ":c": n("1")}},
            "non-primary key attributes",
        ),
        (
            # The server keeps the table's key as a sort key of an index that has none.
            "Query",
            {
                "IndexName": "by_g",
                "KeyConditionExpression": "g = :g",
                "FilterExpression": "p = :p",
                "ExpressionAttributeValues": {":g": s("x"), ":p": s("a")},
            },
            "Sort key attribute: p",
        ),
        ("Query", {**KEY, "ScanIndexForward": "false"}, "must be a boolean"),
        # What is wrong with a filter is wrong even where it is asked of no item.
        *(
            (
                "Query",
                {**KEY, "FilterExpression": f, "ExpressionAttributeValues": {":p": s("none"), ":n": n("1")}},
                message,
            )
            for f, message in (
                ("begins_with(odd, :n)", "string or binary"),
                ("attribute_type(odd, :n)", "must refer to a string"),
                ("nonsense(odd, :n)", "unknown function 'nonsense'"),
                ("size(odd, :n) = :n", "accepts 1 parameter"),
                ("if_not_exists(odd, :n) = :n", "unknown function 'if_not_exists'"),
            )
        ),
        ("Query", {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": s("")}}, "empty string"),
        (
            "Query",
            {
                "KeyConditionExpression": "p = :p AND c > :c",
                "ExpressionAttributeValues": {":p": s("a"), ":c": n("many")},
            },
            "numeric value",
        ),
    ],
)
def test_reads_that_are_refused(wire: Wire, operation: str, request_: dict[str, Any], message: str) -> None:
    kind, text = wire.refused(operation, {"TableName": "tab", **request_})
    assert (kind, message in text) == ("ValidationException", True), text


def test_a_table_that_is_not_there(wire: Wire) -> None:
    for operation, request in (("Query", KEY), ("Scan", {})):
        assert wire.refused(operation, {"TableName": "nowhere", **request})[0] == "ResourceNotFoundException"
        assert wire.refused(operation, {"TableName": "x" * 193, **request})[0] == "ValidationException"
        assert wire.refused(operation, request)[0] == "ValidationException"
