"""The modules of the embedded cluster: what they import. tests/test_house.py has what holds for all modules."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import pynamodb_alternator.local

ROOM = Path(str(pynamodb_alternator.local.__file__)).parent
TREES = {
    ".".join(path.relative_to(ROOM).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
    for path in sorted(ROOM.rglob("*.py"))
}
"""By their names below the room; its own ``__init__`` has that name."""
EACH = pytest.mark.parametrize("module", TREES)


def imports(module: str) -> list[ast.ImportFrom]:
    """All of them, those in functions and those for type checkers alone included."""
    return [node for node in ast.walk(TREES[module]) if isinstance(node, ast.ImportFrom)]


@EACH
def test_the_embedded_cluster_imports_nothing_of_the_client(module: str) -> None:
    """It imports nothing of the client that it is to test: of this package, its own modules, errors, checks, and rules
    about the server's own data: what a description of a table says, and the token of a key."""
    for statement in imports(module):
        names = [alias.name for alias in statement.names]
        if statement.level == 2 + module.count("."):
            assert (statement.module == "settings" and {*names} <= {"addresses", "checks"}) or statement.module in (
                "errors",
                "core.table_description",
                "routing.attribute_value",
                "routing.token",
            )
        else:
            assert not (statement.module or "").startswith("pynamodb")


def test_the_layers_of_the_embedded_cluster() -> None:
    graph = {module: set(_inner(module)) for module in TREES}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("runtime") < order.index("server") < order.index("node") < order.index("cluster")
    above = {"answers", "attribute_values"}
    for module, imported in graph.items():
        if module.startswith("expressions."):
            assert {name for name in imported if not name.startswith("expressions")} <= above, module


def _inner(module: str) -> Iterator[str]:
    """The modules of this room that it imports."""
    package = module.rpartition(".")[0]
    for statement in imports(module):
        inner = statement.level == 1 or (package and statement.level == 2)
        if not inner:
            continue
        base = [package] if package and statement.level == 1 else []
        base += [statement.module] if statement.module else []
        for alias in statement.names:
            names = [".".join([*base, alias.name]), ".".join(base)]
            yield next(name for name in names if name in TREES)
