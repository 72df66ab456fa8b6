"""No slot of a pool is lost, and no waiter forgotten, wherever an exception comes."""

from __future__ import annotations

import contextlib
import gc
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator.errors import ConnectionLostError, NodeUnreachableError, PoolTimeoutError, TransportError
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport import pool as pool_module
from pynamodb_alternator.transport import pool_core
from pynamodb_alternator.transport.http1 import Connection
from pynamodb_alternator.transport.live import LiveConnections
from pynamodb_alternator.transport.pool import NodePool, Pools
from pynamodb_alternator.transport.pool_core import PoolStats
from pynamodb_alternator.transport.request import build_head

from .interruptions import Interruption, Tracer, interruptions
from .servers import Server, ok, read_request, until
from .test_pool import Clock, closing, request

LIMIT = 2


def use(pool: NodePool, body: bytes = b"{}", target: str = "a.B") -> None:
    """What a request does with a pool."""
    connection = pool.acquire(5.0, wait=0.0)
    try:
        connection.exchange(build_head(target, "h", len(body)), body, read_timeout=5.0)
    finally:
        pool.release(connection)


def hang_up_if_told(sock: socket.socket) -> None:
    while (asked := read_request(sock)) is not None:
        if b"a.Close" in asked[0]:
            return
        sock.sendall(ok(asked[1]))


def all_slots(pool: NodePool) -> list[Connection]:
    """Each slot of the pool, without waiting for one."""
    return [pool.acquire(5.0, wait=0.0) for _ in range(LIMIT)]


def give_back(pool: NodePool, connections: list[Connection]) -> None:
    for connection in connections:
        pool.release(connection)


# ---- at every instruction ----------------------------------------------------------------------------------------


def idle(pool: NodePool) -> Callable[[], None]:
    """An idle connection is used."""
    use(pool)
    return lambda: use(pool)


def fresh(pool: NodePool) -> Callable[[], None]:
    """The connection is opened first."""
    pool.drop_idle()
    return lambda: use(pool)


def stale(pool: NodePool) -> Callable[[], None]:
    """The idle connection is too old, and another one is opened."""
    use(pool)
    clock: Any = pool.clock
    clock.ahead += 100.0
    return lambda: use(pool)


def lost(pool: NodePool) -> Callable[[], None]:
    """The node closes the connection in the exchange."""
    use(pool)

    def run() -> None:
        with contextlib.suppress(ConnectionLostError):
            use(pool, target="a.Close")

    return run


def renewed(pool: NodePool) -> Callable[[], None]:
    """The idle connection has reached its age, and another one is opened first."""
    use(pool)
    pool.connections()[0].renew_at = 0.0
    return lambda: use(pool)


def renewed_in_a_full_pool(pool: NodePool) -> Callable[[], None]:
    """The idle connection has reached its age, and is closed first."""
    give_back(pool, all_slots(pool))
    held = [pool.acquire(5.0, wait=0.0)]
    (free,) = [connection for connection in pool.connections() if connection not in held]
    free.renew_at = 0.0
    return _giving_back(pool, held, lambda: use(pool))


def full(pool: NodePool) -> Callable[[], None]:
    """There is none, and the wait is over at once."""
    held = all_slots(pool)

    def run() -> None:
        with contextlib.suppress(PoolTimeoutError):
            use(pool)

    return _giving_back(pool, held, run)


def handed_over(pool: NodePool) -> Callable[[], None]:
    """A connection is given back while another thread waits for one."""
    connections = all_slots(pool)
    waiting = threading.Thread(target=lambda: pool.release(pool.acquire(5.0, wait=20.0)), daemon=True)
    waiting.start()
    until(lambda: pool.stats().waiting)

    def run() -> None:
        # In two steps as an interrupted request does it: `release` runs while an exception goes through.
        try:
            give_back(pool, [connections.pop()])
        finally:
            connections.clear()
            until(lambda: not waiting.is_alive())

    return run


def served(pool: NodePool, is_reusable: bool = True) -> Callable[[], None]:
    """A wait in which a connection comes free, within this thread."""
    held = all_slots(pool)

    class Waiting(pool_module._WaitingThread):
        __slots__ = ()

        def wait(self, seconds: float) -> bool:
            if held:
                connection = held.pop()
                connection.reusable = connection.reusable and is_reusable
                pool.release(connection)
            return super().wait(seconds)

    def run() -> None:
        before, pool_module._WaitingThread = pool_module._WaitingThread, Waiting  # type: ignore[misc]
        try:
            connection = pool.acquire(5.0, wait=5.0)
            pool.release(connection)
        finally:
            pool_module._WaitingThread = before  # type: ignore[misc]

    return _giving_back(pool, held, run)


def room_is_served(pool: NodePool) -> Callable[[], None]:
    """A wait in which a slot comes free."""
    return served(pool, is_reusable=False)


