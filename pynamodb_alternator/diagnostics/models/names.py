"""Resolves the names of a source file: those that it imports, and those of the classes that it defines."""

from __future__ import annotations

import ast
from collections.abc import Collection

__all__ = ["Names"]


class Names:
    """The names of one file. `models`: module and class of each model that is known.

    If an assignment or an argument gives a name another value, the name still counts as the imported object. This is
    rare, and a false finding is better than a missing one.
    """

    def __init__(self, tree: ast.Module, module: str, *, is_package: bool, models: Collection[str]) -> None:
        self._models = frozenset(models)
        self._classes = {name.rpartition(".")[2]: name for name in sorted(models)}
        self._own_packages = {name.partition(".")[0] for name in (*models, module)}
        self._package = module if is_package else module.rpartition(".")[0]
        self._origins: dict[str, str] = {}
        self._has_stars = False
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        for statement in tree.body:
            if isinstance(statement, ast.ClassDef):
                self._origins[statement.name] = f"{module}.{statement.name}"

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname:
                self._origins[alias.asname] = alias.name
            else:
                top = alias.name.partition(".")[0]
                self._origins[top] = top

    def _import_from(self, node: ast.ImportFrom) -> None:
        source = self._absolute(node)
        for alias in node.names:
            if alias.name == "*":
                self._has_stars |= source.partition(".")[0] in self._own_packages
            else:
                self._origins[alias.asname or alias.name] = f"{source}.{alias.name}"

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._package.split(".")
        parents = parts[: len(parts) - node.level + 1]
        return ".".join([*parents, *([node.module] if node.module else [])])

    def origin(self, node: ast.expr) -> str:
        """The dotted name that an expression such as ``models.Order`` means; empty for any other expression."""
        behind: list[str] = []
        while isinstance(node, ast.Attribute):
            behind.insert(0, node.attr)
            node = node.value
        first = self._origins.get(node.id, "") if isinstance(node, ast.Name) else ""
        return ".".join([first, *behind]) if first else ""

    def stands_for(self, node: ast.expr, names: Collection[str]) -> str:
        """Which of these dotted names an expression means; empty for none.

        A name that a package of the project re-exports counts too.
        """
        origin = self.origin(node)
        if origin in names:
            return origin
        if origin.partition(".")[0] not in self._own_packages:
            return ""
        short = origin.rpartition(".")[2]
        return next((name for name in names if name.rpartition(".")[2] == short), "")

    def model(self, node: ast.expr) -> str:
        """The model that an expression means; empty for any other expression.

        If a package of the project re-exports the model under the same name, this counts too.
        """
        origin = self.origin(node)
        if origin in self._models:
            return origin
        short = origin.rpartition(".")[2]
        if origin.partition(".")[0] in self._own_packages and short in self._classes:
            return self._classes[short]
        if self._has_stars and isinstance(node, ast.Name) and not origin:
            return self._classes.get(node.id, "")
        return ""
