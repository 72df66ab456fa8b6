"""What tables and indexes may be made."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator.local.answers import DialectError
from pynamodb_alternator.local.catalogue import Index, TableInfo
from pynamodb_alternator.local.expressions.key_conditions import Keys
from pynamodb_alternator.local.schema import check_create, check_update

P = {"AttributeName": "p", "KeyType": "HASH"}
C = {"AttributeName": "c", "KeyType": "RANGE"}
G = {"AttributeName": "g", "KeyType": "HASH"}


def types(**kinds: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]


def index(name: str = "by_g", *keys: dict[str, str]) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": list(keys or (G,)), "Projection": {"ProjectionType": "KEYS_ONLY"}}


GOOD: dict[str, Any] = {
    "TableName": "tab",
    "KeySchema": [P, C],
    "AttributeDefinitions": types(p="S", c="N"),
    "BillingMode": "PAY_PER_REQUEST",
}
WITH_G = {"AttributeDefinitions": types(p="S", c="N", g="B")}


def test_indexes_project_all() -> None:
    asked = {**GOOD, **WITH_G, "GlobalSecondaryIndexes": [index()], "LocalSecondaryIndexes": []}
    made = check_create(asked)
    assert [each["Projection"] for each in made["GlobalSecondaryIndexes"]] == [{"ProjectionType": "ALL"}]
    assert "LocalSecondaryIndexes" not in made
    assert asked["GlobalSecondaryIndexes"][0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}


@pytest.mark.parametrize(
    ("table", "index_name", "kind"),
    [
        ("t" * 192, "i" * 29, "GlobalSecondaryIndexes"),
        ("t" * 192, "i" * 28, "LocalSecondaryIndexes"),
        ("a-b", "a.c", "GlobalSecondaryIndexes"),
    ],
)
def test_the_longest_names(table: str, index_name: str, kind: str) -> None:
    keys = (P, {"AttributeName": "g", "KeyType": "RANGE"}) if kind[0] == "L" else (G,)
    asked = {**GOOD, **WITH_G, "TableName": table, kind: [index(index_name, *keys)]}
    check_create(asked)
    if len(table) == 192:
        with pytest.raises(DialectError, match="cannot exceed"):
            check_create({**asked, kind: [index(index_name + "i", *keys)]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"TableName": None}, "Missing TableName"),
        ({"TableName": 3}, "Non-string TableName"),
        ({"TableName": "ab"}, "at least 3"),
        ({"TableName": "t" * 193}, "at most 192"),
        ({"TableName": "a b c"}, "regular expression"),
        ({"KeySchema": None}, "Missing KeySchema"),
        ({"KeySchema": []}, "one or two key columns"),
        ({"KeySchema": [P, C, C]}, "one or two key columns"),
        ({"KeySchema": [C, P]}, "First key in KeySchema must be a HASH key"),
        ({"KeySchema": [P, P]}, "Second key in KeySchema must be a RANGE key"),
        ({"KeySchema": [P, {**C, "AttributeName": "p"}]}, "as HASH and RANGE"),
        ({"KeySchema": [{"KeyType": "HASH"}]}, "string AttributeName"),
        ({"KeySchema": [{**P, "AttributeName": ":attrs"}]}, "reserved"),
        ({"KeySchema": [P, {**C, "AttributeName": "other"}]}, "missing in AttributeDefinitions"),
        ({"AttributeDefinitions": None}, "Missing AttributeDefinitions"),
        ({"AttributeDefinitions": types(p="S", c="N", x="S")}, "spurious attributes"),
        ({"AttributeDefinitions": [*types(p="S", c="N"), *types(p="S")]}, "Duplicate AttributeName"),
        ({"AttributeDefinitions": types(p="S", c="BOOL")}, "Invalid key type"),
        ({"AttributeDefinitions": types(p="S", c="")}, "Invalid key type"),
        ({"AttributeDefinitions": types(**{"p" * 256: "S"})}, "too large"),
        ({"BillingMode": None}, "Unknown BillingMode"),
        ({"BillingMode": "PROVISIONED"}, "ProvisionedThroughput must be specified"),
        ({"BillingMode": "PROVISIONED", "ProvisionedThroughput": {}}, "readCapacityUnits is missing"),
        (
            {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 1}},
            "writeCapacityUnits is missing",
        ),
        (
            {
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": "1"},
            },
            "Expected integer value for attribute writeCapacityUnits",
        ),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 1}}, "cannot be specified"),
        ({"SSESpecification": {"SSEType": "KMS"}}, "boolean Enabled"),
        ({"SSESpecification": {"Enabled": True}}, "encryption-at-rest is not yet supported"),
        ({"StreamSpecification": {}}, "boolean StreamEnabled"),
        ({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "ALL"}}, "Unknown StreamViewType ALL"),
        ({**WITH_G, "GlobalSecondaryIndexes": "x"}, "must be an array"),
        ({**WITH_G, "GlobalSecondaryIndexes": [index("ab")]}, "at least 3 characters"),
        ({**WITH_G, "GlobalSecondaryIndexes": [index("a b c")]}, "regular expression"),
        ({**WITH_G, "GlobalSecondaryIndexes": [index(), index()]}, "Duplicate IndexName"),
        ({**WITH_G, "GlobalSecondaryIndexes": [{"KeySchema": [G]}]}, "IndexName must be a string"),
        ({**WITH_G, "GlobalSecondaryIndexes": [index("by_g", G, C, C)]}, "one or two key columns"),
        ({**WITH_G, "GlobalSecondaryIndexes": [index("by_x", {**G, "AttributeName": "x"})]}, "missing in Attribute"),
        ({**WITH_G, "LocalSecondaryIndexes": [index("by_g", P)]}, "must specify a sort key"),
        (
            {**WITH_G, "LocalSecondaryIndexes": [index("by_g", G, C)]},
            "must match the base table hash key",
        ),
        (
            {
                "KeySchema": [P],
                "AttributeDefinitions": types(p="S", g="B"),
                "LocalSecondaryIndexes": [index("by_g", P, {**G, "KeyType": "RANGE"})],
            },
            "requires that the base table have a range key",
        ),
    ],
)
def test_tables_that_cannot_be_made(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DialectError) as caught:
        check_create({**GOOD, **change})
    assert message in str(caught.value.message)


INFO = TableInfo(Keys("p", "c", {"p": "S", "c": "N"}), {"by_g": Index(Keys("g", None, {"g": "S"}), False)})


def updates(**change: Any) -> dict[str, Any]:
    return {
        "TableName": "tab",
        "AttributeDefinitions": types(h="S"),
        "GlobalSecondaryIndexUpdates": [{"Create": index("by_h", {**G, "AttributeName": "h"})}],
        **change,
    }


def test_an_index_that_is_added() -> None:
    engine = check_update(updates(), INFO)
    assert engine["GlobalSecondaryIndexUpdates"][0]["Create"]["Projection"] == {"ProjectionType": "ALL"}
    assert {each["AttributeName"]: each["AttributeType"] for each in engine["AttributeDefinitions"]} == {
        "p": "S",
        "c": "N",
        "g": "S",
        "h": "S",
    }
    delete = {"TableName": "tab", "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by_g"}}]}
    assert check_update(delete, INFO) == delete


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"TableName": "tab"}, "UpdateTable requires one of"),
        ({"ProvisionedThroughput": {}}, "ProvisionedThroughput not supported"),
        ({"BillingMode": "PROVISIONED"}, "ProvisionedThroughput must be specified"),
        ({"BillingMode": "FREE"}, "Unknown BillingMode"),
        (updates(GlobalSecondaryIndexUpdates=[]), "UpdateTable requires one of"),
        (updates(GlobalSecondaryIndexUpdates=[{"Create": {}}, {"Create": {}}]), "only allows one index"),
        (updates(GlobalSecondaryIndexUpdates=[{"Create": {}}]), "must have IndexName"),
        (updates(GlobalSecondaryIndexUpdates=[{"Frob": index()}]), "saw 'Frob'"),
        (updates(GlobalSecondaryIndexUpdates=[{"Update": index()}]), "Update not yet supported"),
        (
            updates(GlobalSecondaryIndexUpdates=[{"Create": index()}], AttributeDefinitions=types(g="S")),
            "already exists",
        ),
        (updates(AttributeDefinitions=types(g="N", h="S")), "redefined g to N"),
        (updates(AttributeDefinitions=types(p="S", h="S")), "spurious attributes"),
        (updates(GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "nowhere"}}]), "No GSI nowhere"),
    ],
)
def test_updates_that_cannot_be(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(DialectError) as caught:
        check_update(request_, INFO)
    assert message in str(caught.value.message)
