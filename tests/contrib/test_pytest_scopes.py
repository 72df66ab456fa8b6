"""The plugin's clusters and tables of module and session scope, with a conftest.py, in pytest runs of their own."""

from __future__ import annotations

import pytest

from .inner_runs import run
from .support import ROOT

pytest_plugins = "pytester"


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package may be here without being installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


SESSION = """
import pytest
from models import User

import pynamodb_alternator.boto3

@pytest.fixture(scope="session")
def alternator_cluster_options():
    return {"nodes": 2, "aliases": ["default", "analytics"]}

@pytest.fixture(scope="session")
def table(alternator_models_session):
    alternator_models_session(User)
    return pynamodb_alternator.boto3.resource().Table("users")

@pytest.fixture(scope="session", autouse=True)
def everywhere(alternator_cluster_session):
    return alternator_cluster_session
"""


def test_a_conftest_builds_on_the_cluster_of_the_session(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        seen = set()

        @pytest.mark.parametrize("number", range(3))
        def test_the_table_is_made_once_and_empty(table, number):
            assert list(User.scan()) == []
            seen.add(table.creation_date_time)
            table.put_item(Item={"name": f"user{number}", "visits": number})
            User("another").save()
            assert len(list(User.scan())) == 2

        def test_it_was_one_table(table):
            assert len(seen) == 1

        def test_the_second_alias():
            analytics = pynamodb_alternator.get_cluster("analytics")
            assert analytics.config.seeds == pynamodb_alternator.get_cluster().config.seeds

        def test_a_table_of_this_test(alternator_models, alternator_cluster_session):
            class Order(pynamodb_alternator.Model):
                class Meta:
                    table_name = "orders"
                number = UnicodeAttribute(hash_key=True)
            alternator_models(Order)
            Order("1").save()
            assert "Order" not in alternator_cluster_session.nodes[0].operations

        def test_it_is_gone(alternator_client):
            assert alternator_client.list_tables()["TableNames"] == ["users"]
        """,
        conftest=SESSION,
    )
    result.assert_outcomes(passed=7)


def test_what_a_test_does_to_the_shared_nodes_is_undone(pytester: pytest.Pytester) -> None:
    """For clients too that a fixture of the session holds: the next test sees all nodes as usable."""
    result = run(
        pytester,
        """
        import pytest

        @pytest.fixture(scope="session")
        def held(alternator_models_session):
            alternator_models_session(User)
            return pynamodb_alternator.get_cluster()

        def test_nodes_die(alternator_cluster_session, held):
            User("alice").save()
            assert len(held.nodes()) == 3
            for node in alternator_cluster_session.nodes[1:]:
                node.kill()
            alternator_cluster_session.add_node()
            held.refresh()

        def test_all_are_well(alternator_cluster_session, held):
            assert [node.up for node in alternator_cluster_session.nodes] == [True, True, True]
            assert [node.condition for node in held.nodes()] == ["active", "active", "active"]
            assert list(User.scan()) == []
            for node in alternator_cluster_session.nodes:
                node.hang()

        def test_they_answer_again(held):
            User("bob").save()
            assert [user.name for user in User.scan()] == ["bob"]

        def test_a_table_is_dropped(alternator_client):
            alternator_client.delete_table(TableName="users")

        def test_and_made_again(held):
            assert len(list(User.scan())) == 0

        def test_a_node_is_removed(alternator_cluster_session):
            alternator_cluster_session.remove_node(alternator_cluster_session.nodes[1])

        def test_another_one_is_there(alternator_cluster_session, held):
            addresses = {node.address for node in alternator_cluster_session.nodes}
            assert len(addresses) == 3
            assert {node.address for node in held.nodes()} == addresses
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=7)


