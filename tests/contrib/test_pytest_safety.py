"""Safe tests: connections to other clusters are errors, in pytest runs of their own."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig
from pynamodb_alternator.contrib.testing.safety import safe
from pynamodb_alternator.errors import BlockedConnectionError
from pynamodb_alternator.local import LocalCluster

from .inner_runs import run
from .support import ROOT

pytest_plugins = "pytester"

REAL = "http://192.0.2.1:8000"
"""The cluster that must not be reached. Whatever connects to it takes its time and fails."""


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package may be here without being installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_each_way_to_another_cluster_is_an_error_that_names_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALTERNATOR_URL", REAL)
    result = run(
        pytester,
        f"""
        import pynamodb_alternator.boto3
        from pynamodb_alternator import Cluster, ClusterConfig
        from pynamodb_alternator.errors import BlockedConnectionError

        URL = {REAL!r}
        made_before = Cluster(URL)
        pynamodb_alternator.configure(analytics=URL)

        def table(**meta):
            class Other(pynamodb_alternator.Model):
                Meta = type("Meta", (), {{"table_name": "others", **meta}})
                name = UnicodeAttribute(hash_key=True)
            return Other

        @pytest.fixture
        def refused(alternator_cluster):
            def check(call, text):
                with pytest.raises(BlockedConnectionError) as caught:
                    call()
                assert "192.0.2.1:8000 is not of the embedded cluster" in str(caught.value)
                assert f"from {{text}}" in str(caught.value), str(caught.value)
                assert "alternator_allow_hosts = 192.0.2.1:8000" in str(caught.value)
            return check

        def test_an_alias(refused):
            refused(table(cluster="analytics")("a").save, "configure(analytics=...)")

        def test_a_host(refused):
            refused(table(host=URL)("a").save, "host=... of AlternatorConnection of the table others")

        def test_a_url(refused):
            refused(lambda: list(table(cluster=URL).scan()), "the URL in cluster=... of AlternatorConnection")

        def test_a_configuration(refused):
            refused(table(cluster=ClusterConfig.of(URL)).exists, "cluster=ClusterConfig(...) of")

        def test_boto3(refused):
            refused(pynamodb_alternator.boto3.client(URL).list_tables, "the URL in cluster=... of boto3.client()")

        def test_code(refused):
            refused(Cluster(URL).client.list_tables, f"a cluster that was made at {{__file__}}:")

        def test_code_before(refused):
            refused(made_before.client.list_tables, f"a cluster that was made at {{__file__}}:")

        def test_a_seed_beside(refused, alternator_cluster):
            both = ClusterConfig([alternator_cluster.addresses[0], "192.0.2.1:8000"], port=8000)
            refused(Cluster(both).client.list_tables, "a cluster that was made at")

        @pytest.mark.alternator(aliases="test")
        def test_the_environment(refused, alternator_cluster):
            refused(User("a").save, "ALTERNATOR_URL")

        def test_flask(refused):
            from flask import Flask
            from pynamodb_alternator.contrib.flask import Alternator
            app = Flask("shop")
            app.config.update(ALTERNATOR_URL=URL, ALTERNATOR_CLUSTERS={{"reports": URL}})
            Alternator(app)
            with app.app_context():
                refused(table(cluster="reports")("a").save, "app.config, in the cluster 'reports'")
        """,
    )
    result.assert_outcomes(passed=10)


def test_what_may_be_reached(pytester: pytest.Pytester) -> None:
    """The nodes of the test's cluster, in whatever state, and those of another embedded cluster."""
    result = run(
        pytester,
        """
        from pynamodb_alternator import Cluster
        from pynamodb_alternator.errors import NoNodesAvailableError, NotSentError
        from pynamodb_alternator.local import LocalCluster

        def test_it(alternator_cluster):
            node = alternator_cluster.add_node()
            with Cluster(node.url) as cluster:
                assert len(cluster.nodes()) == 4
            with Cluster(f"http://localhost:{alternator_cluster.port}") as cluster:
                cluster.client.list_tables()
            with LocalCluster(nodes=1) as other, Cluster(other.url) as cluster:
                cluster.client.list_tables()

        def test_the_cluster_is_gone(alternator_cluster):
            alternator_cluster.close()
            with pytest.raises(NotSentError):
                pynamodb_alternator.get_cluster().client.list_tables()
        """,
    )
    result.assert_outcomes(passed=2)


