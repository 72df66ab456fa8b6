"""The modules that a user names: what they can be, and which error says what to write instead."""

from __future__ import annotations

import os
import py_compile
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynamodb_alternator.diagnostics.models import (
    import_module,
    importable_here,
    is_installed,
    package_folders,
    source_roots,
)
from pynamodb_alternator.errors import ConfigurationError

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write files into the current directory, whose modules can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write_them(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")

    with importable_here():
        yield write_them
    for name in set(sys.modules) - before:
        del sys.modules[name]


def wrong(name: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        import_module(name)
    return str(error.value)


def test_a_module_is_imported_once_and_its_output_stays_out_of_the_report(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write({"qshop/__init__.py": "", "qshop/models.py": "print('hello')"})
    assert import_module("qshop.models") is import_module("qshop.models")
    written = capsys.readouterr()
    assert (written.out, written.err) == ("", "hello\n")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("qshop/models.py", "'qshop/models.py' is a path. Write qshop.models, in the directory that has qshop."),
        ("./qshop/__init__.py", "Write qshop, in the directory"),
        ("qshop\\models.py", "Write qshop.models"),
        ("/", "is a path. Write one such as shop.models."),
        ("qshop.models.py", "Write qshop.models"),
        ("qshop.models:Order", "Write qshop.models: all models"),
        (".models", "Write the whole name, with the package."),
        ("", "got ''). Write one such as shop.models."),
        ("qshop models", "Write one such as shop.models."),
        ("qshop.modles", "no module 'qshop.modles' in the package qshop. Did you mean 'qshop.models'?"),
        ("qshop.xyz", "in the package qshop. It has: qshop.models."),
        ("qshop.mxl", "in the package qshop. It has: qshop.models."),  # what is alike is the package's name
        ("qshop.models.Order", "qshop.models.Order is a name in one. Write qshop.models: all"),
        ("qshop.models.more", "qshop.models is a module and not a package. Write qshop.models."),
        ("qshpo", "Did you mean 'qshop'? Or run the command in the directory that has qshpo in it"),
        (
            "qqqqqqqqqqqq.models",
            "Run the command in the directory that has qqqqqqqqqqqq in it, or set",
        ),
    ],
)
def test_names_that_are_wrong(write: Write, name: str, says: str) -> None:
    write({"qshop/__init__.py": "", "qshop/models.py": "class Order: pass"})
    assert says in wrong(name)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import qnowhere", "qmod.py, line 1, imports 'qnowhere', and there is no such module. Install it"),
        ("\nimport qother", "qother.py, line 1, imports 'qnowhere'"),
        ("import os\nos.environ['Q_NOT_SET']", "qmod.py, line 2, raises KeyError: 'Q_NOT_SET'. This imports"),
        ("from os import qq", "qmod.py, line 1, raises ImportError: cannot import name 'qq'"),
        ("raise ValueError", "qmod.py, line 1, raises ValueError. This imports the module"),
        ("import json\n\njson.loads('a')", "qmod.py, line 3, raises JSONDecodeError: "),  # and not json's own line
        ("import qround", "qround.py, line 1, raises ImportError: cannot import name 'qq'"),
        ("import qround", "Modules that import each other: name the one first that the application imports first."),
        ("import sys\nsys.exit(3)", "Put what ends the process under `if __name__ == '__main__':`."),
        ("a = (", "qmod.py, line 1, raises SyntaxError: '(' was never closed"),
        (
            "from django.core.exceptions import ImproperlyConfigured as I\nraise I('no settings')",
            "In a Django project write: python manage.py alternator_check --models qmod",
        ),
    ],
)
def test_modules_that_cannot_be_imported(write: Write, code: str, says: str) -> None:
    write({"qmod.py": code, "qother.py": "import qnowhere", "qround.py": "from qmod import qq"})
    text = wrong("qmod")
    assert text.startswith("qmod cannot be imported: ")
    assert says in text


def test_an_interruption_is_not_an_error_of_the_module(write: Write) -> None:
    write({"qmod.py": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        import_module("qmod")


def test_the_current_directory_is_searched_for_modules_while_the_check_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    before = list(sys.path)
    with importable_here():
        assert sys.path == [str(Path.cwd()), *before]
        with importable_here():  # it is there already
            assert sys.path == [str(Path.cwd()), *before]
    assert sys.path == before


@pytest.mark.parametrize(
    ("files", "names", "roots"),
    [
        (["qshop/__init__.py", "qshop/models.py"], ["qshop.models"], ["qshop"]),
        (["qshop/__init__.py", "qshop/a/__init__.py", "qshop/a/models.py"], ["qshop.a.models"], ["qshop"]),
        (["qshop/__init__.py", "qshop/a/__init__.py"], ["qshop.a", "qshop"], ["qshop"]),
        (["qmod.py"], ["qmod"], ["qmod.py"]),
        (["qshop/models.py"], ["qshop.models"], ["qshop"]),  # a package without __init__.py
        (["qfirm/shop/__init__.py", "qfirm/shop/models.py"], ["qfirm.shop.models"], ["qfirm/shop"]),  # shared
        (["qmod.py", "qshop/__init__.py"], ["qshop", "qmod"], ["qmod.py", "qshop"]),
    ],
)
def test_the_code_around_a_module(write: Write, files: list[str], names: list[str], roots: list[str]) -> None:
    write(dict.fromkeys(files, ""))
    for name in names:
        import_module(name)
    assert source_roots(names) == [Path(root).resolve() for root in roots]


@pytest.mark.parametrize(
    ("files", "name", "folders"),
    [
        (["qshop/__init__.py", "qshop/models.py"], "qshop.models", {"": ".", "qshop": "qshop"}),
        (["__init__.py", "qmod.py"], "qmod", {"": "."}),  # the __init__.py makes no package of where one works
        (
            ["qfirm/shop/__init__.py", "qfirm/shop/models.py"],
            "qfirm.shop.models",
            {"": ".", "qfirm": "qfirm", "qfirm.shop": "qfirm/shop"},
        ),
    ],
)
def test_the_folders_of_packages(write: Write, files: list[str], name: str, folders: dict[str, str]) -> None:
    write(dict.fromkeys(files, ""))
    import_module(name)
    assert package_folders([name]) == {Path(folder).resolve(): package for package, folder in folders.items()}


def test_code_that_is_in_no_source_file_cannot_be_searched(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"qmod.py": ""})
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("qzip/__init__.py", "")
        archive.writestr("qzip/models.py", "")
    py_compile.compile("qmod.py", "qcompiled.pyc")
    monkeypatch.syspath_prepend(str(tmp_path / "app.zip"))
    for name in ("qzip.models", "qcompiled"):
        import_module(name)
    assert source_roots(["qzip.models", "qcompiled"]) == []


def test_a_module_without_a_file_has_no_code_around_it() -> None:
    assert source_roots(["sys", "q.not.imported"]) == []
    assert package_folders(["sys", "q.not.imported"]) == {}


def test_what_is_installed() -> None:
    assert is_installed(Path(os.sep, "lib", "site-packages", "shop", "models.py"))
    assert not is_installed(Path(os.sep, "srv", "shop", "models.py"))
