"""Two exchanges in one thread, over real sockets: what is noticed while both are under way."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from pynamodb_alternator.errors import ConnectTimeoutError
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.values import Hedge, Retries, Timeouts
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.attempts import Attempts
from pynamodb_alternator.transport.hedged_attempts import HedgedAttempts
from pynamodb_alternator.transport.http1 import Answer, Steps, steps
from pynamodb_alternator.transport.lanes import Sender
from pynamodb_alternator.transport.pool import Pools
from pynamodb_alternator.transport.request import build_head
from pynamodb_alternator.transport.side_by_side import SideBySide

from .interruptions import Interruption, Tracer
from .request_world import READS, World
from .servers import FullListener, Handler, Server, answer_all, ok, read_request, silent


class Lane:
    """Sends what it is told to."""

    def __init__(self, sender: Sender, body: bytes = b"{}") -> None:
        self._sender = sender
        self._body = body

    def steps(self, node: Node, attempts: Attempts) -> Steps[Answer]:
        head = build_head("a.B", node.host_header, len(self._body))
        return self._sender.exchange_in_steps(node, head, self._body, attempts)

    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        raise NotImplementedError

    def result(self, answer: Answer, attempts: int) -> Any:
        raise NotImplementedError


class Bench:
    """Requests to these nodes, in this order."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = nodes
        self.pools = Pools(2)
        self.sender = Sender(ClusterConfig("127.0.0.1"), self.pools)

    def read(self, *, after: float = 0.05, body: bytes = b"{}", timeouts: Timeouts | None = None) -> Answer:
        world = World(self.nodes)
        operation, parameters = READS["get"]
        environment: Any = world.environment
        object.__setattr__(environment, "clock", time.monotonic)
        self.attempts = HedgedAttempts(
            environment,
            operation,
            parameters,
            hedge=Hedge(after=after),
            has_room=self.pools.has_room,
            started=time.monotonic(),
            timeouts=timeouts or Timeouts(),
            retries=Retries(),
        )
        node = self.attempts.next()
        assert isinstance(node, Node)
        return SideBySide(Lane(self.sender, body)).exchange(node, self.attempts)

    @property
    def in_use(self) -> int:
        return sum(pool.in_use for pool in self.pools.stats().values())


@contextmanager
def bench(*handlers: Handler) -> Iterator[Bench]:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(Server(handler, host=f"127.0.0.{2 + at}")) for at, handler in enumerate(handlers)
        ]
        made = Bench(*(server.node() for server in servers))
        yield made
        made.pools.close()


def late(seconds: float, body: bytes = b"late") -> Handler:
    def serve(sock: socket.socket) -> None:
        while read_request(sock) is not None:
            time.sleep(seconds)
            sock.sendall(ok(body))

    return serve


def test_no_hedge_is_sent_once_the_answer_has_begun() -> None:
    def slowly(sock: socket.socket) -> None:
        while read_request(sock) is not None:
            answer = ok(b"slowly")
            sock.sendall(answer[:5])
            time.sleep(1.5)
            sock.sendall(answer[5:])

    with bench(slowly, answer_all) as under_test:
        # Long enough for the first bytes to come on a busy machine, too.
        assert under_test.read(after=1.0).body == b"slowly"
        assert under_test.attempts.count == 1
        assert under_test.in_use == 0


def test_no_hedge_is_sent_if_this_thread_was_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    def held_up(self: Lane, node: Node, attempts: Attempts) -> Steps[Answer]:
        work = send(self, node, attempts)
        ready = next(work)
        time.sleep(0.3)
        while True:
            sent = yield ready
            try:
                ready = work.send(sent)
            except StopIteration as ended:
                answer: Answer = ended.value
                return answer

    send = Lane.steps
    monkeypatch.setattr(Lane, "steps", held_up)
    with bench(answer_all, answer_all) as under_test:
        to_idle(under_test)
        assert under_test.read().body == b"{}"
        assert under_test.attempts.count == 1


def test_an_answer_of_the_first_is_noticed_while_the_hedge_connects() -> None:
    """The second node neither accepts nor refuses the connection."""
    with Server(late(0.4)) as server, FullListener() as full:
        under_test = Bench(server.node(), full)
        assert under_test.read(timeouts=Timeouts(connect=30.0)).body == b"late"
        assert under_test.attempts.count == 2
        assert under_test.in_use == 0
        under_test.pools.close()


