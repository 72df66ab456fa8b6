"""Makes calls that wait in a thread, for an event loop, which must not wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["run_in_thread"]

_T = TypeVar("_T")


def run_in_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], _T]) -> asyncio.Future[_T]:
    """A future for the result of `call`, which runs in a daemon thread. The loop's own executor is not used, because
    the end of the process would wait for its threads.

    If no thread can be started, `call` runs in the event loop.
    """
    result: asyncio.Future[_T] = loop.create_future()
    result.add_done_callback(lambda done: done.cancelled() or done.exception())  # marks an exception as retrieved

    def settle(error: BaseException | None, value: Any = None) -> None:
        if result.done():
            return
        if error is None:
            result.set_result(value)
        elif isinstance(error, StopIteration):
            # A future does not accept StopIteration, and would never be done.
            result.set_exception(RuntimeError(f"{type(error).__name__} was raised: {error}"))
        else:
            result.set_exception(error)

    def work() -> None:
        try:
            outcome: tuple[Any, ...] = (None, call())
        except BaseException as error:
            outcome = (error,)
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(settle, *outcome)

    try:
        threading.Thread(target=work, name="pynamodb_alternator-async", daemon=True).start()
    except RuntimeError:
        work()  # no thread can be started
    return result
