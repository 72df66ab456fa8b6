"""FastAPI on a real uvicorn, with requests at once, and nodes that die and freeze meanwhile."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")
pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'pynamodb-alternator[fastapi]'")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse

import pynamodb_alternator
from pynamodb_alternator import registry
from pynamodb_alternator.contrib.fastapi import add_exception_handlers, alternator_lifespan
from pynamodb_alternator.local import LocalCluster

from ..chaos.support import until
from .conftest import User
from .serving import PATIENCE, served
from .support import ROOT


def shop(url: str) -> FastAPI:
    app = FastAPI(lifespan=alternator_lifespan(url, create_tables=[User], connect=True))
    add_exception_handlers(app)

    @app.get("/users/{name}")
    async def read(name: str) -> dict[str, Any]:
        return {"name": (await User.aio.get(name)).name}

    @app.get("/in-a-thread/{name}")
    def read_in_a_thread(name: str) -> dict[str, Any]:
        return {"name": User.get(name).name}

    @app.get("/all")
    async def read_all() -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async with aclosing(User.aio.scan(page_size=3, prefetch=1)) as users:
                async for user in users:
                    yield f"{user.name:>2000}\n"

        return StreamingResponse(lines())

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
                answers += [future.result() for future in asked]
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


def test_the_application_runs_together_with_threads_of_the_process(local: LocalCluster) -> None:
    """The aliases hold in all threads while the application runs, and in event loops of others."""
    with served(shop(local.url)):
        User("a").save()
        assert asyncio.run(User.aio.get("a")).name == "a"


def test_an_answer_that_is_streamed_page_by_page(local: LocalCluster) -> None:
    with served(shop(local.url)) as url, httpx.Client(base_url=url, timeout=60) as browser:
        for number in range(40):
            User(str(number)).save()
        names = browser.get("/all").text.split()
        assert sorted(map(int, names)) == list(range(40))
        for _ in range(5):  # the browser goes away in the middle
            with browser.stream("GET", "/all") as answer:
                next(answer.iter_lines())
        assert len(browser.get("/all").text.split()) == 40
        cluster = pynamodb_alternator.get_cluster()
    assert sum(stats.connections_open for stats in cluster.stats().values()) == 0


PROGRAM = """
import asyncio, os
from fastapi import FastAPI
from pynamodb.attributes import UnicodeAttribute
from pynamodb_alternator import Model
from pynamodb_alternator.contrib.fastapi import alternator_lifespan

class User(Model):
    class Meta:
        table_name = "users"
    name = UnicodeAttribute(hash_key=True)

app = FastAPI(lifespan=alternator_lifespan(lambda: os.environ["CLUSTER"]))

@app.get("/users/{name}")
async def read(name: str) -> int:
    await User.aio.get(name)
    await asyncio.gather(*(User.aio.get(name) for _ in range(20)))
    return os.getpid()
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_processes_of_uvicorn_end_without_a_word(local: LocalCluster, tmp_path: Path, workers: str) -> None:
    (tmp_path / "a_shop.py").write_text(PROGRAM)
    with registry.replaced(default=local.url):
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        User("alice").save()
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    # The process that has several workers leaves its own listening socket open.
    warnings = ["-W", "error::ResourceWarning"] if workers == "1" else []
    command = [sys.executable, *warnings, "-m", "uvicorn", "a_shop:app", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--workers", workers, "--log-level", "warning"],
        cwd=tmp_path,
        env={**os.environ, "CLUSTER": local.url, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            wait_for_the_server(f"http://127.0.0.1:{port}/docs", server)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as browser:
                for _ in range(10):
                    assert browser.get("/users/alice").status_code == 200
        finally:
            server.terminate()
        _, said = server.communicate(timeout=60)
    assert said == ""
    until_no_connection_is_open(local)


def wait_for_the_server(url: str, server: subprocess.Popen[str]) -> None:
    def answers() -> bool:
        assert server.poll() is None, server.communicate()[1]
        try:
            httpx.get(url, timeout=PATIENCE)
        except httpx.TransportError:
            return False
        return True

    until(answers, "uvicorn answers", timeout=2 * PATIENCE)  # it imports everything


def until_no_connection_is_open(local: LocalCluster) -> None:
    until(lambda: not any(node.open_connections for node in local.nodes), "no connection is open", timeout=PATIENCE)
