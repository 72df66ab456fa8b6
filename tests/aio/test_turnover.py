"""As tests/transport/test_turnover.py and tests/e2e/test_turnover.py, in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator import KeyRouteAffinity
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.aio.connection import AsyncConnection
from pynamodb_alternator.aio.pool import AsyncNodePool
from pynamodb_alternator.errors import NodeUnreachableError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.transport.pool_core import PoolStats
from pynamodb_alternator.transport.turnover import Renewal
from tests.transport.servers import Server, ok, read_request
from tests.transport.test_pool import Clock
from tests.transport.test_turnover import AGE, EXACT, refuse

from .support import CREATE, get, increment, put, run, until
from .test_slots import use


@contextlib.asynccontextmanager
async def pool_of(server: Server, limit: int = 10, renewal: Renewal = EXACT) -> AsyncIterator[AsyncNodePool]:
    loop = asyncio.get_running_loop()
    pool = AsyncNodePool(server.node(), loop, limit=limit, max_idle=1e6, clock=Clock(), renewal=renewal)
    yield pool
    for connection in pool.close():
        await connection.wait_closed()


def ahead(pool: AsyncNodePool, seconds: float) -> None:
    pool.clock.ahead = seconds  # type: ignore[attr-defined]  # it is a `Clock`


def test_connections_are_used_in_turn() -> None:
    async def main() -> None:
        with Server() as server:
            async with pool_of(server) as pool:
                first, second = await pool.acquire(5.0), await pool.acquire(5.0)
                pool.release(first)
                pool.release(second)
                assert pool.take() is first
                assert await pool.acquire(5.0) is second
                pool.release(second)
                pool.release(first)

    run(main)


def test_another_one_takes_its_place_at_its_age() -> None:
    ended: list[bytes] = []

    def note_the_end(sock: socket.socket) -> None:
        while (asked := read_request(sock)) is not None:
            sock.sendall(ok(asked[1]))
        ended.append(sock.recv(1))  # and no ConnectionResetError

    async def main() -> None:
        with Server(note_the_end) as server:
            async with pool_of(server) as pool:
                await use(pool)
                (old,) = pool.connections()
                ahead(pool, AGE)
                assert pool.take() is None  # another one is to be opened
                await use(pool)
                (fresh,) = pool.connections()
                assert fresh is not old
                assert pool.stats() == PoolStats(2, 1, 0)
                await until(lambda: ended == [b""])
                # Where others lie idle, it is closed alone.
                first, second = await pool.acquire(5.0), await pool.acquire(5.0)
                pool.release(first)
                pool.release(second)
                first.renew_at = 0.0
                assert await pool.acquire(5.0) is second
                assert pool.stats() == PoolStats(3, 1, 1)
                pool.release(second)

    run(main)


def test_the_old_one_serves_on_where_no_other_can_be_opened() -> None:
    async def main() -> None:
        with Server() as server:
            async with pool_of(server) as pool:
                await use(pool)
                (old,) = pool.connections()
                refuse(server)
                ahead(pool, AGE)
                await use(pool)
                assert pool.connections() == [old]
                pool.set_limit(1)
                ahead(pool, 2 * AGE)
                with pytest.raises(NodeUnreachableError):
                    await use(pool)
                assert pool.stats() == PoolStats(1, 0, 0)

    run(main)


def test_one_that_the_node_closes_meanwhile_does_not_serve_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with Server() as server:
            async with pool_of(server) as pool:
                await use(pool)
                (old,) = pool.connections()
                ahead(pool, AGE)

                async def close_and_refuse(self: AsyncConnection, **_: object) -> None:
                    for sock in server.sockets:
                        sock.shutdown(socket.SHUT_RDWR)
                    await until(old.is_stale)
                    raise NodeUnreachableError("refused", node="a")

                monkeypatch.setattr(AsyncConnection, "connect", close_and_refuse)
                with pytest.raises(NodeUnreachableError, match="refused"):
                    await use(pool)
                assert pool.stats() == PoolStats(1, 0, 0)

    run(main)


def test_a_task_that_is_cancelled_meanwhile_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(self: AsyncConnection, **_: object) -> None:
        await asyncio.sleep(3600.0)

    async def main() -> None:
        with Server() as server:
            async with pool_of(server) as pool:
                await use(pool)
                (old,) = pool.connections()
                ahead(pool, AGE)
                monkeypatch.setattr(AsyncConnection, "connect", connect)
                task = asyncio.create_task(use(pool))
                await until(lambda: len(pool.connections()) == 2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert pool.connections() == [old]
                assert pool.stats() == PoolStats(1, 1, 0)

    run(main)


@pytest.mark.parametrize("limit", [3, 8])
def test_no_request_is_lost_by_it(limit: int) -> None:
    """Tasks, in a pool that is now full and now not, with connections that hardly become old."""

    async def main() -> None:
        with Server() as server:
            async with pool_of(server, limit, Renewal(0.002, random.Random(limit).uniform)) as pool:

                async def work() -> None:
                    for number in range(50):
                        assert await use(pool, b"%d" % number) == b"%d" % number

                await asyncio.gather(*[work() for _ in range(8)])
                stats = pool.stats()
                assert stats.opened > 20
                assert stats[2:] == (0, 0)
                assert stats.open <= limit

    run(main)


def test_under_load_no_request_ends_with_its_connection() -> None:
    async def main() -> None:
        config = ClusterConfig.from_url(
            local.url, max_connection_age=0.01, key_route_affinity=KeyRouteAffinity.NONE, token_aware=False
        )
        async with AsyncCluster(config) as cluster:
            client = await cluster.client()
            await client.create_table(**CREATE)

            async def work(key: str) -> int | None:
                await put(client, key)
                for _ in range(20):
                    await increment(client, key)
                return await get(client, key)

            assert await asyncio.gather(*[work(f"k{number}") for number in range(8)]) == [20] * 8
            stats = cluster.core.pool_stats().values()
            assert sum(each.opened for each in stats) > 20
            assert all(not each.in_use for each in stats)

    with LocalCluster(3) as local:
        run(main)
