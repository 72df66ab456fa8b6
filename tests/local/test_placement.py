"""Which node stands in which datacenter and rack."""

from __future__ import annotations

from typing import Any

from pynamodb_alternator.local.placement import locations


def test_nodes_are_spread_over_racks() -> None:
    def spread(*settings: Any) -> list[tuple[str, str]]:
        return [(location.datacenter, location.rack) for location in locations(*settings)]

    assert spread(2, None, None) == [("datacenter1", "rack1"), ("datacenter1", "rack1")]
    assert spread(None, {"a": 2, "b": 1}, None) == [("a", "rack1"), ("a", "rack1"), ("b", "rack1")]
    assert [datacenter for datacenter, _ in spread(5, ["a", "b"], None)] == ["a", "b", "a", "b", "a"]
    assert [rack for _, rack in spread(4, None, ["x", "y"])] == ["x", "y", "x", "y"]
    assert spread(None, {"a": 3, "b": 2}, ["x", "y"]) == [("a", "x"), ("a", "y"), ("a", "x"), ("b", "x"), ("b", "y")]
    assert spread(None, None, {"a": {"x": 2, "y": 1}, "b": {"z": 1}}) == [
        ("a", "x"),
        ("a", "x"),
        ("a", "y"),
        ("b", "z"),
    ]
    assert spread(None, ["a", "b"], {"x": 1, "y": 1}) == [
        ("a", "x"),
        ("b", "x"),
        ("a", "y"),
        ("b", "y"),
    ]
