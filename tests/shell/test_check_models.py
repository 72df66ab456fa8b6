"""``pynamodb-alternator check --models``, as a user runs it in a project of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.diagnostics.models import ALL_IDS, ModelFinding, ModelReport, Position
from pynamodb_alternator.diagnostics.severities import SEVERITIES
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.shell.check_models import document_of, show_report
from pynamodb_alternator.shell.screen import Screen

ROOT = Path(__file__).parents[2]
MODELS = """
print("printed while it is imported")
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb_alternator import Model

class Base(Model):
    name = UnicodeAttribute(hash_key=True)

class Order(Base):
    class Meta:
        table_name = "orders"
        tags = {"owner": "Jürgen"}

class Item(Model):
    class Meta:
        table_name = "items"
    number = NumberAttribute(hash_key=True)
"""
VIEWS = """
from shop.models import Item
def view(item):
    return Item.count()
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command in the project, as an installed script does: its exit status, and what it wrote."""
    for name, text in (("shop/__init__.py", ""), ("shop/models.py", MODELS), ("shop/views.py", VIEWS)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("ALTERNATOR_")}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}

    def run_it(*arguments: str, **more: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pynamodb_alternator", "check", *arguments],
            cwd=tmp_path,
            env={**env, **more},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run_it


def test_the_report_as_text(run: Run) -> None:
    status, out, err = run("--models", "shop.models", COLUMNS="80")
    assert status == 1
    assert err == "printed while it is imported\n"
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith(
        "✗ tag-text (error)\n"
        "  Alternator takes tags of ASCII only.\n"
        "    shop.models.Order (shop/models.py:9): Meta.tags has 'owner': 'Jürgen'\n"
        "→ Write the tag in ASCII.\n"
        "\n"
        "! number-key (warning)\n"
    )
    assert "    shop/views.py:4: Item.count()\n" in out
    assert out.endswith(
        "\n3 models and 3 source files: 1 error, 2 warnings\n"
        "Without a cluster: its tables, indexes and write isolation were not looked at.\n"
        "Add --url to compare them.\n"
    )


def test_accepted_findings_and_the_exit_status(run: Run) -> None:
    tag = ("--models", "shop.models", "--ignore", "tag-text:shop.models.Order")
    status, out, _ = run(*tag)
    assert (status, "(1 ignored)" in out) == (0, True)
    assert run(*tag, "--fail-level", "warning")[0] == 1
    assert run(*tag, "--strict")[0] == 1
    status, out, _ = run(*tag, "number-key,count", "--fail-level", "note", PYTHONIOENCODING="ascii")
    assert (status, out.splitlines()[0]) == (0, "3 models and 3 source files: no errors, no warnings (3 ignored)")
    assert run("--models", "shop.models", "--fail-level", "never")[0] == 0


def test_the_report_for_machines(run: Run) -> None:
    status, out, _ = run("--models", "shop.models", "--source", "shop", "--format", "json")
    document = json.loads(out)
    assert status == 1
    assert document == json.loads(run("--models", "shop.models", "--json")[1])
    assert document["models"][0] == {"name": "shop.models.Base", "table": None, "file": "shop/models.py", "line": 6}
    first = document["findings"][0]
    assert (first["id"], first["subject"], first["file"], first["line"]) == (
        "tag-text",
        "shop.models.Order",
        "shop/models.py",
        9,
    )
    assert (document["errors"], document["warnings"], document["notes"], document["ignored"]) == (1, 2, 0, 0)
    assert (document["version"], document["files"], document["compared"]) == (1, 3, False)


def test_the_command_compares_models_with_a_cluster(run: Run, local: LocalCluster, cluster: Cluster) -> None:
    cluster.client.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    status, out, _ = run("--models", "shop.models", "--json", ALTERNATOR_URL=local.url)
    document = json.loads(out)
    assert (status, document["compared"]) == (1, True)
    ids = {finding["id"]: finding["detail"] for finding in document["findings"]}
    assert ids["key-schema"] == "the model has name (HASH, S), and table 'orders' has id (HASH, S)"
    assert ids["table-missing"] == "table 'items'"
    status, out, err = run("--models", "shop.models", "--json", "--alias", "defalt", ALTERNATOR_URL=local.url)
    assert (status, out) == (2, "")
    assert "No model is of the cluster 'defalt', so there is nothing to compare. Did you mean 'default'?" in err
    _, out, _ = run("--models", "shop.models", "--no-cluster", ALTERNATOR_URL=local.url)
    assert "Without a cluster" in out
    assert {each.operation for node in local.nodes for each in node.requests} <= {
        *("CreateTable", "DescribeTable", "ListTagsOfResource", "DescribeTimeToLive", "Query", "Scan"),
        *("GET /", "GET /localnodes"),
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--models", "shop/models.py"], "is a path. Write shop.models, in the directory that has shop."),
        (["--models", "shop.modles"], "Did you mean 'shop.models'?"),
        (["--models", "shop.models", "--ignore", "tagtext"], "Did you mean 'tag-text'?"),
        (["--models", "shop.models", "--source", "nowhere"], "there is no nowhere"),
        (["--models", "shop.models", "--no-cluster", "--url", "http://127.0.0.1:1"], "Leave one of them out."),
        (["--models"], "expected at least one argument"),
        (["--ignore", "tag-text"], "--ignore is for the check of models. Add --models MODULE."),
        (["--no-cluster"], "--no-cluster is for the check of models."),
        (["--alias", "default"], "--alias is for the check of models."),
        (
            ["--models", "shop.models", "--alias", "default"],
            "--alias chooses what is compared with a cluster. Add --url",
        ),
        (["--models", "shop.models", "--json", "--format", "text"], "Leave one of them out."),
        (["--models", "shop.models", "--strict", "--fail-level", "note"], "Leave out --strict."),
        (["--models", "shop.models", "--fail-level", "grave"], "Write one of: error, warning, note, never."),
        (["--models", "shop.models", "--url", "nonsense://"], "error: "),
    ],
)
def test_a_mistake_ends_with_status_2(run: Run, arguments: list[str], says: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert says in err


@pytest.mark.skipif(not (ROOT / "example_app").exists(), reason="the tests run on an installed package")
def test_the_example_shop_has_nothing_to_be_warned_of(run: Run) -> None:
    status, out, _ = run("--models", "example_app.shop.models", "--strict", "--json")
    document = json.loads(out)
    assert (status, document["errors"], document["warnings"]) == (0, 0, 0)
    assert {model["table"] for model in document["models"]} >= {"shop_products"}
    assert {finding["id"] for finding in document["findings"]} == {"conditional-write"}


# ---- what is shown -----------------------------------------------------------------------------------------------


def report(count: int) -> ModelReport:
    findings = (
        ModelFinding("count", "note", "m", f"finding {number}", "message", "remedy", Position("m.py", number))
        for number in range(count)
    )
    return ModelReport((), 1, True, tuple(findings))


def test_many_findings_of_a_rule_are_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(Screen(), report(13), how_to_compare="")
    out = capsys.readouterr().out
    assert "finding 9" in out
    assert "finding 10" not in out
    assert "    and 3 more: --format json has all of them\n" in out
    assert out.endswith("0 models and 1 source file: no errors, no warnings, 13 notes\n")


def test_a_document_has_all_of_them() -> None:
    assert len(document_of(report(13))["findings"]) == 13


# ---- the documentation -------------------------------------------------------------------------------------------

PAGE = ROOT / "docs" / "model-check.md"


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of a table under a heading of the page, by what stands in the first of them."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return {cell[0].strip("`"): cell[1:] for cell in cells}


@pytest.mark.skipif(not PAGE.exists(), reason="the tests run on an installed package")
def test_each_finding_is_documented_with_its_severity() -> None:
    documented = rows("Findings")
    assert documented.keys() == set(ALL_IDS)
    for cells in documented.values():
        assert set(re.split(r" or |, ", cells[0])) <= set(SEVERITIES)


@pytest.mark.skipif(not PAGE.exists(), reason="the tests run on an installed package")
def test_the_document_is_what_the_page_says() -> None:
    documented = rows("JSON output")
    document: dict[str, Any] = document_of(report(1))
    assert {name for name in documented if "[]" not in name} == document.keys()
    assert {name.partition("[].")[2] for name in documented if name.startswith("findings[].")} == (
        document["findings"][0].keys()
    )
