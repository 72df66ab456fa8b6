"""A FastAPI application: the lifespan, the dependencies, and the handlers of errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI

from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.contrib.fastapi import (
    add_exception_handlers,
    alternator_lifespan,
    get_client,
    get_client_of,
    get_cluster,
    get_cluster_of,
    healthz,
    healthz_of,
)
from pynamodb_alternator.typing import AsyncDynamoDBClient

from .models import User


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, str], None]:
    yield {"greeting": "hello"}


app = FastAPI(
    lifespan=alternator_lifespan(
        {"default": "http://10.0.0.1:8000", "analytics": {"seeds": ["10.0.0.2"]}},
        lifespan=lifespan,
        connect=True,
        check=True,
        create_tables=[User],
    )
)
by_url = FastAPI(lifespan=alternator_lifespan("http://10.0.0.1:8000"))
by_function = FastAPI(lifespan=alternator_lifespan(lambda: {"default": "http://10.0.0.1:8000"}))
add_exception_handlers(app)
app.add_api_route("/healthz", healthz)
app.add_api_route("/health-of-one", healthz_of("default"))


async def quickly(cluster: Annotated[AsyncCluster, Depends(get_cluster)]) -> AsyncIterator[None]:
    with cluster.options(timeouts={"total": 0.5}):
        yield


async def read_tables(
    client: Annotated[AsyncDynamoDBClient, Depends(get_client)],
    other: Annotated[AsyncDynamoDBClient, Depends(get_client_of("analytics"))],
    cluster: Annotated[AsyncCluster, Depends(get_cluster_of("analytics"))],
) -> list[str]:
    answer = await client.list_tables()
    await other.list_tables(Limit=1)
    await cluster.refresh()
    return list(answer["TableNames"])


async def names_of_tables() -> list[str]:
    client = await get_client()
    return list((await client.list_tables())["TableNames"])
