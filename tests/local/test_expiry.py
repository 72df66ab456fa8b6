"""Time to live: the rule, the operations, and when the sweep comes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.engine import EngineAnswer
from pynamodb_alternator.local.expiry import is_expired
from pynamodb_alternator.local.moto_engine import MotoEngine

from .wire import Wire, create, s

NOW = 1_800_000_000.7
YEAR = 31_556_952


@pytest.mark.parametrize(
    ("value", "expired"),
    [
        ({"N": "1800000000"}, True),
        ({"N": "1800000001"}, False),
        ({"N": "1800000000.9"}, True),
        ({"N": "1.8E9"}, True),
        ({"N": str(1_800_000_000 - 5 * YEAR + 1)}, True),
        ({"N": str(1_800_000_000 - 5 * YEAR)}, False),
        ({"N": "0"}, False),
        ({"N": "-1"}, False),
        ({"N": "1e125"}, False),
        ({"N": "nonsense"}, False),
        ({"S": "1800000000"}, False),
        ({"NS": ["1800000000"]}, False),
        (None, False),
    ],
)
def test_an_item_expires_at_its_time(value: Any, expired: bool) -> None:
    assert is_expired(value, NOW) is expired


def turn(attribute: Any = "expires", enabled: Any = True) -> dict[str, Any]:
    return {"TableName": "tab", "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": enabled}}


def test_turning_it_on_and_off(wire: Wire) -> None:
    assert wire.ok("DescribeTimeToLive", {"TableName": "tab"}) == {
        "TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}
    }
    assert wire.refused("UpdateTimeToLive", turn(enabled=False)) == (
        "ValidationException",
        "TTL is already disabled",
    )
    assert wire.ok("UpdateTimeToLive", turn()) == {
        "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True}
    }
    assert wire.refused("UpdateTimeToLive", turn()) == ("ValidationException", "TTL is already enabled")
    kind, message = wire.refused("UpdateTimeToLive", turn("other", enabled=False))
    assert (kind, "different attribute expires" in message) == ("ValidationException", True)
    wire.ok("UpdateTimeToLive", turn(enabled=False))
    assert wire.ok("DescribeTimeToLive", {"TableName": "tab"}) == {
        "TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}
    }


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        ({"TableName": "tab"}, "ValidationException", "missing mandatory TimeToLiveSpecification"),
        (turn(enabled="yes"), "ValidationException", "boolean Enabled"),
        (turn(attribute=1), "ValidationException", "string AttributeName"),
        (turn(attribute=""), "ValidationException", "between 1 and 255"),
        (turn(attribute="x" * 256), "ValidationException", "between 1 and 255"),
        ({**turn(), "TableName": "nowhere"}, "ResourceNotFoundException", "nowhere"),
        (turn() | {"TableName": None}, "ValidationException", "TableName"),
    ],
)
def test_what_is_refused(wire: Wire, request_: dict[str, Any], kind: str, message: str) -> None:
    refusal = wire.refused("UpdateTimeToLive", request_)
    assert (refusal[0], message in refusal[1]) == (kind, True), refusal


def put(wire: Wire, key: str, expires: float | None) -> None:
    item = {"k": s(key)} | ({} if expires is None else {"expires": {"N": str(int(expires))}})
    wire.ok("PutItem", {"TableName": "tab", "Item": item})


def keys(wire: Wire) -> set[str]:
    return {item["k"]["S"] for item in wire.ok("Scan", {"TableName": "tab"})["Items"]}


def test_expire_deletes_what_has_expired_by_then() -> None:
    with LocalCluster(1, ttl_period=None) as local, Wire(local.nodes[0]) as wire:
        create(local)
        wire.ok("UpdateTimeToLive", turn())
        now = time.time()
        for key, expires in (("past", now - 10), ("soon", now + 3600), ("never", None)):
            put(wire, key, expires)
        assert keys(wire) == {"past", "soon", "never"}  # no sweep happens without a call
        assert local.expire() == 1
        assert keys(wire) == {"soon", "never"}
        assert local.expire("tab", now=now + 7200) == 1
        assert keys(wire) == {"never"}
        assert local.expire() == 0
        with pytest.raises(LookupError, match="nowhere"):
            local.expire("nowhere")


def test_a_sweep_goes_through_all_pages() -> None:
    with LocalCluster(1, ttl_period=None) as local, Wire(local.nodes[0]) as wire:
        create(local)
        wire.ok("UpdateTimeToLive", turn())
        for number in range(4):
            item = {"k": s(str(number)), "expires": {"N": str(int(NOW))}, "text": s("x" * 600_000)}
            wire.ok("PutItem", {"TableName": "tab", "Item": item})
        assert "LastEvaluatedKey" in wire.ok("Scan", {"TableName": "tab"})
        assert local.expire(now=NOW) == 4
        assert wire.ok("Scan", {"TableName": "tab"})["Items"] == []


class Prolonging(MotoEngine):
    """An engine in which items are given more time as soon as a sweep has read them."""

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        answer = super().call(headers, body)
        if headers["x-amz-target"].endswith(".Scan"):
            for item in orjson.loads(answer[2])["Items"]:
                put = {"TableName": "tab", "Item": {**item, "expires": {"N": str(int(NOW) + 1000)}}}
                super().call({"x-amz-target": "DynamoDB_20120810.PutItem"}, orjson.dumps(put))
        return answer


def test_an_item_that_is_given_more_time_during_a_sweep_stays() -> None:
    with LocalCluster(1, engine=Prolonging(), ttl_period=None) as local, Wire(local.nodes[0]) as wire:
        create(local)
        wire.ok("UpdateTimeToLive", turn())
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("a"), "expires": {"N": str(int(NOW))}}})
        assert local.expire(now=NOW) == 0
        assert "Item" in wire.ok("GetItem", {"TableName": "tab", "Key": {"k": s("a")}})


def test_a_table_without_time_to_live_keeps_everything() -> None:
    with LocalCluster(1, ttl_period=0) as local, Wire(local.nodes[0]) as wire:
        create(local)
        put(wire, "past", time.time() - 10)
        assert local.expire() == 0
        assert keys(wire) == {"past"}


READS: list[tuple[str, dict[str, Any]]] = [
    ("GetItem", {"TableName": "tab", "Key": {"k": s("a")}}),
    ("Scan", {"TableName": "tab"}),
    (
        "Query",
        {
            "TableName": "tab",
            "KeyConditionExpression": "k = :k",
            "ExpressionAttributeValues": {":k": s("a")},
        },
    ),
    ("BatchGetItem", {"RequestItems": {"tab": {"Keys": [{"k": s("a")}]}}}),
]


@pytest.mark.parametrize(("operation", "request_"), READS, ids=[operation for operation, _ in READS])
def test_a_read_finds_no_expired_item_once_a_sweep_is_due(operation: str, request_: dict[str, Any]) -> None:
    with LocalCluster(1, ttl_period=0) as local, Wire(local.nodes[0]) as wire:
        create(local)
        wire.ok("UpdateTimeToLive", turn())
        put(wire, "a", time.time() - 10)
        assert "expires" not in str(wire.ok(operation, request_))


def test_a_condition_sees_what_the_sweep_left() -> None:
    with LocalCluster(1, ttl_period=0) as local, Wire(local.nodes[0]) as wire:
        create(local)
        wire.ok("UpdateTimeToLive", turn())
        put(wire, "a", time.time() - 10)
        wire.ok(
            "PutItem",
            {
                "TableName": "tab",
                "Item": {"k": s("a"), "new": s("x")},
                "ConditionExpression": "attribute_not_exists(k)",
            },
        )
        assert wire.ok("GetItem", READS[0][1])["Item"] == {"k": s("a"), "new": s("x")}


def test_the_server_configuration_has_the_period() -> None:
    with LocalCluster(1, ttl_period=0.5) as local, Wire(local.nodes[0]) as wire:
        rows = wire.ok("Scan", {"TableName": ".scylla.alternator.system.config"})["Items"]
        values = {row["name"]["S"]: row["value"]["S"] for row in rows}
        assert values["alternator_ttl_period_in_seconds"] == "0.5"


def test_an_index_forgets_an_expired_item_and_time_to_live_survives_an_update_of_the_table() -> None:
    with LocalCluster(1, ttl_period=0) as local, Wire(local.nodes[0]) as wire:
        create(local)
        wire.ok("UpdateTimeToLive", turn())
        change = {
            "Create": {
                "IndexName": "by_g",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        }
        wire.ok(
            "UpdateTable",
            {
                "TableName": "tab",
                "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}],
                "GlobalSecondaryIndexUpdates": [change],
            },
        )
        item = {"k": s("a"), "g": s("x"), "expires": {"N": str(int(time.time()) - 5)}}
        wire.ok("PutItem", {"TableName": "tab", "Item": item})
        page = wire.ok(
            "Query",
            {
                "TableName": "tab",
                "IndexName": "by_g",
                "KeyConditionExpression": "g = :g",
                "ExpressionAttributeValues": {":g": s("x")},
            },
        )
        assert page["Items"] == []
