"""One item at a time: keys, values, sizes, what is stored and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.answers import DialectError
from pynamodb_alternator.local.attribute_values import number, plain

from .wire import Wire, s


def n(text: str) -> dict[str, str]:
    return {"N": text}


def b(content: bytes) -> dict[str, str]:
    return {"B": base64.b64encode(content).decode()}


def table(name: str, partition: str, sort: str | None = None, **more: Any) -> dict[str, Any]:
    kinds = {"p": partition} | ({} if sort is None else {"c": sort})
    return {
        "TableName": name,
        "KeySchema": [
            {"AttributeName": key, "KeyType": kind} for key, kind in zip(kinds, ("HASH", "RANGE"), strict=False)
        ],
        "AttributeDefinitions": [
            *({"AttributeName": key, "AttributeType": kind} for key, kind in kinds.items()),
            *more.pop("definitions", ()),
        ],
        "BillingMode": "PAY_PER_REQUEST",
        **more,
    }


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with LocalCluster(1) as local, Wire(local.nodes[0]) as connected:
        index = {
            "IndexName": "by_g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "h", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        definitions = [{"AttributeName": "g", "AttributeType": "S"}, {"AttributeName": "h", "AttributeType": "B"}]
        for request in (
            table("numbers", "N"),
            table("binaries", "B", "B"),
            table("sorted", "S", "N"),
            table("indexed", "S", definitions=definitions, GlobalSecondaryIndexes=[index]),
        ):
            connected.ok("CreateTable", request)
        yield connected
    assert local.failures == []


# Numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.0", "1"),
        ("1e3", "1000"),
        ("-0", "0"),
        ("0e5", "0"),
        ("+7", "7"),
        (".5", "0.5"),
        ("1e-3", "0.001"),
        ("123456789012345678901234567890.12345678", "123456789012345678901234567890.12345678"),
        ("1e125", "1" + "0" * 125),
    ],
)
def test_numbers_at_the_top_of_an_item_are_normalized(wire: Wire, text: str, expected: str) -> None:
    wire.ok("PutItem", {"TableName": "indexed", "Item": {"p": s("n"), "n": n(text), "m": {"M": {"n": n(text)}}}})
    item = wire.ok("GetItem", {"TableName": "indexed", "Key": {"p": s("n")}})["Item"]
    assert item["n"] == n(expected)
    assert item["m"] == {"M": {"n": n(text)}}, "what is deeper is kept as it was written"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1e126", "Number overflow"),
        ("-1e126", "Number overflow"),
        ("1e-131", "Number underflow"),
        ("1e-999999999999999999999", "Number underflow"),
        ("1e999999999999999999999", "Number overflow"),
        ("1" * 39, "Number too precise"),
        ("one", "cannot be converted to a numeric value"),
        ("", "cannot be converted to a numeric value"),
        ("Infinity", "cannot be converted to a numeric value"),
        ("NaN", "cannot be converted to a numeric value"),
        ("1_000", "cannot be converted to a numeric value"),
    ],
)
def test_numbers_that_are_refused(wire: Wire, text: str, message: str) -> None:
    for item in ({"p": s("n"), "n": n(text)}, {"p": n(text)}):
        name = "numbers" if item["p"] == n(text) else "indexed"
        kind, refusal = wire.refused("PutItem", {"TableName": name, "Item": item})
        assert kind == "ValidationException"
        assert message in refusal or (text == "" and "empty" in refusal)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20))
def test_the_plain_form_is_the_same_number(value: Any) -> None:
    text = plain(number(str(value)))
    assert number(text) == value
    assert plain(number(text)) == text


@settings(max_examples=300)
@given(st.text(alphabet="0123456789.eE+-", max_size=12))
def test_any_text_is_a_number_or_a_refusal(text: str) -> None:
    try:
        value = number(text)
    except DialectError:
        return
    assert float(text) == float(value)


def test_a_partition_key_is_its_number_and_the_digits_after_the_point(wire: Wire) -> None:
    """SCYLLADB-1575: as the server, so that nobody takes 1 and 1.0 for one key by a test that passes here."""
    for text in ("1", "1.0"):
        wire.ok("PutItem", {"TableName": "numbers", "Item": {"p": n(text), "text": s(text)}})
    for text in ("1", "1.0"):
        item = wire.ok("GetItem", {"TableName": "numbers", "Key": {"p": n(text)}})["Item"]
        assert item == {"p": n("1"), "text": s(text)}
    assert "Item" not in wire.ok("GetItem", {"TableName": "numbers", "Key": {"p": n("1.00")}})


def test_a_partition_key_is_read_as_any_other_number(wire: Wire) -> None:
    """What was found with the key 1.0 is not found with its own key: as the server, in every way to read."""
    written, key = {"p": n("7.0"), "q": n("1")}, {"TableName": "numbers", "Key": {"p": n("7.0")}}
    expected = {"p": n("7"), "q": n("1")}
    wire.ok("PutItem", {"TableName": "numbers", "Item": {"p": n("7"), "q": n("0")}})
    wire.ok("PutItem", {"TableName": "numbers", "Item": written})
    assert wire.ok("GetItem", key)["Item"] == expected
    assert wire.ok("GetItem", {**key, "ProjectionExpression": "p"})["Item"] == {"p": n("7")}
    batch = wire.ok("BatchGetItem", {"RequestItems": {"numbers": {"Keys": [key["Key"]]}}})
    assert batch["Responses"]["numbers"] == [expected]
    query = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": n("7.0")}}
    assert wire.ok("Query", {"TableName": "numbers", **query})["Items"] == [expected]
    scan = {"FilterExpression": "p = :p", "ExpressionAttributeValues": {":p": n("7")}}
    assert len(wire.ok("Scan", {"TableName": "numbers", **scan})["Items"]) == 2
    update = {**key, "UpdateExpression": "SET q = q + q", "ReturnValues": "ALL_NEW"}
    assert wire.ok("UpdateItem", update)["Attributes"] == {"p": n("7"), "q": n("2")}
    assert wire.ok("GetItem", {"TableName": "numbers", "Key": {"p": n("7")}})["Item"]["q"] == n("0")
    assert wire.ok("DeleteItem", {**key, "ReturnValues": "ALL_OLD"})["Attributes"]["q"] == n("2")
    assert wire.ok("GetItem", {"TableName": "numbers", "Key": {"p": n("+07")}})["Item"]["q"] == n("0")
    seen: list[str] = []
    for text in ("3", "3.0", "3.00"):
        wire.ok("PutItem", {"TableName": "numbers", "Item": {"p": n(text), "text": s(text)}})
    start: dict[str, Any] = {}
    while start is not None:
        more = {"ExclusiveStartKey": start} if start else {}
        page = wire.ok("Scan", {"TableName": "numbers", "Limit": 1, **more})
        seen += [item["text"]["S"] for item in page["Items"] if "text" in item]
        start = page.get("LastEvaluatedKey")
    assert sorted(text for text in seen if text.startswith("3")) == ["3", "3.0", "3.00"]


def test_the_partition_key_of_an_index_is_its_number_and_the_digits_after_the_point(cluster: LocalCluster) -> None:
    index = {
        "IndexName": "by_g",
        "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    definitions = [{"AttributeName": "g", "AttributeType": "N"}]
    with Wire(cluster.nodes[0]) as wire:
        wire.ok("CreateTable", table("tab", "S", "S", definitions=definitions, GlobalSecondaryIndexes=[index]))

        def matching(text: str) -> list[dict[str, Any]]:
            query = {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": n(text)}}
            pages, start = [], {}
            while start is not None:
                more = {"Limit": 1} | ({"ExclusiveStartKey": start} if start else {})
                pages.append(wire.ok("Query", {"TableName": "tab", "IndexName": "by_g", **query, **more}))
                start = pages[-1].get("LastEvaluatedKey")
            return [item for page in pages for item in page["Items"]]

        keys = [{"p": s("a"), "c": s(text)} for text in ("5", "5.0", "05")]
        for key in keys:
            wire.ok("PutItem", {"TableName": "tab", "Item": {**key, "g": n(key["c"]["S"])}})
        read = [{**key, "g": n("5")} for key in keys]
        assert matching("5") == [read[2], read[0]]
        assert matching("5.0") == [read[1]]
        assert wire.ok("GetItem", {"TableName": "tab", "Key": keys[1]})["Item"] == read[1]
        update = {"TableName": "tab", "Key": keys[1], "ReturnValues": "ALL_NEW"}
        more = {"UpdateExpression": "SET v = g", "ConditionExpression": "g = :g"}
        values = {"ExpressionAttributeValues": {":g": n("5")}}
        assert wire.ok("UpdateItem", {**update, **more, **values})["Attributes"] == {**read[1], "v": n("5")}
        assert len(matching("5.0")) == 1, "what an update does not touch stays as it was written"
        values = {"ExpressionAttributeValues": {":g": n("7.0")}}
        assert wire.ok("UpdateItem", {**update, "UpdateExpression": "SET g = :g", **values})["Attributes"]["g"] == n(
            "7"
        )
        assert [len(matching(text)) for text in ("5.0", "7", "7.0")] == [0, 0, 1]
        for text in ("many", "1e126"):
            assert wire.refused("PutItem", {"TableName": "tab", "Item": {**keys[0], "g": n(text)}})[0] == (
                "ValidationException"
            )


def test_a_sort_key_is_its_number(wire: Wire) -> None:
    wire.ok("PutItem", {"TableName": "sorted", "Item": {"p": s("a"), "c": n("1.0")}})
    wire.ok("PutItem", {"TableName": "sorted", "Item": {"p": s("a"), "c": n("1"), "new": s("x")}})
    item = wire.ok("GetItem", {"TableName": "sorted", "Key": {"p": s("a"), "c": n("1.00")}})["Item"]
    assert item == {"p": s("a"), "c": n("1"), "new": s("x")}


# Binaries


def test_a_sort_key_has_all_its_digits(wire: Wire) -> None:
    digits = "0.1234567890123456789012345678901234567"
    texts = [digits + last for last in "135"]
    for text in reversed(texts):
        wire.ok("PutItem", {"TableName": "sorted", "Item": {"p": s("digits"), "c": n(text)}})
    query = {
        "TableName": "sorted",
        "KeyConditionExpression": "p = :p AND c > :c",
        "ExpressionAttributeValues": {":p": s("digits"), ":c": n(digits + "2")},
    }
    assert [item["c"]["N"] for item in wire.ok("Query", query)["Items"]] == texts[1:]


def test_binaries_are_ordered_by_their_bytes(wire: Wire) -> None:
    contents = sorted({bytes([first, second]) for first in (0, 62, 63, 127, 128, 251, 255) for second in (0, 7, 254)})
    for content in contents:
        wire.ok("PutItem", {"TableName": "binaries", "Item": {"p": b(b"p"), "c": b(content)}})

    def query(condition: str, **values: bytes) -> list[bytes]:
        page = wire.ok(
            "Query",
            {
                "TableName": "binaries",
                "KeyConditionExpression": f"p = :p AND {condition}",
                "ExpressionAttributeValues": {":p": b(b"p")} | {f":{name}": b(of) for name, of in values.items()},
            },
        )
        return [base64.b64decode(item["c"]["B"]) for item in page["Items"]]

    assert query("c >= :a", a=b"\x00") == contents
    assert query("c < :a", a=b"\x80") == [content for content in contents if content < b"\x80"]
    assert query("c BETWEEN :a AND :z", a=b"\x3f", z=b"\xfb\x07") == [
        content for content in contents if b"\x3f" <= content <= b"\xfb\x07"
    ]
    assert query("begins_with(c, :a)", a=b"\xff") == [content for content in contents if content[0] == 255]


@pytest.mark.parametrize("content", ["YWJjZGVmZ2g", "YWJj??!!", "nö", "====", "a"])
def test_wrong_base64_is_refused(wire: Wire, content: str) -> None:
    for item in ({"p": {"B": content}, "c": b(b"c")}, {"p": b(b"p"), "c": b(b"c"), "more": {"B": content}}):
        assert wire.refused("PutItem", {"TableName": "binaries", "Item": item})[0] == "SerializationException"


# Keys


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({}, "Missing the key p"),
        ({"p": s("a")}, "Missing the key c"),
        ({"p": s("a"), "c": s("1")}, "Type mismatch"),
        ({"p": n("1"), "c": n("1")}, "Type mismatch"),
        ({"p": s(""), "c": n("1")}, "empty string value"),
        ({"p": s("a"), "c": n("1"), "d": s("x")}, "does not match the schema"),
        ({"p": "a", "c": n("1")}, "Malformed value"),
        ({"p": {"S": "a", "N": "1"}, "c": n("1")}, "Malformed value"),
        ({"p": {"S": 1}, "c": n("1")}, "Malformed value"),
        ([], "must be an object"),
        (None, "Key"),
    ],
)
def test_keys_that_are_refused(wire: Wire, key: Any, message: str) -> None:
    for operation in ("GetItem", "DeleteItem", "UpdateItem"):
        kind, text = wire.refused(operation, {"TableName": "sorted", "Key": key})
        assert (kind, message in text) == ("ValidationException", True), text
    batch = {"RequestItems": {"sorted": {"Keys": [key]}}}
    assert wire.refused("BatchGetItem", batch)[0] == "ValidationException"


def test_a_key_may_have_64_kib(wire: Wire) -> None:
    longest = 65_533
    for name, text in (("indexed", s("x" * longest)), ("binaries", b(b"x" * longest))):
        key = {"p": text} if name == "indexed" else {"p": text, "c": b(b"c")}
        wire.ok("PutItem", {"TableName": name, "Item": key})
        assert wire.ok("GetItem", {"TableName": name, "Key": key})["Item"] == key
        wire.ok("DeleteItem", {"TableName": name, "Key": key})
    for key in ({"p": s("x" * (longest + 1))}, {"p": s("ü" * 32_767)}):
        kind, text = wire.refused("PutItem", {"TableName": "indexed", "Item": key})
        assert (kind, text) == ("InternalServerError", "Key length of 65536 is longer than maximum of 65535")


def test_an_index_key_has_its_type(wire: Wire) -> None:
    for value, message in ((n("1"), "Type mismatch"), ({"NULL": True}, "Type mismatch"), (s(""), "empty string")):
        item = {"p": s("a"), "g": value}
        put = {"TableName": "indexed", "Item": item}
        batch = {"RequestItems": {"indexed": [{"PutRequest": {"Item": item}}]}}
        update = {
            "TableName": "indexed",
            "Key": {"p": s("a")},
            "UpdateExpression": "SET g = :g",
            "ExpressionAttributeValues": {":g": value},
        }
        for operation, request in (("PutItem", put), ("BatchWriteItem", batch), ("UpdateItem", update)):
            kind, text = wire.refused(operation, request)
            assert (kind, message in text) == ("ValidationException", True), (operation, text)


def test_an_index_returns_all_attributes(wire: Wire) -> None:
    item = {"p": s("all"), "g": s("here"), "h": b(b"\x01"), "more": s("x")}
    wire.ok("PutItem", {"TableName": "indexed", "Item": item})
    wire.ok("PutItem", {"TableName": "indexed", "Item": {"p": s("not in it"), "g": s("here")}})
    query = {
        "TableName": "indexed",
        "IndexName": "by_g",
        "KeyConditionExpression": "g = :g",
        "ExpressionAttributeValues": {":g": s("here")},
    }
    assert wire.ok("Query", query)["Items"] == [item]
    described = wire.ok("DescribeTable", {"TableName": "indexed"})["Table"]["GlobalSecondaryIndexes"][0]
    assert described["Projection"] == {"ProjectionType": "ALL"}


# Values and items


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ({"SS": []}, "ValidationException", "empty set"),
        ({"SS": "a"}, "ValidationException", "improperly formatted"),
        ({"SS": [1]}, "ValidationException", "improperly formatted"),
        ({"S": 1}, "ValidationException", "improperly formatted"),
        ({"N": 1}, "SerializationException", "must be encoded as string"),
        ({"X": "a"}, "ValidationException", "unknown type"),
        ({}, "ValidationException", "improperly formatted"),
        ("a", "ValidationException", "improperly formatted"),
        ({"S": "a", "N": "1"}, "ValidationException", "improperly formatted"),
        ({"BOOL": "true"}, "ValidationException", "improperly formatted"),
        ({"NULL": ["a"]}, "ValidationException", "improperly formatted"),
        ({"FLOAT32VECTOR": "a"}, "ValidationException", "improperly formatted"),
        ({"M": {"a": {"BOOL": []}}}, "ValidationException", "improperly formatted"),
        # The server stores the following as they come. Read again, they would break the table.
        ({"L": {}}, "ValidationException", "improperly formatted"),
        ({"M": []}, "ValidationException", "improperly formatted"),
        ({"L": ["a"]}, "ValidationException", "improperly formatted"),
        ({"M": {"a": {"L": [{}]}}}, "ValidationException", "improperly formatted"),
        ({"M": {"a": {"S": {"b": 1}}}}, "ValidationException", "improperly formatted"),
    ],
)
def test_values_that_are_refused(wire: Wire, value: Any, kind: str, message: str) -> None:
    item = {"p": s("a"), "value": value}
    put = {"TableName": "indexed", "Item": item}
    update = {
        "TableName": "indexed",
        "Key": {"p": s("a")},
        "UpdateExpression": "SET v = :v",
        "ExpressionAttributeValues": {":v": value},
    }
    for operation, request in (("PutItem", put), ("UpdateItem", update)):
        refusal = wire.refused(operation, request)
        assert (refusal[0], message in refusal[1]) == (kind, True), refusal


def test_an_item_may_have_any_size_that_a_request_may_have(wire: Wire) -> None:
    big = {"p": s("big"), "text": s("x" * 3_000_000)}
    wire.ok("PutItem", {"TableName": "indexed", "Item": big})
    assert wire.ok("GetItem", {"TableName": "indexed", "Key": {"p": s("big")}})["Item"] == big
    pages, start = 0, None
    keys: list[str] = []
    while pages == 0 or start is not None:
        more = {} if start is None else {"ExclusiveStartKey": start}
        page = wire.ok("Scan", {"TableName": "indexed", **more})
        keys += [item["p"]["S"] for item in page["Items"]]
        start, pages = page.get("LastEvaluatedKey"), pages + 1
    assert "big" in keys
    assert len(set(keys)) == len(keys)
    wire.ok("DeleteItem", {"TableName": "indexed", "Key": {"p": s("big")}})


@pytest.mark.parametrize("name", ["", "x" * 65_536])
def test_names_of_attributes(wire: Wire, name: str) -> None:
    kind, text = wire.refused("PutItem", {"TableName": "indexed", "Item": {"p": s("a"), name: s("x")}})
    assert (kind, "ttribute name" in text) == ("ValidationException", True)


# Batches


def test_a_batch_names_no_key_twice(wire: Wire) -> None:
    puts = [{"PutRequest": {"Item": {"p": s("a"), "c": n(text)}}} for text in ("1", "1.0")]
    delete = {"DeleteRequest": {"Key": {"p": s("a"), "c": n("1e0")}}}
    for requests in (puts, [puts[0], delete]):
        kind, text = wire.refused("BatchWriteItem", {"RequestItems": {"sorted": requests}})
        assert (kind, "duplicates" in text) == ("ValidationException", True)
    asked = [{"p": s("a"), "c": n(text)} for text in ("1", "1.0")]
    kind, text = wire.refused("BatchGetItem", {"RequestItems": {"sorted": {"Keys": asked}}})
    assert (kind, "duplicates" in text) == ("ValidationException", True)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"RequestItems": {}},
        {"RequestItems": {"sorted": []}},
        {"RequestItems": {"sorted": [{}]}},
        {"RequestItems": {"sorted": [{"FrobRequest": {}}]}},
        {"RequestItems": {"sorted": [{"PutRequest": {}}]}},
        {"RequestItems": {"sorted": [{"PutRequest": None}]}},
        {"RequestItems": {"sorted": [{"PutRequest": {"Item": {"p": s("a")}}}]}},
        {"RequestItems": {"sorted": [{"DeleteRequest": {"Key": {"p": s("a")}}}]}},
        {"RequestItems": {"sorted": "x"}},
        {"RequestItems": {"sorted": [{"PutRequest": {"Item": {"p": s("a"), "c": n(str(c))}}} for c in range(101)]}},
    ],
)
def test_batches_that_are_refused(wire: Wire, request_: Any) -> None:
    assert wire.refused("BatchWriteItem", request_)[0] == "ValidationException"


def test_batches_have_a_largest_size(wire: Wire) -> None:
    keys = [{"p": s("batch"), "c": n(str(number))} for number in range(101)]
    writes = [{"PutRequest": {"Item": key}} for key in keys]
    assert "maximum is 100" in wire.refused("BatchWriteItem", {"RequestItems": {"sorted": writes}})[1]
    wire.ok("BatchWriteItem", {"RequestItems": {"sorted": writes[:100]}})
    assert "at most 100" in wire.refused("BatchGetItem", {"RequestItems": {"sorted": {"Keys": keys}}})[1]
    read = wire.ok("BatchGetItem", {"RequestItems": {"sorted": {"Keys": keys[:100]}}})
    assert len(read["Responses"]["sorted"]) == 100


def test_a_batch_for_a_table_that_is_not_there(wire: Wire) -> None:
    for operation, request in (
        ("BatchGetItem", {"nowhere": {"Keys": [{"p": s("a")}]}}),
        ("BatchWriteItem", {"nowhere": [{"DeleteRequest": {"Key": {"p": s("a")}}}]}),
    ):
        assert wire.refused(operation, {"RequestItems": request})[0] == "ResourceNotFoundException"