def dropped(pool: NodePool) -> Callable[[], None]:
    give_back(pool, all_slots(pool))

    def run() -> None:
        pool.drop_idle()

    return run


def cut(pool: NodePool) -> Callable[[], None]:
    connections = all_slots(pool)
    pool.release(connections[0])
    return _giving_back(pool, connections[1:], lambda: pool.cut("a test says so"))


def _giving_back(pool: NodePool, held: list[Connection], action: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            action()
        finally:
            while held:
                # Closed and not released: here is only looked at what the action does.
                held.pop().close()
            pool.drop_idle()

    return run


SCENES = [
    idle,
    fresh,
    stale,
    lost,
    renewed,
    renewed_in_a_full_pool,
    full,
    handed_over,
    served,
    room_is_served,
    dropped,
    cut,
]


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("kept", [False, True])
def test_an_interruption_at_every_instruction_loses_no_slot(
    scene: Callable[[NodePool], Callable[[], None]], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kept`: something keeps the exception, and with it all that the interrupted functions held."""
    for module in (pool_module, pool_core):
        monkeypatch.setattr(module, "HEAL_EVERY", 0.005)  # a wake-up that was lost costs real time
    clock = Clock()
    with (
        Server(hang_up_if_told) as server,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always", ResourceWarning)
        pool = NodePool(server.node(), limit=LIMIT, max_idle=50.0, clock=clock)

        def attempt(tracer: Tracer) -> bool:
            run = scene(pool)
            error: BaseException | None = None
            try:
                with tracer:
                    run()
            except Interruption as interruption:
                error = interruption if kept else None
            del run
            if kept:
                # Nothing waits, whatever is kept; and what is kept is found out.
                assert pool.waiting_since() is None
                for _ in range(4):
                    clock.ahead += 0.5
                    pool.heal()
            assert pool.stats()[1:] == (len(pool._idle), 0, 0), f"{error}"
            give_back(pool, all_slots(pool))
            use(pool)
            return tracer.came

        runs = len(list(interruptions(attempt)))
        pool.close()
        gc.collect()
    assert runs > 100 or scene in (dropped, cut)
    assert [str(record.message) for record in warned] == []


# ---- requests of threads, at random moments ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["signal", "keyboard", "threads", "gevent"])
def test_an_interruption_at_random_moments_loses_no_slot(kind: str) -> None:
    """By hand, it runs for longer: see the module."""
    if kind == "gevent":
        pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-W", "always", "-m", "tests.transport.interrupted_requests", kind, "3", "3"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


# ---- what keeps a connection alive -------------------------------------------------------------------------------


def looks(pool: NodePool, clock: Clock, seconds: float, every: float = 0.25) -> None:
    for _ in range(round(seconds / every)):
        clock.ahead += every
        pool.sweep()


@contextlib.contextmanager
def small_pool(handler: Callable[[socket.socket], None] = hang_up_if_told) -> Iterator[tuple[NodePool, Clock]]:
    clock = Clock()
    with Server(handler) as server:
        pool = NodePool(server.node(), limit=LIMIT, clock=clock)
        yield pool, clock
        pool.close()


def test_a_sweep_finds_a_connection_without_a_user() -> None:
    with small_pool() as (pool, clock):
        kept = [pool.acquire(5.0), pool.acquire(5.0)]
        assert not pool.has_room
        assert pool.waiting_since() is None
        looks(pool, clock, 0.75)
        assert pool.stats().in_use == 2
        looks(pool, clock, 0.75)
        assert pool.stats() == PoolStats(2, 0, 0, 0)
        # If the request continues later, it cannot use the connection, and giving the connection back does no harm.
        with pytest.raises(NodeUnreachableError):
            kept[0].exchange(build_head("a.B", "h", 0), b"", read_timeout=5.0)
        for connection in kept:
            pool.release(connection)
        assert pool.stats() == PoolStats(2, 0, 0, 0)


def test_each_loan_is_looked_at_by_itself() -> None:
    """Seen without an exchange at every look, but each time it was given back in between."""
    with small_pool() as (pool, clock):
        for _ in range(20):
            connection = pool.acquire(5.0)
            looks(pool, clock, 0.5)
            pool.release(connection)
        assert pool.stats() == PoolStats(1, 1, 0, 0)


def test_time_in_which_the_process_stood_still_counts_little() -> None:
    with small_pool() as (pool, clock):
        connection = pool.acquire(5.0)
        looks(pool, clock, 7200.0, every=3600.0)
        pool.release(connection)
        assert pool.stats() == PoolStats(1, 1, 0, 0)


def test_what_is_under_way_is_not_lost() -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(sock: socket.socket) -> None:
        read_request(sock)
        asked.set()
        answer.wait(10.0)
        sock.sendall(ok(b"late"))
        read_request(sock)

    with small_pool(slow) as (pool, clock), ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(request, pool, pool.node, read_timeout=1e6)
        assert asked.wait(10.0)
        looks(pool, clock, 60.0)
        answer.set()
        assert under_way.result(10.0) == b"late"
        assert pool.stats() == PoolStats(1, 1, 0, 0)


def test_a_request_waits_until_a_lost_slot_is_found_out() -> None:
    """In real time, and without the monitor."""
    with small_pool() as (pool, _):
        kept = [pool.acquire(5.0), pool.acquire(5.0)]
        started = time.monotonic()
        assert request(pool, pool.node, connect_timeout=20.0) == b"{}"
        assert 1.0 <= time.monotonic() - started < 10.0
        assert kept


def test_requests_that_go_elsewhere_find_it_out_too() -> None:
    """They do not wait for the full pool, so they have to look."""
    clock = Clock()
    with Server() as server, closing(Pools(limit=1, clock=clock)) as pools:
        kept = pools.acquire(server.node(), 5.0)
        for _ in range(4):
            assert not pools.has_room(server.node())
            clock.ahead += 0.3
        assert pools.has_room(server.node())
        pools.release(kept)
        assert pools.stats()[server.node().address] == PoolStats(1, 0, 0, 0)


def test_the_monitor_finds_it_out() -> None:
    """In a pool that is not full."""
    clock = Clock()
    with Server() as server, closing(Pools(limit=10, clock=clock)) as pools:
        kept = pools.acquire(server.node(), 5.0)
        for _ in range(6):
            assert list(pools.waits(clock())) == []
            clock.ahead += 0.25
        assert pools.stats()[server.node().address] == PoolStats(1, 0, 0, 0)
        assert kept


def test_an_exchange_and_its_reclaiming_see_each_other() -> None:
    """Either the exchange ends without having sent anything, or it was not disturbed."""
    with Server() as server:
        results: list[object] = []
        for _ in range(300):
            connection = Connection.open(server.node(), connect_timeout=5.0)
            start = threading.Barrier(2)

            def reclaim(connection: Connection = connection, start: threading.Barrier = start) -> None:
                start.wait()
                connection.reclaim()

            thread = threading.Thread(target=reclaim)
            thread.start()
            start.wait()
            try:
                results.append(connection.exchange(build_head("a.B", "h", 2), b"ok", read_timeout=5.0).body)
            except TransportError as error:
                results.append(type(error))
            thread.join()
            connection.close()
        assert set(results) <= {b"ok", NodeUnreachableError}


# ---- waiters -----------------------------------------------------------------------------------------------------


def test_a_waiter_that_died_is_passed_over() -> None:
    with small_pool() as (pool, _):
        held = all_slots(pool)
        dead = pool_module._WaitingThread()
        assert pool._take_or_queue(dead) is None
        done: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: done.append(request(pool, pool.node)), daemon=True) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        until(lambda: pool.stats().waiting == 3)
        del dead
        assert pool.stats().waiting == 2
        pool.release(held.pop())
        for thread in threads:
            thread.join(10.0)
        assert done == [b"{}", b"{}"]
        give_back(pool, held)


def test_a_wake_up_that_was_lost_costs_a_moment() -> None:
    with small_pool() as (pool, _):
        held = all_slots(pool)
        done: list[bytes] = []
        thread = threading.Thread(target=lambda: done.append(request(pool, pool.node, connect_timeout=60.0)))
        thread.start()
        until(lambda: pool.stats().waiting)
        # As if the thread that frees it had died behind this step.
        pool._live.discard(held[0])
        thread.join(10.0)
        assert done == [b"{}"]
        pool.release(held[1])


def test_they_are_served_in_their_order() -> None:
    with small_pool() as (pool, _):
        held = all_slots(pool)
        order: list[int] = []
        threads = []
        for number in range(20):

            def wait(number: int = number) -> None:
                connection = pool.acquire(5.0, wait=20.0)
                order.append(number)
                pool.release(connection)

            threads.append(threading.Thread(target=wait, daemon=True))
            threads[-1].start()
            until(lambda number=number: pool.stats().waiting == number + 1)  # type: ignore[misc]
        pool.release(held.pop())
        for thread in threads:
            thread.join(10.0)
        assert order == list(range(20))
        give_back(pool, held)


# ---- the count ---------------------------------------------------------------------------------------------------


def test_what_dies_is_not_counted() -> None:
    live: LiveConnections[Connection] = LiveConnections()
    connections = [Connection(Node("http", "127.0.0.1", 1)) for _ in range(3)]
    for connection in connections:
        live.add(connection)
    live.discard(connections[0])
    live.discard(connections[0])
    assert (len(live), set(live.all())) == (2, set(connections[1:]))
    snapshot = live.all()
    del connection, connections
    assert len(live) == 2
    del snapshot
    assert (len(live), live.all()) == (0, [])
