"""A Django project on a real (embedded) cluster."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import django
import pytest
from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client, SimpleTestCase, override_settings
from pynamodb.exceptions import TableError

import pynamodb_alternator
from pynamodb_alternator import Cluster, registry
from pynamodb_alternator.contrib.django.conf import source
from pynamodb_alternator.contrib.django.test import AlternatorTestMixin
from pynamodb_alternator.errors import BlockedConnectionError, ConfigurationError, TransportError
from pynamodb_alternator.local import LocalCluster

from .support import ROOT, run_python

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contrib.django_project.settings")
django.setup()
registry.remove_source(source)  # for the other tests of this process

from .django_project.shop.models import Receipt, Visitor  # noqa: E402

CA = str(Path(botocore.__file__).with_name("cacert.pem"))


@pytest.fixture
def project() -> None:
    """The project as it is after start-up; it knows no cluster."""
    registry.add_source(source)


@pytest.fixture
def on_cluster(project: None, local: LocalCluster) -> Iterator[LocalCluster]:
    """The project with a cluster under each of its aliases."""
    with override_settings(ALTERNATOR={"default": {"URL": local.url}, "archive": {"LOCATION": local.url}}):
        yield local


def said(command: str, *arguments: str, stdout: io.StringIO | None = None, **options: Any) -> str:
    out = stdout or io.StringIO()
    call_command(command, *arguments, stdout=out, no_color=True, **options)
    return out.getvalue()


# ---- settings ----------------------------------------------------------------------------------------------------


def test_a_view_reaches_the_cluster(on_cluster: LocalCluster) -> None:
    said("alternator_create_tables")
    assert Client().get("/visit/alice").json() == {"visits": 1}
    assert Client().get("/visit/alice").json() == {"visits": 2}


@pytest.mark.usefixtures("project")
def test_all_forms_of_the_setting() -> None:
    forms = {
        "default": {"SEEDS": ["10.0.0.1", "10.0.0.2"], "PORT": 8043, "SCHEME": "https", "CA": CA},
        "url": {"URL": "http://10.0.0.1:8000/?datacenter=dc1", "RACK": "r1"},
        "balancer": {"URL": "http://10.0.0.1:80", "PORT": 8000, "MAX_CONNECTION_IDLE": 5, "SUBSET": 8, "SLOW_START": 0},
        "bare": "http://10.0.0.1:8000",
        "caches": {
            "LOCATION": ["10.0.0.1"],
            "OPTIONS": {"region": "eu", "TIMEOUTS": {"READ": 3, "connect": 1}},
            "ACCESS_KEY": "a",
            "SECRET_KEY": "s",
            "DATACENTER": None,
        },
    }
    with override_settings(ALTERNATOR=forms):
        config = {alias: pynamodb_alternator.get_cluster(alias).config for alias in forms}
    assert config["default"].seeds == ("10.0.0.1", "10.0.0.2")
    assert (config["default"].port, config["default"].tls.ca) == (8043, CA)  # type: ignore[union-attr]
    assert str(config["url"].routing_scope) == "rack r1 of datacenter dc1"
    assert (config["balancer"].seed_addresses, config["balancer"].node_port) == ((("10.0.0.1", 80),), 8000)
    assert config["balancer"].max_connection_idle == 5
    assert (config["balancer"].subset, config["balancer"].slow_start) == (8, 0)
    assert config["bare"].name == "bare"
    assert (config["caches"].region, config["caches"].timeouts.read) == ("eu", 3)
    assert config["caches"].credentials.access_key == "a"  # type: ignore[union-attr]


def test_override_settings_takes_effect(on_cluster: LocalCluster) -> None:
    before = pynamodb_alternator.get_cluster()
    with override_settings(ALTERNATOR={"default": "http://192.0.2.1:8000"}):
        assert pynamodb_alternator.get_cluster().config.seeds == ("192.0.2.1",)
        assert before.closed
    assert pynamodb_alternator.get_cluster().config.seeds == before.config.seeds
    assert len(pynamodb_alternator.get_cluster().nodes()) == 3


@pytest.mark.usefixtures("project")
def test_models_follow_the_settings(local: LocalCluster) -> None:
    with LocalCluster(nodes=1) as other:
        for embedded in (local, other):
            with override_settings(ALTERNATOR={"default": embedded.url}):
                assert not Visitor.exists()
                Visitor.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        with override_settings(ALTERNATOR={"default": local.url}):
            assert Visitor.exists()


@pytest.mark.usefixtures("project")
def test_without_the_setting_configure_holds_and_the_error_names_the_setting(local: LocalCluster) -> None:
    assert not hasattr(settings, "ALTERNATOR")
    with pytest.raises(ConfigurationError, match=r"add 'archive' to settings\.ALTERNATOR"):
        Receipt.exists()
    with pytest.raises(ConfigurationError, match=r"Visitor|visitors.*add 'default' to settings\.ALTERNATOR"):
        Visitor.exists()
    pynamodb_alternator.configure(default=local.url)
    assert not Visitor.exists()


WRONG = [
    ({"default": {"SEEDS": ["10.0.0.1"], "PROT": 1}}, "E002", r"ALTERNATOR\['default'\].*'PROT'.*'PORT'"),
    ({"default": {"SEEDS": ["10.0.0.1"], "PORT": "x"}}, "E002", r"ALTERNATOR\['default'\].*port"),
    ({"default": {"DATACENTER": "dc1"}}, "E002", "does not say where the cluster is"),
    ({"default": {"SEEDS": ["a"], "OPTIONS": []}}, "E002", r"\['OPTIONS'\] must be a dict"),
    ({"default": {"SEEDS": ["a"], "TIMEOUTS": {"REED": 1}}}, "E002", r"reed"),
    ({"default": 5}, "E002", r"ALTERNATOR\['default'\] must be a URL"),
    ("http://10.0.0.1", "E001", r"settings\.ALTERNATOR must be a dict from alias"),
    ({5: "http://a"}, "E001", r"settings\.ALTERNATOR must be a dict from alias"),
]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("value", "number", "says"), WRONG)
def test_a_wrong_setting_is_named_at_use_and_by_the_checks(value: Any, number: str, says: str) -> None:
    with override_settings(ALTERNATOR=value):
        with pytest.raises(ImproperlyConfigured, match=says):
            Visitor.exists()
        with pytest.raises(ConfigurationError, match=says):
            pynamodb_alternator.get_cluster()
        messages = checks.run_checks(tags=["alternator"])
    assert f"alternator.{number}" in [message.id for message in messages]


# ---- checks ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
def test_the_system_checks_examine_models() -> None:
    messages = {message.id: message for message in checks.run_checks()}
    assert "Visitor needs it" in messages["alternator.W001"].msg
    assert "Receipt: Meta.cluster is 'archive'" in messages["alternator.E003"].msg
    with override_settings(ALTERNATOR={"default": "http://192.0.2.1:8000", "archive": "http://192.0.2.1:8000"}):
        assert checks.run_checks() == []


def test_the_network_is_asked_only_under_the_tag(on_cluster: LocalCluster) -> None:
    on_cluster.nodes[0].kill(still_listed=True)
    asked = sum(len(node.requests) for node in on_cluster.nodes)
    assert checks.run_checks() == []
    assert sum(len(node.requests) for node in on_cluster.nodes) == asked
    messages = checks.run_checks(tags=["alternator"])
    assert {"alternator.E100"} <= {message.id for message in messages}
    assert any(on_cluster.nodes[0].address in message.msg for message in messages)


# ---- commands ----------------------------------------------------------------------------------------------------


def test_the_tables_are_created_with_progress(on_cluster: LocalCluster) -> None:
    dry = said("alternator_create_tables", "--dry-run")
    assert "2 missing" in dry
    assert not Visitor.exists()
    out = said("alternator_create_tables")
    assert "[1/2] receipts (Receipt) ... created" in out
    assert "[2/2] visitors (Visitor) ... created" in out
    assert "at-amazon" not in out
    assert Visitor.exists()
    again = said("alternator_create_tables", "shop")
    assert "0 created, 2 there already" in again
    assert said("alternator_create_tables", verbosity=0) == ""


def test_the_commands_show_nodes_and_findings(on_cluster: LocalCluster) -> None:
    assert all(address in said("alternator_nodes") for address in on_cluster.addresses)
    assert "no errors" in said("alternator_check", cluster="archive")
    on_cluster.close()
    with pytest.raises(CommandError, match="has errors"):
        said("alternator_check")


@pytest.mark.usefixtures("project")
def test_the_check_of_models_without_a_cluster() -> None:
    out = io.StringIO()
    with pytest.raises(CommandError, match="The models have findings"):
        said("alternator_check", "--models", "--fail-level", "warning", stdout=out)
    text = " ".join(out.getvalue().split())
    assert "tests.contrib.django_project.shop.models.Receipt" in text
    assert "tests.contrib.django_project.shop.models.AtAmazon" in text
    assert "Add --cluster ALIAS to compare them." in text
    # The other tests are searched as well, which takes seconds: hence not once more for the text.
    everything = said("alternator_check", "--models", "--fail-level", "never", "--format", "json")
    assert "tests/contrib/django_project/shop/views.py" in everything


def test_the_check_of_models_with_a_cluster(on_cluster: LocalCluster) -> None:
    Receipt.create_table(wait=True)
    module = "tests.contrib.django_project.shop.models"
    for alias, missing in (("default", ["at-amazon", "visitors"]), ("archive", [])):
        out = said(
            *("alternator_check", "--models", module, "--cluster", alias, "--format", "json", "--fail-level", "never")
        )
        findings = json.loads(out)["findings"]
        tables = [finding["detail"] for finding in findings if finding["id"] == "table-missing"]
        assert tables == [f"table {name!r}" for name in missing]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "says", "status"),
    [
        (["--models", "shopp"], "There is no module 'shopp'", 2),
        (["--models", "--ignore", "numberkey"], "Did you mean 'number-key'?", 2),
        (["--source", "x"], "--source is for the check of models. Add --models.", 2),
    ],
)
def test_mistakes_of_the_check_of_models(arguments: list[str], says: str, status: int) -> None:
    with pytest.raises(CommandError) as wrong:
        said("alternator_check", *arguments)
    assert says in str(wrong.value)
    assert wrong.value.returncode == status


def test_the_command_shows_a_route(on_cluster: LocalCluster) -> None:
    said("alternator_create_tables")
    out = said("alternator_route", "visitors", "alice", "--token-aware")
    assert "name = alice (S)" in out
    assert f"replicas       {on_cluster.addresses[0]}" in out
    assert "plain writes" in out
    with pytest.raises(CommandError, match="has no index 'by_city'"):
        said("alternator_route", "visitors", "alice", index="by_city")


@pytest.mark.usefixtures("project")
def test_mistakes_are_answered() -> None:
    with pytest.raises(CommandError, match="'reports'"):
        said("alternator_nodes", "--cluster", "reports")
    with pytest.raises(CommandError, match=r"settings\.ALTERNATOR"):
        said("alternator_create_tables")
    with pytest.raises(CommandError, match="shopp"):
        said("alternator_create_tables", "shopp")
    with pytest.raises(CommandError, match=r"define them in models\.py"):
        said("alternator_create_tables", "alternator")


def test_manage_py_starts_without_a_thread_or_a_connection() -> None:
    out = run_python(
        "import threading, os\n"
        "import django\n"
        "django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('check')\n"
        "print(threading.active_count())",
        cwd=ROOT,
        DJANGO_SETTINGS_MODULE="tests.contrib.django_project.settings",
        SHOP_URL="http://192.0.2.1:8000",
    )
    assert out.splitlines()[-1] == "1"


def test_the_application_has_a_name() -> None:
    assert apps.get_app_config("alternator").verbose_name == "ScyllaDB Alternator"


# ---- the mixin ---------------------------------------------------------------------------------------------------


@override_settings(ALTERNATOR={"default": "http://192.0.2.1:8000", "archive": "http://192.0.2.1:8000"})
class ShopTests(AlternatorTestMixin, SimpleTestCase):
    def setUp(self) -> None:
        super().setUp()
        Visitor("alice", visits=4).save()

    def test_a_view_reads_items_of_the_test(self) -> None:
        assert self.client.get("/visit/alice").json() == {"visits": 5}
        for node in self.alternator_cluster.nodes:
            node.kill()

    def test_another_test_finds_empty_tables(self) -> None:
        assert self.client.get("/visit/alice").json() == {"visits": 5}
        Receipt(5).save()
        self.alternator_cluster.nodes[1].kill()
        assert Receipt.get(5).number == 5


class OneTableTests(AlternatorTestMixin, SimpleTestCase):
    alternator_models = (Visitor,)
    alternator_options = {"nodes": 1}  # noqa: RUF012

    def test_the_mixin_uses_its_options(self) -> None:
        assert len(self.alternator_cluster.nodes) == 1
        assert Visitor.exists()
        with pytest.raises((ConfigurationError, TableError)):
            Receipt.describe_table()


REAL = "http://192.0.2.1:8000"
"""A cluster that must not be reached."""


class SafeTests(AlternatorTestMixin, SimpleTestCase):
    alternator_models = (Visitor,)
    alternator_allow_hosts = ("192.0.2.2",)
    alternator_options = {"nodes": 1}  # noqa: RUF012

    def test_another_cluster_is_refused_with_the_setting_that_it_comes_from(self) -> None:
        pynamodb_alternator.configure(analytics=REAL)
        with pytest.raises(BlockedConnectionError) as caught:
            pynamodb_alternator.get_cluster("analytics").client.list_tables()
        assert str(caught.value) == (
            "192.0.2.1:8000 is not of the embedded cluster, and tests with AlternatorTestMixin connect to nothing "
            "else. The address comes from configure(analytics=...). Use an alias there that means the embedded "
            "cluster: 'default', or one of settings.ALTERNATOR. Or allow the address in the class of the test: "
            "alternator_allow_hosts = ['192.0.2.1:8000']"
        )

    def test_what_the_class_allows(self) -> None:
        with (
            Cluster("http://192.0.2.2:8000/?connect_timeout=0.05&max_attempts=1&monitor=false") as cluster,
            pytest.raises(TransportError),
        ):
            cluster.client.list_tables()

    def test_the_rule_ends_with_the_class(self) -> None:
        class Inner(AlternatorTestMixin, SimpleTestCase):
            alternator_models = ()

        Inner.setUpClass()
        Inner.doClassCleanups()
        assert Visitor.exists()


@pytest.mark.parametrize(
    ("hosts", "says"), [("10.0.0.1", "must be a list of hosts"), (["a b"], r"alternator_allow_hosts")]
)
def test_the_hosts_that_a_class_allows_are_checked(hosts: Any, says: str) -> None:
    class Wrong(AlternatorTestMixin, SimpleTestCase):
        alternator_allow_hosts = hosts

    with pytest.raises(ConfigurationError, match=says):
        Wrong.setUpClass()


def test_the_mixin_does_without_pytest() -> None:
    out = run_python(
        """
import os, unittest, django
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.contrib.django_project.settings"
django.setup()
from django.test import SimpleTestCase
from pynamodb_alternator.contrib.django.test import AlternatorTestMixin
from tests.contrib.django_project.shop.models import Visitor

class Tests(AlternatorTestMixin, SimpleTestCase):
    alternator_models = [Visitor]

    def test_a_view_reads_items_of_the_test(self):
        self.assertEqual(self.client.get("/visit/alice").json(), {"visits": 1})
        print("fine")

unittest.main(module=__name__, argv=["tests"])
""",
        without=("pytest",),
    )
    assert out == "fine\n"


def test_the_mixin_before_the_class() -> None:
    class Wrong(AlternatorTestMixin):
        pass

    with pytest.raises(ConfigurationError, match="goes before Django's class"):
        Wrong.setUpClass()
