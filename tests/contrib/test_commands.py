"""The commands of the shell, of Flask and of Django show the same thing in the same way."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import django
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from flask import Flask

from pynamodb_alternator import registry
from pynamodb_alternator.contrib.django.conf import source
from pynamodb_alternator.contrib.flask import Alternator
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.shell import cli

from .conftest import User
from .support import ROOT

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contrib.django_project.settings")
django.setup()
registry.remove_source(source)  # for the other tests of this process

Run = Callable[..., tuple[int, str]]
"""Runs a command on the embedded cluster: its exit status, and all that it wrote."""


def in_shell(local: LocalCluster) -> Run:
    def run(*arguments: str) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = cli.main([*arguments, "--url", local.url])
        return status, out.getvalue()

    return run


def in_flask(local: LocalCluster) -> Run:
    app = Flask("shop")
    app.config["ALTERNATOR_URL"] = local.url
    app.config["ALTERNATOR_CLUSTERS"] = {"archive": local.url}
    Alternator(app)

    def run(*arguments: str) -> tuple[int, str]:
        done = app.test_cli_runner().invoke(args=["alternator", *arguments])
        return done.exit_code, done.output

    return run


def in_django(local: LocalCluster) -> Run:
    def run(command: str, *arguments: str) -> tuple[int, str]:
        out = io.StringIO()
        with override_settings(ALTERNATOR={"default": local.url, "archive": local.url}):
            registry.add_source(source)
            try:
                call_command(f"alternator_{command.replace('-', '_')}", *arguments, stdout=out, no_color=True)
            except CommandError as wrong:
                return wrong.returncode, f"{out.getvalue()}Error: {wrong}\n"
            finally:
                registry.remove_source(source)
        return 0, out.getvalue()

    return run


EACH = pytest.mark.parametrize("make", [in_shell, in_flask, in_django])
IN_FRAMEWORKS = pytest.mark.parametrize("make", [in_flask, in_django])


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def layout(text: str) -> str:
    """The text without what a clock says."""
    return re.sub(r" *\d+(\.\d+)? m?s\b", " T", text)


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    "arguments",
    [("nodes",), ("route", "users", "alice"), ("route", "users", "alice", "--token-aware"), ("check",)],
)
def test_all_commands_print_the_same_layout(local: LocalCluster, arguments: tuple[str, ...]) -> None:
    local.nodes[2].kill(still_listed=True)
    shown = {make.__name__: make(local)(*arguments) for make in (in_shell, in_flask, in_django)}
    texts = {name: (status, layout(text)) for name, (status, text) in shown.items()}
    if "--token-aware" in arguments:  # the reads of a key go to its replicas in turn
        texts = {name: (status, re.sub("next read.*", "", text)) for name, (status, text) in texts.items()}
    assert texts["in_flask"] == texts["in_shell"]
    assert texts["in_django"] == texts["in_shell"]
    assert texts["in_shell"][1]


@IN_FRAMEWORKS
def test_tables_and_their_creation(local: LocalCluster, make: Callable[[LocalCluster], Run]) -> None:
    run = make(local)
    status, out = run("tables")
    assert status == 1
    assert "users: is missing" in out
    module = User.__module__
    if make is in_flask:
        assert "[1/1] users (User) ... created" in run("create-tables", "--models", module)[1]
        assert run("create-tables", "--models", module, "--dry-run")[1].endswith("0 missing, 1 there already\n")
        assert run("create-tables", "--models", "no_such_module")[0] == 2
    else:
        assert "created" in run("create-tables", "--cluster", "default")[1]
        assert "0 created" in run("create-tables", "--cluster", "default")[1]


@IN_FRAMEWORKS
def test_all_commands_print_json(local: LocalCluster, make: Callable[[LocalCluster], Run]) -> None:
    run = make(local)
    assert [node["address"] for node in json.loads(run("nodes", "--json")[1])["nodes"]] == local.addresses
    assert json.loads(run("check", "--format", "json")[1])["errors"] == 0
    assert "users" in {
        table["name"] for table in json.loads(run("tables", "--json")[1].partition("Error")[0])["tables"]
    }
    # In Flask, of all models of this process: other tests have some that cannot be created.
    chosen = ("--models", User.__module__) if make is in_flask else ()
    assert json.loads(run("create-tables", "--dry-run", "--json", *chosen)[1])["tables"]


@IN_FRAMEWORKS
@pytest.mark.parametrize("command", [("nodes",), ("check",), ("tables",), ("route", "users", "alice")])
def test_an_alias_that_means_nothing(
    local: LocalCluster, make: Callable[[LocalCluster], Run], command: tuple[str, ...]
) -> None:
    status, out = make(local)(*command, "--cluster", "archiv")
    assert status == 2
    assert "has 'archive', 'default'. Did you mean 'archive'?" in " ".join(out.split())
    assert "configured: none" not in out


@EACH
def test_commands_fail_on_a_dead_cluster(local: LocalCluster, make: Callable[[LocalCluster], Run]) -> None:
    run = make(local)
    for node in local.nodes:
        node.kill()
    for command in (["nodes"], ["route", "users", "alice"], ["tables"]):
        status, out = run(*command, "--timeout", "0.5")
        assert status == 1, out
        assert "Traceback" not in out


@pytest.mark.parametrize("option", ["--timeout", "--watch"])
@pytest.mark.parametrize("value", ["nan", "inf", "0", "soon"])
def test_flask_refuses_a_wrong_number_of_seconds(local: LocalCluster, option: str, value: str) -> None:
    status, said = in_flask(local)("nodes", option, value)
    assert status == 2, said
    assert f"Invalid value for '{option}'" in said


@IN_FRAMEWORKS
def test_a_route_of_a_table_that_does_not_exist_yet(local: LocalCluster, make: Callable[[LocalCluster], Run]) -> None:
    """Its model says what its key is."""
    status, out = make(local)("route", "users", "alice")
    assert status == 0
    assert "name = alice (S)" in out
    assert "this is what its model says: The cluster has no table 'users'." in " ".join(out.split())


MANAGE = """
import django
django.setup()
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "alternator_nodes"])
"""
APPLICATION = """
import os
from flask import Flask
from flask.cli import FlaskGroup
from pynamodb_alternator.contrib.flask import Alternator
def create_app():
    app = Flask("shop")
    app.config["ALTERNATOR_URL"] = os.environ["SHOP_URL"]
    Alternator(app)
    return app
FlaskGroup(create_app=create_app).main(["alternator", "nodes"])
"""


@pytest.mark.parametrize("program", [MANAGE, APPLICATION], ids=["django", "flask"])
@pytest.mark.parametrize("output", [">&-", "| true", ">/dev/full"])
def test_an_output_that_takes_nothing(local: LocalCluster, tmp_path: Path, program: str, output: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(program, encoding="utf-8")
    environment = {
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "tests.contrib.django_project.settings",
        "SHOP_URL": local.url,
    }
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" "{script}" {output}'],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
