"""The paths of one expression as a tree, which finds overlaps and conflicts, and selects parts of values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from ..answers import validation
from ..attribute_values import content_of, kind_of
from .tree import AttributeValue, Path
from .values import is_value

T = TypeVar("T")


class PathTree(Generic[T]):
    """One branch. It has a leaf, or it has branches below, whose keys are either all names or all indexes of a list."""

    __slots__ = ("below", "leaf", "numbered")

    def __init__(self) -> None:
        self.leaf: T | None = None
        self.below: dict[str | int, PathTree[T]] = {}
        self.numbered: bool = False

    def add(self, what: str, path: Path, leaf: T) -> None:
        """Put a leaf at `path`. Raises `DialectError` if the path overlaps another path, or conflicts with one."""
        branch = self
        for step in (path.root, *path.steps):
            if branch.leaf is not None:
                raise validation(f"Invalid {what}: two document paths overlap with each other: {path}")
            if branch.below and branch.numbered != isinstance(step, int):
                raise validation(f"Invalid {what}: two document paths conflict with each other: {path}")
            branch.numbered = isinstance(step, int)
            branch = branch.below.setdefault(step, PathTree())
        if branch.leaf is not None or branch.below:
            raise validation(f"Invalid {what}: two document paths overlap with each other: {path}")
        branch.leaf = leaf


def tree_of(what: str, paths: Iterable[Path]) -> PathTree[Path]:
    """A tree of these paths. The leaf of each path is the path itself."""
    tree: PathTree[Path] = PathTree()
    for path in paths:
        tree.add(what, path, path)
    return tree


def picked(value: AttributeValue, branch: PathTree[Any]) -> AttributeValue | None:
    """The parts of a value that the tree names; None if the value has none of them. The chosen elements of a list
    follow each other without gaps."""
    if branch.leaf is not None:
        return value
    if not is_value(value):
        return None
    kind, content = kind_of(value), content_of(value)
    if kind == "M" and not branch.numbered:
        parts = {name: _part(content.get(name), below) for name, below in branch.below.items() if isinstance(name, str)}
        chosen = {name: part for name, part in parts.items() if part is not None}
        return {"M": chosen} if chosen else None
    if kind == "L" and branch.numbered:
        parts_of_list = [
            _part(content[index], branch.below[index])
            for index in sorted(branch.below, key=int)
            if isinstance(index, int) and index < len(content)
        ]
        kept = [part for part in parts_of_list if part is not None]
        return {"L": kept} if kept else None
    return None


def _part(value: AttributeValue | None, branch: PathTree[Any]) -> AttributeValue | None:
    return None if value is None else picked(value, branch)
