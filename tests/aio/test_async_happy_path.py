"""Which calls of an event loop take the happy path, and what it hands over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import pytest
from aiobotocore.client import AioBaseClient

from pynamodb_alternator import Timeouts, signals
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.aio.happy_path import AsyncHappyPath
from pynamodb_alternator.errors import NodeUnreachableError, OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster

from .support import CREATE, KEY, TABLE
from .support import run as run_in_loop


async def is_happy(client: Any) -> bool:
    """Whether a call takes the happy path, and stays on it."""
    path = client._endpoint._async_happy_path
    before, handed_over, called = path._hand_over, [], []
    original = AsyncHappyPath.__call__

    def hand_over(*of_request: Any) -> Any:
        handed_over.append(of_request)
        return before(*of_request)

    def call(self: AsyncHappyPath, *of_request: Any) -> Any:
        called.append(True)
        return original(self, *of_request)

    path._hand_over = hand_over
    try:
        with mock.patch.object(AsyncHappyPath, "__call__", call):
            await client.get_item(TableName=TABLE, Key=KEY)
    finally:
        path._hand_over = before
    return bool(called) and not handed_over


def run(local: LocalCluster, act: Callable[[AsyncCluster, Any], Any]) -> None:
    async def main() -> None:
        async with AsyncCluster(local.url) as cluster:
            client = await cluster.client()
            await client.create_table(**CREATE)
            await client.put_item(TableName=TABLE, Item=KEY)
            await act(cluster, client)

    run_in_loop(main)


async def as_it_was(self: Any, *args: Any) -> Any:
    return await original_call(self, *args)


original_call = AioBaseClient._make_api_call


@contextmanager
def listening(client: Any, event: str) -> Iterator[None]:
    def ignore(**_: Any) -> None:
        return None

    client.meta.events.register(event, ignore)
    yield
    client.meta.events.unregister(event, ignore)


TOOLS: dict[str, Callable[[AsyncCluster, Any], AbstractContextManager[Any]]] = {
    "a wrapper": lambda cluster, client: mock.patch.object(AioBaseClient, "_make_api_call", as_it_was),
    "a mock": lambda cluster, client: mock.patch.object(
        AioBaseClient, "_make_api_call", mock.AsyncMock(return_value={})
    ),
    "a method of the client": lambda cluster, client: mock.patch.object(client, "_make_request", client._make_request),
    "before-call": lambda cluster, client: listening(client, "before-call.dynamodb"),
    "after-call": lambda cluster, client: listening(client, "after-call.dynamodb"),
    "before-send": lambda cluster, client: listening(client, "before-send.dynamodb"),
    "compression": lambda cluster, client: cluster.options(response_compression=True),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_that_come_and_go(tool: str, local: LocalCluster) -> None:
    async def act(cluster: AsyncCluster, client: Any) -> None:
        assert await is_happy(client)
        for _ in range(2):
            with TOOLS[tool](cluster, client):
                assert not await is_happy(client)
            assert await is_happy(client)

    run(local, act)


def test_what_is_ordinary(local: LocalCluster) -> None:
    async def act(cluster: AsyncCluster, client: Any) -> None:
        with cluster.options(timeouts=Timeouts(read=3, total=5)):
            assert await is_happy(client)
        heard: list[str] = []

        def receive(sender: Any, event: Any, **_: Any) -> None:
            if event.operation == "GetItem":  # and not a question of the library's own
                heard.append(event.node)

        with signals.request_completed.connected_to(receive), signals.request_routed.connected_to(receive):
            assert await is_happy(client)
        assert len(heard) == 2
        assert len(set(heard)) == 1

    run(local, act)


def test_trouble_goes_on_from_the_attempt_that_has_begun(local: LocalCluster) -> None:
    async def act(cluster: AsyncCluster, client: Any) -> None:
        for node in local.nodes:
            node.forget()
        local[0].fail_with("InternalServerError", operation=("GetItem", "UpdateItem"))
        for _ in range(6):
            assert (await client.get_item(TableName=TABLE, Key=KEY))["Item"] == KEY
        failed = sum(request.operation == "GetItem" for request in local[0].requests)
        served = sum(request.operation == "GetItem" for node in local.nodes for request in node.requests)
        assert served == 6 + failed
        for node in local.nodes:
            node.fail_with("InternalServerError", operation="UpdateItem")
        update = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
        with pytest.raises(OutcomeUnknownError):
            await client.update_item(TableName=TABLE, Key=KEY, **update)
        for node in local.nodes:
            node.kill()
        with pytest.raises(NodeUnreachableError) as caught:
            await client.get_item(TableName=TABLE, Key=KEY)
        # A probe may have found a node to be down before.
        assert 1 <= len(caught.value.nodes_tried) <= 3

    run(local, act)


def test_a_task_that_is_cancelled_loses_no_connection(local: LocalCluster) -> None:
    async def act(cluster: AsyncCluster, client: Any) -> None:
        for node in local.nodes:
            node.delay(5, operation="GetItem")
        tasks = [asyncio.create_task(client.get_item(TableName=TABLE, Key=KEY)) for _ in range(20)]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
        for node in local.nodes:
            node.clear_faults()
        for _ in range(10):
            await client.get_item(TableName=TABLE, Key=KEY)
        assert all(stats.connections_in_use == 0 for stats in cluster.stats().values())

    run(local, act)


def test_a_connection_that_ends_before_it_is_ready_is_a_failed_attempt(
    local: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio knows no peer of a socket that was reset between accept and the first look."""

    async def act(cluster: AsyncCluster, client: Any) -> None:
        original = asyncio.selector_events._SelectorSocketTransport.get_extra_info
        asked: list[str] = []

        def get_extra_info(self: Any, name: str, default: Any = None) -> Any:
            if name == "peername" and not asked:
                asked.append(name)
                return None
            return original(self, name, default)

        for node in local.nodes:
            node.close_idle_connections()
        await asyncio.sleep(0.1)
        with monkeypatch.context() as patched:
            patched.setattr(asyncio.selector_events._SelectorSocketTransport, "get_extra_info", get_extra_info)
            answers = [await client.get_item(TableName=TABLE, Key=KEY) for _ in range(3)]
        assert asked == ["peername"]
        assert all(answer["Item"] == KEY for answer in answers)

    run(local, act)
