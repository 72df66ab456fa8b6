"""A cluster of three nodes in this process, and commands on it."""

from __future__ import annotations

import os

import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.shell import cli
from tests.e2e.conftest import cluster, local, nothing_is_left

from .support import Run

__all__ = ["cluster", "local", "nothing_is_left"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ALTERNATOR_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command: its exit status, and what it wrote to standard output and standard error."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = cli.main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return status, written.out, written.err

    return run_it


@pytest.fixture
def at(run: Run, local: LocalCluster) -> Run:
    """The same, with the URL of the embedded cluster."""
    return lambda *arguments: run(*arguments, "--url", local.url)
