"""FastAPI: the lifespan, the dependencies, errors as answers; each with real requests to a cluster."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")
pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'pynamodb-alternator[fastapi]'")
pytest.importorskip("httpx", reason="httpx is not installed")

from fastapi import Depends, FastAPI, HTTPException

from pynamodb_alternator import registry
from pynamodb_alternator.contrib.fastapi import (
    add_exception_handlers,
    alternator_lifespan,
    get_client,
)
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.typing import AsyncDynamoDBClient

from .conftest import User

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer versions would rather have another client than httpx
    from fastapi.testclient import TestClient

Client = Annotated[AsyncDynamoDBClient, Depends(get_client)]


def shop(**options: Any) -> FastAPI:
    app = FastAPI(lifespan=alternator_lifespan(**options) if options else None)
    add_exception_handlers(app)

    @app.get("/users/{name}")
    async def read(name: str) -> dict[str, Any]:
        try:
            user = await User.aio.get(name)
        except User.DoesNotExist:
            raise HTTPException(404) from None
        return {"name": user.name, "visits": user.visits}

    @app.get("/in-a-thread/{name}")
    def read_in_a_thread(name: str) -> dict[str, Any]:
        return {"name": User.get(name).name}

    @app.put("/users/{name}")
    async def write(name: str) -> None:
        await User(name).aio.save()

    @app.post("/users/{name}/visits")
    async def visit(name: str) -> None:
        await User(name).aio.update([User.visits.add(1)])

    @app.get("/tables")
    async def list_tables(client: Client) -> list[str]:
        tables: list[str] = (await client.list_tables())["TableNames"]
        return tables

    return app


@pytest.fixture
def table(local: LocalCluster) -> None:
    with registry.replaced(default=local.url):
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        User("alice").save()


# ---- the lifespan ------------------------------------------------------------------------------------------------


def test_models_and_a_client_while_the_application_runs(local: LocalCluster, table: None) -> None:
    with TestClient(shop(clusters=local.url)) as browser:
        assert browser.get("/users/alice").json() == {"name": "alice", "visits": 0}
        assert browser.get("/users/bob").status_code == 404
        assert browser.get("/in-a-thread/alice").json() == {"name": "alice"}
        assert browser.get("/tables").json() == ["users"]
    with pytest.raises(ConfigurationError, match=r"with TestClient\(app\) as client"):
        User.get("alice")


def test_an_application_starts_more_than_once(local: LocalCluster, table: None) -> None:
    app = shop(clusters=local.url)
    for _ in range(3):
        with TestClient(app) as browser:
            assert browser.get("/users/alice").status_code == 200
