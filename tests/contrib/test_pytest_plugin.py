"""The plugin, in pytest runs of its own."""

from __future__ import annotations

import re
import tomllib

import pytest

from .inner_runs import HAS_PYTEST_ASYNCIO, run
from .support import ROOT

pytest_plugins = "pytester"

PAGE = ROOT / "docs" / "testing.md"


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package may be here without being installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_a_cluster_for_one_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_a_node_dies(alternator_cluster, alternator_models, alternator_signals):
            alternator_models(User)
            User("alice").save()
            victim = alternator_cluster.nodes[1]
            victim.kill()
            alternator_signals.wait_for("node_removed", node=victim.address)
            assert User.get("alice").visits == 0
            said = alternator_signals.of("request_completed", operation="GetItem")[-1]
            assert said["status"] == said.event.status == 200
            assert "event" not in said and repr(said).count("GetItem") == 1
            alternator_signals.clear()
            assert alternator_signals.of("node_removed") == []

        def test_the_next_one_is_fresh(alternator_cluster, alternator_models):
            alternator_models(User)
            assert len(alternator_cluster.nodes) == 3
            with pytest.raises(User.DoesNotExist):
                User.get("alice")

        def test_every_node_may_die(alternator_cluster, alternator_models):
            alternator_models(User)
            for node in alternator_cluster.nodes:
                node.kill()

        @pytest.mark.alternator(nodes=2, datacenters=["dc1"], aliases=["default", "analytics"])
        def test_its_settings(alternator_cluster):
            assert len(pynamodb_alternator.get_cluster("analytics").nodes()) == 2

        @pytest.mark.alternator(nodes=1, credentials={"alice": "secret"})
        def test_its_credentials(alternator_models):
            alternator_models(User)
            User("alice").save()
        """,
    )
    result.assert_outcomes(passed=5)


def test_the_alias_means_afterwards_what_it_meant_before(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
pynamodb_alternator.configure(default="http://192.0.2.1:8000")

def test_before():
    assert pynamodb_alternator.get_cluster().config.seeds == ("192.0.2.1",)

def test_in_between(alternator_models):
    alternator_models(User)
    User("alice").save()

def test_after():
    assert pynamodb_alternator.get_cluster().config.seeds == ("192.0.2.1",)
""",
    )
    result.assert_outcomes(passed=3)


CONFIGURED = "http://127.0.0.1:1"
"""The cluster that the application is configured for. Nobody answers there, so whatever goes there fails."""
APPLICATIONS = {
    "flask": f"""
def make_application():
    from flask import Flask
    from pynamodb_alternator.contrib.flask import Alternator
    app = Flask("shop")
    app.config.update(ALTERNATOR_URL={CONFIGURED!r}, ALTERNATOR_TIMEOUTS={{"total": 5}})
    Alternator(app)

    @app.get("/<name>")
    def visit(name):
        User(name).save()
        return ""
    return lambda: app.test_client().get("/alice")
""",
    "django": f"""
urlpatterns = []

def make_application():
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.test import Client
    from django.urls import path
    if not settings.configured:
        alternator = {{"default": {{"URL": {CONFIGURED!r}, "TIMEOUTS": {{"total": 5}}}}}}
        apps = ["pynamodb_alternator.contrib.django"]
        settings.configure(
            ALLOWED_HOSTS=["testserver"], INSTALLED_APPS=apps, ROOT_URLCONF=__name__, ALTERNATOR=alternator
        )
        django.setup()

        def visit(request, name):
            User(name).save()
            return HttpResponse("")
        urlpatterns.append(path("<name>", visit))
    return lambda: Client().get("/alice")
""",
    "configure": f"""
def make_application():
    pynamodb_alternator.configure(default=pynamodb_alternator.ClusterConfig.of({CONFIGURED!r}).replace(
        timeouts=pynamodb_alternator.Timeouts(total=5)))
    return User("alice").save
""",
}


@pytest.mark.parametrize("cluster", ["alternator_cluster", "alternator_cluster_session"])
@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS)
def test_an_application_that_is_made_inside_the_test_uses_the_tests_cluster(
    pytester: pytest.Pytester, application: str, cluster: str
) -> None:
    """In a fresh process: an application that was made before had its say in the order."""
    result = run(
        pytester,
        application
        + f"""

@pytest.mark.parametrize("number", range(2))
def test_it({cluster}, alternator_models, number):
    alternator_models(User)
    visit = make_application()
    visit()
    assert [user.name for user in User.scan()] == ["alice"]
    client = pynamodb_alternator.Cluster({cluster}.url).client
    assert client.scan(TableName="users")["Count"] == 1
""",
        "-W",
        "ignore::DeprecationWarning:django",
    )
    result.assert_outcomes(passed=2)


