"""Expressions as the server evaluates them: over one item, through the wire."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from .wire import Wire, s


def b(content: bytes) -> dict[str, str]:
    return {"B": base64.b64encode(content).decode()}


def n(text: str) -> dict[str, str]:
    return {"N": text}


ITEM: dict[str, Any] = {
    "k": s("a"),
    "s": s("beta"),
    "n": n("10"),
    "b": b(b"\x01\x02\xff"),
    "yes": {"BOOL": True},
    "null": {"NULL": True},
    "ss": {"SS": ["x", "y"]},
    "ns": {"NS": ["1", "2"]},
    "l": {"L": [n("1"), s("two"), {"L": [n("3")]}]},
    "m": {"M": {"a": n("1"), "b": {"M": {"c": s("deep")}}}},
}
VALUES: dict[str, Any] = {
    ":s": s("beta"),
    ":be": s("be"),
    ":gamma": s("gamma"),
    ":n": n("10"),
    ":n2": n("10.0"),
    ":nine": n("9"),
    ":b": b(b"\x01\x02\xff"),
    ":b1": b(b"\x01\x02"),
    ":b3": b(b"\x01\x03"),
    ":x": s("x"),
    ":one": n("1"),
    ":true": {"BOOL": True},
    ":null": {"NULL": True},
    ":ss": {"SS": ["y", "x"]},
    ":twice": {"SS": ["y", "x", "y"]},
    ":ten": s("10"),
    ":text": s("1"),
    ":deep": s("deep"),
    ":four": n("4"),
    ":type": s("S"),
    ":typel": s("L"),
    ":list": {"L": [n("7")]},
}
NAMES = {"#k": "k", "#s": "s", "#m": "m"}


NESTED = {"L": [*ITEM["l"]["L"][:2], {"L": [ITEM["l"]]}]}


@pytest.fixture
def item(wire: Wire) -> Wire:
    wire.ok("PutItem", {"TableName": "tab", "Item": ITEM})
    return wire


def used(expression: str, references: dict[str, Any], sign: str) -> dict[str, Any]:
    words = expression.replace("(", " ").replace(")", " ").replace(",", " ").replace("[", " ").replace(".", " ").split()
    return {name: value for name, value in references.items() if name in words and name.startswith(sign)}


def with_references(parameters: dict[str, Any], *expressions: str) -> dict[str, Any]:
    text = " ".join(expressions)
    values, names = used(text, VALUES, ":"), used(text, NAMES, "#")
    if values:
        parameters["ExpressionAttributeValues"] = values
    if names:
        parameters["ExpressionAttributeNames"] = names
    return parameters


def holds(wire: Wire, condition: str) -> bool:
    """Whether a condition holds, asked as the condition of a write and as the filter of a Scan: both must agree."""
    put = with_references({"TableName": "tab", "Item": ITEM, "ConditionExpression": condition}, condition)
    status, answer = wire.call("PutItem", put)
    assert status == 200 or answer["__type"].endswith("#ConditionalCheckFailedException"), answer
    scan = with_references({"TableName": "tab", "FilterExpression": condition}, condition)
    assert wire.ok("Scan", scan)["Count"] == (status == 200)
    return bool(status == 200)


TRUE = [
    "s = :s",
    "#s = :s",
    ":s = s",
    "n = :n",
    "b = :b",
    "yes = :true",
    "null = :null",
    "ss = :ss",
    "s <> :gamma",
    "missing <> :s",
    "n <> :s",
    "s < :gamma",
    "n > :nine",
    "n >= :n2",  # comparing numbers is by value; their equality is of their text
    "b < :b3",
    "b > :b1",
    "s BETWEEN :be AND :gamma",
    "n BETWEEN :nine AND :n",
    "b BETWEEN :b1 AND :b3",
    "s IN (:gamma, :s)",
    "begins_with(s, :be)",
    "begins_with(b, :b1)",
    "contains(s, :be)",
    "contains(b, :b1)",
    "contains(ss, :x)",
    "contains(ns, :one)",
    "contains(l, :one)",
    "attribute_exists(m.b.c)",
    "attribute_exists(#m.b)",
    "attribute_not_exists(m.b.d)",
    "attribute_not_exists(l[3])",
    "attribute_type(s, :type)",
    "attribute_type(l, :typel)",
    "attribute_type(:list, :typel)",
    "m.b.c = :deep",
    "l[0] = :one",
    "size(s) = :four",
    "size(n) <> :four",
    "NOT s = :gamma",
    "NOT NOT s = :s",
    "s = :gamma AND n = :nine OR s = :s",
    "s = :s OR n = :nine AND s = :gamma",
    "(s = :s OR s = :gamma) AND n = :n",
    "not attribute_exists(missing) and s = :s",
]
FALSE = [
    "n = :n2",  # SCYLLADB-1575
    "n = :ten",
    "ss = :twice",
    "contains(ns, :text)",
    "contains(l, :text)",
    "n = :s",
    "missing = :s",
    "s > :gamma",
    "n < :s",
    "missing < :s",
    "yes < :n",
    "s BETWEEN :gamma AND :gamma",
    "s BETWEEN :nine AND :n",
    "s IN (:gamma, :n)",
    "begins_with(n, :be)",
    "begins_with(missing, :be)",
    "contains(n, :one)",
    "contains(ss, :one)",
    "attribute_exists(l[9])",
    "attribute_exists(s.below)",
    "attribute_type(n, :type)",
    "size(n) = :four",
    "NOT s = :s",
    "(s = :s OR s = :gamma) AND n = :nine",
]


@pytest.mark.parametrize("condition", TRUE)
def test_a_condition_holds_for_an_item(item: Wire, condition: str) -> None:
    assert holds(item, condition)


@pytest.mark.parametrize("condition", FALSE)
def test_what_does_not_hold(item: Wire, condition: str) -> None:
    assert not holds(item, condition)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("", "can not be empty"),
        ("s = ", "syntax error"),
        ("s ! :s", "syntax error"),
        ("s", "Single value must be a function"),
        ("s = :s s = :s", "syntax error"),
        ("(s = :s", "syntax error"),
        ("s = :unknown", "missing entry ':unknown'"),
        ("#unknown = :s", "ExpressionAttributeNames missing"),
        ("s = :s" + " OR s = :s" * 500, "exceeds allowed maximum 4096"),
        ("s = :s" + " " * 4091, "exceeds allowed maximum 4096"),
        ("(" * 401 + "s = :s" + ")" * 401, "nested too deeply"),
        ("NOT " * 401 + "s = :s", "nested too deeply"),
        ("NOT (" * 201 + "s = :s" + ")" * 201, "nested too deeply"),
        ("size(" * 401 + "s" + ")" * 401 + " = :n", "nested too deeply"),
        ("nonsense(s)", "nonsense"),
        ("attribute_exists(s, s)", "attribute_exists"),
        ("attribute_exists(:s)", "attribute_exists"),
        ("s < :ss", "unsupported operand type"),
        ("s BETWEEN :gamma AND :be", "lower_bound <= upper_bound"),
        ("s BETWEEN :s AND :n", "same type"),
        ("begins_with(s, :n)", "only string or binary"),
        ("attribute_type(s, :s)", "type"),
        ("size(missing) > :four", "invalid object"),
        ("size(m.missing) <> :four", "invalid object"),
        ("s BETWEEN missing AND :ss", "String, Number, or Binary"),
        ("a." * 32 + "a = :s", "exceeded 32 nesting levels"),
    ],
)
def test_what_is_refused(item: Wire, condition: str, message: str) -> None:
    put = with_references({"TableName": "tab", "Item": ITEM, "ConditionExpression": condition}, condition)
    if ":unknown" in condition or "#unknown" in condition:
        put.setdefault("ExpressionAttributeValues", {":s": s("x")})
    kind, text = item.refused("PutItem", put)
    assert (kind, message in text) == ("ValidationException", True), text


@pytest.mark.parametrize(
    "condition",
    [
        "s = :s" + " " * 4090,
        "(" * 400 + "s = :s" + ")" * 400,
        "NOT " * 400 + "s = :s",
        "NOT (" * 200 + "s = :s" + ")" * 200,
    ],
)
def test_what_is_just_short_enough(item: Wire, condition: str) -> None:
    assert holds(item, condition)


@pytest.mark.parametrize(
    ("name", "message"), [("", "Empty attribute name"), ("x" * 65_536, "too large"), (5, "missing")]
)
def test_what_a_name_may_stand_for(item: Wire, name: Any, message: str) -> None:
    names = {"ExpressionAttributeNames": {"#n": name}, "ConditionExpression": "attribute_exists(#n)"}
    kind, text = item.refused("PutItem", {"TableName": "tab", "Item": ITEM, **names})
    assert (kind, message in text) == ("ValidationException", True), text


def test_names_and_values_must_be_used(item: Wire) -> None:
    put = {"TableName": "tab", "Item": ITEM, "ConditionExpression": "attribute_exists(k)"}
    for extra, message in (
        ({"ExpressionAttributeValues": {":a": s("x")}}, "spurious ':a'"),
        ({"ExpressionAttributeNames": {"#a": "x"}}, "spurious '#a'"),
        ({"ExpressionAttributeValues": {}}, "must not be empty"),
        ({"ExpressionAttributeNames": []}, "must be an object"),
    ):
        kind, text = item.refused("PutItem", {**put, **extra})
        assert (kind, message in text) == ("ValidationException", True), text


def updated(wire: Wire, expression: str, **more: Any) -> Any:
    update = {"TableName": "tab", "Key": {"k": s("a")}, "UpdateExpression": expression, "ReturnValues": "ALL_NEW"}
    return wire.ok("UpdateItem", with_references(update | more, expression))["Attributes"]


@pytest.mark.parametrize(
    ("expression", "changed"),
    [
        ("SET new = :s", {"new": s("beta")}),
        ("SET n = n + :one", {"n": n("11")}),
        ("SET n = :one - n", {"n": n("-9")}),
        ("SET n = :n2", {"n": n("10")}),
        ("SET n = if_not_exists(missing, :one) + :one", {"n": n("2")}),
        ("SET s = if_not_exists(s, :gamma)", {}),
        ("SET s = if_not_exists(s, missing)", {}),
        ("SET l = list_append(l, :list)", {"l": {"L": [*ITEM["l"]["L"], n("7")]}}),
        ("SET l[1] = :s", {"l": {"L": [n("1"), s("beta"), {"L": [n("3")]}]}}),
        ("SET l[90] = :s, l[50] = :x", {"l": {"L": [*ITEM["l"]["L"], s("x"), s("beta")]}}),
        ("SET m.b.c = :s", {"m": {"M": {"a": n("1"), "b": {"M": {"c": s("beta")}}}}}),
        ("SET m.d = m.a", {"m": {"M": {**ITEM["m"]["M"], "d": n("1")}}}),
        ("SET m.a = m.b, m.b = m.a", {"m": {"M": {"a": ITEM["m"]["M"]["b"], "b": n("1")}}}),
        ("SET m.b.c = m, l[2][0] = l", {"m": {"M": {"a": n("1"), "b": {"M": {"c": ITEM["m"]}}}}, "l": NESTED}),
        ("REMOVE s, m.b, l[0]", {"s": None, "m": {"M": {"a": n("1")}}, "l": {"L": ITEM["l"]["L"][1:]}}),
        ("REMOVE missing", {}),
        ("ADD n :one, count :one", {"n": n("11"), "count": n("1")}),
        ("ADD ss :ss", {}),
        ("DELETE ss :ss", {"ss": None}),
        ("SET s = :x REMOVE n ADD count :one", {"s": s("x"), "n": None, "count": n("1")}),
    ],
)
def test_an_update_changes_an_item(item: Wire, expression: str, changed: dict[str, Any]) -> None:
    expected = {name: value for name, value in {**ITEM, **changed}.items() if value is not None}
    assert updated(item, expression) == expected
    assert item.ok("GetItem", {"TableName": "tab", "Key": {"k": s("a")}})["Item"] == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("SET k = :s", "cannot update key column k"),
        ("SET s = :s, s = :x", "overlap"),
        ("SET m.a = :s, m = :x", "overlap"),
        ("SET l[0] = :s, l.a = :x", "conflict"),
        ("SET s = :s SET n = :n", "may only appear once"),
        ("SET s = s + :one", "incorrect data type"),
        ("SET n = missing + :one", "incorrect data type"),
        ("SET a.b = :s", "missing attribute a"),
        ("ADD s :one", "type"),
        ("ADD n :s", "type"),
        ("DELETE n :ss", "type"),
        ("SET l = list_append(s, :list)", "non-list"),
        ("SET s = if_not_exists(s, list_append(missing, :list))", "non-list"),
        ("FROB s", "syntax error"),
        ("SET s.x = :s", "document paths not valid for this item"),
        ("SET l.x = :s", "document paths not valid for this item"),
        ("SET m[0] = :s", "document paths not valid for this item"),
        ("SET m.a.x = :s", "document paths not valid for this item"),
        ("SET m.z.x = :s", "document paths not valid for this item"),
        ("ADD l :list", "incorrect data type"),
        ("ADD new :list", "incorrect data type"),
    ],
)
def test_updates_that_are_refused(item: Wire, expression: str, message: str) -> None:
    update = {"TableName": "tab", "Key": {"k": s("a")}, "UpdateExpression": expression}
    kind, text = item.refused("UpdateItem", with_references(update, expression))
    assert (kind, message in text) == ("ValidationException", True), text
    assert item.ok("GetItem", {"TableName": "tab", "Key": {"k": s("a")}})["Item"] == ITEM


def test_removing_from_a_missing_item_creates_nothing(wire: Wire) -> None:
    for expression in ("REMOVE s", "DELETE ss :ss"):
        update = {"TableName": "tab", "Key": {"k": s("new")}, "UpdateExpression": expression}
        wire.ok("UpdateItem", with_references(update, expression))
        assert wire.ok("Scan", {"TableName": "tab"})["Count"] == 0
    wire.ok("UpdateItem", {"TableName": "tab", "Key": {"k": s("new")}})
    assert wire.ok("Scan", {"TableName": "tab"})["Items"] == [{"k": s("new")}]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("NONE", None),
        ("ALL_OLD", ITEM),
        ("UPDATED_OLD", {"n": n("10"), "m": {"M": {"a": n("1")}}}),
        ("UPDATED_NEW", {"n": n("11"), "m": {"M": {"a": s("x")}}}),
    ],
)
def test_what_an_update_gives_back(item: Wire, returned: str, expected: Any) -> None:
    expression = "SET n = n + :one, m.a = :x"
    update = {
        "TableName": "tab",
        "Key": {"k": s("a")},
        "UpdateExpression": expression,
        "ReturnValues": returned,
    }
    assert item.ok("UpdateItem", with_references(update, expression)).get("Attributes") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("s", {"s": s("beta")}),
        (
            "#s, m.b.c, l[2][0]",
            {"s": s("beta"), "m": {"M": {"b": {"M": {"c": s("deep")}}}}, "l": {"L": [{"L": [n("3")]}]}},
        ),
        ("l[2], l[0]", {"l": {"L": [n("1"), {"L": [n("3")]}]}}),
        ("missing, s.x, l[9]", {}),
    ],
)
def test_a_projection_picks_attributes(item: Wire, expression: str, expected: Any) -> None:
    get = {"TableName": "tab", "Key": {"k": s("a")}, "ProjectionExpression": expression}
    assert item.ok("GetItem", with_references(get, expression))["Item"] == expected
    scan = {"TableName": "tab", "ProjectionExpression": expression}
    assert item.ok("Scan", with_references(scan, expression))["Items"] == [expected]
    keys = with_references({"Keys": [{"k": s("a")}], "ProjectionExpression": expression}, expression)
    assert item.ok("BatchGetItem", {"RequestItems": {"tab": keys}})["Responses"]["tab"] == [expected]


def test_a_failed_condition_can_give_the_item_back(item: Wire) -> None:
    delete = {
        "TableName": "tab",
        "Key": {"k": s("a")},
        "ConditionExpression": "attribute_not_exists(k)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    status, answer = item.call("DeleteItem", delete)
    assert (status, answer["Item"]) == (400, ITEM)
    status, answer = item.call("DeleteItem", {**delete, "ReturnValuesOnConditionCheckFailure": "NONE"})
    assert (status, "Item" in answer) == (400, False)
    without = {name: delete[name] for name in ("TableName", "Key", "ConditionExpression")}
    assert "Item" not in item.call("DeleteItem", without)[1]
    assert item.ok("DeleteItem", {**without, "ConditionExpression": "attribute_exists(k)"}) == {}


@pytest.mark.parametrize(
    ("expected", "holds_"),
    [
        ({"s": {"Value": s("beta")}}, True),
        ({"s": {"Value": s("x")}}, False),
        ({"s": {"Exists": False}}, False),
        ({"missing": {"Exists": False}}, True),
        ({"n": {"ComparisonOperator": "GE", "AttributeValueList": [n("10.0")]}}, True),
        ({"n": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [n("1"), n("9")]}}, False),
        ({"s": {"ComparisonOperator": "IN", "AttributeValueList": [s("x"), s("beta")]}}, True),
        ({"s": {"ComparisonOperator": "NOT_CONTAINS", "AttributeValueList": [s("eta")]}}, False),
        ({"missing": {"ComparisonOperator": "NULL"}}, True),
        ({"s": {"ComparisonOperator": "NOT_NULL"}}, True),
        ({"missing": {"ComparisonOperator": "NOT_CONTAINS", "AttributeValueList": [s("eta")]}}, False),
    ],
)
def test_conditions_from_before_expressions(item: Wire, expected: dict[str, Any], holds_: bool) -> None:
    status, answer = item.call("PutItem", {"TableName": "tab", "Item": ITEM, "Expected": expected})
    assert status == 200 or answer["__type"].endswith("#ConditionalCheckFailedException"), answer
    assert (status == 200) is holds_
    if "ComparisonOperator" in next(iter(expected.values())):
        assert item.ok("Scan", {"TableName": "tab", "ScanFilter": expected})["Count"] == holds_


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Expected": {}, "ConditionalOperator": "OR"}, "missing or empty Expected"),
        ({"ConditionalOperator": "AND"}, "missing or empty Expected"),
        ({"Expected": {}, "ConditionalOperator": "XOR"}, "must be AND, OR or missing"),
        ({"Expected": {"s": {"ComparisonOperator": "IN", "AttributeValueList": [s("a"), n("1")]}}}, "the same type"),
        ({"Expected": {"s": {"ComparisonOperator": "IN", "AttributeValueList": [{"L": []}]}}}, "String, Number, or"),
        ({"Expected": {"s": {"ComparisonOperator": "IN", "AttributeValueList": []}}}, "non-empty"),
        ({"Expected": {"s": {"ComparisonOperator": "NULL", "AttributeValueList": [s("a")]}}}, "to be empty"),
        ({"Expected": {"s": {"ComparisonOperator": "CONTAINS", "AttributeValueList": [{"SS": ["a"]}]}}}, "got SS"),
        ({"Expected": {"s": {"Value": s("a"), "Exists": False}}}, "Cannot combine Value with Exists"),
        ({"Expected": {"s": {"Exists": True}}}, "requires Value"),
        ({"Expected": {"s": {}}}, "Missing ComparisonOperator, Value or Exists"),
    ],
)
def test_conditions_from_before_expressions_that_are_refused(
    item: Wire, parameters: dict[str, Any], message: str
) -> None:
    kind, text = item.refused("PutItem", {"TableName": "tab", "Item": ITEM, **parameters})
    assert (kind, message in text) == ("ValidationException", True), text


@pytest.mark.parametrize(("operator", "holds_"), [("AND", False), ("OR", True), (None, False)])
def test_one_condition_or_all(item: Wire, operator: str | None, holds_: bool) -> None:
    expected = {
        "s": {"ComparisonOperator": "EQ", "AttributeValueList": [s("other")]},
        "n": {"ComparisonOperator": "EQ", "AttributeValueList": [n("10")]},
    }
    more = {} if operator is None else {"ConditionalOperator": operator}
    status, _ = item.call("PutItem", {"TableName": "tab", "Item": ITEM, "Expected": expected, **more})
    assert (status == 200) is holds_
    assert item.ok("Scan", {"TableName": "tab", "ScanFilter": expected, **more})["Count"] == holds_


def test_updates_from_before_expressions(item: Wire) -> None:
    answer = item.ok(
        "UpdateItem",
        {
            "TableName": "tab",
            "Key": {"k": s("a")},
            "AttributeUpdates": {
                "s": {"Action": "PUT", "Value": s("x")},
                "n": {"Action": "ADD", "Value": n("5")},
                "ss": {"Action": "DELETE", "Value": {"SS": ["x"]}},
                "l": {"Action": "DELETE"},
            },
            "ReturnValues": "UPDATED_NEW",
        },
    )
    assert answer["Attributes"] == {"s": s("x"), "n": n("15"), "ss": {"SS": ["y"]}}
    longer = {"list": {"Action": "ADD", "Value": {"L": [n("1")]}}}
    for length in (1, 2):
        parameters = {
            "TableName": "tab",
            "Key": {"k": s("a")},
            "AttributeUpdates": longer,
            "ReturnValues": "UPDATED_NEW",
        }
        assert item.ok("UpdateItem", parameters)["Attributes"] == {"list": {"L": [n("1")] * length}}
    without = {"TableName": "tab", "Key": {"k": s("a")}, "AttributeUpdates": {"s": {"Value": s("x")}}}
    assert item.refused("UpdateItem", without)[0] == "ValidationException"
    nameless = {**without, "AttributeUpdates": {"": {"Action": "PUT", "Value": s("x")}}}
    assert "Empty attribute name" in item.refused("UpdateItem", nameless)[1]
    mixed = {
        "TableName": "tab",
        "Key": {"k": s("a")},
        "AttributeUpdates": {"s": {"Action": "PUT", "Value": s("x")}},
        "UpdateExpression": "SET a = :a",
        "ExpressionAttributeValues": {":a": s("x")},
    }
    assert "does not allow both" in item.refused("UpdateItem", mixed)[1]
