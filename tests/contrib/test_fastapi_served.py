"""FastAPI on a real uvicorn, with requests at once, and nodes that die and freeze meanwhile."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")
pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'pynamodb-alternator[fastapi]'")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx
from fastapi import BackgroundTasks, FastAPI

import pynamodb_alternator
from pynamodb_alternator.contrib.fastapi import add_exception_handlers, alternator_lifespan
from pynamodb_alternator.local import LocalCluster

from .conftest import User
from .serving import served


def shop(url: str) -> FastAPI:
    app = FastAPI(lifespan=alternator_lifespan(url, create_tables=[User], connect=True))
    add_exception_handlers(app)

    @app.get("/users/{name}")
    async def read(name: str) -> dict[str, Any]:
        return {"name": (await User.aio.get(name)).name}

    @app.get("/in-a-thread/{name}")
    def read_in_a_thread(name: str) -> dict[str, Any]:
        return {"name": User.get(name).name}

    @app.put("/users/{name}")
    async def write(name: str, later: BackgroundTasks) -> None:
        await User(name).aio.save()
        later.add_task(count, name)

    return app


async def count(name: str) -> None:
    await User(name).aio.update([User.visits.add(1)])


def test_requests_at_once_while_nodes_die_and_freeze(local: LocalCluster) -> None:
    with served(shop(f"{local.url}/?read_timeout=5")) as url, httpx.Client(base_url=url, timeout=60) as browser:
        for number in range(10):
            assert browser.put(f"/users/{number}").status_code == 200

        def read(number: int) -> int:
            path = "in-a-thread" if number % 2 else "users"
            return browser.get(f"/{path}/{number % 10}").status_code

        with ThreadPoolExecutor(8) as threads:
            answers = []
            for fault in (lambda: None, local.nodes[0].kill, local.nodes[1].hang):
                asked = [threads.submit(read, number) for number in range(60)]
                fault()
                answers += [one.result() for one in asked]
        assert set(answers) == {200}
        local.nodes[1].resume()
        cluster = pynamodb_alternator.get_cluster()
        assert {User.get(str(number)).visits for number in range(10)} == {1}  # by the background tasks
    assert cluster.closed
    assert sum(stats.connections_open for stats in cluster.stats().values()) == 0


def test_the_application_may_be_served_again(local: LocalCluster) -> None:
    app = shop(local.url)
    for number in range(2):
        with served(app) as url, httpx.Client(base_url=url, timeout=60) as browser:
            assert browser.put(f"/users/{number}").status_code == 200
            assert browser.get("/users/0").json() == {"name": "0"}


def test_beside_ordinary_code_of_the_process(local: LocalCluster) -> None:
    """The aliases hold in all threads while the application runs, and in event loops of others."""
    with served(shop(local.url)):
        User("a").save()
        assert asyncio.run(User.aio.get("a")).name == "a"
