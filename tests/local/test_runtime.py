"""What the nodes run on: the thread of the event loop, the pools of threads, the failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from pynamodb_alternator.errors import AlternatorError
from pynamodb_alternator.local.runtime import Runtime

from .wire import TIMEOUT, until


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def runtime(failures: list[BaseException]) -> Iterator[Runtime]:
    running = Runtime(2, failures)
    yield running
    running.stop(lambda: None)


def test_in_loop_hands_back_what_the_function_returns_or_raises(runtime: Runtime) -> None:
    thread = runtime.in_loop(threading.current_thread)
    assert thread.name == "local-alternator"
    assert runtime.in_loop(lambda: runtime.in_loop(threading.current_thread)) is thread, "from the loop itself too"
    with pytest.raises(ZeroDivisionError):
        runtime.in_loop(lambda: 1 // 0)


def test_long_work_leaves_the_loop_free(runtime: Runtime) -> None:
    entered, leave = threading.Barrier(3), threading.Event()

    def wait() -> str:
        entered.wait(TIMEOUT)
        assert leave.wait(TIMEOUT)
        return threading.current_thread().name

    helping = asyncio.run_coroutine_threadsafe(runtime.help(wait), runtime.loop)
    working = asyncio.run_coroutine_threadsafe(runtime.work(wait), runtime.loop)
    entered.wait(TIMEOUT)
    assert runtime.in_loop(lambda: "free") == "free"
    leave.set()
    assert helping.result(TIMEOUT).startswith("local-alternator-helper")
    assert working.result(TIMEOUT).startswith("local-alternator-engine")


def test_what_fails_in_the_loop_is_reported_and_what_clients_do_is_not(
    runtime: Runtime, failures: list[BaseException]
) -> None:
    wrong = ValueError("on purpose")

    def fail(error: Exception) -> None:
        raise error

    runtime.loop.call_soon_threadsafe(fail, ConnectionResetError("a client has left"))
    runtime.loop.call_soon_threadsafe(fail, wrong)
    until(lambda: failures)
    assert failures == [wrong]


def test_stop_ends_tasks_and_threads_and_refuses_what_comes_later() -> None:
    before = set(threading.enumerate())
    runtime = Runtime(2, [])
    seen: list[str] = []
    started = threading.Event()

    async def sleeper() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    asyncio.run_coroutine_threadsafe(sleeper(), runtime.loop)
    assert started.wait(TIMEOUT)

    def last() -> None:
        seen.append("last")

    runtime.stop(last)
    assert seen == ["last", "cancelled"]
    assert set(threading.enumerate()) == before
    with pytest.raises(AlternatorError, match="not running"):
        runtime.in_loop(lambda: None)


def test_the_kind_of_event_loop_that_the_application_has_chosen_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after `uvloop.install()`: the nodes answered nothing then."""

    def of_the_application() -> None:
        pytest.fail("the embedded cluster runs in an event loop of the kind that the application has chosen")

    monkeypatch.setattr(asyncio, "new_event_loop", of_the_application)
    runtime = Runtime(2, [])
    try:
        assert runtime.in_loop(lambda: 7) == 7
    finally:
        runtime.stop(lambda: None)


@pytest.mark.parametrize("missing", ["event loop", "helper", "engine", "thread of the event loop"])
def test_one_that_cannot_begin_leaves_no_thread_and_no_event_loop(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """As in a process that has no more files or threads to spend."""
    before = set(threading.enumerate())
    loops: list[asyncio.AbstractEventLoop] = []
    names = {"helper": "local-alternator-helper", "engine": "local-alternator-engine"}
    refused = names.get(missing, "local-alternator")
    make, start = asyncio.SelectorEventLoop, threading.Thread.start

    def make_loop() -> asyncio.AbstractEventLoop:
        if missing == "event loop":
            raise OSError("too many open files")
        loops.append(make())
        return loops[-1]

    def start_thread(thread: threading.Thread) -> None:
        if thread.name.partition("_")[0] == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(asyncio, "SelectorEventLoop", make_loop)
    monkeypatch.setattr(threading.Thread, "start", start_thread)
    with pytest.raises((OSError, RuntimeError), match=r"too many|can't start"):
        Runtime(2, [])
    assert set(threading.enumerate()) == before
    assert all(loop.is_closed() for loop in loops)
