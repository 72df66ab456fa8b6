"""The main ways through an event loop of uvloop, where uvloop is installed. ``nox -s uvloop`` runs all tests on it."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")
from pynamodb_alternator import ClusterConfig, Hedge, Tls, aio, configure
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.errors import ReadTimeoutError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.settings.values import Timeouts

from . import support
from .models import Member
from .support import CREATE, KEY, TABLE, get, put, until

uvloop: Any = pytest.importorskip("uvloop")


run = functools.partial(support.run, new_loop=uvloop.new_event_loop)


@pytest.mark.parametrize("tls", [False, True])
def test_requests_go_on_when_a_node_dies(tls: bool) -> None:
    async def main() -> None:
        settings: dict[str, Any] = {"tls": Tls(ca=nodes.tls.ca_file)} if tls else {}
        config = ClusterConfig([node.host for node in nodes.nodes], port=nodes.port, scheme=nodes.scheme, **settings)
        async with AsyncCluster(config) as cluster:
            client = await cluster.client()
            await client.create_table(**CREATE)
            await asyncio.gather(*(put(client, f"k{number}", number) for number in range(50)))
            nodes.nodes[1].kill()
            assert await asyncio.gather(*(get(client, f"k{number}") for number in range(50))) == list(range(50))

    with LocalCluster(3, tls=tls) as nodes:
        run(main)


def test_a_hedge_wins_and_a_timeout_ends_a_request(local: LocalCluster) -> None:
    async def main() -> None:
        config = ClusterConfig(
            [node.host for node in local.nodes],
            port=local.port,
            key_route_affinity="none",
            hedge=Hedge(after=0.05),
            timeouts=Timeouts(read=20.0),
        )
        async with AsyncCluster(config) as cluster:
            client = await cluster.client()
            await client.create_table(**CREATE)
            await put(client)
            await until(lambda: {node.state.value for node in cluster.core.membership.nodes()} == {"active"})
            local.nodes[0].delay(60.0, operation="GetItem")
            for _ in range(6):
                await client.get_item(TableName=TABLE, Key=KEY)
            for node in local.nodes:
                node.delay(60.0, operation="Scan")
            with cluster.options(timeouts={"read": 0.2}), pytest.raises(ReadTimeoutError):
                await client.scan(TableName=TABLE)

    run(main)


def test_models(local: LocalCluster) -> None:
    async def main() -> None:
        await Member.aio.create_table()
        await Member("a").aio.save()
        assert (await Member.aio.get("a")).name == "a"
        await aio.close_connections()

    configure(default=local.url)
    run(main)
