"""Searches source files for calls that Alternator answers differently. The files are read, and not run.

The search knows the names that a file imports and defines, but does not follow values: it does not find a transaction
that a function of another package makes.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ...errors import ConfigurationError
from .facts import Position, SourceFacts
from .modules import shown_path
from .names import Names
from .uses import classes_in, uses_in

__all__ = ["read_source", "read_sources"]

_BASES = frozenset({"pynamodb.models.Model", "pynamodb_alternator.Model", "pynamodb_alternator.orm.model.Model"})
_NOT_THEIRS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
"""Folders whose files are not the user's own. Folders that begin with a dot and virtual environments are left out
too."""


def read_sources(
    roots: Iterable[Path], models: Collection[str], packages: Mapping[Path, str] = MappingProxyType({})
) -> tuple[SourceFacts, ...]:
    """The facts of the files in `roots`, which are folders and files. `models`: module and class of each known model.

    `packages`: the dotted names of folders whose modules were imported, as `package_folders` gives them.
    Raises `ConfigurationError` for a path that does not exist.
    """
    files: set[Path] = set()
    for root in roots:
        if not root.exists():
            raise ConfigurationError(f"--source: there is no {shown_path(root)}. Write a folder, or a Python file.")
        files.update(file.resolve() for file in _files_in(root))
    read = [read_source(file, _module_name(file, packages), models) for file in sorted(files)]
    return tuple(_with_models(read, models))


def _files_in(root: Path) -> Iterator[Path]:
    """The Python files. For a folder that cannot be read, the folder itself is returned. Each folder is searched only
    once, because a link to a folder above would make the search endless."""
    if root.is_file():
        yield root
        return
    waiting, seen = [root], set[Path]()
    while waiting:
        folder = waiting.pop()
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        try:
            for entry in folder.iterdir():
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    if not (entry.name in _NOT_THEIRS or (entry / "pyvenv.cfg").exists()):
                        waiting.append(entry)
                elif entry.suffix == ".py" and entry.is_file():  # reading a pipe would wait for a writer
                    yield entry
        except OSError:
            yield folder


def _module_name(file: Path, packages: Mapping[Path, str]) -> str:
    """The dotted name of the module: it begins with the imported package that contains the file, or else with the
    outermost folder that is a package."""
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    is_below = any(packages.get(parent) for parent in file.parents)
    while folder not in packages and (is_below or (folder / "__init__.py").exists()):
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(filter(None, [packages.get(folder, ""), *parts]))


def _with_models(sources: Sequence[SourceFacts], models: Collection[str]) -> Iterator[SourceFacts]:
    """The files, with the models that they define. `models`: the known models."""
    classes = {f"{source.module}.{each.name}": each for source in sources for each in source.classes}
    packages = {name.partition(".")[0] for name in (*models, *classes)}
    known, handed_on = _BASES.union(models), {name.rpartition(".")[2] for name in models}

    def is_model(base: str) -> bool:
        top, short = base.partition(".")[0], base.rpartition(".")[2]
        return base in known or (top in packages and short in handed_on)

    while new := {name for name, each in classes.items() if name not in known and any(map(is_model, each.bases))}:
        known |= new
        handed_on |= {name.rpartition(".")[2] for name in new}
    for source in sources:
        own = ((each.name, each.line) for each in source.classes if f"{source.module}.{each.name}" in known)
        yield replace(source, models=tuple(own))


def read_source(file: Path, module: str, models: Collection[str]) -> SourceFacts:
    """The facts of one file. A file that is not Python, or cannot be read, has a `problem`."""
    shown = shown_path(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # warnings about the code, such as wrong escape sequences, do not belong here
            tree = ast.parse(file.read_bytes(), filename=shown)
    except SyntaxError as error:
        return SourceFacts(shown, module, problem=f"it is not Python: {error.msg}", problem_line=error.lineno or 1)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return SourceFacts(shown, module, problem=f"it cannot be read: {error}")
    names = Names(tree, module, is_package=file.stem == "__init__", models=models)
    uses = uses_in(tree, names, lambda line: Position(shown, line))
    return SourceFacts(shown, module, tuple(uses), tuple(classes_in(tree, names)))
