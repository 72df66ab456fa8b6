"""A connection of an event loop by itself: its buffers, and the timer that its exchanges share."""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator.aio.connection import AsyncConnection
from pynamodb_alternator.errors import ReadTimeoutError
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.request import build_head
from tests.transport.servers import Server, answer_all, ok, read_request

from .support import run, until

SIZES = [0, 1, 8_100, 8_191, 8_192, 8_193, 16_384, 65_536, 73_728, 1_000_000]


@asynccontextmanager
async def connected(node: Node) -> AsyncIterator[AsyncConnection]:
    connection = AsyncConnection(node, asyncio.get_running_loop())
    await connection.connect(connect_timeout=5.0)
    try:
        yield connection
    finally:
        connection.close()
        await connection.wait_closed()


async def echo(connection: AsyncConnection, body: bytes, read_timeout: float = 20.0, **more: Any) -> bytes:
    head = build_head("a.B", "h", len(body))
    return (await connection.exchange(head, body, read_timeout=read_timeout, **more)).body


def test_answers_of_all_lengths_on_one_connection() -> None:
    """Whatever fits into its buffer, or just not."""

    async def main() -> None:
        with Server(answer_all) as server:
            async with connected(server.node()) as connection:
                for first, second in itertools.product(SIZES, repeat=2):
                    for size in (first, second):
                        body = b"x" * size
                        assert await echo(connection, body) == body
                        assert connection.reusable

    run(main)


def test_an_answer_that_is_exactly_as_long_as_the_buffer() -> None:
    head = len(ok(bytes(8_000))) - 8_000

    async def main() -> None:
        with Server(answer_all) as server:
            async with connected(server.node()) as connection:
                for size in range(8_192 - head - 2, 8_192 - head + 3):
                    assert await echo(connection, bytes(size)) == bytes(size)

    run(main)


def test_an_answer_does_not_change_when_the_next_one_comes() -> None:
    async def main() -> None:
        with Server(answer_all) as server:
            async with connected(server.node()) as connection:
                answers = [await echo(connection, b"%d" % number * 100) for number in range(10)]
                assert answers == [b"%d" % number * 100 for number in range(10)]

    run(main)


def test_unexpected_bytes_make_a_connection_unusable() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with connected(Node("http", *listener.getsockname())) as connection:
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(ok())
                    await until(lambda: not connection.reusable)
                    assert connection.is_stale()

    run(main)


# ---- the timer ---------------------------------------------------------------------------------------------------


def test_exchanges_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with Server(answer_all) as server:
            async with connected(server.node()) as connection:
                call_later, set_timers = loop.call_later, 0

                def counted(*arguments: Any, **more: Any) -> asyncio.TimerHandle:
                    nonlocal set_timers
                    set_timers += 1
                    return call_later(*arguments, **more)

                monkeypatch.setattr(loop, "call_later", counted)
                for _ in range(200):
                    await echo(connection, b"{}", deadline=time.monotonic() + 1000.0, read_timeout=16_000.0)
                monkeypatch.undo()
                assert set_timers == 1

    run(main)


def deaf(sock: socket.socket) -> None:
    """Answers, except where it is told not to."""
    while (asked := read_request(sock)) is not None:
        if b"not" not in asked[1]:
            sock.sendall(ok(asked[1]))


@pytest.mark.parametrize("before", [None, 0.4, 60.0])
@pytest.mark.parametrize(("read", "deadline"), [(0.3, None), (60.0, 0.3), (0.3, 60.0), (0.3, 0.2)])
def test_an_answer_is_waited_for_as_long_as_its_exchange_says(
    before: float | None, read: float, deadline: float | None
) -> None:
    """`before`: the read timeout of the exchange that has set the timer."""

    async def main() -> None:
        with Server(deaf) as server:
            async with connected(server.node()) as connection:
                if before is not None:
                    await echo(connection, b"{}", before)
                started = time.monotonic()
                with pytest.raises(ReadTimeoutError):
                    await echo(connection, b"not", read, deadline=None if deadline is None else started + deadline)
                assert min(read, deadline or read) - 0.005 <= time.monotonic() - started < 10.0

    run(main)


def slow(sock: socket.socket) -> None:
    """Answers later where it is told to."""
    while (asked := read_request(sock)) is not None:
        if b"late" in asked[1]:
            time.sleep(1.5)
        sock.sendall(ok(asked[1]))


def test_no_exchange_is_ended_by_the_timer_of_one_before() -> None:
    async def main() -> None:
        with Server(slow) as server:
            async with connected(server.node()) as connection:
                assert await echo(connection, b"{}", deadline=time.monotonic() + 1.0) == b"{}"
                assert await echo(connection, b"late") == b"late"

    run(main)


def test_the_timer_ends_with_the_connection() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with Server(answer_all) as server:
            async with connected(server.node()) as connection:
                await echo(connection, b"{}", 1000.0)
                gone = weakref.ref(connection)
            del connection
            await asyncio.sleep(0)
            gc.collect()
            assert gone() is None
            scheduled = getattr(loop, "_scheduled", ())  # uvloop does not show its timers
            assert not [timer for timer in scheduled if not timer.cancelled()]

    # Without the limit of `run`, which is a timer too.
    asyncio.run(main())
