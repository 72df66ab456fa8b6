"""Imports the modules that a user names, with helpful errors, and finds the folders of the code around them.

Importing a module runs it. Its output goes to standard error, because standard output is for the report.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from ...errors import ConfigurationError
from ...settings.checks import closest, did_you_mean, shown

__all__ = ["import_module", "importable_here", "is_installed", "package_folders", "source_roots"]


@contextlib.contextmanager
def importable_here() -> Iterator[None]:
    """A context manager: modules of the current directory can be imported, and come first, as with ``python -m``."""
    here = os.getcwd()
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)


def import_module(name: str) -> ModuleType:
    """Import the module of this dotted name.

    Raises `ConfigurationError`, which says whether the name, an import of the module, or the module itself is wrong.
    """
    _check_name(name)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigurationError(_no_such_module(name, error.name)) from None
        raise ConfigurationError(
            f"{name} cannot be imported: {_line_of(error)} imports {error.name!r}, and there is no such module. "
            "Install it, or run the command as the application runs: in its environment, and in its directory."
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(_raised(name, error)) from error


def _check_name(name: str) -> None:
    """Refuse a name that looks like a file, a relative module or a class. The error says what to write instead."""
    if all(part.isidentifier() for part in name.split(".")):
        return
    path = name.removesuffix(".py").replace("\\", "/")
    if name.endswith(".py") or "/" in name or "\\" in name:
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        better = ".".join(parts).removesuffix(".__init__")
        hint = f"Write {better}, in the directory that has {parts[0]}." if better else "Write one such as shop.models."
        raise ConfigurationError(f"--models takes the name of a module, and {shown(name)} is a path. {hint}")
    if ":" in name:
        hint = f"Write {name.partition(':')[0]}: all models of the module are checked."
    elif name.startswith("."):
        hint = "Write the whole name, with the package."
    else:
        hint = "Write one such as shop.models."
    raise ConfigurationError(f"--models takes the name of a module (got {shown(name)}). {hint}")


def _no_such_module(name: str, missing: str) -> str:
    """`missing`: the part of the name up to the first module that does not exist."""
    parent = missing.rpartition(".")[0]
    module = sys.modules.get(parent)
    if module is not None and hasattr(module, missing.rpartition(".")[2]):
        return f"--models takes modules, and {missing} is a name in one. Write {parent}: all its models are checked."
    if module is not None and not hasattr(module, "__path__"):
        return f"There is no module {missing!r}: {parent} is a module and not a package. Write {parent}."
    folders = None if module is None else list(module.__path__)
    known = [entry.name for entry in pkgutil.iter_modules(folders)]
    if parent:
        text = f"There is no module {missing!r} in the package {parent}. "
        close = closest(missing.rpartition(".")[2], known)
        every = ", ".join(f"{parent}.{name}" for name in known)
        return text + (f"Did you mean {f'{parent}.{close}'!r}?" if close else f"It has: {every or 'none'}.")
    meant = did_you_mean(missing, known)
    text = f"There is no module {missing!r}, neither in {os.getcwd()} nor among what is installed. "
    run = f"{meant} Or run" if meant else "Run"
    return f"{text}{run} the command in the directory that has {missing} in it, or set PYTHONPATH to it."


def _raised(name: str, error: BaseException) -> str:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    text = f"{name} cannot be imported: {_line_of(error)} raises {what}{'' if what.endswith('.') else '.'}"
    if type(error).__name__ == "ImproperlyConfigured" and "django" in type(error).__module__:
        return f"{text} In a Django project write: python manage.py alternator_check --models {name}"
    if isinstance(error, SystemExit):
        return f"{text} Put what ends the process under `if __name__ == '__main__':`."
    if isinstance(error, SyntaxError):
        return text
    if isinstance(error, ImportError) and "partially initialized module" in str(error):
        return f"{text} Modules that import each other: name the one first that the application imports first."
    return f"{text} This imports the module, which runs it: give it what it needs, such as environment variables."


def _line_of(error: BaseException) -> str:
    """The line where the error was raised: the last line of the user's own code, else the last line outside of Python's
    import system."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown_path(error.filename)}, line {error.lineno},"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen ") and frame.filename not in (__file__, importlib.__file__)
    ]
    own = [frame for frame in frames if not _is_foreign(frame.filename)]
    for frame in (*own[-1:], *frames[-1:]):
        return f"{shown_path(frame.filename)}, line {frame.lineno},"
    return "it"


def _is_foreign(file: str) -> bool:
    """Whether a file belongs to an installed package or to Python's own library."""
    path = Path(file)
    return is_installed(path) or path.is_relative_to(Path(sysconfig.get_path("stdlib")))


def shown_path(path: str | Path) -> str:
    """The path relative to the current directory, if it is below it; else unchanged."""
    whole = Path(path).absolute()
    here = Path.cwd()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(whole)


# ---- the code around them ----------------------------------------------------------------------------------------


def source_roots(names: Iterable[str]) -> list[Path]:
    """The folders and files with the code of these imported modules.

    For each module this is its outermost package. A package without an ``__init__.py`` counts only if the module is
    directly in it, because code of others may be in the same package. A module without a package is one file.
    """
    roots = {root for name in names for root in _roots_of(name)}
    return sorted(root for root in roots if not any(root != other and root.is_relative_to(other) for other in roots))


def _roots_of(name: str) -> Iterable[Path]:
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        module = sys.modules.get(".".join(parts[:length]))
        is_package = hasattr(module, "__path__")
        is_last_package = length >= len(parts) - 1
        if is_package and (getattr(module, "__file__", None) or is_last_package):
            folders = [Path(folder).resolve() for folder in getattr(module, "__path__", ())]
            return [folder for folder in folders if folder.is_dir()]  # a package in an archive is not a folder
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return [Path(file).resolve()] if file.endswith(".py") else []


def package_folders(names: Iterable[str]) -> dict[Path, str]:
    """The folders of the packages of these modules, with the packages' names. The folder from which the first part of a
    name was imported has an empty name: modules directly in it have no package, even if the folder looks like a
    package."""
    folders: dict[Path, str] = {}
    for name in names:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            package = ".".join(parts[:length])
            module = sys.modules.get(package)
            paths = [Path(folder).resolve() for folder in getattr(module, "__path__", ())]
            folders |= dict.fromkeys(paths, package)
            if length == 1:
                file = getattr(module, "__file__", None)
                outermost = paths or ([Path(file).resolve()] if file else [])
                folders |= {path.parent: "" for path in outermost if path.parent not in folders}
    return folders


def is_installed(path: Path) -> bool:
    """Whether the file belongs to an installed package, and not to the user's own code."""
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
