"""Applies an update to an item.

Every right side uses the item as it was before the update. Actions below one attribute are applied together, from the
first index of a list to the last, so that indexes refer to the list before the update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..answers import validation
from ..attribute_values import SETS, check, content_of, kind_of, shown
from . import values
from .conditions import at
from .path_tree import PathTree
from .tree import Action, AttributeValue, Call, Constant, Operand, Path, Sum

Item = Mapping[str, Any]
Plan = PathTree[Action]


def plan(actions: Iterable[Action]) -> Plan:
    """The actions as a tree of the paths that they change. Raises `DialectError` if two of them overlap."""
    tree: Plan = PathTree()
    for action in actions:
        tree.add("UpdateExpression", action.path, action)
    return tree


class Changes:
    """The changes of an update: the new values by attribute name, or None for an attribute that is removed."""

    __slots__ = ("creates", "values")

    def __init__(self) -> None:
        self.values: dict[str, AttributeValue | None] = {}
        self.creates: bool = False
        """Whether the update creates an item that did not exist. An update that only removes attributes does not."""

    def finish(self) -> Changes:
        """Return these changes. An update without actions creates an item, too."""
        self.creates = self.creates or not self.values
        return self


def changes(tree: Plan, item: Item | None) -> Changes:
    """The changes to an item (None: it does not exist). Raises `DialectError` if the present item does not allow
    them."""
    result = Changes()
    for root, branch in tree.below.items():
        name = str(root)
        if branch.leaf is not None:
            value = _result(branch.leaf, item)
            result.values[name] = value
            result.creates = result.creates or value is not None
            continue
        if item is None:
            raise validation("UpdateItem cannot update nested document path on non-existent item")
        if name not in item:
            raise validation(f"UpdateItem cannot update document path: missing attribute {name}")
        result.values[name] = _rebuilt(item[name], branch, item)
        result.creates = True
    return result.finish()


def _rebuilt(value: Any, branch: Plan, item: Item) -> Any:
    """A value after the actions below it; None if it has to be removed."""
    if branch.leaf is not None:
        return _result(branch.leaf, item)
    kind, content = kind_of(value), content_of(value)
    if kind != ("L" if branch.numbered else "M"):
        raise _invalid(branch)
    if not branch.numbered:
        members = dict(content)
        for name, below in branch.below.items():
            new = _rebuilt(content[name], below, item) if name in content else _made(below, item)
            if new is None:
                members.pop(name, None)
            else:
                members[name] = new
        return {"M": members}
    kept = list(content)
    for index in sorted(branch.below, key=int):
        below = branch.below[index]
        if int(index) < len(content):
            kept[int(index)] = _rebuilt(content[int(index)], below, item)
        else:
            kept.append(_made(below, item))
    return {"L": [element for element in kept if element is not None]}


def _made(branch: Plan, item: Item) -> AttributeValue | None:
    """The value that an action creates at a path that did not exist."""
    if branch.leaf is None:
        raise _invalid(branch)
    return _result(branch.leaf, item)


def _invalid(branch: Plan) -> Exception:
    paths = " ".join(str(action.path) for action in _actions(branch))
    return validation(f"UpdateExpression: document paths not valid for this item: {paths}")


def _actions(branch: Plan) -> list[Action]:
    return [branch.leaf] if branch.leaf is not None else [a for below in branch.below.values() for a in _actions(below)]


def _result(action: Action, item: Item | None) -> AttributeValue | None:
    if action.clause == "REMOVE":
        return None
    if isinstance(action.value, Sum):
        left, right = _operand(action.value.left, item), _operand(action.value.right, item)
        return values.added(left, right, 1 if action.value.sign == "+" else -1)
    assert action.value is not None
    if action.clause == "SET":
        value = _operand(action.value, item)
        if value is None:
            raise validation(
                f"The provided expression refers to an attribute that does not exist in the item: {action.value}"
            )
        return value
    assert isinstance(action.value, Constant)
    before = at(item, action.path)
    if action.clause == "ADD":
        return _plus(before, action.value.value, lists=False)
    if before is None:
        if kind_of(action.value.value) not in SETS:
            raise validation(f"DELETE: an operand has an incorrect data type: {shown(action.value.value)}")
        return None
    return values.difference(before, action.value.value)


def _plus(before: AttributeValue | None, more: AttributeValue, lists: bool) -> AttributeValue:
    kind = kind_of(more)
    allowed = kind == "N" or kind in SETS or (lists and kind == "L")
    if before is None:
        if not allowed:
            raise validation(f"An operand in the update expression has an incorrect data type: {shown(more)}")
        return more
    if kind_of(before) != kind:
        raise validation(
            f"Incorrect operand type for operator or function. Type mismatch: expected {kind_of(before)}: {shown(more)}"
        )
    if not allowed:
        raise validation(f"An operand in the update expression has an incorrect data type: {shown(before)}")
    if kind == "N":
        return values.added(before, more)
    return values.joined(before, more) if kind == "L" else values.union(before, more)


def _operand(of: Operand, item: Item | None) -> AttributeValue | None:
    match of:
        case Constant(value):
            return value
        case Path():
            return at(item, of)
        case Call("if_not_exists", arguments):
            _check_count(of)
            if not isinstance(arguments[0], Path):
                raise validation("UpdateExpression: if_not_exists() must include path as its first argument")
            # Both are computed, as in the server: a mistake in the second one is an error, also if it is not needed.
            old, default = at(item, arguments[0]), _operand(arguments[1], item)
            return default if old is None else old
        case Call("list_append", arguments):
            _check_count(of)
            return values.joined(_operand(arguments[0], item), _operand(arguments[1], item))
        case Call(name, _):
            raise validation(f"UpdateExpression: unknown function '{name}' called: {name}() not allowed here")


def _check_count(call: Call) -> None:
    if len(call.arguments) != 2:
        raise validation(f"UpdateExpression: {call.name}() accepts 2 parameters, got {len(call.arguments)}")


def legacy_changes(updates: Mapping[str, Any], item: Item | None) -> Changes:
    """The changes of AttributeUpdates to an item (None: it does not exist)."""
    result = Changes()
    for name, update in updates.items():
        if not isinstance(update, dict):
            raise validation(f"AttributeUpdates: {name} must be an object")
        action, value = update.get("Action"), update.get("Value")
        before = item.get(name) if item is not None else None
        if action == "DELETE" and value is None:
            result.values[name] = None
            continue
        check(value, "AttributeUpdates")
        assert value is not None
        if action == "DELETE":
            if kind_of(value) not in SETS:
                raise validation(
                    f"AttributeUpdates DELETE operation with Value only valid for sets, got type {kind_of(value)}"
                )
            result.values[name] = values.difference(before, value) if before is not None else None
        elif action == "PUT":
            result.values[name] = value
        elif action == "ADD":
            result.values[name] = _plus(before, value, lists=True)
        else:
            raise validation(f"Unknown Action value '{action}' in AttributeUpdates")
        result.creates = result.creates or result.values[name] is not None
    return result.finish()
