"""Requests that wait in the thread of a running event loop: what `sync_in_loop` says of them."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

import pynamodb_alternator
from pynamodb_alternator import Cluster, aio, configure, get_cluster
from pynamodb_alternator.core.loop_watch import SyncInLoopWarning
from pynamodb_alternator.errors import SyncInLoopError
from pynamodb_alternator.local import LocalCluster

from .models import Member


@pytest.fixture(autouse=True)
def made(local: LocalCluster) -> Iterator[None]:
    configure(default=local.url)
    Member.create_table()
    yield
    pynamodb_alternator.close_all()


async def in_loop(call: Callable[..., Any], *args: Any) -> Any:
    return call(*args)


def warned(call: Callable[[], Any]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        call()
    return complaints


def test_by_default_they_are_made() -> None:
    assert warned(lambda: asyncio.run(in_loop(Member.exists))) == []


def test_a_warning_names_the_line_that_made_the_request(local: LocalCluster) -> None:
    configure(default=f"{local.url}/?sync_in_loop=warn")

    async def main() -> None:
        assert Member.exists()
        get_cluster().client.list_tables()

    complaints = warned(lambda: asyncio.run(main()))
    assert [complaint.category for complaint in complaints] == [SyncInLoopWarning] * 2
    assert [complaint.filename for complaint in complaints] == [__file__] * 2
    assert complaints[1].lineno == complaints[0].lineno + 1
    assert "Write `await User.aio.get(...)`" in str(complaints[0].message)


def test_a_blocking_request_raises_an_error(local: LocalCluster) -> None:
    configure(default={"url": local.url, "sync_in_loop": "error"})

    async def main() -> None:
        with pytest.raises(SyncInLoopError, match="Cluster 'default': a request was made in the thread of a running"):
            Member.get("a")
        with pytest.raises(SyncInLoopError):
            get_cluster().client.list_tables()

    asyncio.run(main())
    assert Member.exists()  # no event loop runs here


def test_requests_that_an_event_loop_awaits_are_allowed(local: LocalCluster) -> None:
    configure(default={"url": local.url, "sync_in_loop": "error"})

    async def main() -> None:
        await Member("a").aio.save()
        assert [user.name async for user in Member.aio.scan(prefetch=1)] == ["a"]
        assert await aio.run(Member.exists)
        assert await asyncio.to_thread(Member.exists)
        await (await aio.get_client()).list_tables()

    asyncio.run(main())


def test_requests_of_the_library_itself_are_allowed(local: LocalCluster) -> None:
    with Cluster({"url": local.url, "sync_in_loop": "error", "monitor": False}) as cluster:
        cluster.client.list_tables()
        asyncio.run(in_loop(cluster.nodes))
