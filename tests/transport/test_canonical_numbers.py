"""Which numbers of a request are sent in canonical form."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from typing import Any

import botocore.session
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.routing.canonical_number import canonical_number
from pynamodb_alternator.routing.tables import Tables
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.options import NO_OPTIONS, RequestOptions
from pynamodb_alternator.transport.canonical_numbers import NumberForms, canonical_request, may_change
from pynamodb_alternator.transport.lanes import RequestSerializer

from .attribute_values import nested, scalars

SERVICE = botocore.session.Session().get_service_model("dynamodb")
N, ONE = {"N": "1.0"}, {"N": "1"}
SET, ONES = {"NS": ["1.0", "2e1"]}, {"NS": ["1", "20"]}

many = settings(deadline=None, max_examples=150)


def sent(parameters: Mapping[str, Any], *, keys: bool) -> Any:
    before = copy.deepcopy(parameters)
    made = canonical_request(parameters, keys=keys)
    assert parameters == before, "the caller's parameters have changed"
    assert (made is parameters) == (made == parameters)
    return made


# ---- number sets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize(
    "parameters_of",
    [
        lambda value: {"Item": {"p": {"S": "a"}, "s": value}},
        lambda value: {"Item": {"m": {"M": {"l": {"L": [{"S": "x"}, {"M": {"s": value}}]}}}}},
        # Attributes with the names of types.
        lambda value: {"Item": {"NS": value, "N": {"M": {"NS": value}}, "M": {"L": [value]}}},
        lambda value: {
            "Key": {"p": {"S": "a"}},
            "UpdateExpression": "ADD s :s",
            "ExpressionAttributeValues": {":s": value},
        },
        lambda value: {"ConditionExpression": "s = :s", "ExpressionAttributeValues": {":s": value}},
        lambda value: {"RequestItems": {"t": [{"PutRequest": {"Item": {"s": value}}}, {"DeleteRequest": {"Key": {}}}]}},
        lambda value: {"TransactItems": [{"Put": {"TableName": "t", "Item": {"s": value}}}]},
        lambda value: {
            "TransactItems": [{"Update": {"UpdateExpression": "ADD s :s", "ExpressionAttributeValues": {":s": value}}}]
        },
        lambda value: {"AttributeUpdates": {"s": {"Action": "ADD", "Value": value}}},
        lambda value: {"Expected": {"s": {"Value": value}}},
        lambda value: {"ScanFilter": {"s": {"ComparisonOperator": "EQ", "AttributeValueList": [value]}}},
    ],
)
def test_sets_become_canonical_at_every_place(parameters_of: Any, keys: bool) -> None:
    assert sent(parameters_of(SET), keys=keys) == parameters_of(ONES)
    assert sent(parameters_of(ONES), keys=keys) == parameters_of(ONES)


@pytest.mark.parametrize(
    ("elements", "made"),
    [
        (["1", "1.0", "2"], ["1", "2"]),
        (("1.0",), ["1"]),
        (["1", "1"], ["1", "1"]),  # which is for the server to refuse
        (["dog", "1.0"], ["dog", "1"]),
        (["1" * 39, "1e200"], ["1" * 39, "1e200"]),
        ([1, "1.0", None], [1, "1", None]),
        ([], []),
    ],
)
def test_elements_of_sets_become_canonical(elements: Any, made: Any) -> None:
    assert sent({"Item": {"s": {"NS": elements}}}, keys=False) == {"Item": {"s": {"NS": made}}}


# ---- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters_of",
    [
        lambda value: {"Key": {"p": value}},
        lambda value: {"Item": {"p": value, "index_key": value, "m": {"M": {"nested": N}}, "l": {"L": [N]}}},
        lambda value: {"ExclusiveStartKey": {"p": value, "c": {"S": "1.0"}}},
        lambda value: {"KeyConditionExpression": "#0 = :0", "ExpressionAttributeValues": {":0": value}},
        lambda value: {
            "KeyConditionExpression": "c < :c AND p = :p",
            "ExpressionAttributeValues": {":c": N, ":p": value},
        },
        lambda value: {
            "UpdateExpression": "SET index_key = :0, m.x = :1",
            "ExpressionAttributeValues": {":0": value, ":1": N},
        },
        lambda value: {"KeyConditions": {"p": {"AttributeValueList": [value], "ComparisonOperator": "EQ"}}},
        lambda value: {"AttributeUpdates": {"index_key": {"Value": value}}},
        lambda value: {
            "RequestItems": {"t": [{"PutRequest": {"Item": {"p": value}}}, {"DeleteRequest": {"Key": {"p": value}}}]}
        },
        lambda value: {"RequestItems": {"t": {"Keys": [{"p": value}, {"p": {"N": "5"}}], "ConsistentRead": True}}},
        lambda value: {"TransactItems": [{"Get": {"Key": {"p": value}}}, {"Delete": {"Key": {"p": value}}}]},
    ],
)
def test_keys_become_canonical_if_that_is_set(parameters_of: Any) -> None:
    assert sent(parameters_of(N), keys=True) == parameters_of(ONE)
    assert sent(parameters_of(N), keys=False) == parameters_of(N)
    assert sent(parameters_of(ONE), keys=True) == parameters_of(ONE)


# ---- what conditions compare with --------------------------------------------------------------------------------


def condition(text: str, member: str = "FilterExpression", **values: Any) -> dict[str, Any]:
    return {member: text, "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}}


@pytest.mark.parametrize("member", ["FilterExpression", "ConditionExpression", "SearchConditionExpression"])
@pytest.mark.parametrize("keys", [False, True])
def test_values_of_conditions_become_canonical(member: str, keys: bool) -> None:
    written = condition("a = :a AND m.x = :x AND b IN (:b, :c) AND d < :d", member, a=N, x=N, b=N, c={"S": "1.0"}, d=N)
    values = sent(written, keys=keys)["ExpressionAttributeValues"]
    assert values == {":a": ONE, ":x": N, ":b": ONE, ":c": {"S": "1.0"}, ":d": N}
    assert sent(condition("m.x = :x", member, x=N), keys=keys) == condition("m.x = :x", member, x=N)


@pytest.mark.parametrize("keys", [False, True])
def test_contains_looks_for_either_form(keys: bool) -> None:
    made = sent(condition("contains(a, :a)", a=N), keys=keys)
    assert made["FilterExpression"] == "(contains(a, :a) OR contains(a, :a_canonical))"
    assert made["ExpressionAttributeValues"] == {":a": N, ":a_canonical": ONE}
    taken = condition("contains(a, :a) AND b = :a_canonical", a=N, a_canonical={"S": "x"})
    made = sent(taken, keys=keys)
    assert made["FilterExpression"] == "(contains(a, :a) OR contains(a, :a_canonical_)) AND b = :a_canonical"
    assert made["ExpressionAttributeValues"] == {":a": N, ":a_canonical": {"S": "x"}, ":a_canonical_": ONE}
    assert sent(condition("contains(a, :a)", a=ONE), keys=keys) == condition("contains(a, :a)", a=ONE)


def test_a_value_that_is_stored_in_a_map_too() -> None:
    written = {"UpdateExpression": "SET m.x = :v", **condition("a = :v", "ConditionExpression", v=N)}
    for keys in (False, True):
        made = sent(written, keys=keys)
        assert made["UpdateExpression"] == "SET m.x = :v"
        assert made["ConditionExpression"] == "a = :v_canonical"
        assert made["ExpressionAttributeValues"] == {":v": N, ":v_canonical": ONE}


def test_a_partition_key_that_is_looked_for_in_a_list_too() -> None:
    query = {"KeyConditionExpression": "p = :v", **condition("contains(s, :v)", v=N)}
    made = sent(query, keys=True)
    assert made["KeyConditionExpression"] == "p = :v_canonical"
    assert made["ExpressionAttributeValues"] == {":v": N, ":v_canonical": ONE}
    made = sent(query, keys=False)
    assert made["KeyConditionExpression"] == "p = :v"
    assert made["FilterExpression"] == "(contains(s, :v) OR contains(s, :v_canonical))"


def test_a_condition_that_would_become_too_long_has_no_value_of_no_use() -> None:
    text = " OR ".join(f"contains(attribute{number}, :x)" for number in range(80))
    assert sent(condition(text, x=N), keys=False) == condition(text, x=ONE)


# ---- laws --------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8) | st.sampled_from(
    ['"N":"1.0"', '{"NS":["1.0"]}', "N", "NS", "1.0"]
)
numbers = st.sampled_from(["1", "1.0", "-0", "0.5", "5e1", "007", "-10", "10.50", "12.25", "+1"])
values = nested(
    scalars(texts, st.just("x")) | numbers.map(lambda text: {"N": text}) | st.lists(numbers).map(lambda n: {"NS": n}),
    texts,
)
items = st.dictionaries(texts, values, max_size=5)


@many
@given(items, st.booleans())
def test_what_may_not_change_does_not(item: dict[str, Any], keys: bool) -> None:
    parameters = {"TableName": "t", "Item": item}
    made = sent(parameters, keys=keys)
    assert sent(made, keys=keys) is made
    for body in (orjson.dumps(parameters), json.dumps(parameters).encode()):
        if may_change(body) is None:
            assert made is parameters


@many
@given(items, st.sampled_from(["Item", "Key", "AttributeUpdates", "ExpressionAttributeValues", "Expected"]))
def test_what_is_left_out_changes_nothing(item: dict[str, Any], member: str) -> None:
    parameters = {
        "TableName": "t",
        member: item,
        "FilterExpression": "a = :a",
        "ConditionExpression": "contains(b, :b)",
    }
    assert given_forms(forms("sets"), parameters) == sent(parameters, keys=False)


@many
@given(st.text(st.sampled_from("0123456789.eE+-"), max_size=6))
def test_the_search_finds_every_number_in_another_form(text: str) -> None:
    for value in ({"N": text}, {"NS": [text]}, {"NS": ["1", "20", text]}, {"NS": [text, "1"]}):
        for body in (orjson.dumps({"Item": {"p": value}}), json.dumps({"Item": {"p": value}}).encode()):
            assert may_change(body) is not None or canonical_number(text) == text


@pytest.mark.parametrize("number", ["0", "7", "-7", "10", "0.5", "-0.25", "12.25", "100", "1" * 38])
def test_a_number_in_canonical_form_is_not_looked_at(number: str) -> None:
    item = {"aN": {"S": "N"}, "p": {"N": number}, "s": {"NS": [number]}, "t": {"NS": ["1", number, "-2.5"]}}
    for body in (orjson.dumps({"TableName": "Names", "Item": item}), json.dumps({"Item": item}).encode()):
        assert may_change(body) is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"Item": None},
        {"Item": [N]},
        {"Item": {"p": None, "q": "1.0", "r": {"N": 1.0}, "s": {"NS": "1.0"}, "t": {"M": []}, "u": {"L": {}}}},
        {"Item": {"p": {"N": "1.0", "S": "x"}}},
        {"RequestItems": {"t": None, "u": [None, {"PutRequest": None}]}},
        {"TransactItems": [None, {"Put": None}]},
        {"FilterExpression": 5, "ExpressionAttributeValues": {":a": N}},
        {"ExpressionAttributeValues": [N]},
        {"Expected": {"a": None, "b": {"AttributeValueList": None}}},
    ],
)
def test_malformed_parameters_are_for_the_server(parameters: Any) -> None:
    for keys in (False, True):
        assert sent(parameters, keys=keys) == parameters


# ---- settings, and the log ---------------------------------------------------------------------------------------


def forms(default: Any, own: Any = None, **config: Any) -> NumberForms:
    options = NO_OPTIONS if own is None else RequestOptions(canonical_numbers=own)
    return NumberForms(default, lambda: options, Tables(ClusterConfig("10.0.0.1", **config)))


def given_forms(number_forms: NumberForms, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    return number_forms.of(parameters, orjson.dumps(parameters))


@pytest.mark.parametrize(
    ("default", "own", "made"),
    [
        ("sets", None, {"p": N, "s": ONES}),
        (True, None, {"p": ONE, "s": ONES}),
        (False, None, {"p": N, "s": SET}),
        (False, True, {"p": ONE, "s": ONES}),
        (True, "sets", {"p": N, "s": ONES}),
        (True, False, {"p": N, "s": SET}),
    ],
)
def test_a_request_may_have_its_own_setting(default: Any, own: Any, made: dict[str, Any]) -> None:
    item = {"p": N, "s": SET}
    assert given_forms(forms(default, own), {"TableName": "t", "Item": item}) == {"TableName": "t", "Item": made}


@pytest.mark.parametrize(
    "parameters",
    [
        {"TableName": "t", "Key": {"p": N, "c": ONE}},
        {"TableName": "t", "Item": {"p": N, "a": ONE}},
        {"TableName": "t", "KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": N}},
        {"TableName": "t", "KeyConditions": {"p": {"ComparisonOperator": "EQ", "AttributeValueList": [N]}}},
        {"RequestItems": {"t": [{"PutRequest": {"Item": {"p": N}}}]}},
        {"RequestItems": {"t": {"Keys": [{"p": ONE}, {"p": N}]}}},
    ],
)
def test_a_key_in_another_form_is_logged_once_for_each_table(parameters: Any, caplog: pytest.LogCaptureFixture) -> None:
    number_forms = forms("sets", partition_keys={"t": "p"})
    with caplog.at_level(logging.WARNING, "pynamodb_alternator"):
        given_forms(number_forms, parameters)
        given_forms(number_forms, {"TableName": "t", "Key": {"p": N}})
        (told,) = caplog.records
        given_forms(number_forms, {"TableName": "unknown", "Key": {"id": N}})
        assert len(caplog.records) == 2
    assert "'t'" in told.getMessage()
    assert "pynamodb-alternator check" in told.getMessage()


@pytest.mark.parametrize(
    "parameters",
    [
        {"TableName": "t", "Item": {"p": {"S": "x"}, "rank": N}},
        {"RequestItems": {"t": [{"PutRequest": {"Item": {"p": {"S": "x"}, "rank": N}}}]}},
        {
            "TableName": "t",
            "IndexName": "by_rank",
            "KeyConditionExpression": "rank = :r",
            "ExpressionAttributeValues": {":r": N},
        },
    ],
)
def test_a_key_of_an_index_is_logged_too(parameters: Any, caplog: pytest.LogCaptureFixture) -> None:
    tables = Tables(ClusterConfig("10.0.0.1"))
    tables.register("t", "p", None, {"by_rank": "rank"})
    number_forms = NumberForms("sets", lambda: NO_OPTIONS, tables)
    with caplog.at_level(logging.WARNING, "pynamodb_alternator"):
        given_forms(number_forms, parameters)
        given_forms(number_forms, parameters)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"TableName": "t", "Item": {"p": ONE, "a": N}},
        {"TableName": "t", "Key": {"p": {"S": "1.0"}, "c": N}},
        {"TableName": "unknown", "Item": {"p": N}},
        {"TableName": None, "Key": {"p": N}},
        {
            "TableName": "t",
            "KeyConditionExpression": "p = :p AND c = :c",
            "ExpressionAttributeValues": {":p": ONE, ":c": N},
        },
    ],
)
def test_other_numbers_are_not_logged(parameters: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "pynamodb_alternator"):
        given_forms(forms("sets", partition_keys={"t": "p"}), parameters)
        for mode in (True, False):
            given_forms(forms(mode, partition_keys={"t": "p"}), {"TableName": "t", "Key": {"p": N}})
    assert not caplog.records


# ---- the serializer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validate", [False, True])
def test_the_serializer_writes_and_keeps_what_is_sent(validate: bool) -> None:
    serializer = RequestSerializer(validate=validate, numbers=forms(True))
    model = SERVICE.operation_model("PutItem")
    parameters = {"TableName": "ttt", "Item": {"p": N, "b": {"B": b"\x00"}}}
    made, body = serializer.written(parameters, model)
    assert made == {"TableName": "ttt", "Item": {"p": ONE, "b": {"B": b"\x00"}}}
    assert json.loads(body) == {"TableName": "ttt", "Item": {"p": ONE, "b": {"B": "AA=="}}}
    request = serializer.serialize_to_request(parameters, model)
    assert (request["parameters"], request["body"]) == (made, body)
    usual = {"TableName": "ttt", "Item": {"p": ONE}}
    assert serializer.written(usual, model)[0] is usual
    assert parameters["Item"]["p"] is N
