"""The operations on one item: the server's checks, conditions, writes and returned values.

With an engine in process, this module does the conditions, updates and projections: it reads the item, decides, and
writes the whole item, all under the engine's lock. An engine with a URL cannot be locked: its requests are only checked
here, and it applies the conditions itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from . import capacity, keys
from .answers import ERROR_PREFIX, Answer, DialectError, json_answer, validation
from .attribute_values import check, check_name, item_size, stored
from .catalogue import Catalogue, TableInfo
from .engine_client import EngineClient
from .expressions import conditions, legacy, parser, path_tree, projections, updates
from .expressions.references import References
from .expressions.tree import Condition
from .parsing import Parsed, Rule
from .schema import check_table_name

_RETURN_VALUES = ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
_BROUGHT = ("ExpressionAttributeNames", "ExpressionAttributeValues", "AttributeUpdates")
"""The parameters that count for the size of an update."""

Item = dict[str, Any]


class ItemRules:
    """GetItem, PutItem, DeleteItem and UpdateItem. `lock`: the lock of the engine, or None if it has none."""

    def __init__(self, client: EngineClient, catalogue: Catalogue, lock: AbstractContextManager[Any] | None) -> None:
        self._client = client
        self._catalogue = catalogue
        self._in_process = lock is not None
        self._lock: AbstractContextManager[Any] = contextlib.nullcontext() if lock is None else lock

    def rules(self) -> dict[str, Rule]:
        return {
            "GetItem": self._get,
            "PutItem": self._put,
            "DeleteItem": self._delete,
            "UpdateItem": self._update,
        }

    def _get(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        info = table_of(self._catalogue, parsed)
        keys.check_key(parameters.get("Key"), info.keys, "GetItem")
        consistent = flag(parameters, "ConsistentRead")
        with_capacity = capacity.take_request(parameters)
        references = References(parameters)
        projection = projections.of_request(parameters, references)
        references.check_all_used("GetItem")
        if not self._in_process:
            return self._engine(parsed.operation, parameters, with_capacity)
        if projection is None and not with_capacity and not info.kept_as_written:
            return self._client.call("GetItem", {"TableName": parsed.table, "Key": parameters["Key"]})
        item = self._read(parsed.table, info, parameters["Key"])
        result: dict[str, Any] = {}
        if item is not None:
            result["Item"] = projections.apply(projection, item)
        if with_capacity:
            result["ConsumedCapacity"] = {"CapacityUnits": capacity.read_units(item_size(item or {}), consistent)}
        return json_answer(result)

    def _put(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        info = table_of(self._catalogue, parsed)
        item = check_item(parameters.get("Item"), info)
        write = _Write(parsed, info, ("NONE", "ALL_OLD"))
        if not self._in_process:
            return self._engine(parsed.operation, parameters, write.with_capacity)
        with self._lock:
            old = self._read(parsed.table, info, key_of(item, info)) if write.reads else None
            write.check(old)
            self._client.result("PutItem", {"TableName": parsed.table, "Item": item})
        size = item_size(item)
        self._catalogue.note_item(parameters["TableName"], size)
        return write.answer(old if write.returns == "ALL_OLD" else None, max(size, item_size(old or {})))

    def _delete(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        info = table_of(self._catalogue, parsed)
        key = keys.check_key(parameters.get("Key"), info.keys, "DeleteItem")
        write = _Write(parsed, info, ("NONE", "ALL_OLD"))
        if not self._in_process:
            return self._engine(parsed.operation, parameters, write.with_capacity)
        with self._lock:
            old = self._read(parsed.table, info, key) if write.reads else None
            write.check(old)
            self._client.result("DeleteItem", {"TableName": parsed.table, "Key": key})
        return write.answer(old if write.returns == "ALL_OLD" else None, max(1, item_size(old or {})))

    def _update(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        info = table_of(self._catalogue, parsed)
        key = dict(keys.check_key(parameters.get("Key"), info.keys, "UpdateItem"))
        write = _Update(parsed, info)
        if not self._in_process:
            return self._engine(parsed.operation, parameters, write.with_capacity)
        with self._lock:
            stored = self._stored(parsed.table, key)
            old = None if stored is None else keys.as_read(stored, info.kept_as_written)
            write.check(old)
            changes = write.changes(old)
            new = {**(stored or {}), **key}
            for name, value in changes.values.items():
                if value is None:
                    new.pop(name, None)
                else:
                    new[name] = value
            exists = old is not None or changes.creates
            if exists:
                self._client.result("PutItem", {"TableName": parsed.table, "Item": new})
                self._catalogue.note_item(parameters["TableName"], item_size(new))
        size = max(item_size(old) if old is not None and write.reads else 0, item_size(key) + write.size, 1)
        new_as_read = keys.as_read(new, info.kept_as_written) if exists else None
        return write.answer(write.returned(old, new_as_read, changes), size)

    def _read(self, table: str | None, info: TableInfo, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        item = self._stored(table, key)
        return None if item is None else keys.as_read(item, info.kept_as_written)

    def _stored(self, table: str | None, key: Mapping[str, Any]) -> Item | None:
        return self._client.result("GetItem", {"TableName": table, "Key": key}).get("Item")

    def _engine(self, operation: str, parameters: Mapping[str, Any], with_capacity: bool) -> Answer:
        answer = self._client.call(operation, parameters)
        if with_capacity and not answer.is_error:
            capacity.add_to(answer, capacity.of_one_item(operation, parameters, answer))
        return answer


class _Write:
    """The common part of every write to one item: its condition, and which values it returns."""

    def __init__(self, parsed: Parsed, info: TableInfo, allowed: tuple[str, ...]) -> None:
        parameters = parsed.parameters
        self._parameters = parameters
        self.returns = choice(parameters, "ReturnValues", _RETURN_VALUES, "NONE")
        if self.returns not in allowed:
            raise validation(f"{parsed.operation} supports only {' or '.join(allowed)} for ReturnValues")
        self._returns_old = (
            choice(parameters, "ReturnValuesOnConditionCheckFailure", ("NONE", "ALL_OLD"), "NONE") == "ALL_OLD"
        )
        self.with_capacity = capacity.take_request(parameters)
        self._references = References(parameters)
        self._condition: Condition | None = None
        if parameters.get("ConditionExpression") is not None:
            if "Expected" in parameters:
                raise validation(
                    f"{parsed.operation} does not allow both old-style Expected and new-style ConditionExpression "
                    "to be given together"
                )
            expression = parameters["ConditionExpression"]
            self._condition = parser.condition(expression, "ConditionExpression", self._references)
        self._of_all = legacy.require_all(parameters, "Expected")
        self._expected = parameters.get("Expected")
        if self._expected is not None and not isinstance(self._expected, dict):
            raise validation("'Expected' parameter, if given, must be an object")
        self._read_expressions(info)
        if self._condition is None and not self._has_expressions:
            for name in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
                if parameters.get(name) is not None:
                    raise validation(f"{name} cannot be used without ConditionExpression")
        self._references.check_all_used(parsed.operation)

    _has_expressions = False

    def _read_expressions(self, info: TableInfo) -> None:
        """Parse the other parameters of the request. This base has none."""

    @property
    def reads(self) -> bool:
        """Whether the item must be read before it is written."""
        return self._condition is not None or self._expected is not None or self.returns == "ALL_OLD"

    def check(self, old: Mapping[str, Any] | None) -> None:
        """Raises `DialectError` ConditionalCheckFailedException if the condition does not hold for the item."""
        if self._condition is not None:
            holds = conditions.holds(self._condition, old)
        else:
            holds = not self._expected or legacy.holds(self._expected, self._of_all, old)
        if not holds:
            raise ConditionFailed(old if self._returns_old else None)

    def answer(self, attributes: Mapping[str, Any] | None, size: int) -> Answer:
        result: dict[str, Any] = {}
        if self.with_capacity:
            result["ConsumedCapacity"] = {"CapacityUnits": capacity.write_units(size)}
        if attributes is not None:
            result["Attributes"] = attributes
        return json_answer(result)


class ConditionFailed(DialectError):
    """A condition did not hold. `old`: the item, if the request asks for it."""

    def __init__(self, old: Mapping[str, Any] | None) -> None:
        super().__init__("ConditionalCheckFailedException", "The conditional request failed")
        self._old = old

    def answer(self) -> Answer:
        answer: dict[str, Any] = {"__type": ERROR_PREFIX + self.error_type, "message": self.message}
        if self._old is not None:
            answer["Item"] = self._old
        refused = json_answer(answer)
        refused.status = self.status
        return refused


class _Update(_Write):
    """An UpdateItem."""

    def __init__(self, parsed: Parsed, info: TableInfo) -> None:
        self._info = info
        self._plan: updates.Plan | None = None
        self._legacy: Mapping[str, Any] | None = None
        super().__init__(parsed, info, _RETURN_VALUES)

    def _read_expressions(self, info: TableInfo) -> None:
        parameters = self._parameters
        self._has_expressions = parameters.get("UpdateExpression") is not None
        self._legacy = parameters.get("AttributeUpdates")
        if self._legacy is not None and not isinstance(self._legacy, dict):
            raise validation("AttributeUpdates must be an object")
        if self._has_expressions:
            for name, word in (("AttributeUpdates", ""), ("Expected", "old-style ")):
                if parameters.get(name) is not None:
                    raise validation(
                        f"UpdateItem does not allow both {word}{name} and UpdateExpression to be given together"
                    )
            self._plan = updates.plan(parser.update(parameters["UpdateExpression"], self._references))
        if self._legacy is not None and self._condition is not None:
            raise validation(
                "UpdateItem does not allow both old-style AttributeUpdates and new-style ConditionExpression to be "
                "given together"
            )
        for name in [*(self._plan.below if self._plan is not None else ()), *(self._legacy or ())]:
            if name in info.keys.types:
                raise validation(f"UpdateItem cannot update key column {name}")
            check_name(str(name), "in AttributeUpdates - ")

    @property
    def size(self) -> int:
        """The size in bytes of the names and values in the request."""
        return sum(item_size(self._parameters.get(name) or {}) for name in _BROUGHT)

    @property
    def reads(self) -> bool:
        return super().reads or self.returns not in ("NONE", "UPDATED_NEW") or bool(self._legacy)

    def changes(self, old: Mapping[str, Any] | None) -> updates.Changes:
        """The changes to the item `old`. Raises `DialectError` for values that cannot be stored."""
        if self._plan is not None:
            changes = updates.changes(self._plan, old)
        else:
            changes = updates.legacy_changes(self._legacy or {}, old)
        new = {name: value for name, value in changes.values.items() if value is not None}
        keys.check_index_keys(new, self._info.index_types)
        for name, value in new.items():
            normal = stored(value)
            changes.values[name] = value if name in self._info.kept_as_written else normal
        return changes

    def returned(
        self, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, changes: updates.Changes
    ) -> Mapping[str, Any] | None:
        match self.returns:
            case "ALL_OLD":
                return old
            case "ALL_NEW":
                return new
            case "UPDATED_OLD":
                return self._touched(old, changes)
            case "UPDATED_NEW":
                return self._touched(new, changes)
            case _:
                return None

    def _touched(self, item: Mapping[str, Any] | None, changes: updates.Changes) -> Item | None:
        """The parts of an item that the update names, or None."""
        result: Item = {}
        for name in changes.values:
            value = item.get(name) if item is not None else None
            if value is not None and self._plan is not None:
                value = path_tree.picked(value, self._plan.below[name])
            if value is not None:
                result[name] = value
        return result or None


def table_of(catalogue: Catalogue, parsed: Parsed) -> TableInfo:
    """The table of a request. Raises `DialectError` if it names none, or one that does not exist."""
    name = parsed.parameters.get("TableName")
    info = catalogue.known(name) if isinstance(name, str) else None
    return info if info is not None else catalogue.existing(check_table_name(name))


def key_of(item: Mapping[str, Any], info: TableInfo) -> dict[str, Any]:
    """The key of an item."""
    return {name: item[name] for name in info.keys.types}


def check_item(item: object, info: TableInfo) -> Item:
    """An item as it is stored. Raises `DialectError` for one that the server refuses."""
    if not isinstance(item, dict):
        raise validation("PutItem requires an Item parameter, and it must be an object")
    keys.check_key_of(item, info.keys)
    result: Item = {}
    kept_as_written = info.kept_as_written
    for name, value in item.items():
        check(value, "PutItem")
        check_name(name)
        normal = stored(value)
        # The server has two items for the keys 1 and 1.0.
        result[name] = value if name in kept_as_written else normal
    keys.check_index_keys(item, info.index_types)
    return result


def flag(parameters: Mapping[str, Any], name: str) -> bool:
    """A parameter that is true, false or missing (False). Raises `DialectError` for another value."""
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise validation(f"{name} flag must be a boolean")
    return value is True


def choice(parameters: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    """A parameter that is one of `choices`, or missing. Raises `DialectError` for another value."""
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise validation(f"Expected string value for {name}, got: {value}")
    if value not in choices:
        raise validation(f"Unrecognized value for {name}: {value}")
    return value
