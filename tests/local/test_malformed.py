"""Requests of every shape but the right one: each has an answer, and nothing breaks inside the cluster.

The requests are right ones of which something was replaced, removed, renamed or repeated, by chance and a seed.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster

from .wire import BY_K, Wire, n, s

ARN = "arn:scylla:alternator:alternator_tab:scylla:table/tab"
SYSTEM = ".scylla.alternator.system."
KEY = {"k": s("a")}
ITEM = {**KEY, "n": n(1), "l": {"L": [s("x"), n(1)]}, "m": {"M": {"x": {"BOOL": True}}}, "ss": {"SS": ["a"]}}

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("GetItem", {"Key": KEY, "ProjectionExpression": "#n, l[0], m.x", "ExpressionAttributeNames": {"#n": "n"}}),
    ("GetItem", {"Key": KEY, "AttributesToGet": ["n"], "ReturnConsumedCapacity": "TOTAL"}),
    (
        "PutItem",
        {
            "Item": ITEM,
            "ConditionExpression": "attribute_not_exists(k) OR n < :n OR contains(ss, :s) OR size(l) > :n",
            "ExpressionAttributeValues": {":n": n(5), ":s": s("a")},
            "ReturnValues": "ALL_OLD",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    ),
    (
        "PutItem",
        {
            "Item": ITEM,
            "Expected": {
                "n": {"ComparisonOperator": "LT", "AttributeValueList": [n(5)]},
                "z": {"Exists": False},
                "ss": {"ComparisonOperator": "CONTAINS", "AttributeValueList": [s("a")]},
            },
            "ConditionalOperator": "OR",
        },
    ),
    (
        "UpdateItem",
        {
            "Key": KEY,
            "UpdateExpression": "SET n = if_not_exists(n, :n) + :n, l[1] = :s, m.x = :s REMOVE z ADD ss :t DELETE u :t",
            "ExpressionAttributeValues": {":n": n(1), ":s": s("q"), ":t": {"SS": ["q"]}},
            "ReturnValues": "UPDATED_NEW",
        },
    ),
    (
        "UpdateItem",
        {
            "Key": KEY,
            "AttributeUpdates": {
                "n": {"Action": "ADD", "Value": n(1)},
                "ss": {"Action": "DELETE", "Value": {"SS": ["a"]}},
                "q": {"Action": "DELETE"},
            },
            "ReturnValues": "ALL_NEW",
        },
    ),
    (
        "DeleteItem",
        {
            "Key": KEY,
            "ConditionExpression": "m.x = :t AND l[0] BETWEEN :a AND :b AND k IN (:a, :b) AND attribute_type(m, :a)",
            "ExpressionAttributeValues": {":t": {"BOOL": True}, ":a": s("M"), ":b": s("z")},
        },
    ),
    (
        "Query",
        {
            "KeyConditionExpression": "#k = :k",
            "ExpressionAttributeNames": {"#k": "k"},
            "ExpressionAttributeValues": {":k": s("a"), ":n": n(1)},
            "FilterExpression": "size(l) > :n OR n = :n",
            "ProjectionExpression": "n, m.x",
            "Limit": 2,
            "ScanIndexForward": False,
            "ExclusiveStartKey": KEY,
        },
    ),
    (
        "Query",
        {
            "KeyConditions": {"k": {"ComparisonOperator": "EQ", "AttributeValueList": [s("a")]}},
            "QueryFilter": {"n": {"ComparisonOperator": "IN", "AttributeValueList": [n(1)]}},
        },
    ),
    ("Scan", {"ScanFilter": {"n": {"ComparisonOperator": "NULL"}}, "Segment": 0, "TotalSegments": 2, "Limit": 1}),
    (
        "Query",
        {
            "TableName": SYSTEM + "config",
            "KeyConditionExpression": "#n = :n",
            "ExpressionAttributeNames": {"#n": "name"},
            "ExpressionAttributeValues": {":n": s("cluster_name")},
        },
    ),
    ("Scan", {"TableName": SYSTEM + "peers", "ExclusiveStartKey": {"peer": s("x")}, "AttributesToGet": ["peer"]}),
    ("BatchGetItem", {"RequestItems": {"tab": {"Keys": [KEY], "ProjectionExpression": "n"}}}),
    (
        "BatchWriteItem",
        {"RequestItems": {"tab": [{"PutRequest": {"Item": {"k": s("b")}}}, {"DeleteRequest": {"Key": KEY}}]}},
    ),
    (
        "CreateTable",
        {
            "TableName": "new",
            **BY_K,
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by_k",
                    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]},
                }
            ],
            "Tags": [{"Key": "a", "Value": "b"}],
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        },
    ),
    (
        "UpdateTable",
        {
            "TableName": "new",
            "AttributeDefinitions": [{"AttributeName": "h", "AttributeType": "S"}],
            "GlobalSecondaryIndexUpdates": [
                {
                    "Create": {
                        "IndexName": "by_h",
                        "KeySchema": [{"AttributeName": "h", "KeyType": "HASH"}],
                        "Projection": {"ProjectionType": "ALL"},
                    }
                }
            ],
        },
    ),
    (
        "CreateTable",
        {
            "TableName": "vectors",
            **BY_K,
            "AttributeDefinitions": [*BY_K["AttributeDefinitions"], {"AttributeName": "g", "AttributeType": "S"}],
            "VectorIndexes": [
                {
                    "IndexName": "near",
                    "VectorAttribute": {"AttributeName": "v"},
                    "Dimensions": 2,
                    "DistanceFunction": "COSINE",
                    "Projection": {"ProjectionType": "ALL"},
                    "SearchSchema": [{"AttributeName": "g", "SearchSchemaElementType": "INLINE_FILTER"}],
                }
            ],
        },
    ),
    (
        "UpdateTable",
        {
            "TableName": "vectors",
            "VectorIndexUpdates": [
                {"Create": {"IndexName": "new", "VectorAttribute": {"AttributeName": "w", "Dimensions": 2}}}
            ],
        },
    ),
    ("PutItem", {"TableName": "vectors", "Item": {**KEY, "v": {"L": [n(1), n(2)]}}}),
    ("PutItem", {"TableName": "vectors", "Item": {**KEY, "v": {"FLOAT32VECTOR": [1, 0.5]}}}),
    (
        "Query",
        {
            "TableName": "vectors",
            "IndexName": "near",
            "Limit": 2,
            "VectorSearch": {"QueryVector": {"L": [n(1), n(2)]}, "ReturnScores": "SIMILARITY"},
        },
    ),
    ("SearchVectors", {"TableName": "vectors", "IndexName": "near", "SearchVector": [n(1), n(2)], "TopK": 2}),
    ("DeleteTable", {"TableName": "new"}),
    ("DescribeTable", {}),
    ("ListTables", {"ExclusiveStartTableName": "a", "Limit": 2}),
    ("TagResource", {"ResourceArn": ARN, "Tags": [{"Key": "a", "Value": "b"}]}),
    ("UntagResource", {"ResourceArn": ARN, "TagKeys": ["a"]}),
    ("ListTagsOfResource", {"ResourceArn": ARN}),
    ("UpdateTimeToLive", {"TableName": "new", "TimeToLiveSpecification": {"AttributeName": "x", "Enabled": True}}),
    ("DescribeTimeToLive", {}),
    ("DescribeContinuousBackups", {}),
    ("DescribeEndpoints", {}),
]

WRONG: list[Any] = [
    *(None, True, 0, -1, 2**70, 1.5, "", "tab", "ü\x00", [], {}, [[]], [{}], {"a": 1}, "SET a = :x", "x" * 300),
    *({"S": 5}, {"N": 1}, {"N": "x"}, {"N": "1e999999999"}, {"B": "!"}, {"SS": []}, {"L": 5}, {"M": []}, {"X": "x"}),
    *({"S": "a", "N": "1"}, {"L": [{"S": 1}]}, {"M": {"a": {}}}, {"BOOL": 1}, {"tab": 5}, [5], ["k"], "ALL_OLD"),
]
TEXTS = ["", "(", ")", "#n", ":n", " AND ", " NOT ", ".", "[0]", "[99999999999999]", "ü", "\x00", "=", "size(", "9"]
NAMES = ["", "#x", ":x", "k", "S", "N", "ü", "Key", "x" * 300]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything within a value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in members:
        yield (*path, step)
        yield from places(below, (*path, step))


def spoilt(request: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy of a request in which one thing or a few are wrong."""
    result = copy.deepcopy(request)
    for _ in range(chance.choice((1, 1, 2, 3))):
        paths = list(places(result))
        if not paths:
            break
        *above, last = chance.choice(paths)
        holder: Any = result
        for step in above:
            holder = holder[step]
        old = holder[last]
        kind = chance.random()
        if kind < 0.15 and isinstance(holder, dict):
            del holder[last]
        elif kind < 0.25 and isinstance(holder, dict):
            holder[chance.choice(NAMES)] = holder.pop(last)
        elif kind < 0.35 and isinstance(holder, list):
            holder.append(copy.deepcopy(old))
        elif kind < 0.5 and isinstance(old, str) and old:
            at = chance.randrange(len(old))
            holder[last] = old[:at] + chance.choice(TEXTS) + old[at + chance.choice((0, 1)) :]
        else:
            holder[last] = copy.deepcopy(chance.choice(WRONG))
    return result


@pytest.mark.parametrize("seed", range(4))
def test_every_request_has_an_answer_and_nothing_breaks(seed: int) -> None:
    chance = random.Random(seed)
    with LocalCluster(1, vector_dialect="both") as local, Wire(local.nodes[0]) as wire:
        wire.ok("CreateTable", {"TableName": "tab", **BY_K})
        for _ in range(500):
            operation, request = chance.choice(REQUESTS)
            request = spoilt({"TableName": "tab", **request}, chance)
            status, answer = wire.call(operation, request)
            assert status in (200, 400), (operation, json.dumps(request), answer)
            assert local.failures == [], (operation, json.dumps(request))
        for table in wire.ok("ListTables", {})["TableNames"]:
            wire.ok("Scan", {"TableName": table})  # nothing was stored that cannot be read