def test_a_first_attempt_that_does_not_get_connected_is_hedged() -> None:
    with Server() as server, FullListener() as full:
        under_test = Bench(full, server.node())
        assert under_test.read(timeouts=Timeouts(connect=30.0)).body == b"{}"
        assert under_test.attempts.count == 2
        assert under_test.in_use == 0
        under_test.pools.close()


def test_a_hedge_that_does_not_get_connected_fails_alone() -> None:
    with Server(late(0.7)) as server, FullListener() as full:
        under_test = Bench(server.node(), full)
        assert under_test.read(timeouts=Timeouts(connect=0.1)).body == b"late"
        under_test.pools.close()


def test_a_hedge_that_is_refused_fails_alone() -> None:
    with Server(late(0.3)) as server:
        with Server() as gone:
            nobody = gone.node()
        under_test = Bench(server.node(), nobody)
        assert under_test.read().body == b"late"
        assert under_test.attempts.count == 2
        under_test.pools.close()


def test_both_time_out_within_their_own_times() -> None:
    with FullListener() as first, FullListener() as second:
        under_test = Bench(first, second)
        with pytest.raises(ConnectTimeoutError, match=r"within 0\.2 s"):
            under_test.read(timeouts=Timeouts(connect=0.2))
        assert under_test.in_use == 0


def test_a_hedge_is_sent_once_a_connection_comes_free() -> None:
    with bench(silent, answer_all) as under_test:
        full = under_test.nodes[1]
        taken = [under_test.pools.acquire(full, 5.0) for _ in range(2)]
        free = threading.Timer(0.3, lambda: under_test.pools.release(taken[0]))
        free.start()
        began = time.monotonic()
        assert under_test.read(timeouts=Timeouts(read=20.0)).status == 200
        assert 0.3 <= time.monotonic() - began < 15.0
        assert (under_test.attempts.node, under_test.attempts.count) == (full, 2)
        free.join()
        under_test.pools.release(taken[1])
        assert under_test.in_use == 0


def test_a_large_request_goes_out_in_steps() -> None:
    """The first node takes a part of it, and no more."""
    half = threading.Event()

    def stuck(sock: socket.socket) -> None:
        sock.recv(1000)
        half.wait(20)

    with bench(stuck, answer_all) as under_test:
        body = b"x" * 16_000_000
        assert under_test.read(body=body).body == body
        half.set()
        assert under_test.attempts.count == 2


def test_without_poll_it_waits_with_select(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("select.poll")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert steps.wait_for_any([(ours.fileno(), steps.READ)], 0.01) == set()
        assert steps.wait_for_any([(ours.fileno(), steps.READ | steps.WRITE)], 5.0) == {ours.fileno()}
        theirs.send(b"x")
        assert steps.wait_for_any([(ours.fileno(), steps.READ)], 5.0) == {ours.fileno()}


# ---- interruptions -------------------------------------------------------------------------------------------------


def to_idle(under_test: Bench) -> None:
    for node in under_test.nodes:
        connection = under_test.pools.acquire(node, 5.0)
        connection.exchange(build_head("a.B", "h", 2), b"[]", read_timeout=5.0)
        under_test.pools.release(connection)


def to_none(under_test: Bench) -> None:
    under_test.pools.keep_only(())
    under_test.pools.keep_only(under_test.nodes)


@pytest.mark.parametrize("prepare", [to_idle, to_none])
def test_no_exception_at_any_place_loses_a_slot(prepare: Callable[[Bench], None]) -> None:
    """At every seventh instruction: there are thousands."""

    def hangs_when_asked(sock: socket.socket) -> None:
        while (asked := read_request(sock)) is not None:
            if asked[1] == b"[]":
                sock.sendall(ok())

    with bench(hangs_when_asked, answer_all) as under_test:
        number, came = 1, True
        while came:
            prepare(under_test)
            tracer = Tracer(number)
            with suppress(Interruption), tracer:
                under_test.read(after=0.0001)
            assert under_test.in_use == 0
            for node in under_test.nodes:
                use_both(under_test.pools, node)
            number, came = number + 7, tracer.came
        assert number > 1000


def use_both(pools: Pools, node: Node) -> None:
    both = [pools.acquire(node, 5.0, wait=0.0) for _ in range(2)]
    while both:
        pools.release(both.pop())


def test_a_silent_node_and_its_hedge_leave_no_connection_in_use() -> None:
    with bench(silent, answer_all) as under_test:
        for _ in range(5):
            assert under_test.read().body == b"{}"
            assert under_test.in_use == 0
