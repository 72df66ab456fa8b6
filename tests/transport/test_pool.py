"""Pools: limits, waiting, staleness, nodes that leave or go down, forks; and that nothing is lost on the way."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pynamodb_alternator import Cluster, ClusterConfig
from pynamodb_alternator.errors import (
    ClusterClosedError,
    ConnectionLostError,
    ConnectTimeoutError,
    MalformedAnswerError,
    NodeUnreachableError,
    PoolTimeoutError,
    ReadTimeoutError,
    TransportError,
)
from pynamodb_alternator.settings.headers import OWN_USER_AGENT
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.all_pools import AllPools
from pynamodb_alternator.transport.control import ControlConnections
from pynamodb_alternator.transport.pool import NodePool, Pools
from pynamodb_alternator.transport.pool_core import PoolStats
from pynamodb_alternator.transport.request import build_head

from .servers import FullListener, Server, ok, read_request, silent, until


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@contextlib.contextmanager
def closing(pools: Pools) -> Iterator[Pools]:
    try:
        yield pools
    finally:
        pools.close()


def request(
    pools: Pools | NodePool, node: Node, body: bytes = b"{}", read_timeout: float = 5.0, connect_timeout: float = 5.0
) -> bytes:
    if isinstance(pools, Pools):
        connection = pools.acquire(node, connect_timeout)
    else:
        connection = pools.acquire(connect_timeout)
    try:
        head = build_head("a.B", node.host_header, len(body))
        return connection.exchange(head, body, read_timeout=read_timeout).body
    finally:
        pools.release(connection)


def in_threads(count: int, action: Callable[[], object]) -> list[BaseException]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return errors


def unused_node() -> Node:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Node("http", "127.0.0.1", listener.getsockname()[1])


# ---- taking and giving back ------------------------------------------------------------------------------------


def test_connections_are_used_in_turn() -> None:
    with Server() as server, closing(Pools()) as pools:
        node = server.node()
        first, second = pools.acquire(node, 5), pools.acquire(node, 5)
        pools.release(first)
        pools.release(second)
        assert pools.acquire(node, 5) is first
        assert pools.acquire(node, 5) is second
        assert pools.stats() == {node.address: PoolStats(opened=2, open=2, in_use=2)}
        pools.release(first)
        pools.release(second)


def test_a_connection_that_must_not_be_used_again_is_closed() -> None:
    with Server() as server, closing(Pools()) as pools:
        connection = pools.acquire(server.node(), 5)
        connection.reusable = False
        pools.release(connection)
        pools.release(connection)
        assert pools.stats()[server.node().address] == PoolStats(1, 0, 0)


def test_hundred_nodes_need_hundred_connections() -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server()) for _ in range(100)]
        pools = stack.enter_context(closing(Pools()))
        nodes = [server.node() for server in servers]
        for turn in range(10):
            for node in nodes:
                assert request(pools, node, b"%d" % turn) == b"%d" % turn
        # The rest of 1,000 turns without the exchange: what counts is which connection is taken.
        for _ in range(990):
            for node in nodes:
                pools.release(pools.acquire(node, 5))
        assert sum(stats.opened for stats in pools.stats().values()) == 100
        assert sum(server.accepted for server in servers) == 100


def test_a_full_pool_waits_and_says_so() -> None:
    with Server() as server, closing(Pools(limit=2)) as pools:
        node = server.node()
        held = [pools.acquire(node, 5), pools.acquire(node, 5)]
        started = time.monotonic()
        with pytest.raises(PoolTimeoutError, match=r"all 2 connections.*max_pool_connections") as caught:
            pools.acquire(node, 0.05)
        with pytest.raises(PoolTimeoutError):
            pools.acquire(node, 60, deadline=time.monotonic() + 0.05)
        assert 0.1 <= time.monotonic() - started < 5
        assert caught.value.node == node.address
        for connection in held:
            pools.release(connection)
        assert request(pools, node) == b"{}"
        assert server.accepted == 2


def test_a_queue_that_moves_is_waited_in() -> None:
    """Ten threads hold the one connection for a good part of the time in which one must come free."""
    with Server() as server, closing(Pools(limit=1)) as pools:
        node = server.node()
        patience, never = 0.4, threading.Event()
        waited: list[float] = []

        def work() -> None:
            began = time.monotonic()
            connection = pools.acquire(node, 5, wait=patience)
            waited.append(time.monotonic() - began)
            never.wait(patience / 4)  # the time for which it holds the connection
            pools.release(connection)

        assert in_threads(10, work) == []
        assert max(waited) > patience
        assert pools.stats()[node.address].in_use == 0


def test_a_thread_that_could_not_look_waits_on() -> None:
    """The whole process stood still for an hour: the connection in use had no chance of coming free."""
    clock = Clock()
    asked, answer = threading.Event(), threading.Event()

    def slow(sock: socket.socket) -> None:
        while (request := read_request(sock)) is not None:
            asked.set()
            answer.wait(10)
            sock.sendall(ok(request[1]))

    with Server(slow) as server, closing(Pools(limit=1, clock=clock)) as pools, ThreadPoolExecutor(2) as threads:
        node = server.node()
        held = threads.submit(request, pools, node, read_timeout=60.0)
        assert asked.wait(10)
        waiting = threads.submit(lambda: pools.release(pools.acquire(node, 5, wait=4.0)))
        until(lambda: pools.stats()[node.address].waiting)
        clock.ahead += 3600.0
        # Longer than a quarter of its wait, at whose end it looks at the clock.
        with pytest.raises(TimeoutError):
            waiting.result(1.5)
        answer.set()
        assert held.result(5) == b"{}"
        waiting.result(5)


def test_room_at_any_of_several_nodes() -> None:
    with Server() as server, Server() as other, closing(Pools(limit=1)) as pools:
        nodes = [server.node(), other.node()]
        assert not pools.any_has_room([])
        assert pools.any_has_room(nodes)
        first = pools.acquire(nodes[0], 5)
        assert not pools.any_has_room(nodes[:1])
        assert pools.any_has_room(nodes)  # nothing was ever sent to the second one
        second = pools.acquire(nodes[1], 5)
        assert not pools.any_has_room(nodes)
        pools.release(second)
        assert pools.any_has_room(nodes)
        pools.release(first)


def test_room_is_seen_without_taking_it() -> None:
    with Server() as server, closing(Pools(limit=2)) as pools:
        node = server.node()
        assert pools.has_room(node)
        first = pools.acquire(node, 5)
        assert pools.has_room(node)
        second = pools.acquire(node, 5)
        assert not pools.has_room(node)
        pools.release(first)
        assert pools.has_room(node)
        assert pools.acquire(node, 5) is first
        for connection in (first, second):
            connection.reusable = False
            pools.release(connection)
        assert pools.has_room(node)


def test_threads_share_a_small_pool() -> None:
    with Server() as server, closing(Pools(limit=3)) as pools:
        node = server.node()

        def work() -> None:
            for turn in range(50):
                body = b"%d-%d" % (threading.get_ident(), turn)
                assert request(pools, node, body) == body

        assert in_threads(16, work) == []
        assert server.accepted <= 3
        assert pools.stats()[node.address].in_use == 0


@pytest.mark.parametrize("reusable", [True, False])
def test_who_waits_gets_what_is_freed(reusable: bool) -> None:
    with Server() as server, closing(Pools(limit=1)) as pools:
        node = server.node()
        held = pools.acquire(node, 5)
        done = threading.Event()

        def wait() -> None:
            pools.release(pools.acquire(node, 30))
            done.set()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        until(lambda: pools.stats()[node.address].waiting)
        held.reusable = reusable
        pools.release(held)
        assert done.wait(5)
        thread.join()
        assert pools.stats()[node.address] == PoolStats(1 if reusable else 2, 1, 0)


def test_a_raised_limit_lets_those_in_who_wait() -> None:
    with Server() as server, closing(Pools(limit=1)) as pools:
        node = server.node()
        held = pools.acquire(node, 5)
        errors: list[BaseException] = []
        thread = threading.Thread(target=lambda: errors.extend(in_threads(2, lambda: request(pools, node))))
        thread.start()
        until(lambda: pools.stats()[node.address].waiting == 2)
        pools.raise_limit(3)
        pools.raise_limit(2)
        thread.join(5)
        assert errors == []
        pools.release(held)
        assert pools.stats()[node.address].open <= 3


def test_connections_that_cannot_be_opened_are_not_counted() -> None:
    node = unused_node()
    with closing(Pools(limit=2)) as pools:
        for _ in range(100):
            with pytest.raises(NodeUnreachableError):
                pools.acquire(node, 1)
        errors = in_threads(16, lambda: pools.acquire(node, 1))
        assert {type(error) for error in errors} == {NodeUnreachableError}
        assert pools.stats()[node.address] == PoolStats(0, 0, 0)


# ---- idle connections ------------------------------------------------------------------------------------------


def test_stale_connections_are_replaced_without_a_word() -> None:
    with Server() as server, closing(Pools()) as pools:
        node = server.node()
        held = [pools.acquire(node, 5) for _ in range(5)]
        for connection in held:
            pools.release(connection)
        until(lambda: server.accepted == 5)
        server.hang_up()
        until(lambda: all(connection.is_stale() for connection in held))
        assert request(pools, node) == b"{}"
        assert pools.stats()[node.address] == PoolStats(6, 1, 0)


def test_a_restarted_node_is_reached_again() -> None:
    with closing(Pools()) as pools:
        with Server() as server:
            node = server.node()
            request(pools, node)
        with pytest.raises(NodeUnreachableError):
            request(pools, node)
        assert pools.stats()[node.address].open == 0


def test_old_idle_connections_are_not_used() -> None:
    clock = Clock()
    with Server() as server, Server() as other, closing(Pools(max_idle=10, clock=clock)) as pools:
        request(pools, server.node())
        request(pools, other.node())
        clock.ahead = 11
        request(pools, server.node())
        assert server.accepted == 2
        # The other node gets no requests, and its connection is still closed.
        assert pools.stats()[other.node().address] == PoolStats(1, 0, 0)


# ---- nodes that leave or go down -------------------------------------------------------------------------------


def test_nodes_that_leave_are_let_go_without_hurting_requests() -> None:
    go_on = threading.Event()

    def slow(sock: socket.socket) -> None:
        while (request := read_request(sock)) is not None:
            if request[1] == b"slow":
                go_on.wait(10)
            sock.sendall(ok(request[1]))

    with Server(slow) as leaving, Server() as staying, closing(Pools()) as pools:
        node = leaving.node()
        request(pools, node)
        request(pools, staying.node())
        results: list[bytes] = []
        thread = threading.Thread(target=lambda: results.append(request(pools, node, b"slow")))
        idle = pools.acquire(node, 5)
        thread.start()
        until(lambda: pools.stats()[node.address].in_use == 2 and dict(pools.waits(time.monotonic())))
        pools.release(idle)
        pools.keep_only([staying.node()])
        assert pools.stats()[node.address].open == 1
        go_on.set()
        thread.join(5)
        assert results == [b"slow"]
        assert pools.stats()[node.address].open == 0
        # A plan made before may still come here; nothing stays open behind it.
        assert request(pools, node) == b"{}"
        assert pools.stats()[node.address].open == 0
        pools.keep_only([staying.node()])
        assert node.address not in pools.stats()
        assert request(pools, node) == b"{}"
        assert pools.stats()[node.address].open == 0
        pools.keep_only([staying.node(), node])
        request(pools, node)
        assert pools.stats()[node.address].open == 1
        assert staying.accepted == 1


def test_cut_ends_what_waits_for_the_node() -> None:
    asked: list[object] = []

    def mute(sock: socket.socket) -> None:
        asked.append(read_request(sock))
        sock.recv(1)

    with Server(mute) as server, Server() as other, closing(Pools(limit=2)) as pools:
        node = server.node()
        request(pools, other.node())
        errors: list[BaseException] = []
        thread = threading.Thread(
            target=lambda: errors.extend(in_threads(5, lambda: request(pools, node, b"", 60, 60)))
        )
        thread.start()
        until(lambda: pools.stats().get(node.address, PoolStats(0, 0, 0)).opened == 2)
        until(lambda: pools.stats()[node.address].waiting == 3 and len(asked) == 2)
        started = time.monotonic()
        pools.cut(node)
        thread.join(10)
        assert time.monotonic() - started < 5
        kinds = sorted(type(error).__name__ for error in errors)
        assert kinds.count("NodeUnreachableError") >= 3
        assert set(kinds) <= {"NodeUnreachableError", "ConnectionLostError"}
        assert all("declared down" in str(error) for error in errors)
        assert pools.stats()[node.address] == PoolStats(2, 0, 0)
        assert pools.stats()[other.node().address].open == 1


def test_waits_shows_which_requests_wait_and_how_long() -> None:
    clock = Clock()
    with Server(silent) as server, closing(Pools(clock=clock)) as pools:
        node = server.node()
        assert list(pools.waits(clock())) == []
        errors: list[BaseException] = []
        thread = threading.Thread(
            target=lambda: errors.extend(in_threads(1, lambda: request(pools, node, read_timeout=60)))
        )
        thread.start()
        until(lambda: list(pools.waits(clock())))
        clock.ahead = 2
        [(waiting, seconds)] = pools.waits(clock())
        assert waiting == node
        assert 2 <= seconds < 10
        until(lambda: pools.stats()[node.address].opened == 1)
        pools.cut(node)
        thread.join(5)
        assert isinstance(errors[0], ConnectionLostError)
        assert list(pools.waits(clock())) == []


# ---- the end, and forks ----------------------------------------------------------------------------------------


def test_closing_ends_waiting_requests() -> None:
    with Server() as server:
        pools = Pools(limit=1)
        node = server.node()
        held = pools.acquire(node, 5)
        errors: list[BaseException] = []
        thread = threading.Thread(target=lambda: errors.extend(in_threads(1, lambda: pools.acquire(node, 30))))
        thread.start()
        until(lambda: pools.stats()[node.address].waiting)
        pools.close()
        pools.close()
        thread.join(5)
        assert isinstance(errors[0], ClusterClosedError)
        with pytest.raises(ClusterClosedError):
            pools.acquire(node, 5)
        # What is under way ends well.
        assert held.exchange(build_head("a.B", "h", 2), b"ok", read_timeout=5).body == b"ok"
        pools.release(held)
        assert pools.stats()[node.address] == PoolStats(1, 0, 0)


def test_no_connection_is_kept_after_close() -> None:
    """A reading of the node list that ends after `close` must not make the pools keep connections again."""
    with Server() as server:
        pools = Pools()
        connection = pools.acquire(server.node(), 5.0)
        pools.close()
        pools.keep_only([server.node()])
        pools.release(connection)
        assert [stats.open for stats in pools.stats().values()] == [0]


def test_after_fork_leaves_the_sockets_to_the_parent() -> None:
    """As in a forked child; here the 'parent' keeps a duplicate of each socket, which is what it has after a fork."""
    with Server() as server, closing(Pools()) as pools:
        node = server.node()
        idle, busy = pools.acquire(node, 5), pools.acquire(node, 5)
        pools.release(idle)
        parents = [
            socket.socket(fileno=os.dup(connection._sock.fileno())) for connection in (idle, busy) if connection._sock
        ]
        pools._pools[node.endpoint]._lock.acquire()  # a thread that the child does not have
        pools._lock.acquire()
        pools.after_fork()
        assert pools.stats() == {}
        assert request(pools, node) == b"{}"
        assert server.accepted == 3
        pools.release(busy)
        for sock in parents:
            with sock:
                sock.settimeout(5)
                sock.sendall(build_head("a.B", "h", 2) + b"ok")
                assert sock.recv(1000).endswith(b"ok")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_uses_sockets_of_its_own() -> None:
    with Server() as server, closing(Pools()) as pools:
        node = server.node()
        request(pools, node)
        until(lambda: server.accepted == 1)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                pools.after_fork()
                os.write(writer, request(pools, node, b"child"))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            assert pipe.read() == b"child"
        assert request(pools, node, b"parent") == b"parent"
        assert server.accepted == 2


# ---- faults ----------------------------------------------------------------------------------------------------


def say_verbatim(sock: socket.socket) -> None:
    """Answers with exactly the bytes of the request's body, and closes if the target says so."""
    while (request := read_request(sock)) is not None:
        sock.sendall(request[1])
        if b"a.Close" in request[0]:
            return


