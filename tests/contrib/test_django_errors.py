"""What Django answers when a view's request to the cluster has failed: 503, 504, or as before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

import pynamodb_alternator
from pynamodb_alternator import registry
from pynamodb_alternator.errors import NoNodesAvailableError
from pynamodb_alternator.local import LocalCluster

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contrib.django_project.settings")
django.setup()

from pynamodb_alternator.contrib.django.conf import source  # noqa: E402

registry.remove_source(source)  # for the other tests of this process

from .django_project.shop import views  # noqa: E402
from .django_project.shop.models import Visitor  # noqa: E402

MIDDLEWARE = ["pynamodb_alternator.contrib.django.middleware.AlternatorErrorMiddleware"]


def add(request: HttpRequest, name: str) -> HttpResponse:
    Visitor(name, visits=1).save(Visitor.name.does_not_exist())
    return HttpResponse(status=204)


async def several(request: HttpRequest, name: str) -> HttpResponse:
    async def fail() -> None:
        raise NoNodesAvailableError("no node") if name == "alice" else ValueError

    async with asyncio.TaskGroup() as group:
        group.create_task(Visitor.aio.get("alice"))
        group.create_task(fail())
    return HttpResponse(status=204)


urlpatterns = [
    path("visit/<name>", views.visit),
    path("avisit/<name>", views.avisit),
    path("add/<name>", add),
    path("several/<name>", several),
]


class Answered:
    def __init__(self, answer: Any) -> None:
        self.status: int = answer.status_code
        self.retry_after: str | None = answer.headers.get("Retry-After")
        self.text: str = answer.content.decode()
        self.code: str | None = answer.json()["code"] if self.status in (503, 504) else None


def under_wsgi(url: str) -> Answered:
    return Answered(Client(raise_request_exception=False).get(url))


def under_asgi(url: str) -> Answered:
    return Answered(asyncio.run(AsyncClient(raise_request_exception=False).get(url)))


Browser = Callable[[str], Answered]


@pytest.fixture(params=[under_wsgi, under_asgi])
def get(request: pytest.FixtureRequest) -> Browser:
    browser: Browser = request.param
    return browser


@pytest.fixture(autouse=True)
def project(local: LocalCluster) -> Iterator[None]:
    """The project with the middleware, on a cluster with a table and one visit of alice."""
    registry.add_source(source)
    cluster = {"URL": local.url, "TIMEOUTS": {"CONNECT": 0.5}, "RETRIES": {"MAX_ATTEMPTS": 2}}
    with override_settings(ALTERNATOR={"default": cluster}, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=__name__):
        Visitor.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        Visitor("alice", visits=1).save()
        yield


def cut_off(local: LocalCluster) -> None:
    for node in local.nodes:
        node.kill()
    # An idle connection that breaks leaves it open whether the node saw the request.
    pynamodb_alternator.get_cluster().core.all_pools.keep_only(())


def views_with_extra() -> list[str]:
    """The paths of an ordinary view, and of an asynchronous one where the extra is installed."""
    try:
        import aiobotocore  # noqa: F401
    except ImportError:
        return ["/visit/alice"]
    return ["/visit/alice", "/avisit/alice"]


@pytest.mark.parametrize("url", views_with_extra())
def test_503_where_no_node_can_have_seen_the_request(
    get: Browser, local: LocalCluster, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert get(url).status == 200
    cut_off(local)
    caplog.clear()
    answer = get(url)
    assert (answer.status, answer.retry_after, answer.code) == (503, "1", "database_unavailable")
    assert "127.0.0" not in answer.text
    (said,) = [record.getMessage() for record in caplog.records if record.name == "pynamodb_alternator.django"]
    assert said.startswith(f"GET {url} is answered with 503: ")
    assert "127.0.0" in said


@pytest.mark.parametrize("url", views_with_extra())
def test_504_where_the_outcome_is_open(get: Browser, local: LocalCluster, url: str) -> None:
    for node in local.nodes:
        node.drop_request(None, operation="UpdateItem")
    answer = get(url)
    assert (answer.status, answer.retry_after, answer.code) == (504, None, "outcome_unknown")


def test_other_errors_go_on_as_before(get: Browser) -> None:
    assert get("/add/alice").status == 500
    assert get("/add/bob").status == 204
    assert get("/nowhere").status == 404


def test_errors_of_several_tasks(get: Browser, local: LocalCluster) -> None:
    pytest.importorskip("aiobotocore")
    cut_off(local)
    assert get("/several/alice").status == 503
    assert get("/several/bob").status == 500
