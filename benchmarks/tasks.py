"""Gets by tasks of an event loop: with our client, aiobotocore and pydynox, and with our models."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

import pynamodb_alternator
from pynamodb_alternator import AsyncCluster

from . import rust_orm
from .contenders import our_cluster
from .models import ACCESS, REGION, SECRET, make_model
from .node import TABLE

__all__ = ["IN_THREADS", "MODELS", "OURS", "RUST", "STOCK", "TASKS", "Batch", "batches", "model_batches", "operations"]

OURS, STOCK, RUST = "our async client", "aiobotocore, stock", "pydynox, async model"
MODELS = "our models, in an event loop"
IN_THREADS = "our models, by asyncio.to_thread"
TASKS = (1, 100, 1000)
"""The numbers of tasks that run at once."""
_CONNECTIONS = 50
"""The connections of each client to a node: our default."""

Get = Callable[[], Awaitable[Any]]
Batch = Callable[[int], Any]
"""Runs so many tasks until each has made its gets: `operations` of them in all."""


def operations(tasks: int) -> int:
    """How many gets a batch has."""
    return tasks * _gets(tasks)


def _gets(tasks: int) -> int:
    return max(1, 600 // tasks)


@contextlib.contextmanager
def batches(port: int) -> Iterator[dict[str, Batch]]:
    """A batch of gets by each contender, all in one event loop."""
    loop = asyncio.new_event_loop()
    with contextlib.closing(loop), our_cluster(port, tables=(TABLE,)) as cluster:
        stack = loop.run_until_complete(_stack())
        try:
            gets = loop.run_until_complete(_all_gets(stack, port, cluster))
            yield {name: _batch(loop, get) for name, get in gets.items()}
        finally:
            loop.run_until_complete(stack.aclose())


@contextlib.contextmanager
def model_batches(cluster: Any) -> Iterator[dict[str, Batch]]:
    """Batches of our models, of a client, and of our models in the threads of the event loop."""
    loop, beside = asyncio.new_event_loop(), AsyncCluster(cluster)
    model = make_model(pynamodb_alternator.Model, TABLE, cluster=cluster)
    with contextlib.closing(loop):
        try:
            client = loop.run_until_complete(beside.client())
            yield {
                MODELS: _batch(loop, lambda: model.aio.get("alice")),
                OURS: _batch(loop, _get(client)),
                IN_THREADS: _batch(loop, lambda: asyncio.to_thread(model.get, "alice")),
            }
        finally:
            loop.run_until_complete(beside.aclose())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())


async def _stack() -> contextlib.AsyncExitStack:
    return contextlib.AsyncExitStack()


async def _all_gets(stack: contextlib.AsyncExitStack, port: int, cluster: Any) -> dict[str, Get]:
    ours = await stack.enter_async_context(AsyncCluster(cluster))
    session = AioSession()
    session.set_credentials(ACCESS, SECRET)
    config = AioConfig(parameter_validation=False, max_pool_connections=_CONNECTIONS)
    made = session.create_client("dynamodb", REGION, endpoint_url=f"http://127.0.0.1:{port}", config=config)
    stock = await stack.enter_async_context(made)
    gets = {STOCK: _get(stock), OURS: _get(await ours.client())}
    if rust_orm.INSTALLED:
        gets[RUST] = rust_orm.async_get(port, ACCESS, SECRET, REGION)
    return gets


def _get(client: Any) -> Get:
    return lambda: client.get_item(TableName=TABLE, Key={"key": {"S": "alice"}})


def _batch(loop: asyncio.AbstractEventLoop, get: Get) -> Batch:
    async def task(gets: int) -> None:
        for _ in range(gets):
            await get()

    async def batch(tasks: int) -> None:
        await asyncio.gather(*(task(_gets(tasks)) for _ in range(tasks)))

    return lambda tasks: loop.run_until_complete(batch(tasks))
