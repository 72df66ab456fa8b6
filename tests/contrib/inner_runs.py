"""Runs of pytest inside of a test, with the plugin and a model."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INSTALLED = any(
    entry.value == "pynamodb_alternator.pytest_plugin" for entry in importlib.metadata.entry_points(group="pytest11")
)
"""Whether the entry point is there; it is not if the package was installed before it had one."""

HAS_PYTEST_ASYNCIO = importlib.util.find_spec("pytest_asyncio") is not None

MODEL = """
import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

import pynamodb_alternator
from pynamodb_alternator import Model


class User(Model):
    class Meta:
        table_name = "users"

    name = UnicodeAttribute(hash_key=True)
    visits = NumberAttribute(default=0)
"""


def run(pytester: pytest.Pytester, code: str, *arguments: str, conftest: str | None = None) -> pytest.RunResult:
    """Run the tests of `code`, which has `MODEL` before it; or of the files that are there already, if it is empty.

    `conftest`: the conftest.py beside them, which may import ``User`` from the module ``models``.
    """
    pytester.makepyfile(models=MODEL)
    if conftest is not None:
        pytester.makeconftest(textwrap.dedent(conftest))
    if code:
        pytester.makepyfile("from models import *\n" + textwrap.dedent(code))
    plugin: tuple[str, ...] = () if INSTALLED else ("-p", "pynamodb_alternator.pytest_plugin")
    if HAS_PYTEST_ASYNCIO and "no:asyncio" not in arguments:
        plugin += ("-o", "asyncio_default_fixture_loop_scope=function")  # it warns where this is not set
    return pytester.runpytest_subprocess(
        *plugin, "-W", "error", "--strict-markers", "-p", "no:cacheprovider", *arguments, timeout=110
    )