def test_it_lasts_as_long_as_a_fixture_does(pytester: pytest.Pytester) -> None:
    with LocalCluster(nodes=2) as real:
        result = run(
            pytester,
            f"""
            from pynamodb_alternator import Cluster
            from pynamodb_alternator.errors import BlockedConnectionError

            real = Cluster({real.url!r})

            def test_before():
                assert real.client.list_tables()["TableNames"] == []

            def test_within(alternator_cluster):
                with pytest.raises(BlockedConnectionError):
                    real.client.list_tables()

            def test_between():
                assert real.client.list_tables()["TableNames"] == []
                assert [node.condition for node in real.nodes()] == ["active", "active"]

            def test_session(alternator_cluster_session):
                with pytest.raises(BlockedConnectionError):
                    real.client.list_tables()

            def test_still(alternator_signals):
                with pytest.raises(BlockedConnectionError):
                    real.client.list_tables()
            """,
        )
        result.assert_outcomes(passed=5)


@pytest.mark.parametrize("allowed", ["127.0.0.1", "{address}", "127.0.0.0/8", "other.example local*"])
def test_the_ini_file_opens_hosts(pytester: pytest.Pytester, allowed: str) -> None:
    """And the nodes that a cluster lists whose seeds are open."""
    with LocalCluster(nodes=2) as real:
        host = "localhost" if "local" in allowed else "127.0.0.1"
        pytester.makeini(f"[pytest]\nalternator_allow_hosts = {allowed.format(address=real.addresses[0])}")
        result = run(
            pytester,
            f"""
            def test_it(alternator_cluster):
                with pynamodb_alternator.Cluster("http://{host}:{real.port}") as cluster:
                    for _ in range(4):
                        cluster.client.list_tables()
                    assert len(cluster.nodes()) == 2
            """,
        )
        result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("allowed", "host", "port", "opens"),
    [
        ("[::1]:8000", "[::1]", 8000, True),
        ("[::1]:8000", "[::1]", 8001, False),
        ("0:0:0:0:0:0:0:1", "[::1]", 8000, True),
        ("::1", "[0:0:0:0:0:0:0:1]", 8000, True),
        ("2001:DB8::/32", "[2001:db8::1]", 8000, True),
        ("127.0.0.1", "[::ffff:127.0.0.1]", 8000, True),
        ("N1.Example.", "n1.example", 8000, True),
        ("n1.example", "N1.example.", 8000, True),
        ("*.example:8000", "n1.example", 8000, True),
        ("*.example:8000", "n1.example", 8001, False),
        ("*.example", "example", 8000, False),
        ("10.0.0.1", "10.0.0.10", 8000, False),
    ],
)
def test_hosts_in_several_spellings(allowed: str, host: str, port: int, opens: bool) -> None:
    config: Any = SimpleNamespace(getini=lambda name: [allowed])
    with safe(config, None), Cluster(ClusterConfig([host], port=port, monitor=False)) as cluster:
        check = cluster.core.admission.before_request
        assert check is not None
        with nullcontext() if opens else pytest.raises(BlockedConnectionError):
            check()


@pytest.mark.parametrize(
    ("allowed", "answer"),
    [
        ("http://10.0.0.1", "'http://10.0.0.1' is a URL*"),
        ("https://alice:secret@10.0.0.1", "<hidden>@10.0.0.1' is a URL*"),
        ("10.0.0.1:x", "*"),
        ("10.0.0.0/99", "*"),
        ("10.0.0.0/8 10.0.0.?", "'10.0.0.?' is neither an IP address nor a host name*"),
    ],
)
def test_mistakes_are_answered(pytester: pytest.Pytester, allowed: str, answer: str) -> None:
    pytester.makeini(f"[pytest]\nalternator_allow_hosts = {allowed}")
    result = run(pytester, "def test_it(alternator_cluster): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*The ini file of pytest: alternator_allow_hosts: {answer}Write hosts such as*"])
