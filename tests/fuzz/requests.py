"""The requests that the fuzz makes, as calls of a botocore client, and how their results are judged.

An `Operation` is the same for threads and for an event loop: `parameters` go to the client's method called `method`;
`judge` gets the answer, and `failed` the error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.ledger import Fate, Ledger, Write, fate_of
from tests.chaos.recording import ABSENT, APPEND, INCREMENT, SET, STILL

TABLE = "fuzz"
KINDS = ("put", "set", "increment", "append", "put if absent", "put if still", "batch", "get")
ONCE = frozenset(["increment", "append", "put if absent", "put if still"])


@dataclass(slots=True)
class Operation:
    """One request of one kind."""

    ledger: Ledger
    method: str
    parameters: dict[str, Any]
    keys: tuple[str, ...]
    writes: tuple[Write, ...] = ()
    check: Callable[[dict[str, Any]], str | None] | None = None
    """What is wrong with an answer, in words."""
    over: bool = field(default=False, init=False)

    def judge(self, answer: dict[str, Any]) -> None:
        for write in self.writes:
            self.ledger.told(write, Fate.ACKNOWLEDGED)
        wrong = self.check(answer) if self.check is not None else None
        if wrong is not None:
            self.ledger.wrong.append(f"{self.method} {self.keys}: {wrong}")
        self.over = True

    def failed(self, error: BaseException) -> None:
        fate = fate_of(error)
        if fate is None:
            self.ledger.wrong.append(f"{self.method}: {type(error).__name__}: {error}")
        for write in self.writes:
            self.ledger.told(write, fate or Fate.OPEN, f"{type(error).__name__}: {error}")
        self.over = True

    def cancelled(self) -> None:
        for write in self.writes:
            self.ledger.told(write, Fate.OPEN, "cancelled")
        self.over = True


def operation(ledger: Ledger, kind: str, keys: tuple[str, ...], before: str | None) -> Operation:
    """A request of that kind. `before`: the name of the write that the key is known to have."""
    key = keys[0]
    if kind == "get":
        return _get(ledger, key)
    if kind == "batch":
        writes = tuple(ledger.begin(each, kind, once=False) for each in keys)
        requests = [{"PutRequest": {"Item": _item(write)}} for write in writes]
        return Operation(ledger, "batch_write_item", {"RequestItems": {TABLE: requests}}, keys, writes)
    write = ledger.begin(key, kind, once=kind in ONCE)
    if kind in ("set", "increment", "append"):
        return Operation(ledger, "update_item", _update(kind, write), (key,), (write,), _own_answer(write))
    parameters: dict[str, Any] = {"TableName": TABLE, "Item": _item(write)}
    if kind == "put if absent":
        parameters["ConditionExpression"] = ABSENT
    elif kind == "put if still":
        parameters |= {
            "ConditionExpression": STILL,
            "ExpressionAttributeNames": {"#write": "write"},
            "ExpressionAttributeValues": {":before": {"S": before or "none"}},
        }
    return Operation(ledger, "put_item", parameters, (key,), (write,))


def _item(write: Write) -> dict[str, Any]:
    return {"id": {"S": write.key}, "write": {"S": write.name}}


def _update(kind: str, write: Write) -> dict[str, Any]:
    names = {"#write": "write"}
    values: dict[str, Any] = {":write": {"S": write.name}}
    expression = SET
    if kind == "increment":
        expression = INCREMENT
        names["#number"] = "number"
        values[":one"] = {"N": "1"}
    elif kind == "append":
        expression = APPEND
        names["#list"] = "list"
        values |= {":none": {"L": []}, ":item": {"L": [{"S": write.name}]}}
    return {
        "TableName": TABLE,
        "Key": {"id": {"S": write.key}},
        "UpdateExpression": expression,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW",
    }


def _own_answer(write: Write) -> Callable[[dict[str, Any]], str | None]:
    def check(answer: dict[str, Any]) -> str | None:
        attributes = answer.get("Attributes", {})
        is_own = attributes.get("write") == {"S": write.name} and attributes.get("id") == {"S": write.key}
        return None if is_own else f"the answer is not that of {write.name}: {answer}"

    return check


def _get(ledger: Ledger, key: str) -> Operation:
    mark = ledger.mark()

    def check(answer: dict[str, Any]) -> str | None:
        item = answer.get("Item")
        shown = item["write"]["S"] if item is not None else None
        if item is not None and item["id"] != {"S": key}:
            return f"the answer is that of another request: {item}"
        possible = ledger.values_since(key, mark)
        return None if shown in possible else f"read {shown}, where only {possible} can be"

    parameters = {"TableName": TABLE, "Key": {"id": {"S": key}}, "ConsistentRead": True}
    return Operation(ledger, "get_item", parameters, (key,), (), check)
