"""Code that uses PynamoDB's connections without models: the drop-in, and what `install` does for it."""

from __future__ import annotations

import inspect
from typing import Any

import pynamodb.connection
import pytest
from pynamodb.connection import Connection
from pynamodb.connection import TableConnection as StockTableConnection
from pynamodb.connection.base import MetaTable
from pynamodb.exceptions import TableError

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Cluster, Model, TableConnection, configure
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.orm._pynamodb import connection_of

from .support import TABLE, received
from .test_models import simple_model

META_TABLE = {name: TABLE[name] for name in ("TableName", "KeySchema", "AttributeDefinitions")}


def create(cluster: Cluster) -> None:
    cluster.client.create_table(**TABLE)


def test_a_table_connection_of_its_own(local: LocalCluster, cluster: Cluster) -> None:
    create(cluster)
    table = TableConnection(
        "items", meta_table=MetaTable(META_TABLE), cluster=cluster, extra_headers={"x-team": "shop"}
    )
    table.put_item("a", attributes={"value": {"N": "3"}})
    assert table.get_item("a")["Item"]["value"] == {"N": "3"}
    assert table.connection.client is cluster.client
    assert isinstance(table, StockTableConnection)
    assert [request.headers.get("x-team") for request in received(local, "PutItem")] == ["shop"]


def test_without_a_schema_it_is_as_with_pynamodb(cluster: Cluster) -> None:
    create(cluster)
    table = TableConnection("items", cluster=cluster)
    with pytest.raises(TableError, match="Meta-table for 'items' not initialized"):
        table.get_item("a")
    assert table.describe_table()["TableName"] == "items"
    assert "Item" not in table.get_item("a")


def test_it_takes_what_pynamodbs_takes_in_the_same_order() -> None:
    ours = inspect.signature(TableConnection).parameters
    stock = inspect.signature(StockTableConnection).parameters
    assert list(ours)[: len(stock)] == list(stock)
    assert all(ours[name].kind is stock[name].kind for name in stock)


def test_it_takes_all_that_our_connection_takes() -> None:
    of_tables = inspect.signature(TableConnection).parameters.keys() - {"table_name", "meta_table"}
    assert of_tables == inspect.signature(AlternatorConnection).parameters.keys()


@pytest.fixture
def everywhere(local: LocalCluster) -> LocalCluster:
    """The cluster that is the default, with the patch for all."""
    configure(default=local.url)
    pynamodb_alternator.install(AlternatorConnection)
    return local


def test_the_patch_holds_for_names_that_were_imported_before(everywhere: LocalCluster) -> None:
    connection = Connection(extra_headers={"x-team": "shop"})
    assert type(connection) is AlternatorConnection
    connection.create_table(
        "items",
        attribute_definitions=[{"attribute_name": "key", "attribute_type": "S"}],
        key_schema=[{"attribute_name": "key", "key_type": "HASH"}],
        billing_mode="PAY_PER_REQUEST",
    )
    table = StockTableConnection("items", meta_table=MetaTable(META_TABLE))
    assert type(table.connection) is AlternatorConnection
    table.put_item("a")
    assert len(received(everywhere, "PutItem")) == 1
    assert type(pynamodb.connection.Connection("eu-west-1").client) is type(connection.client)


def test_subclasses_and_a_class_that_meta_names_stay_what_they_are(everywhere: LocalCluster) -> None:
    class Own(Connection):
        pass

    assert type(Own()) is Own
    for base in (Model, pynamodb.models.Model):
        assert type(connection_of(simple_model(base, connection_class=Connection)).connection) is Connection


def test_another_default_and_none_at_all(everywhere: LocalCluster) -> None:
    class Own(AlternatorConnection):
        pass

    before = Connection()
    pynamodb_alternator.install(Own)
    assert type(Connection()) is Own
    assert type(before) is AlternatorConnection
    pynamodb_alternator.install()
    assert type(Connection("eu-west-1", host="http://127.0.0.1:9")) is Connection
    pynamodb_alternator.install(Own)
    pynamodb_alternator.uninstall()
    stock: Any = Connection("eu-west-1", "http://127.0.0.1:9", extra_headers={"a": "b"})
    assert type(stock) is Connection
    assert (stock.region, stock.host, stock._extra_headers) == ("eu-west-1", "http://127.0.0.1:9", {"a": "b"})


def test_models_use_pynamodbs_connection_without_a_connection_class(everywhere: LocalCluster) -> None:
    plain = simple_model(pynamodb.models.Model)

    class Derived(plain):  # type: ignore[misc,valid-type]
        class Meta:
            table_name = "things"

    assert type(connection_of(plain).connection) is AlternatorConnection
    pynamodb_alternator.install()
    assert type(connection_of(plain).connection) is Connection
    plain.Meta.connection_class = AlternatorConnection
    assert type(connection_of(plain).connection) is AlternatorConnection
    assert type(connection_of(Derived).connection) is Connection
    del plain.Meta.connection_class
    assert type(connection_of(plain).connection) is Connection
    assert connection_of(plain) is connection_of(plain)


def test_a_request_that_is_made_past_dispatch_has_the_settings_too(local: LocalCluster, cluster: Cluster) -> None:
    create(cluster)
    AlternatorConnection(cluster=cluster, extra_headers={"x-team": "shop"})._make_api_call(
        "GetItem", {"TableName": "items", "Key": {"key": {"S": "a"}}}
    )
    assert [request.headers.get("x-team") for request in received(local, "GetItem")] == ["shop"]


def test_the_session_of_a_connection_has_its_credentials(cluster: Cluster) -> None:
    table = TableConnection("items", cluster=cluster, aws_access_key_id="access", aws_secret_access_key="secret")
    credentials = table.connection.session.get_credentials()
    assert (credentials.access_key, credentials.secret_key) == ("access", "secret")
    assert AlternatorConnection(cluster=cluster).session is cluster.session
