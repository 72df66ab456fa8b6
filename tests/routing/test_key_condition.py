"""The partition key that a Query asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.routing import reasons
from pynamodb_alternator.routing.key_condition import queried_key

ALICE, TEN, SIX = {"S": "alice"}, {"N": "10"}, {"N": "6"}
VALUES = {":0": ALICE, ":1": TEN, ":2": SIX}


def query(expression: str, **names: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": expression,
        "ExpressionAttributeValues": VALUES,
        "ExpressionAttributeNames": {f"#{alias}": name for alias, name in names.items()},
    }


@pytest.mark.parametrize(
    "expression",
    [
        "id = :0",
        "id=:0",
        "(id = :0)",
        ":0 = id",
        ":0=id AND at < :1",
        "id = :0 AND at >= :1",
        "id = :0 AND at<=:1",
        "(id = :0) and (at BETWEEN :1 AND :2)",
        "at between :1 and :2 and id = :0",
        "id = :0 AND begins_with(at, :1)",
        "begins_with(at, :1) AND id = :0",
    ],
)
@pytest.mark.parametrize("name", ["id", None])
def test_one_equality_is_the_partition_keys(expression: str, name: str | None) -> None:
    assert queried_key(query(expression), name) == ALICE


@pytest.mark.parametrize("expression", ["id = :0 AND at = :1", "at = :1 AND id = :0", "(:1 = at AND (:0 = id))"])
def test_of_two_equalities_the_name_decides(expression: str) -> None:
    assert queried_key(query(expression), "id") == ALICE
    assert queried_key(query(expression), "at") == TEN
    assert queried_key(query(expression), None) == reasons.NO_PARTITION_KEY_NAME
    assert queried_key(query(expression), "other") == reasons.NO_KEY_VALUE


def test_names_are_resolved() -> None:
    asked = query("#0 = :1 AND #1 = :0", **{"0": "at", "1": "id"})
    assert queried_key(asked, "id") == ALICE
    assert queried_key(asked, "at") == TEN


@pytest.mark.parametrize("expression", ["", "at < :1", "id <= :0", "id >= :0", "id <> :0", "a.id = :0", "a[0] = :0"])
@pytest.mark.parametrize("name", ["id", None])
def test_a_condition_without_equality_has_no_key(expression: str, name: str | None) -> None:
    assert queried_key(query(expression), name) == reasons.NO_KEY_VALUE


def test_a_value_that_is_missing() -> None:
    assert queried_key(query("id = :9"), "id") == reasons.NO_KEY_VALUE
    assert queried_key({"KeyConditionExpression": "id = :0"}, "id") == reasons.NO_KEY_VALUE


def condition(operator: str, *values: Any) -> dict[str, Any]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


def test_conditions_that_are_older_than_expressions() -> None:
    of_one = {"KeyConditions": {"id": condition("EQ", ALICE), "at": condition("LT", TEN)}}
    assert queried_key(of_one, "id") == queried_key(of_one, None) == ALICE
    of_two = {"KeyConditions": {"at": condition("EQ", TEN), "id": condition("EQ", ALICE)}}
    assert queried_key(of_two, "id") == ALICE
    assert queried_key(of_two, None) == reasons.NO_PARTITION_KEY_NAME


@pytest.mark.parametrize(
    "conditions", [None, {}, [], {"id": None}, {"id": condition("EQ")}, {"id": {"ComparisonOperator": "EQ"}}]
)
def test_conditions_that_say_nothing(conditions: Any) -> None:
    assert queried_key({"KeyConditions": conditions}, "id") == reasons.NO_KEY_VALUE


@given(st.text(alphabet="ai=<> :0#()AND_.[]1", max_size=40))
def test_any_expression_is_read_or_refused(expression: str) -> None:
    assert queried_key(query(expression), "a") in [*VALUES.values(), reasons.NO_KEY_VALUE]
