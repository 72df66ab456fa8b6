"""The health of clusters: the rule, and the same answer in Flask, Django and FastAPI."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import django
import pytest
from django.test import Client, RequestFactory, override_settings
from flask import Flask

import pynamodb_alternator
from pynamodb_alternator import registry
from pynamodb_alternator.contrib._health import Look, health_of
from pynamodb_alternator.contrib.flask import Alternator
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.node_info import NodeInfo

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contrib.django_project.settings")
django.setup()

from pynamodb_alternator.contrib.django.conf import source  # noqa: E402
from pynamodb_alternator.contrib.django.views import healthz as django_healthz  # noqa: E402

registry.remove_source(source)  # for the other tests of this process

PATIENCE = 30.0


def node(number: int, state: State = State.ACTIVE, *, in_scope: bool = True, aside: float | None = None) -> NodeInfo:
    return NodeInfo(f"10.0.0.{number}:8000", state, None, None, in_scope, 0, None, None, aside)


UP, DOWN, ON_TRIAL = node(1), node(2, State.DOWN), node(3, State.QUARANTINED)
AWAY, AWAY_DOWN = node(4, in_scope=False), node(5, State.DOWN, in_scope=False)
ASIDE = node(6, aside=5.0)

RULE = [
    ("all are active", Look([UP, AWAY], True, 0), "ok"),
    ("one is down", Look([UP, DOWN], True, 0), "degraded"),
    ("one is on trial", Look([UP, ON_TRIAL], True, 0), "degraded"),
    ("one is set aside", Look([UP, ASIDE], True, 0), "degraded"),
    ("one outside of the scope is down", Look([UP, AWAY_DOWN], True, 0), "degraded"),
    ("the node list cannot be read now", Look([UP], True, 2), "degraded"),
    ("the node list was never read, and a node has answered", Look([UP], False, 3), "degraded"),
    ("all on trial", Look([ON_TRIAL], True, 0), "degraded"),
    ("no node", Look([], True, 0), "unavailable"),
    ("all are down", Look([DOWN], True, 1), "unavailable"),
    ("all of the scope are down", Look([DOWN, AWAY], True, 0), "unavailable"),
    ("the node list was never read, and no node has answered", Look([ON_TRIAL], False, 1), "unavailable"),
]


@pytest.mark.parametrize(("look", "status"), [rule[1:] for rule in RULE], ids=[rule[0] for rule in RULE])
def test_the_nodes_decide_the_status(look: Look, status: str) -> None:
    health = health_of({"default": look})
    assert health.body["status"] == health.body["clusters"]["default"]["status"] == status
    assert health.status == (503 if status == "unavailable" else 200)


def test_the_worst_cluster_is_the_status_of_all() -> None:
    looks = {
        "default": Look([UP, DOWN, ASIDE], True, 0),
        "analytics": Look([DOWN], True, 0),
        "third": Look([UP], True, 0),
    }
    assert health_of(looks) == (
        503,
        {
            "status": "unavailable",
            "clusters": {
                "default": {"status": "degraded", "nodes": {"active": 1, "quarantined": 0, "set_aside": 1, "down": 1}},
                "analytics": {
                    "status": "unavailable",
                    "nodes": {"active": 0, "quarantined": 0, "set_aside": 0, "down": 1},
                },
                "third": {"status": "ok", "nodes": {"active": 1, "quarantined": 0, "set_aside": 0, "down": 0}},
            },
        },
    )


# ---- in the frameworks -------------------------------------------------------------------------------------------

Ask = Callable[[], tuple[int, Any]]
"""Asks an application: the status, and the JSON."""


def until_all_are_active(ask: Ask) -> None:
    wait_for(ask, lambda status, body: body["status"] == "ok")


def wait_for(ask: Ask, condition: Callable[[int, Any], bool]) -> Any:
    end = time.monotonic() + PATIENCE
    while not condition(*(answer := ask())):
        assert time.monotonic() < end, answer
        time.sleep(0.02)
    return answer[1]


def follows_the_nodes(ask: Ask, local: LocalCluster) -> None:
    """The answers of an application whose only cluster, under the alias ``default``, is `local`."""
    until_all_are_active(ask)
    assert ask() == (
        200,
        {
            "status": "ok",
            "clusters": {
                "default": {"status": "ok", "nodes": {"active": 3, "quarantined": 0, "set_aside": 0, "down": 0}}
            },
        },
    )
    assert [node.requests for node in local.nodes] == [[], [], []]
    for node in local.nodes:
        node.kill(still_listed=True)
        pynamodb_alternator.get_cluster().refresh()
    body = wait_for(ask, lambda status, body: status == 503)
    assert body["clusters"]["default"]["nodes"]["down"] == 3


def test_flask_answers_a_health_check(local: LocalCluster) -> None:
    app = Flask("shop")
    app.config["ALTERNATOR_URL"] = f"{local.url}/?read_timeout=5"
    alternator = Alternator(app)
    app.add_url_rule("/healthz", view_func=alternator.health, endpoint="healthz")

    def ask() -> tuple[int, Any]:
        answer = app.test_client().get("/healthz")
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status_code, answer.json

    with app.app_context():
        follows_the_nodes(ask, local)
        with pytest.raises(ConfigurationError, match="'analytics'"):
            alternator.health("analytics")


def test_flask_with_several_clusters(local: LocalCluster) -> None:
    app = Flask("shop")
    app.config["ALTERNATOR_CLUSTERS"] = {"default": local.url, "analytics": local.url}
    alternator = Alternator(app)
    with app.app_context():
        assert list(alternator.health()[0]["clusters"]) == ["default", "analytics"]
        assert list(alternator.health("analytics")[0]["clusters"]) == ["analytics"]


def test_django_answers_a_health_check(local: LocalCluster) -> None:
    registry.add_source(source)

    def ask() -> tuple[int, Any]:
        answer = Client().get("/healthz")
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status_code, answer.json()

    with override_settings(ALTERNATOR={"default": {"URL": local.url}}):
        follows_the_nodes(ask, local)
    with override_settings(ALTERNATOR={"default": local.url, "analytics": local.url}):
        request = RequestFactory().get("/healthz")
        assert b'"analytics"' in django_healthz(request).content
        assert b'"default"' not in django_healthz(request, aliases=["analytics"]).content


def test_fastapi_answers_a_health_check(local: LocalCluster) -> None:
    pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")
    fastapi = pytest.importorskip("fastapi", reason="FastAPI is not installed")
    pytest.importorskip("httpx", reason="httpx is not installed")
    from pynamodb_alternator.contrib.fastapi import alternator_lifespan, healthz, healthz_of

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient

    def shop(clusters: Any) -> Any:
        app = fastapi.FastAPI(lifespan=alternator_lifespan(clusters))
        app.add_api_route("/healthz", healthz)
        app.add_api_route("/health-of-one", healthz_of("analytics"))
        return app

    def ask() -> tuple[int, Any]:
        answer = browser.get("/healthz")
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status_code, answer.json()

    with TestClient(shop({"default": local.url, "analytics": local.url})) as browser:
        assert list(browser.get("/healthz").json()["clusters"]) == ["default", "analytics"]
        assert list(browser.get("/health-of-one").json()["clusters"]) == ["analytics"]
    with TestClient(shop(local.url)) as browser:
        follows_the_nodes(ask, local)
        with pytest.raises(ConfigurationError, match="'analytics'"):
            browser.get("/health-of-one")


def test_a_cluster_that_was_never_reached(local: LocalCluster) -> None:
    for node in local.nodes:
        node.kill()
    app = Flask("shop")
    app.config["ALTERNATOR_URL"] = local.url
    alternator = Alternator(app)
    with app.app_context():
        body, status, _ = alternator.health()
    assert (status, body["status"]) == (503, "unavailable")