def test_a_test_may_have_a_cluster_of_its_own_beside(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_own(alternator_cluster, alternator_models, everywhere):
            alternator_models(User)
            assert len(alternator_cluster.nodes) == 2
            assert alternator_cluster is not everywhere
            for node in alternator_cluster.nodes:
                assert node.up
            User("alice").save()
            assert sum(node.operations["PutItem"] for node in alternator_cluster.nodes) == 1

        @pytest.mark.alternator(nodes=4)
        def test_marked(alternator_models, alternator_client, everywhere):
            alternator_models(User)
            assert len(pynamodb_alternator.get_cluster().nodes()) == 4
            assert alternator_client.list_tables()["TableNames"] == ["users"]

        def test_shared(table, everywhere):
            assert pynamodb_alternator.get_cluster().config.node_port == everywhere.port
            assert len(list(User.scan())) == 0
        """,
        conftest=SESSION,
    )
    result.assert_outcomes(passed=3)


def test_a_cluster_for_each_module(pytester: pytest.Pytester) -> None:
    module = """
from models import *

pytestmark = pytest.mark.alternator(nodes={nodes})

@pytest.fixture(scope="module")
def ports():
    return set()

@pytest.fixture(scope="module", autouse=True)
def users(alternator_models_module):
    alternator_models_module(User)

@pytest.mark.parametrize("number", range(2))
def test_shared(alternator_cluster_module, ports, number):
    assert len(alternator_cluster_module.nodes) == {nodes}
    ports.add(alternator_cluster_module.port)
    assert len(ports) == 1
    assert len(list(User.scan())) == 0
    User("alice").save()

def test_the_client(alternator_client):
    assert alternator_client.scan(TableName="users")["Count"] == 0
"""
    plain = """
from models import *

pynamodb_alternator.configure(default="http://192.0.2.1:8000")

def test_the_alias_means_what_it_meant():
    assert pynamodb_alternator.get_cluster().config.seeds == ("192.0.2.1",)
"""
    pytester.makepyfile(test_a=module.format(nodes=1), test_b=module.format(nodes=2), test_c=plain)
    run(pytester, "").assert_outcomes(passed=7)


@pytest.mark.parametrize("first", ["", "test_b.py"], ids=["the session's comes second", "the session's comes first"])
def test_a_test_is_on_the_cluster_that_it_names(pytester: pytest.Pytester, first: str) -> None:
    """With models, clients and tables alike, whichever cluster of a module and the session was made first."""
    module = """
import pytest, pynamodb_alternator.boto3
from models import User

def check(cluster, client):
    User("alice").save()
    assert [item["name"]["S"] for item in client.scan(TableName="users")["Items"]] == ["alice"]
    with pynamodb_alternator.Cluster(cluster.url) as direct:
        assert direct.client.scan(TableName="users")["Count"] == 1

def test_module(alternator_cluster_module, alternator_models, alternator_client):
    alternator_models(User)
    check(alternator_cluster_module, alternator_client)

def test_session(users, alternator_cluster_session, alternator_client):
    check(alternator_cluster_session, alternator_client)

def test_drop(users, alternator_client):
    alternator_client.delete_table(TableName="users")

def test_module_again(alternator_cluster_module, alternator_models, alternator_client):
    assert alternator_client.list_tables()["TableNames"] == []
    alternator_models(User)
    check(alternator_cluster_module, alternator_client)

def test_close(alternator_cluster_module):
    pynamodb_alternator.close_all()

def test_tables(users):
    assert list(User.scan()) == []
    User("bob").save()

def test_none_is_named(alternator_client, alternator_models):
    assert alternator_client.list_tables()["TableNames"] == []
    alternator_models(User)
    User("bob").save()
"""
    session = """
from models import User

def test_of_the_session(users):
    assert list(User.scan()) == []
    User("alice").save()
"""
    conftest = """
import pytest
from models import User

@pytest.fixture(scope="session")
def users(alternator_models_session):
    alternator_models_session(User)
"""
    pytester.makepyfile(test_a=module, test_b=session)
    files = (first, "test_a.py") if first else ("test_a.py", "test_b.py")
    run(pytester, "", *files, "-p", "no:randomly", conftest=conftest).assert_outcomes(passed=8)


def test_what_a_test_replaces_itself_stays_in_its_place(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from pynamodb_alternator.local import LocalCluster

        @pytest.fixture(scope="module", autouse=True)
        def own(everywhere):
            with LocalCluster(nodes=1) as own, pynamodb_alternator.registry.replaced(default=own.url):
                yield own

        @pytest.mark.parametrize("number", range(2))
        def test_it(own, number):
            assert pynamodb_alternator.get_cluster().config.node_port == own.port

        def test_again(own, alternator_cluster):
            assert pynamodb_alternator.get_cluster().config.node_port == alternator_cluster.port

        def test_afterwards(own):
            assert pynamodb_alternator.get_cluster().config.node_port == own.port
        """,
        "-p",
        "no:randomly",
        conftest=SESSION,
    )
    result.assert_outcomes(passed=4)


def test_every_alias_sees_the_nodes_of_the_next_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_nodes_die(everywhere):
            held = [pynamodb_alternator.get_cluster(alias) for alias in ("default", "analytics")]
            for node in everywhere.nodes:
                node.kill()
            for cluster in held:
                with pytest.raises(Exception):
                    cluster.client.list_tables()

        def test_all_are_well(everywhere):
            for alias in ("default", "analytics"):
                nodes = pynamodb_alternator.get_cluster(alias).nodes()
                assert [node.condition for node in nodes] == ["active"] * len(everywhere.nodes)
        """,
        "-p",
        "no:randomly",
        conftest=SESSION,
    )
    result.assert_outcomes(passed=2)


def test_tables_of_a_module_on_the_cluster_of_the_session(pytester: pytest.Pytester) -> None:
    module = """
from models import *

@pytest.fixture(scope="module", autouse=True)
def users(alternator_models_module):
    alternator_models_module(User)

@pytest.mark.parametrize("number", range(2))
def test_it(everywhere, number):
    assert pynamodb_alternator.get_cluster().config.node_port == everywhere.port
    assert len(list(User.scan())) == 0
    User("alice").save()
"""
    pytester.makepyfile(test_a=module, test_b=module)
    run(pytester, "", conftest=SESSION).assert_outcomes(passed=4)


def test_many_items_are_deleted(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        class Visit(pynamodb_alternator.Model):
            class Meta:
                table_name = "visits"
            user = UnicodeAttribute(hash_key=True, attr_name="u")
            number = NumberAttribute(range_key=True)
            text = UnicodeAttribute(default="x" * 5000)

        @pytest.mark.parametrize("number", range(2))
        def test_it(alternator_models_session, number):
            alternator_models_session(Visit)
            assert len(list(Visit.scan())) == 0
            with Visit.batch_write() as batch:
                for number in range(300):
                    batch.save(Visit(f"user{number % 7}", number))
        """,
    )
    result.assert_outcomes(passed=2)


def test_workers_of_xdist_have_a_session_each(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        @pytest.mark.parametrize("number", range(6))
        def test_it(table, number):
            assert len(list(User.scan())) == 0
            User("alice").save()
        """,
        "-n",
        "2",
        conftest=SESSION,
    )
    result.assert_outcomes(passed=6)


def test_mistakes_are_answered(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        @pytest.mark.alternator(aliases=[])
        def test_a(alternator_cluster): pass

        @pytest.mark.alternator(aliases=[5])
        def test_b(alternator_cluster): pass
        """,
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*aliases must be the names of clusters*", "*(got [[]5])*"])
