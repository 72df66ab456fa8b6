"""Tags of tables, and what a tag may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster

from .wire import BY_K, Wire

ARN = "arn:scylla:alternator:alternator_tab:scylla:table/tab"


def test_a_table_has_tags(wire: Wire) -> None:
    def tags() -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in wire.ok("ListTagsOfResource", {"ResourceArn": ARN})["Tags"]}

    assert tags() == {}
    status, headers, body = wire.raw(
        "TagResource", json.dumps({"ResourceArn": ARN, "Tags": [{"Key": "a", "Value": "1"}]}).encode()
    )
    assert (status, headers["content-length"], body) == (200, "0", b"")
    for number in range(20):
        wire.ok("TagResource", {"ResourceArn": ARN, "Tags": [{"Key": f"t{number}", "Value": ""}]})
    assert len(tags()) == 21
    assert wire.raw("UntagResource", json.dumps({"ResourceArn": ARN, "TagKeys": ["a", "none"]}).encode())[2] == b""
    assert "a" not in tags()
    wire.ok("DeleteTable", {"TableName": "tab"})
    wire.ok("CreateTable", {"TableName": "tab", **BY_K, "Tags": [{"Key": "new", "Value": "2"}]})
    assert tags() == {"new": "2"}


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        (
            {
                "ResourceArn": ARN.replace("_tab", "_none").replace("/tab", "/none"),
                "Tags": [{"Key": "a", "Value": "b"}],
            },
            "ResourceNotFoundException",
        ),
        ({"ResourceArn": "arn:aws:x", "Tags": [{"Key": "a", "Value": "b"}]}, "AccessDeniedException"),
        ({"Tags": []}, "AccessDeniedException"),
        ({"ResourceArn": ARN, "Tags": []}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "", "Value": "b"}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "a"}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": ["a"]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "a", "Value": "x" * 257}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "x" * 129, "Value": ""}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "a", "Value": "me@example"}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "ü", "Value": "x"}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "system:ttl_attribute", "Value": "x"}]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": str(i), "Value": "x"} for i in range(51)]}, "ValidationException"),
        ({"ResourceArn": ARN, "Tags": [{"Key": "system:write_isolation", "Value": "x"}]}, "ValidationException"),
    ],
)
def test_wrong_tags_are_refused(wire: Wire, parameters: dict[str, Any], kind: str) -> None:
    assert wire.refused("TagResource", parameters)[0] == kind


def test_tags_have_a_largest_number(wire: Wire) -> None:
    longest = {"Key": "x" * 128, "Value": "y" * 256}
    wire.ok("TagResource", {"ResourceArn": ARN, "Tags": [longest, {"Key": "a\tb", "Value": ""}]})
    some = [{"Key": f"t{number}", "Value": "+-=._:/ "} for number in range(60)]
    wire.ok("TagResource", {"ResourceArn": ARN, "Tags": some[:48]})
    assert "exceed the current limit" in wire.refused("TagResource", {"ResourceArn": ARN, "Tags": some[48:49]})[1]
    new = {"TableName": "new", **BY_K, "Tags": some[:51]}
    assert "exceed the current limit" in wire.refused("CreateTable", new)[1]
    wire.ok("CreateTable", {**new, "Tags": some[:50]})


def test_tags_of_the_server_cannot_be_removed(wire: Wire) -> None:
    kind, _ = wire.refused("UntagResource", {"ResourceArn": ARN, "TagKeys": ["a", "system:ttl_attribute"]})
    assert kind == "ValidationException"


def test_tags_of_a_wrong_shape(wire: Wire) -> None:
    assert wire.refused("UntagResource", {"ResourceArn": ARN, "TagKeys": [{}]})[0] == "ValidationException"
    for tags in (5, ["a"], {"Key": "a", "Value": "b"}):
        assert wire.refused("CreateTable", {"TableName": "new", **BY_K, "Tags": tags})[0] == "ValidationException"


TAG = "system:write_isolation"


def test_a_wrong_tag_makes_no_table() -> None:
    with LocalCluster(1) as cluster, Wire(cluster.nodes[0]) as wire:
        wrong = {"TableName": "tab", "Tags": [{"Key": TAG, "Value": "x"}]}
        assert wire.refused("CreateTable", wrong)[0] == "ValidationException"
        assert wire.ok("ListTables", {})["TableNames"] == []
