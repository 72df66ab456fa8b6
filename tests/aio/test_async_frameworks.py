"""The examples of docs/async.md, as a user would run them: FastAPI, and an async view of Django."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster

from .support import CREATE, run

DOCS = Path(__file__).parents[2] / "docs" / "async.md"
ROOT = str(DOCS.parents[1])


def example(title: str, local: LocalCluster) -> str:
    """The first Python block under a heading of the page, for the cluster of the test."""
    match = re.search(rf"^## {title}$.*?^```python\n(.*?)^```", DOCS.read_text(), re.S | re.M)
    assert match is not None, title
    return match[1].replace("http://127.0.0.1:8000", local.url)


@pytest.fixture
def items(local: LocalCluster) -> LocalCluster:
    with Cluster(local.url) as cluster:
        cluster.client.create_table(**{**CREATE, "TableName": "orders"})
        cluster.client.put_item(TableName="orders", Item={"id": {"S": "a"}, "total": {"N": "7"}})
    return local


def test_the_example_for_fastapi_runs(items: LocalCluster) -> None:
    pytest.importorskip("fastapi", reason="FastAPI is not installed")
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    scope: dict[str, Any] = {"__name__": "shop"}
    exec(compile(example("FastAPI", items), "shop.py", "exec"), scope)
    app = scope["app"]

    async def main() -> None:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as browser,
        ):
            response = await browser.get("/orders/a")
            assert (response.status_code, response.json()) == (200, {"id": "a", "total": "7"})
            assert (await browser.get("/orders/b")).status_code == 404
            await asyncio.to_thread(items.nodes[0].kill)
            answers = await asyncio.gather(*(browser.get("/orders/a") for _ in range(30)))
            assert {answer.status_code for answer in answers} == {200}

    run(main)


DJANGO = """
import asyncio, sys, types
import django
from django.conf import settings
settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"], SECRET_KEY="test", DATABASES={{}})
django.setup()
from pynamodb_alternator import configure
configure(default={url!r})
views = sys.modules["views"] = types.ModuleType("views")
exec({source!r}, vars(views))
from django.urls import path
urls = sys.modules["urls"] = types.ModuleType("urls")
urls.urlpatterns = [path("orders/<str:order>", views.order)]
from django.test import AsyncClient

async def main():
    browser = AsyncClient()
    found = await browser.get("/orders/a")
    assert (found.status_code, found.json()) == (200, {{"id": "a", "total": "7"}}), found
    assert (await browser.get("/orders/b")).status_code == 404
    answers = await asyncio.gather(*(browser.get("/orders/a") for _ in range(30)))
    assert {{answer.status_code for answer in answers}} == {{200}}

asyncio.run(main())
print("fine")
"""


def test_an_async_view_of_django(items: LocalCluster) -> None:
    """In a process of its own: Django's settings can be made once in each."""
    pytest.importorskip("django", reason="Django is not installed")
    program = DJANGO.format(source=example("Django", items), url=items.url)
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
