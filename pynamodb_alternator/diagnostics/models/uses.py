"""Finds the uses in one source file that Alternator answers differently: transactions, conditions, counts, and
others."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from .conditions import is_condition
from .facts import ClassFacts, Position, Use, UseKind
from .names import Names
from .number_conditions import number_conditions
from .service_calls import is_none, service_calls

__all__ = ["classes_in", "uses_in"]

_TRANSACTIONS = frozenset({"pynamodb.transactions.TransactGet", "pynamodb.transactions.TransactWrite"})
_RUNNERS = frozenset(
    {
        "asyncio.to_thread",
        "pynamodb_alternator.aio.run",
        "pynamodb_alternator.aio.greenlets.run",
    }
)
"""Functions that call their first argument with the other arguments."""
_ACTIONS = frozenset({"add", "append", "delete", "prepend", "remove", "set"})
"""The methods of PynamoDB's attributes that make actions of an update."""


def classes_in(tree: ast.Module, names: Names) -> Iterator[ClassFacts]:
    """The classes that a file defines, without those in functions."""
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            bases = filter(None, map(names.origin, statement.bases))
            yield ClassFacts(statement.name, statement.lineno, tuple(bases))


def uses_in(tree: ast.Module, names: Names, position: Callable[[int], Position]) -> Iterator[Use]:
    """The uses in the file, line by line, each only once per line. `position`: makes a `Position` from a line's
    number."""
    seen: set[tuple[UseKind, int, str]] = set()
    for line, kind, text, model in sorted(_Search(names).uses(tree)):
        if (kind, line, text) not in seen:
            seen.add((kind, line, text))
            yield Use(kind, position(line), text, model)


_Raw = tuple[int, UseKind, str, str]
"""Line, kind, text and model of a use."""


class _Search:
    """The search in one file. `in_model`: the model whose class contains the present node; empty for none."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def uses(self, tree: ast.Module) -> Iterator[_Raw]:
        # This is not recursive, because a sum of a thousand terms is a tree of a thousand levels.
        waiting: list[tuple[ast.AST, str]] = [(tree, "")]
        while waiting:
            node, in_model = waiting.pop()
            if isinstance(node, ast.ClassDef):
                in_model = self._names.model(ast.Name(node.name))
            elif isinstance(node, ast.Call):
                yield from self._of_call(self._meant_by(node), in_model)
                yield from self._number_conditions(node, in_model)
            elif isinstance(node, ast.Compare):
                yield from self._number_conditions(node, in_model)
            elif isinstance(node, ast.Subscript):
                yield from _of_key(node, node.slice, is_set=isinstance(node.ctx, ast.Store))
            elif isinstance(node, ast.Dict):
                for key in filter(None, node.keys):
                    yield from _of_key(node, key, is_set=True)
            elif isinstance(node, ast.Name | ast.Attribute):
                transaction = self._names.stands_for(node, _TRANSACTIONS)
                if transaction:
                    yield node.lineno, "transaction", transaction.rpartition(".")[2], ""
            waiting += [(child, in_model) for child in ast.iter_child_nodes(node)]

    def _meant_by(self, call: ast.Call) -> ast.Call:
        """The call that a runner makes: ``User.count(1)`` for ``aio.run(User.count, 1)``. Any other call is
        unchanged."""
        if not call.args or self._names.origin(call.func) not in _RUNNERS:
            return call
        return ast.copy_location(ast.Call(call.args[0], call.args[1:], call.keywords), call)

    def _of_call(self, call: ast.Call, in_model: str) -> Iterator[_Raw]:
        arguments = {keyword.arg: keyword.value for keyword in call.keywords}
        for kind, text in service_calls(call, arguments, self._names.origin):
            yield call.lineno, kind, text, ""
        if not isinstance(call.func, ast.Attribute):
            return
        method = call.func.attr
        if method == "count":
            yield from self._of_count(call, call.func, arguments, in_model)
        elif method in ("save", "update", "delete"):
            yield from self._of_write(call, method, arguments, in_model)
        elif method == "get" and call.args:
            yield from _of_key(call, call.args[0], is_set=False)
        if method in ("query", "scan", "count") and not is_none(arguments.get("rate_limit")):
            yield call.lineno, "rate_limit", f"{method}(rate_limit=...)", ""

    def _model_of(self, in_model: str) -> Callable[[ast.expr], str]:
        """A function that returns the model that an expression means. `self` means none: an attribute of the class
        makes conditions, but the same attribute of an instance is a value."""

        def model_of(node: ast.expr) -> str:
            return in_model if _is_own_class(node) else self._names.model(node)

        return model_of

    def _number_conditions(self, node: ast.Compare | ast.Call, in_model: str) -> Iterator[_Raw]:
        return number_conditions(node, self._model_of(in_model))

    def _of_count(
        self, call: ast.Call, func: ast.Attribute, arguments: dict[str | None, ast.expr], in_model: str
    ) -> Iterator[_Raw]:
        if not is_none(next(iter(call.args), arguments.get("hash_key"))) or None in arguments:
            return
        on = func.value
        if isinstance(on, ast.Attribute) and on.attr == "aio":
            on = on.value  # ``User.aio.count()``
        is_own = isinstance(on, ast.Name) and on.id == "self"
        model = in_model if is_own else self._model_of(in_model)(on)
        if model:
            yield call.lineno, "count", f"{model.rpartition('.')[2]}.count()", model

    def _of_write(
        self, call: ast.Call, method: str, arguments: dict[str | None, ast.expr], in_model: str
    ) -> Iterator[_Raw]:
        model_of = self._model_of(in_model)
        if not is_none(arguments.get("condition")) or any(is_condition(each, model_of) for each in call.args):
            yield call.lineno, "condition", f"{method}(condition=...)", ""
        if method != "update":
            return
        actions = arguments.get("actions") or next(iter(call.args), None)
        elements = _actions_in(actions)
        if "actions" in arguments or elements:
            yield call.lineno, "update", "update(actions=...)", ""
        if elements and all(method == "remove" for method in elements):
            yield call.lineno, "remove_only", "update(actions=[... .remove()])", ""


def _is_own_class(node: ast.expr) -> bool:
    """Whether it is ``cls``, ``type(self)`` or ``self.__class__``."""
    match node:
        case ast.Name("cls"):
            return True
        case ast.Attribute(ast.Name("self"), "__class__"):
            return True
        case ast.Call(ast.Name("type"), [ast.Name("self")]):
            return True
    return False


def _of_key(node: ast.expr, key: ast.expr, *, is_set: bool) -> Iterator[_Raw]:
    """The use that the key of a mapping shows. If the mapping is made (`is_set`), it is a request, else an answer."""
    name = key.value if isinstance(key, ast.Constant) else None
    if is_set and name == "ConditionExpression":
        yield node.lineno, "condition", name, ""
    elif not is_set and name == "ItemCount":
        yield node.lineno, "item_count", '["ItemCount"]', ""


def _actions_in(node: ast.expr | None) -> list[str]:
    """The actions in a list: `set`, `remove` and so on; empty if the list has anything else."""
    if not isinstance(node, ast.List | ast.Tuple):
        return []
    methods = [
        element.func.attr
        for element in node.elts
        if isinstance(element, ast.Call) and isinstance(element.func, ast.Attribute)
    ]
    return methods if len(methods) == len(node.elts) and _ACTIONS.issuperset(methods) else []
