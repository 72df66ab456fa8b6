"""A transaction through the client of an event loop."""

from __future__ import annotations

import asyncio

import pytest
from botocore.exceptions import ClientError

from pynamodb_alternator import AsyncCluster
from pynamodb_alternator.local import LocalCluster
from tests.e2e.test_transactions import INSTEAD, READ, WRITE


@pytest.mark.parametrize(("method", "request_"), [("transact_write_items", WRITE), ("transact_get_items", READ)])
def test_the_error_says_what_to_use_instead(local: LocalCluster, method: str, request_: object) -> None:
    async def call() -> None:
        async with AsyncCluster(local.url) as cluster:
            await getattr(await cluster.client(), method)(**request_)

    with pytest.raises(ClientError) as caught:
        asyncio.run(call())
    assert all(words in str(caught.value) for words in INSTEAD[method])
