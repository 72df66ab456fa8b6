"""Tables and items in a file of JSON lines."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator.errors import AlternatorError, ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.engine import EngineAnswer
from pynamodb_alternator.local.moto_engine import MotoEngine

from .wire import Wire, create, ok, s

TABLE: dict[str, Any] = {
    "TableName": "events",
    "KeySchema": [{"AttributeName": "who", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "who", "AttributeType": "B"},
        {"AttributeName": "at", "AttributeType": "N"},
        {"AttributeName": "town", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_town",
            "KeySchema": [{"AttributeName": "town", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by_who_and_town",
            "KeySchema": [{"AttributeName": "who", "KeyType": "HASH"}, {"AttributeName": "town", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "ProvisionedThroughput": {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4},
    "Tags": [{"Key": "team", "Value": "blue"}],
}


def described(wire: Wire, table: str) -> dict[str, Any]:
    table_ = dict(wire.ok("DescribeTable", {"TableName": table})["Table"])
    for name in ("CreationDateTime", "TableId", "BillingModeSummary"):
        table_.pop(name, None)
    table_["ProvisionedThroughput"] = {
        name: table_["ProvisionedThroughput"][name] for name in ("ReadCapacityUnits", "WriteCapacityUnits")
    }
    return table_


def item(number: int) -> dict[str, Any]:
    return {
        "who": {"B": base64.b64encode(bytes([number, 255])).decode()},
        "at": {"N": str(number)},
        "town": s("münster\n\u2028"),
        "more": {"M": {"list": {"L": [{"NULL": True}, {"NS": ["1", "2"]}]}}},
    }


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    ttl = {"TableName": "events", "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True}}
    with LocalCluster(1) as local, Wire(local.nodes[0]) as wire:
        create(local)
        wire.ok("CreateTable", TABLE)
        wire.ok("UpdateTimeToLive", ttl)
        for number in range(30):
            wire.ok("PutItem", {"TableName": "events", "Item": item(number)})
        before = described(wire, "events"), described(wire, "tab")
        local.save(path)
        local.save(path)  # over the first
    assert [name.name for name in tmp_path.iterdir()] == ["data.jsonl"]
    with LocalCluster(1) as local, Wire(local.nodes[0]) as wire:
        assert local.load(path) == 30
        assert (described(wire, "events"), described(wire, "tab")) == before
        assert wire.ok("DescribeTimeToLive", {"TableName": "events"})["TimeToLiveDescription"] == {
            "TimeToLiveStatus": "ENABLED",
            "AttributeName": "until",
        }
        arn = before[0]["TableArn"]
        assert wire.ok("ListTagsOfResource", {"ResourceArn": arn})["Tags"] == TABLE["Tags"]
        items = wire.ok("Scan", {"TableName": "events"})["Items"]
        assert sorted(items, key=str) == sorted(map(item, range(30)), key=str)
        # A second time changes nothing: tables that exist are left as they are.
        assert local.load(path) == 30
        assert len(wire.ok("Scan", {"TableName": "events"})["Items"]) == 30


def test_the_short_form_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "seed.jsonl"
    values = {
        "k": "a",
        "n": 1,
        "f": 1.50,
        "big": 1e22,
        "long": 2**100 + 1,
        "yes": True,
        "none": None,
        "l": ["x", 2],
        "m": {"S": "x"},
    }
    path.write_text(f"\n{json.dumps({'table': 'tab', 'item': values})}\n\n")
    with LocalCluster(1) as local, Wire(local.nodes[0]) as wire:
        create(local)
        assert local.load(path) == 1
        assert wire.ok("GetItem", {"TableName": "tab", "Key": {"k": s("a")}})["Item"] == {
            "k": s("a"),
            "n": {"N": "1"},
            "f": {"N": "1.5"},
            "big": {"N": "10000000000000000000000"},
            "long": {"N": str(2**100 + 1)},
            "yes": {"BOOL": True},
            "none": {"NULL": True},
            "l": {"L": [s("x"), {"N": "2"}]},
            "m": {"M": {"S": s("x")}},
        }


def test_plain_numbers_keep_all_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "seed.jsonl"
    digits = "0.12345678901234567890123456789012345678"
    path.write_text(f'{{"table": "tab", "item": {{"k": "a", "n": {digits}}}}}')
    with LocalCluster(1) as local, Wire(local.nodes[0]) as wire:
        create(local)
        local.load(path)
        assert wire.ok("GetItem", {"TableName": "tab", "Key": {"k": s("a")}})["Item"]["n"] == {"N": digits}


class Vanishing(MotoEngine):
    """An engine in which a table is deleted as soon as it was described."""

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        answer = super().call(headers, body)
        if headers["x-amz-target"].endswith(".DescribeTable") and b'"gone"' in body:
            super().call({"x-amz-target": "DynamoDB_20120810.DeleteTable"}, body)
        return answer


def test_a_table_that_is_deleted_meanwhile_does_not_stop_a_save(tmp_path: Path) -> None:
    path = tmp_path / "saved.jsonl"
    with LocalCluster(1, engine=Vanishing()) as local:
        create(local, "gone")
        create(local, "here")
        ok(local.nodes[0], "PutItem", {"TableName": "here", "Item": {"k": s("a")}})
        local.save(path)
    with LocalCluster(1) as local:
        assert local.load(path) == 1


def test_an_engine_that_fails_makes_no_file(tmp_path: Path) -> None:
    class Failing(MotoEngine):
        def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
            if headers["x-amz-target"].endswith(".DescribeTable"):
                return 500, {}, b'{"__type": "InternalServerError", "message": "on purpose"}'
            return super().call(headers, body)

    with LocalCluster(1, engine=Failing()) as local:
        create(local)
        with pytest.raises(AlternatorError, match=r"the tables cannot be read \(on purpose\)"):
            local.save(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "seed.jsonl, line 2 is not JSON"),
        ("[]", "line 2 must be an object such as"),
        ('{"table": "tab"}', "line 2 must be an object such as"),
        ('{"DeleteTable": {"TableName": "tab"}}', "whose only member is CreateTable, UpdateTimeToLive, PutItem"),
        ('{"table": "tab", "item": {"k": 1}}', "line 2 was refused: ValidationException"),
        ('{"table": "nowhere", "item": {"k": "a"}}', 'Write a line {"CreateTable": {…}} before the items'),
        ('{"table": 1, "item": {"k": "a"}}', "line 2 was refused: ValidationException"),
    ],
)
def test_a_line_that_cannot_be_loaded(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "seed.jsonl"
    path.write_text(f'{{"table": "tab", "item": {{"k": "first"}}}}\n{line}\n')
    with LocalCluster(1) as local:
        create(local)
        with pytest.raises(ConfigurationError) as caught:
            local.load(path)
        assert message in str(caught.value)
        with Wire(local.nodes[0]) as wire:
            assert wire.ok("Scan", {"TableName": "tab"})["Count"] == 1


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with LocalCluster(1) as local:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            local.load(tmp_path / "missing")
        with pytest.raises(AlternatorError, match="cannot be written"):
            local.save(tmp_path / "missing" / "file")
    for method in (local.load, local.save):
        with pytest.raises(AlternatorError, match="not running"):
            method(tmp_path / "file")
