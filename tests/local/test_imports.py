"""The modules of the embedded cluster: what they import, how long they are, and what they leave alone."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

import pynamodb_alternator.local

ROOM = Path(str(pynamodb_alternator.local.__file__)).parent
TREES = {path.stem: ast.parse(path.read_text()) for path in sorted(ROOM.glob("*.py"))}
EACH = pytest.mark.parametrize("module", TREES)


def imports(module: str) -> list[ast.ImportFrom]:
    """All of them, those in functions and those for type checkers alone included."""
    return [node for node in ast.walk(TREES[module]) if isinstance(node, ast.ImportFrom)]


@EACH
def test_it_stands_on_the_other_side_of_the_wire(module: str) -> None:
    """It imports nothing of the client that it is to test: of this package, its own modules, errors, checks, and what a
    description of a table says, which is DynamoDB's."""
    for statement in imports(module):
        names = [alias.name for alias in statement.names]
        if statement.level == 2:
            assert (statement.module, names) == ("settings", ["checks"]) or statement.module in (
                "errors",
                "core.table_description",
            )
        else:
            assert not (statement.module or "").startswith("pynamodb")


def test_imports_point_one_way() -> None:
    graph: dict[str, set[str]] = {}
    for module in TREES:
        inner = [statement for statement in imports(module) if statement.level == 1]
        graph[module] = {
            name
            for statement in inner
            for name in ([statement.module] if statement.module else [alias.name for alias in statement.names])
        }
    assert set().union(*graph.values()) <= set(TREES)
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("runtime") < order.index("server") < order.index("node") < order.index("cluster")


@EACH
def test_no_module_reaches_into_another_object(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            assert own or ast.unparse(node) == "os._exit", f"{module}.py:{node.lineno}: {ast.unparse(node)}"


@EACH
def test_a_module_reads_in_one_sitting(module: str) -> None:
    assert len((ROOM / f"{module}.py").read_text().splitlines()) <= 400
