"""Runs mypy and pyright, and tells which lines of which files have which errors."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BOTO3_STUBS, TYPES_BOTO3, TYPES_AIOBOTOCORE = (
    "mypy_boto3_dynamodb",
    "types_boto3_dynamodb",
    "types_aiobotocore_dynamodb",
)
STUBS = frozenset({BOTO3_STUBS, TYPES_BOTO3, TYPES_AIOBOTOCORE})

Errors = set[tuple[str, int, str]]
"""The file's name, the line, and the code of the error."""


def need(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed; it is in requirements/dev.lock")


def _run(command: list[str], folder: Path, **environment: str) -> str:
    ended = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=500
    )
    assert ended.returncode in (0, 1), f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout


# ---- mypy --------------------------------------------------------------------------------------------------------

STRICT = """
[mypy]
strict = true
warn_unused_ignores = false
show_error_codes = true
follow_imports = silent
untyped_calls_exclude = pynamodb
"""
MISSING = """
[mypy-{modules}]
follow_imports = skip
follow_imports_for_stubs = true
ignore_missing_imports = true
"""


def mypy(folder: Path, stubs: Set[str]) -> Errors:
    """mypy's errors in the Python files of `folder`, with `strict`, as if of all stubs only `stubs` were installed.

    Without any, nothing is known of botocore, boto3 and aiobotocore either.
    """
    need("mypy")
    missing = sorted(STUBS - stubs) if stubs else [*STUBS, "botocore", "boto3", "aiobotocore"]
    config = STRICT + MISSING.format(modules=",".join(f"{module}.*" for module in missing)) if missing else STRICT
    (folder / "mypy.ini").write_text(config)
    cache = ROOT / ".mypy_cache" / "-".join(["tests-with", *sorted(stubs)])
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--output", "json", "--cache-dir", str(cache)]
    output = _run([*command, "."], folder, MYPYPATH=str(ROOT))
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert messages or "Success" in output, output
    return {(each["file"], each["line"], each["code"]) for each in messages if each["severity"] == "error"}


# ---- pyright -----------------------------------------------------------------------------------------------------


def pyright_command() -> list[str]:
    """basedpyright is pyright, with a Node.js that comes from the package registry. pyright itself does as well."""
    if importlib.util.find_spec("basedpyright") is not None:
        return [sys.executable, "-m", "basedpyright"]
    pyright = shutil.which("pyright")
    if pyright is None:
        pytest.skip("neither basedpyright nor pyright is installed; basedpyright is in requirements/dev.lock")
    return [pyright]


def pyright(folder: Path, stubs: Set[str]) -> Errors:
    """pyright's errors in the Python files of `folder`, with `strict`, as if only `stubs` were installed."""
    config = json.loads((HERE / "pyrightconfig.json").read_text())
    config |= {"include": ["."], "extraPaths": [str(ROOT)], "reportUnnecessaryTypeIgnoreComment": "none"}
    config["stubPath"] = str(_empty_packages(folder.with_name(f"{folder.name}-stubs"), STUBS - stubs))
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    answer = _pyright(folder, "--project", ".", "--pythonpath", sys.executable)
    assert answer["summary"]["filesAnalyzed"] >= len(list(folder.rglob("*.py")))
    return {
        (
            Path(each["file"]).resolve().relative_to(folder.resolve()).as_posix(),
            each["range"]["start"]["line"] + 1,
            each["rule"],
        )
        for each in answer["generalDiagnostics"]
    }


def _empty_packages(folder: Path, names: Set[str]) -> Path:
    """Packages that have no names stand for those that are not installed: pyright knows as little of either."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.pyi").touch()
    return folder


def _pyright(folder: Path, *arguments: str, **environment: str) -> Mapping[str, Any]:
    output = _run([*pyright_command(), *arguments, "--outputjson"], folder, **environment)
    answer: Mapping[str, Any] = json.loads(output[output.index("{") :])
    return answer


def public_symbols(package: Path, folder: Path) -> list[Mapping[str, Any]]:
    """What ``pyright --verifytypes`` says of each name that `package` exports. `folder`: an empty one."""
    # It asks the first Python of the PATH where packages are.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = ["--verifytypes", package.name, "--ignoreexternal"]
    answer = _pyright(folder, *command, PATH=path, PYTHONPATH=str(package.parent))["typeCompleteness"]
    assert Path(answer["packageRootDirectory"]).resolve() == package.resolve()
    assert answer["pyTypedPath"]
    return [symbol for symbol in answer["symbols"] if symbol["isExported"]]


# ---- what the files expect ---------------------------------------------------------------------------------------

COMMENTS = {"mypy": r"# type: ignore\[([\w-]+)\]", "pyright": r"# pyright: ignore\[(\w+)\]"}


def without_comments(source: Path, folder: Path, *, renamed: Mapping[str, str]) -> None:
    """Copy a file, or the files of a folder, without the comments that tell type checkers to ignore an error.

    `renamed`: modules that stand in the copy instead of others.
    """
    for path in [source] if source.is_file() else source.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for comment in COMMENTS.values():
            text = re.sub(rf"  {comment}", "", text)
        for old, new in renamed.items():
            text = text.replace(old, new)
        target = folder / path.relative_to(source.parent)
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")


def expected(checker: str, source: Path) -> Errors:
    """The errors that the comments for `checker` name."""
    return {
        (path.relative_to(source.parent).as_posix(), number, match[1])
        for path in ([source] if source.is_file() else source.glob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in re.finditer(COMMENTS[checker], line)
    }
