"""ConsumedCapacity as Alternator tells it."""

from __future__ import annotations

import base64

from .wire import Wire, s


def test_answers_have_the_consumed_capacity(wire: Wire) -> None:
    total = {"ReturnConsumedCapacity": "TOTAL"}
    item = {"k": s("a"), "v": s("x" * 3000)}
    key = {"TableName": "tab", "Key": {"k": s("a")}}
    assert wire.ok("PutItem", {"TableName": "tab", "Item": item, **total}) == {
        "ConsumedCapacity": {"CapacityUnits": 3.0}
    }
    assert wire.ok("PutItem", {"TableName": "tab", "Item": item}) == {}
    assert wire.ok("GetItem", {**key, **total}) == {"Item": item, "ConsumedCapacity": {"CapacityUnits": 0.5}}
    assert wire.ok("GetItem", {**key, **total, "ConsistentRead": True})["ConsumedCapacity"] == {"CapacityUnits": 1.0}
    assert wire.ok("UpdateItem", {**key, **total}) == {"ConsumedCapacity": {"CapacityUnits": 1.0}}
    assert wire.ok("UpdateItem", key) == {}
    batch = {"RequestItems": {"tab": {"Keys": [{"k": s("a")}]}}}
    consumed = wire.ok("BatchGetItem", {**batch, **total})["ConsumedCapacity"]
    assert consumed == [{"TableName": "tab", "CapacityUnits": 0.5}]
    assert set(wire.ok("BatchGetItem", batch)) == {"Responses", "UnprocessedKeys"}
    write = {"RequestItems": {"tab": [{"PutRequest": {"Item": item}}]}}
    consumed = wire.ok("BatchWriteItem", {**write, **total})["ConsumedCapacity"]
    assert consumed == [{"TableName": "tab", "CapacityUnits": 3.0}]
    assert wire.ok("BatchWriteItem", write) == {"UnprocessedItems": {}}
    for level in ("TOTAL", "INDEXES"):
        assert "ConsumedCapacity" not in wire.ok("Scan", {"TableName": "tab", "ReturnConsumedCapacity": level})
    # What was read counts where it is larger than what is written.
    small = {"TableName": "tab", "Item": {"k": s("a")}, "ConditionExpression": "attribute_exists(k)", **total}
    assert wire.ok("PutItem", small) == {"ConsumedCapacity": {"CapacityUnits": 3.0}}
    assert wire.ok("DeleteItem", {**key, **total}) == {"ConsumedCapacity": {"CapacityUnits": 1.0}}
    binary = {"k": s("a"), "v": {"B": base64.b64encode(b"x" * 1000).decode()}}
    units = wire.ok("PutItem", {"TableName": "tab", "Item": binary, **total})["ConsumedCapacity"]["CapacityUnits"]
    assert units == 1.0, "its bytes, and not those of its base64"
    for level in ("NONE", "INDEXES", "all"):
        assert wire.refused("GetItem", {**key, "ReturnConsumedCapacity": level})[0] == "ValidationException"
