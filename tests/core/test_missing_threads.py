"""No thread can be started: requests go on, and start no thread except the monitor's."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pynamodb_alternator.errors import ClusterClosedError
from pynamodb_alternator.routing.tables import PARTITION_KEY
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.values import Discovery
from pynamodb_alternator.topology.health import State
from tests.topology.fakes import PATIENCE, hosts, thread_starters, until

from .support import N1, N2, Inside


class Asked:
    """What stands for a `Cluster`. Its client notes the thread that asks about a table."""

    def __init__(self) -> None:
        self.asked_by: list[str] = []

    @property
    def client(self) -> Any:
        return self

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        self.asked_by.append(threading.current_thread().name)
        return {"Table": {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}}


def known(inside: Inside) -> list[str]:
    return hosts(inside.core.membership.view.topology.ring)


def ours() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("pynamodb_alternator")}


Make = Callable[..., Inside]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Inside] = []
    of_others = ours()

    def new(*seeds: str, **discovery: float) -> Inside:
        config = ClusterConfig(seeds or (N1,), discovery=Discovery(**{"interval": 0.05, **discovery}))
        made.append(Inside(Asked(), config))
        return made[-1]

    yield new
    for inside in made:
        inside.core.shut_down()
    until(lambda: ours() <= of_others)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """None can be started until `undo`."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield patch


def test_requests_do_the_work_and_say_so_once(
    make: Make, no_threads: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pynamodb_alternator")
    inside = make()
    inside.request()
    assert known(inside) == [N1, N2], "the first one has read the list"
    inside.request()
    until(lambda: [inside.request(), inside.state(N2)][1] is State.ACTIVE, "the probe of a request")
    inside.network.dead.add(N2)
    inside.core.membership.failed(inside.node(N2), 0, OSError("reset"))
    assert inside.core.prepare_would_wait(time.monotonic())
    inside.request()
    assert inside.state(N2) is State.DOWN
    inside.network.dead.clear()
    until(lambda: [inside.request(), inside.state(N2)][1] is State.ACTIVE, "its recovery")
    assert [line for line in caplog.messages if "no thread can be started" in line] == [
        "Cluster 'default': no thread can be started (can't start new thread). Requests read the node list and probe "
        "nodes themselves, until one can be started again."
    ]


@pytest.mark.usefixtures("no_threads")
def test_nothing_is_said_when_the_interpreter_ends(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen on Python 3.12, which starts no thread for exit handlers: each of their clusters warned of that."""
    ended = threading.Thread()
    monkeypatch.setattr(threading, "main_thread", lambda: ended)
    inside = make()
    inside.request()
    assert known(inside) == [N1, N2]
    assert caplog.messages == []


def test_the_thread_takes_over_when_it_can_be_started(
    make: Make, no_threads: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pynamodb_alternator")
    inside = make()
    inside.request()
    assert inside.core.works_inline
    inside.core.membership.suspect(inside.node(N1))
    no_threads.undo()
    until(lambda: [inside.request(), inside.core.monitor.running][1], "the thread")
    until(lambda: not inside.core.works_inline, "its beginning")
    until(lambda: not inside.core.membership.suspects(), "the probe of a suspect of before")
    until(lambda: any("threads can be started again" in line for line in caplog.messages), "the line that says so")


def test_the_deadline_of_a_request_holds(make: Make, no_threads: pytest.MonkeyPatch) -> None:
    inside = make()
    inside.request()
    inside.core.membership.suspect(inside.node(N2))
    inside.core.membership.last_read = time.monotonic() + PATIENCE  # so that the list is fresh
    inside.network.log.clear()
    inside.request(total=0.1)
    assert inside.network.log == [], "a probe may take longer"


def test_a_forgotten_cluster_ends_its_thread_even_without_more_threads(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = make()
    inside.request()
    monitor = inside.core.monitor
    until(lambda: monitor.running)
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.endswith("-close"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        inside.core.forgotten()
    until(lambda: not monitor.running)
    assert inside.core.closed


def test_the_threads_of_requests_start_none(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the monitor itself, nor for a suspect, nor for a question about a table."""
    starters = thread_starters(monkeypatch)
    inside = make()
    inside.request()
    inside.core.tables.report_unknown("t", PARTITION_KEY)
    until(lambda: inside.core.tables.get("t").partition_key == "id")
    assert inside.owner.asked_by == ["pynamodb_alternator-lookup"]
    inside.network.dead.add(N2)
    until(lambda: inside.state(N2) is State.ACTIVE)
    inside.core.membership.failed(inside.node(N2), 0, OSError("reset"))
    until(lambda: inside.state(N2) is State.DOWN)
    assert starters
    assert threading.get_ident() not in starters


def test_seeds_that_are_addresses_are_there_at_once(make: Make) -> None:
    """With nothing to wait for, the first request may come before the monitor thread has begun."""
    for _ in range(20):
        inside = make(startup_wait=0.0)
        inside.request()
        assert N1 in known(inside)


def test_the_end_of_the_interpreter_is_not_that_of_a_cluster(make: Make) -> None:
    """Exit handlers that were registered before ours run after it."""
    inside = make()
    inside.request()
    inside.core.go_on_without_threads()
    assert not inside.core.monitor.running
    assert not inside.core.closed
    until(lambda: inside.core.prepare_would_wait(time.monotonic()), "that the list is stale")
    inside.network.log.clear()
    inside.request()
    assert inside.network.asked() != []
    inside.core.shut_down()
    with pytest.raises(ClusterClosedError):
        inside.request()
    inside.core.go_on_without_threads()
    with pytest.raises(ClusterClosedError):
        inside.request()
