"""Asynchronous views of Django, on an embedded cluster: under ASGI, under WSGI, in a real uvicorn, in tests."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from asgiref.sync import async_to_sync
from django.core.asgi import get_asgi_application
from django.test import AsyncClient, AsyncRequestFactory, Client, SimpleTestCase, override_settings

import pynamodb_alternator
from pynamodb_alternator import Cluster, aio, registry
from pynamodb_alternator.errors import BlockedConnectionError
from pynamodb_alternator.local import LocalCluster

from ..chaos.support import until
from .serving import PATIENCE, served

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contrib.django_project.settings")
django.setup()

from pynamodb_alternator.contrib.django.conf import source  # noqa: E402
from pynamodb_alternator.contrib.django.test import AlternatorTestMixin  # noqa: E402

registry.remove_source(source)  # for the other tests of this process

from .django_project.shop import views  # noqa: E402
from .django_project.shop.models import Visitor  # noqa: E402


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[Cluster]:
    """The project's cluster, with a table and one visit of alice."""
    registry.add_source(source)
    with override_settings(ALTERNATOR={"default": {"URL": local.url}}, ALLOWED_HOSTS=["*"]):
        Visitor.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        Visitor("alice", visits=1).save()
        yield pynamodb_alternator.get_cluster()


def open_connections(cluster: Cluster) -> int:
    return sum(stats.connections_open for stats in cluster.stats().values())


def test_async_views_run_under_asgi(cluster: Cluster, local: LocalCluster) -> None:
    async def main() -> None:
        browser = AsyncClient()
        assert (await browser.get("/avisit/alice")).json() == {"visits": 2}
        assert (await browser.get("/alook/alice")).json() == {"visits": 2}
        assert (await browser.get("/visit/alice")).json() == {"visits": 3}  # in a thread
        assert (await browser.get("/mixed/alice")).json() == {"visits": 6}
        local.nodes[1].kill()
        answers = await asyncio.gather(*(browser.get("/alook/alice") for _ in range(30)))
        assert {answer.status_code for answer in answers} == {200}

    before = open_connections(cluster)
    asyncio.run(main())
    assert open_connections(cluster) <= before + 3  # those of the thread in which Django runs ordinary views


def test_a_view_by_itself(cluster: Cluster) -> None:
    async def main() -> None:
        request = AsyncRequestFactory().get("/avisit/alice")
        assert (await views.avisit(request, "alice")).status_code == 200

    asyncio.run(main())


def test_under_wsgi_each_call_has_an_event_loop_and_closes_its_connections(cluster: Cluster) -> None:
    browser = Client()
    assert browser.get("/avisit/alice").json() == {"visits": 2}
    before = open_connections(cluster)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(10):
            assert browser.get("/alook/alice").status_code == 200
            assert browser.get("/mixed/alice").status_code == 200
        gc.collect()
    assert [str(warning.message) for warning in warned] == []
    assert open_connections(cluster) == before


def test_under_wsgi_in_threads(cluster: Cluster) -> None:
    before = open_connections(cluster)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: Client().get("/alook/alice").status_code, range(40)))
    assert set(answers) == {200}
    assert open_connections(cluster) == before


def test_async_to_sync_in_ordinary_code(cluster: Cluster) -> None:
    before = open_connections(cluster)
    for _ in range(3):
        assert async_to_sync(Visitor.aio.get)("alice").visits == 1
    assert open_connections(cluster) == before


class AsyncTests(AlternatorTestMixin, SimpleTestCase):
    """Each of Django's asynchronous tests has an event loop of its own; the mixin's `setUp` runs before it."""

    alternator_models = (Visitor,)

    def setUp(self) -> None:
        super().setUp()
        Visitor("alice", visits=4).save()

    async def test_an_async_view_reads_items_of_the_test(self) -> None:
        self.alternator_cluster.nodes[0].kill()
        answer = await self.async_client.get("/avisit/alice")
        assert answer.json() == {"visits": 5}

    async def test_another_test_finds_empty_tables(self) -> None:
        assert (await Visitor.aio.get("alice")).visits == 4
        answers = await asyncio.gather(*(self.async_client.get("/alook/alice") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert open_connections(aio.get_cluster().cluster) > 0

    async def test_another_cluster_is_refused(self) -> None:
        pynamodb_alternator.configure(analytics="http://192.0.2.1:8000")
        client = await aio.get_client("analytics")
        with pytest.raises(BlockedConnectionError, match="tests with AlternatorTestMixin connect to nothing else"):
            await client.list_tables()


def test_in_a_real_uvicorn(cluster: Cluster, local: LocalCluster) -> None:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    app: Any = get_asgi_application()
    before = open_connections(cluster)
    with served(app, lifespan="off") as url, httpx.Client(base_url=url, timeout=60) as browser:

        def ask(number: int) -> int:
            path = ("alook", "mixed", "alook", "avisit")[number % 4]
            status: int = browser.get(f"/{path}/alice").status_code
            return status

        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(ask, range(40))) == {200}
            asked = [threads.submit(ask, 4 * number) for number in range(40)]
            local.nodes[2].kill()
            assert {answer.result() for answer in asked} == {200}
    assert Visitor.get("alice").visits == 11
    # uvicorn closes its event loop at the end, and with it go its connections; threads keep theirs.
    assert open_connections(cluster) <= before + 3


def test_a_browser_that_goes_away(cluster: Cluster, local: LocalCluster) -> None:
    """Django cancels the view then: the connection of its request is closed, and nothing else is disturbed."""
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    for number in range(30):
        Visitor(f"visitor {number}").save()
    with served(get_asgi_application(), lifespan="off") as url, httpx.Client(base_url=url, timeout=60) as browser:
        assert len(browser.get("/aall").text.splitlines()) == 31
        for _ in range(5):
            with browser.stream("GET", "/aall") as answer:
                next(answer.iter_lines())
        for node in local.nodes:
            node.delay(60.0)
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                browser.get("/alook/alice", timeout=0.5)
        until(lambda: not any(stats.connections_in_use for stats in cluster.stats().values()), timeout=PATIENCE)
        for node in local.nodes:
            node.clear_faults()
        assert browser.get("/alook/alice").json() == {"visits": 1}
