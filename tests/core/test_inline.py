"""The mode without threads: a request refreshes the node list and probes a suspect, within its own deadline."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pynamodb_alternator.core import cluster_core, inline
from pynamodb_alternator.core.inline import DeadlinedFetch
from pynamodb_alternator.errors import DeadlineBeforeSendError
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.topology import health_book, membership, turns, waiting
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.node import Node
from tests.topology.fakes import PATIENCE, finished, in_thread, will_be_probed
from tests.topology.interrupting import Interrupted, interruptions

from .support import N1, N2, Inside, Owner


@pytest.fixture
def inside() -> Iterator[Inside]:
    inside = Inside(Owner(), ClusterConfig([N1], monitor=False))
    yield inside
    inside.core.shut_down()


def test_reading_the_list_again_resolves_no_seed() -> None:
    """That may take long, and the nodes are known."""
    inside = Inside(Owner(), ClusterConfig(["seed.test"], monitor=False))
    inside.network.names["seed.test"] = [N1]
    inside.request()
    before = list(inside.network.resolved)
    assert before
    for _ in range(3):
        inside.make_stale()
        inside.request()
    assert inside.network.resolved == before
    inside.core.shut_down()


def test_the_first_request_reads_the_list_and_the_next_ones_do_not(inside: Inside) -> None:
    inside.request()
    assert [node.address for node in inside.core.membership.nodes()] == [f"{N1}:8000", f"{N2}:8000"]
    inside.network.log.clear()
    inside.request()
    assert inside.network.log == []
    inside.make_stale()
    inside.request()
    assert inside.network.asked() != []


def test_the_next_request_probes_a_suspect(inside: Inside) -> None:
    inside.request()
    inside.network.dead.add(N2)
    inside.core.membership.failed(inside.node(N2), 0, OSError("reset"))
    assert inside.core.prepare_would_wait(time.monotonic())
    inside.request()
    assert inside.state(N2) is State.DOWN
    assert not inside.core.prepare_would_wait(time.monotonic())


def test_a_request_without_time_leaves_the_suspect_to_the_next_one(inside: Inside) -> None:
    inside.request()
    inside.network.log.clear()
    inside.core.membership.suspect(inside.node(N2))
    inside.request(total=0.1)
    assert inside.network.log == []
    inside.request()
    assert inside.network.log == [(N2, "/")]


def test_another_threads_reading_is_not_waited_for_beyond_the_deadline(inside: Inside) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hang(node: Node, path: str) -> None:
        asked.set()
        assert go_on.wait(PATIENCE)

    inside.network.before = hang
    slow, result = in_thread(inside.core.membership.refresh)
    try:
        assert asked.wait(PATIENCE)
        began = time.monotonic()
        inside.make_stale()
        inside.request(total=0.2)
        assert time.monotonic() - began < 2.0
    finally:
        go_on.set()
    finished(slow)
    assert result == [True]


class SlowToHash(Node):
    """Another thread does its work between the look at this node and the step that takes it."""

    meanwhile: Callable[[], None] | None = None

    def __hash__(self) -> int:
        work, SlowToHash.meanwhile = SlowToHash.meanwhile, None
        if work is not None:
            work()
        return hash(self.endpoint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.endpoint == other.endpoint


def test_two_threads_may_take_the_same_suspect(inside: Inside) -> None:
    """Seen: the second one failed its request with a KeyError. One probe is enough."""
    inside.request()
    inside.network.log.clear()
    inside.core.inline.suspect(SlowToHash("http", N2, 8000))

    def another_request() -> None:
        thread, result = in_thread(inside.request)
        finished(thread)
        assert result == [None]

    SlowToHash.meanwhile = another_request
    inside.request()
    assert SlowToHash.meanwhile is None, "the other one came in between"
    assert inside.network.log == [(N2, "/")]


def test_a_suspicion_is_not_lost_at_any_place() -> None:
    """An exception in the thread of a request may keep the suspect from those that are to be probed."""
    made: list[Inside] = []

    def prepare() -> Callable[[], object]:
        inside = Inside(Owner(), ClusterConfig([N1], monitor=False))
        inside.request()
        inside.network.dead.add(N2)
        made.append(inside)

        def work() -> None:
            inside.core.membership.failed(inside.node(N2), 0, OSError("reset"))
            inside.request()

        return work

    points, suspected = 0, False
    for _ in interruptions(prepare, cluster_core, inline, membership, health_book, turns, waiting):
        points += 1
        inside = made.pop()
        # From the place on at which the suspicion is noted.
        suspected = suspected or inside.node(N2) in inside.core.membership.suspects()
        assert will_be_probed(inside.core.membership)
        inside.make_stale()
        inside.request()
        assert inside.core.membership.suspects() == ()
        assert not suspected or inside.state(N2) is State.DOWN
        inside.core.shut_down()
    assert suspected
    assert points > 30


def test_a_deadline_is_taken_back_at_any_place() -> None:
    """Seen: the deadline of a request that was interrupted stayed, and failed later fetches of its thread."""
    made: list[DeadlinedFetch] = []
    node = Node("http", N1, 8000)

    def prepare() -> Callable[[], object]:
        fetch = DeadlinedFetch(lambda node, path, timeout: (200, b""), lambda: 100.0)
        made.append(fetch)

        def work() -> None:
            with fetch.until(99.0), contextlib.suppress(DeadlineBeforeSendError):
                fetch(node, "/", 1.0)

        return work

    points = 0
    for _ in interruptions(prepare, inline, contextlib):
        points += 1
        assert made.pop()(node, "/", 1.0) == (200, b"")
    assert points > 5


def test_a_fetch_has_no_more_time_than_the_deadline_leaves() -> None:
    timeouts: list[float] = []

    def record(node: Node, path: str, timeout: float) -> tuple[int, bytes]:
        timeouts.append(timeout)
        return 200, b""

    fetch = DeadlinedFetch(record, lambda: 100.0)
    node = Node("http", N1, 8000)
    with fetch.until(100.5):
        fetch(node, "/", 2.0)
        fetch(node, "/", 0.1)
    with fetch.until(None):
        fetch(node, "/", 2.0)
    with fetch.until(100.0), pytest.raises(DeadlineBeforeSendError):
        fetch(node, "/", 2.0)
    with contextlib.suppress(Interrupted), fetch.until(100.0):
        raise Interrupted
    fetch(node, "/", 2.0)
    assert timeouts == [0.5, 0.1, 2.0, 2.0]