def test_a_cluster_for_the_session(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
ports = set()

@pytest.fixture(scope="session")
def alternator_cluster_options():
    return {"nodes": 2}

def test_one(alternator_cluster_session, alternator_models):
    alternator_models(User)
    ports.add(alternator_cluster_session.port)
    User("alice").save()
    alternator_cluster_session.add_node()
    alternator_cluster_session.nodes[0].kill()
    alternator_cluster_session.nodes[1].hang()

def test_two(alternator_cluster_session, alternator_models):
    assert [node.up and not node.hung for node in alternator_cluster_session.nodes] == [True, True]
    assert not User.exists()
    alternator_cluster_session.remove_node(alternator_cluster_session.nodes[1])

def test_three(alternator_cluster_session):
    assert len(alternator_cluster_session.nodes) == 2
    assert ports == {alternator_cluster_session.port}
""",
    )
    result.assert_outcomes(passed=3)


def test_workers_of_xdist_have_clusters_of_their_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.parametrize("number", range(4))
def test_it(alternator_cluster_session, alternator_models, number):
    alternator_models(User)
    assert User("alice").save(User.name.does_not_exist())
""",
        "-n",
        "2",
    )
    result.assert_outcomes(passed=4)


def test_mistakes_are_answered(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.alternator(knots=5)
def test_a(alternator_cluster): pass

@pytest.mark.alternator(5)
def test_b(alternator_cluster): pass

def test_d(alternator_models):
    alternator_models(int)

def test_e(alternator_models):
    alternator_models()

def test_f(alternator_signals):
    alternator_signals.of("node_dead")

def test_g(alternator_signals):
    alternator_signals.wait_for("node_down", timeout=0.01)

def test_h(alternator_models):
    import pynamodb.models
    class Plain(pynamodb.models.Model):
        class Meta:
            table_name = "plain"
        name = UnicodeAttribute(hash_key=True)
    alternator_models(Plain)
""",
    )
    assert result.ret == 1
    for pattern in (
        "*LocalCluster takes no 'knots'*",
        "*takes names, as in @pytest.mark.alternator(nodes=5)*",
        "*takes PynamoDB models*",
        "*without a model*",
        "*There is no signal 'node_dead'*",
        "*No signal node_down within 0.01 s*",
        "*Plain is not on a cluster*",
    ):
        result.stdout.fnmatch_lines([pattern])


def test_nothing_is_loaded_before_a_test_asks(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import sys

def test_it(request):
    for heavy in ("moto", "cryptography", "flask", "django", "prometheus_client", "pynamodb_alternator.local"):
        assert heavy not in sys.modules
    assert not [name for name in request.fixturenames if "alternator" in name]
""",
    )
    result.assert_outcomes(passed=1)


def test_the_entry_point_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"alternator": "pynamodb_alternator.pytest_plugin"}


def test_event_loops_find_the_cluster_of_the_test(pytester: pytest.Pytester) -> None:
    """Each test has an event loop of its own, as with pytest-asyncio, and the application asks by the alias."""
    pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")
    result = run(
        pytester,
        """
import asyncio
from pynamodb_alternator import aio

async def view(name):
    client = await aio.get_client()
    found = await client.get_item(TableName="users", Key={"name": {"S": name}})
    return found["Item"]["visits"]["N"]

@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_view(number, alternator_cluster, alternator_models):
    alternator_models(User)

    async def main():
        await User("alice", visits=number).aio.save()
        assert await view("alice") == str(number)

    asyncio.run(main())
""",
    )
    result.assert_outcomes(passed=3)


@pytest.mark.skipif(not PAGE.exists(), reason="the tests run without the documentation")
def test_the_tests_of_the_documentation_pass(pytester: pytest.Pytester) -> None:
    with_pytest = PAGE.read_text(encoding="utf-8").partition("\n## Without pytest")[0]
    snippets = re.findall(r"^```python\n(.*?)^```", with_pytest, re.MULTILINE | re.DOTALL)
    known = [code for code in snippets if HAS_PYTEST_ASYNCIO or "asyncio" not in code]
    pytester.makepyfile(test_page="\n".join(known))
    run(pytester, "").assert_outcomes(passed=4 if HAS_PYTEST_ASYNCIO else 3)
