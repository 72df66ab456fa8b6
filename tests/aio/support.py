"""What the tests of the asyncio side share."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

TABLE = "items"
PATIENCE = 20.0
"""Seconds for what takes a moment on an idle machine."""
KEY = {"id": {"S": "k"}}
CREATE = {
    "TableName": TABLE,
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def run(
    main: Callable[[], Coroutine[Any, Any, None]], *, new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> None:
    """Run a test in an event loop of its own, which must end with no task, no transport and no error left."""
    complaints: list[dict[str, Any]] = []

    async def body() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await asyncio.wait_for(main(), 100)  # the suite ends a test after 120 s
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(body())
        gc.collect()
    assert not complaints, complaints
    assert not [
        record for record in warned if "transport" in str(record.message) or "event loop" in str(record.message)
    ], warned


async def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait for the condition, and give its value."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {PATIENCE:g} s: {what or condition}"
        await asyncio.sleep(0.01)
    return value


async def put(client: Any, key: str = "k", value: int = 0) -> None:
    await client.put_item(TableName=TABLE, Item={"id": {"S": key}, "value": {"N": str(value)}})


async def get(client: Any, key: str = "k") -> int | None:
    answer = await client.get_item(TableName=TABLE, Key={"id": {"S": key}}, ConsistentRead=True)
    return int(answer["Item"]["value"]["N"]) if "Item" in answer else None


async def increment(client: Any, key: str = "k") -> None:
    await client.update_item(
        TableName=TABLE,
        Key={"id": {"S": key}},
        UpdateExpression="ADD #v :one",
        ExpressionAttributeNames={"#v": "value"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


async def outcome(awaitable: Awaitable[Any]) -> Any:
    """What it gives, or the error that it raises."""
    try:
        return await awaitable
    except Exception as error:
        return error
