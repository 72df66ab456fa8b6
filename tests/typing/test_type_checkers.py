"""What users' type checkers see: no errors in a project that is right, and each mistake in one that is not.

The files beside this one are a user's project. A line that has to be an error has a comment that tells mypy and pyright
to ignore it, with the code. `make types` checks the files as they are. Here the comments are taken out, and the errors
have to be those, in these lines, and no others.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Set
from pathlib import Path

import pytest

import pynamodb_alternator

from . import checkers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
CHECKERS: dict[str, Callable[..., checkers.Errors]] = {"mypy": checkers.mypy, "pyright": checkers.pyright}
NOTHING: Mapping[str, str] = {}
BOTH = pytest.mark.parametrize("checker", CHECKERS)


def check(
    checker: str, folder: Path, *names: str, stubs: Set[str] = frozenset(), renamed: Mapping[str, str] = NOTHING
) -> int:
    """Compare the errors with the comments. How many mistakes there were."""
    for package in stubs:
        checkers.need(package)
    folder = folder / "user"
    folder.mkdir()
    expected: checkers.Errors = set()
    for name in names:
        checkers.without_comments(HERE / name, folder, renamed=renamed)
        expected |= checkers.expected(checker, HERE / name)
    errors = CHECKERS[checker](folder, stubs)
    assert _shown(errors - expected) == "", "errors that no comment names"
    assert _shown(expected - errors) == "", f"mistakes that {checker} does not find"
    return len(expected)


def _shown(errors: checkers.Errors) -> str:
    return "\n".join(f"{file}:{line}: {code}" for file, line, code in sorted(errors))


@BOTH
def test_type_checkers_accept_a_users_project(checker: str, tmp_path: Path) -> None:
    assert check(checker, tmp_path, "project", "with_stubs.py", stubs=checkers.STUBS) >= 35


@BOTH
def test_clients_with_types_boto3(checker: str, tmp_path: Path) -> None:
    """boto3 has two packages of stubs, which have the same names in them. A user has the one or the other."""
    stubs = {checkers.TYPES_BOTO3, checkers.TYPES_AIOBOTOCORE}
    renamed = {checkers.BOTO3_STUBS: checkers.TYPES_BOTO3}
    assert check(checker, tmp_path, "with_stubs.py", stubs=stubs, renamed=renamed) >= 2


@BOTH
def test_type_checkers_accept_a_project_without_stubs(checker: str, tmp_path: Path) -> None:
    assert check(checker, tmp_path, "project", "without_stubs.py") >= 35


def test_every_public_name_has_a_type(tmp_path: Path) -> None:
    """A name that pyright has to infer may have another type in another type checker: so annotate it.

    Django has no types of its own, so the classes that are derived from its classes cannot be known.
    """
    package = Path(str(pynamodb_alternator.__file__)).parent
    symbols = checkers.public_symbols(package, tmp_path)
    assert len(symbols) > 2000
    unknown = [
        f"{symbol['name']}: {each['message']}"
        for symbol in symbols
        if not symbol["isTypeKnown"] and not symbol["name"].startswith("pynamodb_alternator.contrib.django.")
        for each in symbol["diagnostics"] or [{"message": "its type is not known, because of another name here"}]
        if "docstring" not in each["message"]
    ]
    assert unknown == []
    known = sum(symbol["isTypeKnown"] for symbol in symbols)
    assert known / len(symbols) > 0.99


def test_the_wheel_says_that_it_has_types(tmp_path: Path) -> None:
    checkers.need("hatchling")
    if not (checkers.ROOT / "pyproject.toml").exists():
        pytest.skip("the tests run on an installed package")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=checkers.ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"pynamodb_alternator/py.typed", "pynamodb_alternator/typing.py"} <= set(names)
