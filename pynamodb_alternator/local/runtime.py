"""The threads of a cluster: one event loop in one thread, and two pools of threads; and the list of its failures.

`LocalCluster.start` makes a `Runtime`, which runs at once, and `stop` ends it for ever. All work with sockets is done
in the thread of its event loop; other threads use `in_loop` for it. Work for which the loop would have to wait is done
by the helpers (compression, parsing of long bodies) or the workers (calls of the engine).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import AlternatorError
from .workers import Workers

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_SECONDS = 30.0


class Runtime:
    """`workers`: how many calls of the engine may run at the same time. `failures`: the list to which `report` adds
    errors."""

    def __init__(self, workers: int, failures: list[BaseException]) -> None:
        self._failures = failures
        self._pid = os.getpid()
        self._stopped = False
        with contextlib.ExitStack() as undo:
            # Always Python's own event loop, also if the application uses uvloop, whose transports have other methods.
            self.loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop()
            undo.callback(self.loop.close)
            # Also off with `python -X dev`: it would log each slow answer of the engine.
            self.loop.set_debug(False)
            self._helpers = Workers(2, "local-alternator-helper")
            undo.callback(self._helpers.close, _SECONDS)
            self._workers = Workers(workers, "local-alternator-engine")
            undo.callback(self._workers.close, _SECONDS)
            self._thread = threading.Thread(target=self._run, name="local-alternator", daemon=True)
            self._thread.start()
            undo.pop_all()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self._loop_failed)
        try:
            self.loop.run_forever()
        finally:
            asyncio.set_event_loop(None)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(str(context.get("message")))
        if not isinstance(error, OSError | ssl.SSLError):
            self.report(error)

    @property
    def forked(self) -> bool:
        """Whether this process was forked after the runtime was made. It then does not have the loop's thread."""
        return self._pid != os.getpid()

    def check_owner(self) -> None:
        """Raises `AlternatorError` in a forked child: the loop does not run there, so a call would never be done."""
        if self.forked:
            raise AlternatorError(
                "LocalCluster belongs to the process that started it. A forked child can send it requests, and must "
                "leave everything else to that process."
            )

    def report(self, wrong: BaseException) -> None:
        """Record an error inside the cluster itself. From any thread."""
        self._failures.append(wrong)
        _log.error("the embedded cluster failed", exc_info=wrong)

    def in_loop(self, function: Callable[[], _T]) -> _T:
        """Run `function` in the event loop's thread, and return its result. From any thread.

        Raises `AlternatorError` if the runtime has stopped, and in a forked child.
        """
        if self._stopped:
            raise not_running()
        self.check_owner()
        if threading.current_thread() is self._thread:
            return function()
        return self._call(function).result(_SECONDS)

    def _call(self, function: Callable[[], _T]) -> concurrent.futures.Future[_T]:
        done: concurrent.futures.Future[_T] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(function())
            except BaseException as wrong:
                done.set_exception(wrong)

        self.loop.call_soon_threadsafe(run)
        return done

    async def help(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Run `function`, which takes long, in a helper's thread. From the event loop."""
        return await self.loop.run_in_executor(self._helpers, function, *arguments)

    async def work(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Run `function`, a call of the engine, in a worker's thread. From the event loop."""
        return await self.loop.run_in_executor(self._workers, function, *arguments)

    def stop(self, last: Callable[[], None]) -> None:
        """Run `last` in the event loop, then end all tasks and threads. From now on, `in_loop` raises
        `AlternatorError`."""
        self._stopped = True
        try:
            asyncio.run_coroutine_threadsafe(self._end(last), self.loop).result(_SECONDS)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(_SECONDS)
            self._workers.close(_SECONDS)
            self._helpers.close(_SECONDS)
            self.loop.close()

    async def _end(self, last: Callable[[], None]) -> None:
        last()
        current = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # An aborted transport is closed one turn of the loop later, with TLS a few turns.
        for _ in range(10):
            await asyncio.sleep(0)


def not_running() -> AlternatorError:
    """The error of all methods that need a running cluster."""
    return AlternatorError("LocalCluster is not running: call start(), or use it in a `with`.")
