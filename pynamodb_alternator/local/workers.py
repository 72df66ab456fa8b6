"""Threads that work for the event loop of the nodes, also while the interpreter ends.

`concurrent.futures.ThreadPoolExecutor` refuses all work from the moment when the main thread has ended. But the other
threads and the exit handlers of a program still make requests then, and the nodes must answer them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["Workers"]

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Work = tuple[concurrent.futures.Future[Any], Callable[[], Any]]


class Workers(concurrent.futures.Executor):
    """At most `most` threads, which are daemons. `name`: their names begin with it."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._closed = False
        # The first one at once: since Python 3.12 none can be started when the main thread has ended.
        self._start()

    def submit(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        """Have a thread call the function. Raises RuntimeError after `close`."""
        done: concurrent.futures.Future[_T] = concurrent.futures.Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the threads {self._name} have ended")
            self._work.put((done, functools.partial(function, *args, **kwargs)))
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                with contextlib.suppress(RuntimeError):  # no further thread: those that there are have to do
                    self._start()
        return done

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=f"{self._name}_{len(self._threads)}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            _call(*work)
            del work  # it holds a request and its answer
            self._idle.release()

    def close(self, seconds: float) -> None:
        """End the threads, and wait so many seconds for those that still work. What no thread has begun is
        cancelled."""
        dropped: list[_Work | None] = []
        with self._lock:
            self._closed = True
            with contextlib.suppress(queue.Empty):
                while True:
                    dropped.append(self._work.get_nowait())
            for _ in self._threads:
                self._work.put(None)
        for work in dropped:
            if work is not None:
                work[0].cancel()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))


def _call(done: concurrent.futures.Future[Any], function: Callable[[], Any]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(function())
    except BaseException as wrong:
        done.set_exception(wrong)
        del done  # otherwise the error would refer to itself, by its traceback and this frame
