"""The search in source files, which are read and not run: what does the code ask for that Alternator does otherwise?

It sees names as they are imported and defined in each file, and follows no values: a transaction that is made by a
function of another package is not seen.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ...errors import ConfigurationError
from .facts import Position, SourceFacts
from .modules import shown_path
from .names import Names
from .uses import models_in, uses_in

__all__ = ["read_source", "read_sources"]

_NOT_THEIRS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
"""Folders whose files are not the user's own, beside those that begin with a dot and virtual environments."""


def read_sources(roots: Iterable[Path], models: Collection[str]) -> tuple[SourceFacts, ...]:
    """What the files say that are in these folders, or that are these files. `models`: module and class of each.

    Raises `ConfigurationError` for a path that does not exist.
    """
    files: dict[Path, Path] = {}
    for root in roots:
        if not root.exists():
            raise ConfigurationError(f"--source: there is no {shown_path(root)}. Write a folder, or a Python file.")
        for file in _files_in(root):
            files.setdefault(file.resolve(), root)
    return tuple(read_source(file, _module_name(file), models) for file in sorted(files))


def _files_in(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for entry in sorted(root.iterdir()):
        if entry.is_dir():
            if not (entry.name.startswith(".") or entry.name in _NOT_THEIRS or (entry / "pyvenv.cfg").exists()):
                yield from _files_in(entry)
        elif entry.suffix == ".py":
            yield entry


def _module_name(file: Path) -> str:
    """The dotted name of the module, as far as the folders around it are packages."""
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def read_source(file: Path, module: str, models: Collection[str]) -> SourceFacts:
    """What one file says. One that is not Python, or cannot be read, has a `problem`."""
    shown = shown_path(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a wrong escape sequence, say, which is no difference of Alternator's
            tree = ast.parse(file.read_bytes(), filename=shown)
    except SyntaxError as error:
        return SourceFacts(shown, module, problem=f"it is not Python: {error.msg}", problem_line=error.lineno or 1)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return SourceFacts(shown, module, problem=f"it cannot be read: {error}")
    names = Names(tree, module, is_package=file.stem == "__init__", models=models)
    uses = uses_in(tree, names, lambda line: Position(shown, line))
    return SourceFacts(shown, module, tuple(uses), tuple(models_in(tree, names)))
