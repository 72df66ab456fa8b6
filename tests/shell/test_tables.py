"""``pynamodb-alternator tables`` and ``create-tables``, on models of a module that is not imported yet."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster

from .support import Run

MODELS = """
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model as Plain
from pynamodb_alternator import Model

class ByCity(GlobalSecondaryIndex):
    class Meta:
        index_name = "by_city"
        projection = AllProjection()
    city = UnicodeAttribute(hash_key=True)

class Order(Model):
    class Meta:
        table_name = "orders"
    customer = UnicodeAttribute(hash_key=True)
    number = NumberAttribute(range_key=True)
    by_city = ByCity()

class Archived(Model):
    class Meta:
        table_name = "archived"
        cluster = "archive"
    customer = UnicodeAttribute(hash_key=True)

class AtAmazon(Plain):
    class Meta:
        table_name = "at-amazon"
    customer = UnicodeAttribute(hash_key=True)
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The module with the models."""
    (tmp_path / "sh_tables.py").write_text(MODELS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield "sh_tables"
    sys.modules.pop("sh_tables", None)
    gc.collect()  # the models, which the package knows as subclasses


def test_tables_are_created_and_shown(local: LocalCluster, at: Run, shop: str) -> None:
    assert at("tables") == (0, "The cluster has no tables.\n", "")
    status, out, _ = at("tables", "--models", shop)
    assert status == 1
    assert "orders: is missing" in out
    assert "The cluster has no tables, and lacks 1 that models use." in out

    status, out, _ = at("create-tables", "--models", shop, "--dry-run")
    assert (status, out) == (0, "[1/1] orders (Order) ... is missing\n1 missing, 0 there already\n")
    assert all(node.operations["CreateTable"] == 0 for node in local.nodes)
    status, out, _ = at("create-tables", "--models", shop)
    assert (status, out) == (0, "[1/1] orders (Order) ... created\n1 created, 0 there already\n")
    assert "0 created, 1 there already" in at("create-tables", "--models", shop)[1]

    status, out, _ = at("tables", "--models", shop)
    assert status == 0
    assert out.splitlines() == [
        "table   key                       indexes  write isolation    models",
        "orders  customer (S), number (N)  by_city  only_rmw_uses_lwt  Order",
        "",
        "The cluster has 1 table.",
    ]
    assert "Order" not in at("tables")[1]


def test_the_command_uses_models_of_another_alias(at: Run, shop: str) -> None:
    out = at("create-tables", "--models", shop, "--alias", "archive", "--json")[1]
    assert json.loads(out) == {"tables": [{"table": "archived", "model": "Archived", "state": "created"}]}
    status, out, _ = at("tables", "--models", shop, "--alias", "archive", "--json")
    assert status == 0
    assert json.loads(out)["tables"] == [
        {
            "name": "archived",
            "keys": [{"name": "customer", "type": "S"}],
            "indexes": [],
            "write_isolation": "only_rmw_uses_lwt",
            "models": ["Archived"],
            "error": None,
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--models", "sh_table"], "There is no module 'sh_table'"),
        (["--models", "sh_tables", "--alias", "archiv"], "Did you mean 'archive'?"),
        (["--models", "json"], "no model was found. Name the modules that define the models"),
        ([], "the following arguments are required: --models"),
    ],
)
def test_a_mistake_ends_with_status_2(at: Run, arguments: list[str], says: str) -> None:
    status, out, err = at("create-tables", *arguments)
    assert (status, out) == (2, "")
    assert says in err


def test_a_cluster_that_is_dead(run: Run, shop: str) -> None:
    for command in ("tables", "create-tables"):
        status, _, err = run(command, "--models", shop, "--url", "http://127.0.0.1:1")
        assert status == 1
        assert err.startswith("error: ")
        assert "127.0.0.1:1" in err


def test_a_table_that_cannot_be_looked_at(local: LocalCluster, cluster: Cluster, at: Run) -> None:
    key = {"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "id", "KeyType": "HASH"}
    cluster.client.create_table(
        TableName="sealed", AttributeDefinitions=[key[0]], KeySchema=[key[1]], BillingMode="PAY_PER_REQUEST"
    )
    for node in local.nodes:
        node.fail_with("AccessDeniedException", times=None, operation="DescribeTable", message="not for you")
    status, out, _ = at("tables")
    assert status == 1
    assert "sealed: AccessDeniedException: not for you" in out


def test_a_table_that_takes_long_to_create(local: LocalCluster, at: Run, shop: str) -> None:
    """All nodes have to agree on it, which takes longer than a question to one of them."""
    for node in local.nodes:
        node.delay(1.0, operation="CreateTable")
    status, out, err = at("create-tables", "--models", shop, "--timeout", "0.4")
    assert (status, err) == (0, "")
    assert "1 created" in out


def test_a_server_that_refuses(run: Run, shop: str) -> None:
    """A refusal of the server is neither an error of this library nor one of PynamoDB's."""
    with LocalCluster(nodes=1, credentials={"ann": "secret"}) as local:
        status, out, err = run("create-tables", "--models", shop, "--url", local.url)
        assert (status, out) == (1, "")
        assert err.startswith("error: ")
        assert "MissingAuthenticationTokenException" in err
        status, out, _ = run("tables", "--models", shop, "--url", local.url)
        assert status == 1
        assert out.startswith("The tables cannot be listed: MissingAuthenticationTokenException")
        assert "The cluster has" not in out
        (table,) = json.loads(run("tables", "--url", local.url, "--json")[1])["tables"]
        assert table["error"].startswith("The tables cannot be listed: ")
