"""A Flask application on a real (embedded) cluster."""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, jsonify
from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import PutError, UpdateError

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Cluster, ClusterConfig, KeyRouteAffinity, Model, registry, signals
from pynamodb_alternator.contrib.flask import Alternator, add_error_handlers
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .conftest import User
from .support import run_python


class Guest(Model):
    """No other test has a model of this name or table: commands and shells know all models of the process."""

    class Meta:
        table_name = "guests_of_flask"
        token_aware: bool | None = None

    name = UnicodeAttribute(hash_key=True)


def make_app(name: str = "shop", **config: Any) -> Flask:
    app = Flask(name)
    app.config.update(config)
    Alternator(app)

    @app.get("/<name>")
    def show(name: str) -> Any:
        try:
            return jsonify(visits=int(User.get(name).visits))
        except User.DoesNotExist:
            return jsonify(error="nobody"), 404

    @app.post("/<name>")
    def visit(name: str) -> Any:
        User(name).update(actions=[User.visits.add(1)])
        return "", 204

    return app


@pytest.fixture
def app(local: LocalCluster) -> Flask:
    app = make_app(ALTERNATOR_URL=local.url)
    with app.app_context():
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    return app


@pytest.fixture
def other_local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=1) as cluster:
        yield cluster


def test_requests_of_the_web_reach_the_cluster(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/alice").status_code == 404
    assert client.post("/alice").status_code == 204
    assert client.get("/alice").json == {"visits": 1}


def test_connections_stay_open_between_web_requests(app: Flask) -> None:
    client = app.test_client()
    client.post("/alice")
    with app.app_context():
        cluster = pynamodb_alternator.get_cluster()
    client.get("/alice")
    with app.app_context():
        assert pynamodb_alternator.get_cluster() is cluster
    assert not cluster.closed


def test_two_applications_with_different_clusters_on_the_same_model(app: Flask, other_local: LocalCluster) -> None:
    other = make_app("other", ALTERNATOR_URL=other_local.url)
    with other.app_context():
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    for _ in range(2):
        app.test_client().post("/alice")
    other.test_client().post("/alice")
    assert app.test_client().get("/alice").json == {"visits": 2}
    assert other.test_client().get("/alice").json == {"visits": 1}
    with app.app_context(), other.app_context():
        assert User.get("alice").visits == 1
    with app.app_context():
        assert User.get("alice").visits == 2


def test_two_applications_at_once_in_threads(app: Flask, other_local: LocalCluster) -> None:
    other = make_app("other", ALTERNATOR_URL=other_local.url)
    with other.app_context():
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    visits: dict[str, list[int]] = {"shop": [], "other": []}

    def work(application: Flask) -> None:
        with application.app_context():
            for _ in range(20):
                User("alice", visits=len(application.name)).save()
                visits[application.name].append(int(User.get("alice").visits))

    threads = [threading.Thread(target=work, args=(application,)) for application in (app, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert visits == {"shop": [4] * 20, "other": [5] * 20}


def test_each_cluster_hears_of_the_models_partition_key(app: Flask, other_local: LocalCluster) -> None:
    other = make_app("other", ALTERNATOR_URL=other_local.url)
    with other.app_context():
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    policies = []

    def completed(sender: Any, *, operation: str, policy: str, **_: Any) -> None:
        if operation == "PutItem":
            policies.append(policy)

    with signals.request_completed.connected_to(completed):
        for application in (app, other):
            with application.app_context():
                User("alice").save(condition=User.name.does_not_exist())
    assert policies == ["affinity", "affinity"]


def test_several_clusters_of_one_application(local: LocalCluster, other_local: LocalCluster) -> None:
    alternator = Alternator()
    app = Flask("shop")
    app.config["ALTERNATOR_CLUSTERS"] = {
        "default": local.url,
        "analytics": {"SEEDS": ["127.0.0.1"], "PORT": other_local.port, "KEY_ROUTE_AFFINITY": "none"},
    }
    alternator.init_app(app)
    with app.app_context():
        assert len(alternator.cluster.nodes()) == 3
        analytics = alternator.get_cluster("analytics")
        assert len(analytics.nodes()) == 1
        assert analytics.name == "analytics"
        assert analytics.config.key_route_affinity is KeyRouteAffinity.NONE
        with pytest.raises(ConfigurationError, match=r"ALTERNATOR_CLUSTERS = \{'reports': \.\.\.\}"):
            alternator.get_cluster("reports")
    assert app.extensions == {"alternator": alternator}


def test_settings_have_defaults_and_reach_the_config(local: LocalCluster) -> None:
    app = Flask("shop")
    app.config.update(
        ALTERNATOR_SEEDS=["127.0.0.1"],
        ALTERNATOR_PORT=local.port,
        ALTERNATOR_DATACENTER="dc1",
        ALTERNATOR_ACCESS_KEY="alice",
        ALTERNATOR_SECRET_KEY="wonderland",
        ALTERNATOR_TIMEOUTS={"READ": 3},
    )
    Alternator(app)
    assert app.config["ALTERNATOR_URL"] is None
    assert app.config["ALTERNATOR_CLUSTERS"] == {}
    with app.app_context():
        config = pynamodb_alternator.get_cluster().config
    assert config.timeouts.read == 3
    assert str(config.routing_scope) == "datacenter dc1"
    assert config.credentials.access_key == "alice"  # type: ignore[union-attr]


def test_without_settings_the_process_wide_cluster_is_used(local: LocalCluster) -> None:
    app = make_app()
    with app.app_context():
        pynamodb_alternator.configure(default=local.url)
        assert len(pynamodb_alternator.get_cluster().nodes()) == 3
    config = ClusterConfig.of(local.url)
    with Flask("bare").app_context():
        assert pynamodb_alternator.get_cluster().config.port == config.port


def test_outside_of_the_context_the_error_says_what_to_do(app: Flask) -> None:
    for use in (lambda: User.get("alice"), pynamodb_alternator.get_cluster, lambda: Alternator().cluster):
        with pytest.raises(ConfigurationError, match=r"with app\.app_context\(\)"):
            use()
    with Flask("bare").app_context():
        with pytest.raises(ConfigurationError, match="has no Alternator"):
            User.get("alice")
        with pytest.raises(ConfigurationError, match="has no Alternator"):
            Alternator().get_cluster()


def test_one_extension_for_several_applications(local: LocalCluster, other_local: LocalCluster) -> None:
    alternator = Alternator()
    counts = []
    for url in (local.url, other_local.url):
        app = Flask("shop")
        app.config["ALTERNATOR_URL"] = url
        alternator.init_app(app)
        with app.app_context():
            counts.append(len(alternator.cluster.nodes()))
    assert counts == [3, 1]


def test_initialising_twice_is_refused(app: Flask) -> None:
    with pytest.raises(ConfigurationError, match="initialised on the application 'shop' before"):
        Alternator(app)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ALTERNATOR_URL": "10.0.0.1:8000"}, r"ALTERNATOR_URL\): .*has no scheme"),
        ({"ALTERNATOR_URL": 5}, "ALTERNATOR_URL"),
        ({"ALTERNATOR_SEEDZ": ["a"]}, "'ALTERNATOR_SEEDZ'.* Did you mean 'ALTERNATOR_SEEDS'"),
        ({"ALTERNATOR_DATACENTER": "dc1"}, "does not say where .* Write 'ALTERNATOR_URL': .* or 'ALTERNATOR_SEEDS'"),
        ({"ALTERNATOR_CLUSTERS": ["http://a"]}, "must be a dict from alias"),
        ({"ALTERNATOR_CLUSTERS": {"default": "http://a"}, "ALTERNATOR_PORT": 1}, "'ALTERNATOR_PORT'.* as well"),
        ({"ALTERNATOR_CLUSTERS": {"a": {"SEEDS": ["x"], "PROT": 1}}}, r"\['a'\] has the unknown key 'PROT'.*'PORT'"),
        ({"ALTERNATOR_CLUSTERS": {"a": 5}}, r"\['a'\] must be a URL"),
        ({"ALTERNATOR_CLUSTERS": {"": "http://a"}}, "alias ''"),
        ({"ALTERNATOR_URL": "http://a", "ALTERNATOR_SEEDS": ["a"]}, "both a URL and seeds"),
        (
            {"ALTERNATOR_URL": "http://a", "ALTERNATOR_ACCESS_KEY": "k"},
            "both 'ALTERNATOR_ACCESS_KEY' and 'ALTERNATOR_SECRET",
        ),
        (
            {"ALTERNATOR_URL": "https://a", "ALTERNATOR_CA": "x", "ALTERNATOR_TLS": {}},
            "'ALTERNATOR_TLS' and 'ALTERNATOR_CA' as well",
        ),
        ({"ALTERNATOR_URL": "http://a", "ALTERNATOR_PORT": "http"}, "port must be"),
    ],
)
def test_wrong_settings_are_answered_at_the_start(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make_app(**settings)
    with pytest.raises(ConfigurationError, match="takes a Flask application"):
        Alternator("shop")  # type: ignore[arg-type]


def test_the_commands_run_on_the_application(app: Flask, local: LocalCluster) -> None:
    runner = app.test_cli_runner()
    shown = runner.invoke(args=["alternator", "nodes"])
    assert shown.exit_code == 0, shown.output
    for address in local.addresses:
        assert address in shown.output
    route = runner.invoke(args=["alternator", "route", "users", "alice"])
    assert route.exit_code == 0, route.output
    assert "name = alice (S)" in route.output
    wrong = runner.invoke(args=["alternator", "route", "users", "alice", "--index", "by_city"])
    assert wrong.exit_code == 2
    assert "users has no index 'by_city'" in wrong.output
    check = runner.invoke(args=["alternator", "check"])
    assert "errors" in check.output
    assert check.exit_code == 0, check.output
    unknown = runner.invoke(args=["alternator", "nodes", "--cluster", "reports"])
    assert unknown.exit_code == 2
    assert "Error: No cluster is configured under the alias 'reports'" in unknown.output


def test_the_route_command_shows_replicas_if_it_is_asked_to(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context():
        Guest.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    runner = app.test_cli_runner()
    command = ["alternator", "route", "guests_of_flask", "alice"]
    assert "replicas       not known" in runner.invoke(args=command).output
    monkeypatch.setattr(Guest.Meta, "token_aware", True)
    assert "replicas       127.0.0.1:" in runner.invoke(args=command).output
    monkeypatch.setattr(Guest.Meta, "token_aware", None)
    shown = runner.invoke(args=[*command, "--token-aware"])
    assert "token ring     read" in shown.output


def test_the_check_finds_a_dead_cluster(app: Flask, local: LocalCluster) -> None:
    local.close()
    check = app.test_cli_runner().invoke(args=["alternator", "check"])
    assert check.exit_code == 1
    assert "error" in check.output


def test_the_shell_knows_the_models(app: Flask) -> None:
    context = app.make_shell_context()
    assert context["Guest"] is Guest
    assert context["get_cluster"] is pynamodb_alternator.get_cluster
    assert "Guest" not in make_app("quiet", ALTERNATOR_SHELL_MODELS=False).make_shell_context()


def test_initialising_connects_nothing_and_starts_no_thread() -> None:
    said = run_python(
        "import threading\n"
        "from flask import Flask\n"
        "from pynamodb_alternator.contrib.flask import Alternator\n"
        "app = Flask('shop')\n"
        "app.config['ALTERNATOR_URL'] = 'http://192.0.2.1:8000'\n"
        "Alternator(app)\n"
        "app.app_context().push()\n"
        "from pynamodb_alternator import get_cluster\n"
        "get_cluster()\n"
        "print(threading.active_count())"
    )
    assert said == "1\n"


# ---- the registry, on which this stands --------------------------------------------------------------------------


def test_a_connection_asks_each_time_which_cluster_is_meant(app: Flask) -> None:
    """It outlives the application's context, and may be older than the application."""
    with LocalCluster(nodes=1) as other:
        pynamodb_alternator.configure(default=other.url)
        connection = AlternatorConnection()
        outside = connection.cluster
        assert connection.list_tables()["TableNames"] == []
        with app.app_context():
            assert connection.cluster is pynamodb_alternator.get_cluster() is not outside
            assert connection.list_tables()["TableNames"] == ["users"]
        assert connection.cluster is outside
        assert connection.list_tables()["TableNames"] == []
        pynamodb_alternator.close_all()
    with pytest.raises(ConfigurationError, match="nothing says which cluster"):
        _ = connection.cluster


def test_close_all_closes_the_clusters_of_applications_and_they_come_back(app: Flask) -> None:
    with app.app_context():
        cluster = pynamodb_alternator.get_cluster()
        pynamodb_alternator.close_all()
        assert cluster.closed
        assert User.exists()


def test_replaced_aliases_win_over_applications_and_configure(app: Flask, other_local: LocalCluster) -> None:
    pynamodb_alternator.configure(default="http://192.0.2.1:8000")
    before = pynamodb_alternator.get_cluster()
    with registry.replaced(default=other_local.url):
        inside = pynamodb_alternator.get_cluster()
        assert len(inside.nodes()) == 1
        with app.app_context():
            assert pynamodb_alternator.get_cluster() is inside
    assert inside.closed
    assert before.closed
    assert pynamodb_alternator.get_cluster().config == before.config
    with app.app_context():
        assert len(pynamodb_alternator.get_cluster().nodes()) == 3
    with pytest.raises(ConfigurationError, match=r"replaced\(default=\.\.\.\)"), registry.replaced(default=5):  # type: ignore[arg-type]
        pass


class _Later:
    """A source that is added inside of a replacement, as an extension does when its application is made there."""

    def __init__(self, url: str) -> None:
        self._aliases = registry.Aliases({"default": ClusterConfig.of(url), "other": ClusterConfig.of(url)})
        self.close = self._aliases.close

    def find(self, alias: str) -> Cluster | None:
        return self._aliases.get(alias)

    def hint(self, alias: str) -> str:
        return "Ask later."


def test_the_innermost_replacement_has_priority_over_later_sources() -> None:
    def seeds(alias: str = "default") -> tuple[str, ...]:
        return pynamodb_alternator.get_cluster(alias).config.seeds

    first, second = _Later("http://192.0.2.1"), _Later("http://192.0.2.2")
    try:
        with registry.replaced(default="http://192.0.2.11", other="http://192.0.2.12"):
            registry.add_source(first)
            assert (seeds(), seeds("other")) == (("192.0.2.11",), ("192.0.2.12",))
            with registry.replaced(default="http://192.0.2.21"):
                registry.add_source(second)
                pynamodb_alternator.configure(default="http://192.0.2.3")
                assert (seeds(), seeds("other")) == (("192.0.2.21",), ("192.0.2.12",))
                pynamodb_alternator.close_all()
                assert (seeds(), seeds("other")) == (("192.0.2.21",), ("192.0.2.12",))
                with pytest.raises(ConfigurationError, match="Ask later"):
                    pynamodb_alternator.get_cluster("unknown")
            assert (seeds(), seeds("other")) == (("192.0.2.11",), ("192.0.2.12",))
        assert (seeds(), seeds("other")) == (("192.0.2.2",), ("192.0.2.2",))
    finally:
        for source in (first, second):
            registry.remove_source(source)
            source.close()


def test_a_connection_notices_a_replacement_where_there_is_no_other_source() -> None:
    pynamodb_alternator.configure(default="http://192.0.2.1")
    connection = AlternatorConnection()
    outside = connection.cluster
    with registry.replaced(default="http://192.0.2.11"):
        inside = connection.cluster
        assert inside.config.seeds == ("192.0.2.11",)
        assert registry.is_replacement(inside)
    assert connection.cluster.config == outside.config
    assert registry.is_replacement(inside)
    assert not registry.is_replacement(connection.cluster)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with a model, which is not imported yet."""
    (tmp_path / "fl_shop.py").write_text(
        "from pynamodb.attributes import NumberAttribute\n"
        "from pynamodb_alternator import Model\n"
        "class Item(Model):\n"
        "    class Meta:\n"
        "        table_name = 'fl-items'\n"
        "    number = NumberAttribute(hash_key=True)\n"
        "def f(): return Item.count()\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "fl_shop"
    sys.modules.pop("fl_shop", None)
    gc.collect()  # the model, which the package knows as a subclass


def test_an_application_does_not_load_the_check_of_models() -> None:
    out = run_python(
        "import pynamodb_alternator.contrib.flask, pynamodb_alternator.shell.cli\n"
        "print([name for name in sys.modules if 'diagnostics.models' in name or 'model_check' in name])"
    )
    assert out == "[]\n"


def test_the_check_of_models(app: Flask, shop: str) -> None:
    def check(*arguments: str) -> tuple[int, str]:
        done = app.test_cli_runner().invoke(args=["alternator", "check", *arguments])
        return done.exit_code, done.output

    status, out = check("--models", shop)
    assert status == 0
    assert "fl_shop.Item" in out
    assert "Add --cluster ALIAS to compare them." in " ".join(out.split())
    status, out = check("--models", shop, "--cluster", "default", "--fail-level", "warning", "--format", "json")
    document = json.loads(out)
    assert status == 1
    assert [finding["id"] for finding in document["findings"]] == ["table-missing", "number-key", "count"]
    status, out = check("--models", shop, "--ignore", "number-key", "--ignore", "count:fl_shop", "--fail-level", "note")
    assert (status, "2 ignored" in out) == (0, True)
    status, out = check("--models", "fl_shops")
    assert status == 2
    assert "Did you mean 'fl_shop'?" in out
    status, out = check("--ignore", "count")
    assert status == 2
    assert "--ignore is for the check of models. Add --models." in out


# ---- errors as answers -------------------------------------------------------------------------------------------


@pytest.fixture
def handled(local: LocalCluster) -> Flask:
    app = make_app(ALTERNATOR_URL=f"{local.url}/?connect_timeout=0.5&max_attempts=2")
    add_error_handlers(app)

    @app.put("/<name>")
    def add(name: str) -> Any:
        User(name).save(User.name.does_not_exist())
        return "", 204

    @app.get("/group/<name>")
    def several(name: str) -> Any:
        try:
            User.get(name)
        except User.DoesNotExist:
            return "", 404
        except Exception as error:
            raise ExceptionGroup("several tasks", [error, *([ValueError()] if name == "bob" else [])]) from error
        return "", 204

    with app.app_context():
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    return app


def cut_off(app: Flask, local: LocalCluster) -> None:
    for node in local.nodes:
        node.kill()
    with app.app_context():
        # An idle connection that breaks leaves it open whether the node saw the request.
        pynamodb_alternator.get_cluster().core.all_pools.keep_only(())


def test_503_where_no_node_can_have_seen_the_request(
    handled: Flask, local: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    client = handled.test_client()
    assert client.post("/alice").status_code == 204
    cut_off(handled, local)
    caplog.clear()
    for answer in (client.post("/alice"), client.get("/group/alice")):
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
        assert answer.json is not None
        assert answer.json["code"] == "database_unavailable"
        assert "127.0.0" not in answer.text
    said = [record.getMessage() for record in caplog.records if record.name == "pynamodb_alternator.flask"]
    assert said[0].startswith("POST /alice is answered with 503: ")
    assert "127.0.0" in said[0]
    assert client.get("/group/bob").status_code == 500


def test_504_where_the_outcome_is_open(handled: Flask, local: LocalCluster) -> None:
    client = handled.test_client()
    assert client.post("/alice").status_code == 204
    for node in local.nodes:
        node.drop_request(None, operation="UpdateItem")
    answer = client.post("/alice")
    assert (answer.status_code, "Retry-After" in answer.headers) == (504, False)
    assert answer.json is not None
    assert answer.json["code"] == "outcome_unknown"


def test_other_errors_go_on_as_before(handled: Flask) -> None:
    client = handled.test_client()
    assert client.put("/alice").status_code == 204
    assert client.put("/alice").status_code == 500
    handled.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(PutError, match="conditional request failed"):
        client.put("/alice")


def test_a_handler_of_yours_wins(handled: Flask) -> None:
    @handled.errorhandler(PutError)
    def refused(error: PutError) -> Any:
        return str(error.cause_response_code), 409

    client = handled.test_client()
    assert client.put("/alice").status_code == 204
    answer = client.put("/alice")
    assert (answer.status_code, answer.text) == (409, "ConditionalCheckFailedException")


@pytest.mark.parametrize("handles", [PutError, Exception])
@pytest.mark.parametrize("ours_of", ["application", "blueprint"])
def test_a_handler_of_yours_gets_all_other_errors(local: LocalCluster, ours_of: str, handles: type[Exception]) -> None:
    """As if the handlers of this library were not there, also those of a blueprint, which Flask asks first."""
    app = make_app(ALTERNATOR_URL=f"{local.url}/?connect_timeout=0.5&max_attempts=2")
    api = Blueprint("api", __name__)
    add_error_handlers(app if ours_of == "application" else api)

    @api.put("/users/<name>")
    def add(name: str) -> Any:
        User(name).save(User.name.does_not_exist())
        return "", 204

    @app.errorhandler(handles)
    def refused(error: Exception) -> Any:
        return type(error).__name__, 409

    app.register_blueprint(api)
    with app.app_context():
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    client = app.test_client()
    assert client.put("/users/alice").status_code == 204
    answer = client.put("/users/alice")
    assert (answer.status_code, answer.text) == (409, "PutError")
    cut_off(app, local)
    assert client.put("/users/bob").status_code == (409 if ours_of == "application" and handles is PutError else 503)


def test_the_views_of_a_blueprint_alone(local: LocalCluster) -> None:
    app = make_app(ALTERNATOR_URL=f"{local.url}/?connect_timeout=0.5&max_attempts=2", PROPAGATE_EXCEPTIONS=True)
    api = Blueprint("api", __name__)
    add_error_handlers(api)

    @api.get("/users/<name>")
    def user(name: str) -> Any:
        return jsonify(visits=int(User.get(name).visits))

    app.register_blueprint(api, url_prefix="/api")
    cut_off(app, local)
    assert app.test_client().get("/api/users/alice").status_code == 503
    with pytest.raises(UpdateError):
        app.test_client().post("/alice")


def test_error_handlers_of_what_is_no_application() -> None:
    with pytest.raises(ConfigurationError, match=r"takes a Flask application, or a Blueprint .* \(got Alternator\)"):
        add_error_handlers(Alternator())  # type: ignore[arg-type]
