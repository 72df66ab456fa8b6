"""The modules of the embedded cluster: what they import. tests/test_house.py has what holds for all modules."""

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
    """It imports nothing of the client that it is to test: of this package, its own modules, errors, checks, and rules
    about the server's own data: what a description of a table says, and the token of a key."""
    for statement in imports(module):
        names = [alias.name for alias in statement.names]
        if statement.level == 2:
            assert (statement.module == "settings" and {*names} <= {"addresses", "checks"}) or statement.module in (
                "errors",
                "core.table_description",
                "routing.attribute_value",
                "routing.token",
            )
        else:
            assert not (statement.module or "").startswith("pynamodb")


def test_the_layers_of_the_embedded_cluster() -> None:
    graph = {module: _inner(module) for module in TREES}
    assert set().union(*graph.values()) <= set(TREES)
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("runtime") < order.index("server") < order.index("node") < order.index("cluster")


def _inner(module: str) -> set[str]:
    """The modules of this room that it imports."""
    return {
        name
        for statement in imports(module)
        if statement.level == 1
        for name in ([statement.module] if statement.module else [alias.name for alias in statement.names])
    }
