"""``--alternator-url``: the same tests on a cluster that is there, in pytest runs of their own."""

from __future__ import annotations

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster

from .inner_runs import run
from .support import ROOT

pytest_plugins = "pytester"

TESTS = """
import pytest

@pytest.fixture(scope="session")
def users(alternator_models_session):
    alternator_models_session(User)

class Order(pynamodb_alternator.Model):
    class Meta:
        table_name = "orders"
    number = UnicodeAttribute(hash_key=True)

@pytest.mark.parametrize("number", range(2))
def test_items(users, alternator_cluster_session, alternator_client, number):
    assert alternator_client.scan(TableName="users")["Count"] == 0
    User("alice").save()
    assert pynamodb_alternator.get_cluster().config.node_port == alternator_cluster_session.port

def test_a_table_of_this_test(alternator_cluster, alternator_models):
    alternator_models(Order)
    Order("1").save()
    assert alternator_cluster.url.startswith(alternator_cluster.scheme)

def test_faults(alternator_cluster):
    alternator_cluster.nodes[0].kill()

@pytest.mark.alternator(nodes=5)
def test_a_shape(alternator_cluster):
    pass

@pytest.mark.alternator(aliases=["default", "analytics"])
def test_aliases(alternator_cluster):
    assert pynamodb_alternator.get_cluster("analytics").refresh()
"""


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package may be here without being installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_the_same_tests_run_on_both(pytester: pytest.Pytester) -> None:
    run(pytester, TESTS).assert_outcomes(passed=6)
    with LocalCluster(nodes=2) as elsewhere:
        run(pytester, TESTS, "--alternator-url", elsewhere.url, "-rs").assert_outcomes(passed=4, skipped=2)
        with Cluster(elsewhere.url) as cluster:
            assert cluster.client.list_tables()["TableNames"] == []
        operations = [operation for node in elsewhere.nodes for operation in node.operations]
        assert {"CreateTable", "PutItem", "BatchWriteItem", "DeleteTable"} <= set(operations)


def test_credentials_come_from_the_environment(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTERNATOR_ACCESS_KEY", "alice")
    monkeypatch.setenv("ALTERNATOR_SECRET_KEY", "secret")
    with LocalCluster(nodes=1, credentials={"alice": "secret"}) as elsewhere:
        run(pytester, TESTS, "--alternator-url", elsewhere.url).assert_outcomes(passed=4, skipped=2)


@pytest.mark.parametrize("fixture", ["alternator_models", "alternator_models_session"])
def test_an_existing_table_is_not_changed(pytester: pytest.Pytester, fixture: str) -> None:
    with LocalCluster(nodes=1) as elsewhere, Cluster(elsewhere.url) as cluster:
        cluster.client.create_table(
            TableName="users",
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        cluster.client.put_item(TableName="users", Item={"name": {"S": "alice"}})
        result = run(pytester, f"def test_it({fixture}):\n    {fixture}(User)", "--alternator-url", elsewhere.url)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*The table 'users' exists on the cluster of --alternator-url*"])
        assert cluster.client.scan(TableName="users")["Count"] == 1


def test_fixtures_share_a_table_of_the_session(pytester: pytest.Pytester) -> None:
    """As on the embedded cluster: a test may name a model whose table the session has, or the one before it had."""
    with LocalCluster(nodes=1) as elsewhere:
        for arguments in ((), ("--alternator-url", elsewhere.url)):
            result = run(
                pytester,
                """
                @pytest.fixture(scope="session", autouse=True)
                def users(alternator_models_session):
                    alternator_models_session(User)

                class Order(pynamodb_alternator.Model):
                    class Meta:
                        table_name = "orders"
                    number = UnicodeAttribute(hash_key=True)

                @pytest.mark.parametrize("number", range(2))
                def test_models(alternator_models, number):
                    alternator_models(User, Order)
                    assert not list(User.scan())
                    User("alice").save()

                @pytest.mark.parametrize("number", range(2))
                def test_models_of_the_module(alternator_models_module, number):
                    alternator_models_module(User, Order)
                    assert not list(User.scan())
                    User("alice").save()

                def test_a_cluster_of_its_own(alternator_cluster, alternator_models):
                    alternator_models(User)
                    User("alice").save()

                def test_the_table_is_still_there(alternator_client):
                    assert not list(User.scan())
                """,
                *arguments,
            )
            result.assert_outcomes(passed=6)
        with Cluster(elsewhere.url) as cluster:
            assert cluster.client.list_tables()["TableNames"] == []


def test_mistakes_are_answered(pytester: pytest.Pytester) -> None:
    code = "def test_it(alternator_cluster_session): pass"
    run(pytester, code, "--alternator-url", "http://127.0.0.1:1").stdout.fnmatch_lines(
        ["*--alternator-url: no node answers at 127.0.0.1 (port 1)*"]
    )
    run(pytester, code, "--alternator-url", "127.0.0.1").stdout.fnmatch_lines(["*--alternator-url: *"])
    run(pytester, code, "--alternator-url", "http://127.0.0.1:1", "-n", "2").stdout.fnmatch_lines(["*-n 0*"])