def verbatim(pool: NodePool, said: bytes, target: str = "a.Keep") -> bytes:
    connection = pool.acquire(1.0)
    try:
        return connection.exchange(build_head(target, "h", len(said)), said, read_timeout=5.0).body
    finally:
        pool.release(connection)


@pytest.fixture(scope="module")
def verbatim_pool() -> Iterator[NodePool]:
    with Server(say_verbatim) as server:
        pool = NodePool(server.node(), limit=1)
        yield pool
        pool.close()


@given(
    st.builds(
        bytes.__add__,
        st.sampled_from([b"", ok(), ok(b"x" * 30), ok()[:-1], b"HTTP/1.1 200 OK\r\nX"]),
        st.binary(max_size=60),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_pool_stays_usable_after_any_answer(verbatim_pool: NodePool, said: bytes) -> None:
    with contextlib.suppress(ConnectionLostError, MalformedAnswerError):
        verbatim(verbatim_pool, said, "a.Close")
    good = ok(b"good")
    try:
        assert verbatim(verbatim_pool, good) == b"good"
    except ConnectionLostError as lost:
        # The node closed just after the connection was found to be well. It is gone now, and the next one is fresh.
        if not lost.was_idle:
            raise
        assert verbatim(verbatim_pool, good) == b"good"
    assert verbatim_pool.stats()[1:3] == (1, 0)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_nothing_leaks_under_faults() -> None:
    chance = random.Random(7)

    def faulty(sock: socket.socket) -> None:
        while (request := read_request(sock)) is not None:
            fault = chance.random()
            if fault < 0.03:
                return
            if fault < 0.06:
                sock.sendall(ok(request[1])[:-1])
                return
            if fault < 0.09:
                sock.sendall(b"rubbish\r\n\r\n")
            elif fault < 0.12:
                sock.sendall(ok(request[1]) + b"HTTP/1.1 2")
            else:
                sock.sendall(ok(request[1]))

    with Server(faulty) as server, closing(Pools(limit=3)) as pools:
        nodes = [server.node(), unused_node()]
        before = descriptors()
        right = []

        def work() -> None:
            own = random.Random(threading.get_ident())
            for turn in range(1500):
                body = b"%d-%d" % (threading.get_ident(), turn)
                try:
                    assert request(pools, nodes[own.random() < 0.1], body) == body
                    right.append(1)
                except TransportError:
                    pass

        assert in_threads(6, work) == []
        assert len(right) > 6000
        for stats in pools.stats().values():
            assert stats.in_use == 0
            assert stats.open <= 3
        pools.close()
        server.hang_up()
        assert all(stats.open == 0 for stats in pools.stats().values())
        until(lambda: descriptors() <= before)


def test_an_interrupted_wait_passes_on_what_it_got(monkeypatch: pytest.MonkeyPatch) -> None:
    from pynamodb_alternator.transport import pool as module

    with Server() as server, closing(Pools(limit=1)) as pools:
        node = server.node()
        held = pools.acquire(node, 5)

        def interrupted(self: object, seconds: float) -> None:
            pools.release(held)  # served, and interrupted at the same moment
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module._WaitingThread, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                pools.acquire(node, 5)
        assert request(pools, node) == b"{}"
        assert pools.stats()[node.address] == PoolStats(1, 1, 0)


# ---- discovery and probes --------------------------------------------------------------------------------------


def paths(sock: socket.socket) -> None:
    while (request := read_request(sock)) is not None:
        sock.sendall(ok(request[0].split(b" ")[1]))


def test_control_keeps_one_connection_per_node() -> None:
    control = ControlConnections()
    with Server(paths) as server:
        node = server.node()
        assert control.fetch(node, "/localnodes?dc=a", timeout=5).body == b"/localnodes?dc=a"
        assert control.fetch_answer(node, "/", 5) == (200, b"/")
        assert server.accepted == 1
        assert in_threads(8, lambda: [control.fetch(node, "/", timeout=5) for _ in range(20)]) == []
        control.keep_only([node])
        accepted = server.accepted
        control.fetch(node, "/", timeout=5)
        assert server.accepted == accepted
        control.keep_only([])
        control.fetch(node, "/", timeout=5)
        assert server.accepted == accepted + 1
        control.close()
        control.close()


def test_a_pool_takes_over_the_connection_of_a_probe() -> None:
    control = ControlConnections()
    with Server(paths) as server, closing(Pools(hand_over=control.hand_over)) as pools:
        node = server.node()
        control.fetch(node, "/", timeout=5)
        connection = pools.acquire(node, 5)
        assert (server.accepted, control.connections(), pools.stats()[node.address]) == (1, [], PoolStats(1, 1, 1))
        pools.release(connection)
        assert pools.acquire(node, 5) is connection
        other = pools.acquire(node, 5)  # there is no further one to take over
        until(lambda: server.accepted == 2)  # it accepts in a thread of its own
        assert pools.stats()[node.address] == PoolStats(2, 2, 2)
        pools.release(connection)
        pools.release(other)
        control.close()
        assert pools.acquire(node, 5) is connection  # the control connections do not own it any more
        pools.release(connection)


def test_a_pool_takes_over_no_connection_that_was_closed_meanwhile() -> None:
    control = ControlConnections()
    with Server(paths) as server, closing(Pools(hand_over=control.hand_over)) as pools:
        control.fetch(server.node(), "/", timeout=5)
        server.hang_up()
        (closed,) = control.connections()
        until(closed.is_stale)
        connection = pools.acquire(server.node(), 5)
        assert connection is not closed
        until(lambda: server.accepted == 2)
        assert pools.stats()[server.node().address].open == 1
        pools.release(connection)
    control.close()


def test_the_connection_over_which_the_list_is_read_stays() -> None:
    control = ControlConnections()
    with Server(paths) as server:
        control.fetch(server.node(), "/", timeout=5)
        control.fetch(server.node(), "/localnodes", timeout=5)
        assert control.hand_over(server.node()) is None
        control.fetch(server.node(), "/localnodes", timeout=5)
        assert server.accepted == 1
    control.close()


@pytest.mark.parametrize(
    ("agent", "line"),
    [
        ({}, f"\r\nUser-Agent: {OWN_USER_AGENT}".encode()),
        ({"user_agent": lambda ours: "shop/1"}, b"\r\nUser-Agent: shop/1"),
        ({"user_agent": None}, b""),
        ({"extra_headers": {"User-Agent": "of requests", "X-Secret": "s"}}, b""),
    ],
)
def test_list_readings_and_probes_say_where_they_come_from(agent: dict[str, Any], line: bytes) -> None:
    heads: list[bytes] = []

    def note(sock: socket.socket) -> None:
        while (request := read_request(sock)) is not None:
            heads.append(request[0])
            sock.sendall(ok())

    with Server(note) as server, Cluster(ClusterConfig([server.node().address], **agent)) as cluster:
        node = server.node()
        cluster.core.control.fetch(node, "/localnodes", timeout=5)
    assert heads == [b"GET /localnodes HTTP/1.1\r\nHost: %b%b" % (node.host_header.encode(), line)]


def test_control_tries_again_after_a_kept_connection_failed() -> None:
    def once(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(ok())
        read_request(sock)  # and closes without an answer

    control = ControlConnections()
    with Server(once) as server:
        for _ in range(3):
            assert control.fetch(server.node(), "/", timeout=5).status == 200
        assert server.accepted == 3
    with pytest.raises(NodeUnreachableError):
        control.fetch(server.node(), "/", timeout=5)
    control.close()


def test_control_keeps_no_connection_that_the_node_has_closed() -> None:
    control = ControlConnections()
    with Server(paths) as server:
        node = server.node()
        control.fetch(node, "/", timeout=5)
        server.hang_up()
        (closed,) = control.connections()
        until(closed.is_stale)
        del closed
        for _ in range(3):
            control.fetch(node, "/", timeout=5)
        assert server.accepted == 2
        assert [connection.is_stale() for connection in control.connections()] == [False]
    control.close()


def test_control_fails_once_on_a_fresh_connection_and_keeps_its_time() -> None:
    control = ControlConnections()
    with Server(lambda sock: None) as server, pytest.raises(ConnectionLostError):
        control.fetch(server.node(), "/", timeout=5)
    with Server(silent) as server:
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            control.fetch(server.node(), "/", timeout=0.1)
        assert time.monotonic() - started < 5
        assert server.accepted == 1
    control.close()


def test_closing_control_ends_a_fetch() -> None:
    control = ControlConnections()
    with Server(silent) as server:
        errors: list[BaseException] = []
        thread = threading.Thread(
            target=lambda: errors.extend(in_threads(1, lambda: control.fetch(server.node(), "/", timeout=60)))
        )
        thread.start()
        until(lambda: server.accepted == 1)
        control.close()
        thread.join(5)
        assert isinstance(errors[0], TransportError)


def test_closing_control_ends_a_fetch_on_a_kept_connection() -> None:
    """It is not tried again on a fresh one, of which closing knew nothing."""
    asked = threading.Event()

    def once(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(ok())
        if read_request(sock) is not None:
            asked.set()
            sock.recv(1)

    control = ControlConnections()
    with Server(once) as server:
        control.fetch(server.node(), "/", timeout=5)
        errors: list[BaseException] = []
        thread = threading.Thread(
            target=lambda: errors.extend(in_threads(1, lambda: control.fetch(server.node(), "/", timeout=60)))
        )
        thread.start()
        assert asked.wait(10)
        control.close()
        thread.join(5)
        assert isinstance(errors[0], TransportError)
        assert errors[0].was_cut
        assert server.accepted == 1


# ---- pools of event loops, and the end -----------------------------------------------------------------------------


class _LoopPools:
    """Pools of an event loop that are found by the garbage collector while others are added."""

    def keep_only(self, nodes: object) -> None: ...

    def cut(self, node: Node, reason: str = "") -> None: ...


def test_pools_of_an_ended_event_loop_may_be_removed_while_others_are_added() -> None:
    """The garbage collector runs where it likes, in the middle of `add` too, and it runs `remove`."""
    everything = AllPools(Pools())
    first = _LoopPools()
    everything.add(first)  # type: ignore[arg-type]

    class Collecting(_LoopPools):
        def __hash__(self) -> int:
            everything.remove(first)  # type: ignore[arg-type]
            return 1

    added: list[None] = []
    thread = threading.Thread(target=lambda: added.append(everything.add(Collecting())), daemon=True)  # type: ignore[arg-type,func-returns-value]
    thread.start()
    thread.join(10)
    assert added == [None]
    node = Node("http", "127.0.0.1", 1)
    cut: list[str] = []
    first.cut = lambda node, reason="": cut.append(reason)  # type: ignore[method-assign,assignment]
    everything.cut(node, "first is gone")
    assert cut == []


def test_the_error_of_a_probe_names_its_own_timeout() -> None:
    with Server(silent) as server:
        control = ControlConnections()
        with pytest.raises(ReadTimeoutError) as raised:
            control.fetch(server.node(), "/localnodes", timeout=0.2)
        assert str(raised.value) == f"Node {server.node()} did not answer GET /localnodes within 0.2 s"
        control.close()


def test_the_error_of_a_probe_that_cannot_connect_names_its_own_timeout() -> None:
    with FullListener() as node:
        control = ControlConnections()
        with pytest.raises(ConnectTimeoutError) as raised:
            control.fetch(node, "/", timeout=0.2)
        assert str(raised.value) == f"Node {node} did not accept the connection within 0.2 s"
        control.close()
