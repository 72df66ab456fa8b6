"""An engine for `LocalCluster` that keeps the order in which writes are executed.

It has the few operations and expressions that the tests of lost and late writes use, and refuses all others. Each
write has a name of its own: the attribute ``write`` of what it puts, or the value ``:write`` of an update. `log` tells
which write was executed when, and whether its condition held. The number of an entry stands for the timestamp that a
real node would have given: of two writes of one item the one with the higher number wins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pynamodb_alternator.local.engine import EngineAnswer

SET = "SET #write = :write"
INCREMENT = "SET #write = :write ADD #number :one"
APPEND = "SET #write = :write, #list = list_append(if_not_exists(#list, :none), :item)"
ABSENT = "attribute_not_exists(id)"
STILL = "#write = :before"

_Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Executed:
    """One execution of a write. `number`: its place in the order of all; `applied`: whether its condition held."""

    number: int
    write: str
    key: str
    applied: bool


class RecordingEngine:
    """`log`: every execution so far, oldest first. It may be read from any thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.log: list[Executed] = []
        self._items: dict[str, _Item] = {}
        self._tables: dict[str, Any] = {}
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateTable": self._create_table,
            "DescribeTable": self._describe_table,
            "GetItem": self._get,
            "PutItem": self._put,
            "UpdateItem": self._update,
            "BatchWriteItem": self._batch_write,
            "Scan": self._scan,
        }

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        operation = headers["x-amz-target"].rpartition(".")[2]
        with self.lock:
            try:
                answer = self._operations[operation](orjson.loads(body))
            except Refused as refused:
                return 400, {}, orjson.dumps({"__type": f"x#{refused.kind}", "message": refused.kind})
            return 200, {}, orjson.dumps(answer)

    def item(self, key: str) -> _Item | None:
        with self.lock:
            return self._items.get(key)

    # ---- operations ----------------------------------------------------------------------------------------------

    def _create_table(self, parameters: dict[str, Any]) -> dict[str, Any]:
        table = {**parameters, "TableStatus": "ACTIVE"}
        self._tables[parameters["TableName"]] = table
        return {"TableDescription": table}

    def _describe_table(self, parameters: dict[str, Any]) -> dict[str, Any]:
        table = self._tables.get(parameters["TableName"])
        if table is None:
            raise Refused("ResourceNotFoundException")
        return {"Table": table}

    def _get(self, parameters: dict[str, Any]) -> dict[str, Any]:
        item = self._items.get(parameters["Key"]["id"]["S"])
        return {} if item is None else {"Item": item}

    def _put(self, parameters: dict[str, Any]) -> dict[str, Any]:
        item = parameters["Item"]
        self._execute(item["id"]["S"], item["write"]["S"], parameters, lambda _: item)
        return {}

    def _update(self, parameters: dict[str, Any]) -> dict[str, Any]:
        values = parameters["ExpressionAttributeValues"]
        expression = parameters["UpdateExpression"]

        def updated(item: _Item) -> _Item:
            item = {**item, **parameters["Key"], "write": values[":write"]}
            if expression == INCREMENT:
                before = int(item.get("number", {"N": "0"})["N"])
                item["number"] = {"N": str(before + int(values[":one"]["N"]))}
            elif expression == APPEND:
                item["list"] = {"L": [*item.get("list", {"L": []})["L"], *values[":item"]["L"]]}
            else:
                assert expression == SET, expression
            return item

        item = self._execute(parameters["Key"]["id"]["S"], values[":write"]["S"], parameters, updated)
        return {"Attributes": item} if parameters.get("ReturnValues") == "ALL_NEW" else {}

    def _batch_write(self, parameters: dict[str, Any]) -> dict[str, Any]:
        for requests in parameters["RequestItems"].values():
            for request in requests:
                self._put({"Item": request["PutRequest"]["Item"]})
        return {}

    def _scan(self, parameters: dict[str, Any]) -> dict[str, Any]:
        items = list(self._items.values())
        return {"Items": items, "Count": len(items), "ScannedCount": len(items)}

    def _execute(self, key: str, write: str, parameters: dict[str, Any], change: Callable[[_Item], _Item]) -> _Item:
        item = self._items.get(key)
        applied = _holds(parameters, item)
        self.log.append(Executed(len(self.log), write, key, applied))
        if not applied:
            raise Refused("ConditionalCheckFailedException")
        self._items[key] = changed = change(item or {})
        return changed


class Refused(Exception):
    """An error answer; `kind` is its type."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def _holds(parameters: dict[str, Any], item: _Item | None) -> bool:
    condition = parameters.get("ConditionExpression")
    if condition is None:
        return True
    if condition == ABSENT:
        return item is None
    assert condition == STILL, condition
    return item is not None and item["write"] == parameters["ExpressionAttributeValues"][":before"]
