"""The threads that work for the event loop of the nodes."""

from __future__ import annotations

import concurrent.futures
import gc
import threading
import weakref

import pytest

from pynamodb_alternator.local.workers import Workers

from .wire import TIMEOUT, until


class Request:
    """What a call works on."""


def fail(request: Request) -> None:
    raise ValueError("on purpose")


def test_a_call_that_failed_is_not_kept_alive_by_its_error() -> None:
    """A cycle would keep a request and its answer until the garbage collector comes."""
    workers = Workers(1, "test-workers")
    gc.collect()
    gc.disable()
    try:
        request = Request()
        gone = weakref.ref(request)
        done = workers.submit(fail, request)
        assert isinstance(done.exception(TIMEOUT), ValueError)
        del request, done
        until(lambda: gone() is None)
    finally:
        gc.enable()
        workers.close(TIMEOUT)


def test_the_end_cancels_what_no_thread_has_begun() -> None:
    workers = Workers(1, "test-workers")
    begun, leave = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        leave.wait(TIMEOUT)
        return "done"

    first, second = workers.submit(work), workers.submit(work)
    second.add_done_callback(lambda _: leave.set())
    assert begun.wait(TIMEOUT)
    workers.close(TIMEOUT)
    assert first.result(TIMEOUT) == "done"
    with pytest.raises(concurrent.futures.CancelledError):
        second.result(0)
    with pytest.raises(RuntimeError, match="have ended"):
        workers.submit(work)
    workers.close(TIMEOUT)
