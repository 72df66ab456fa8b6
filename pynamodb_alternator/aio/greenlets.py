"""`run`: calls an ordinary function in an event loop, in a greenlet that hands over to the event loop when it waits.

    async def run(function)         a greenlet, in which function runs
      │  switch ──────────────────▶  User.get → ... → AlternatorConnection: what is to be awaited
      │  ◀──────────────────────── hand_over(awaitable)
      │  await                      (it stands still; other tasks go on)
      │  switch, or throw ────────▶  the answer, or the error, where it was waited for
      │  ◀──────────────────────── the end: what function gives, or its error

There is no thread, and no other task: the task that awaits `run` awaits everything for which the function waits. So
cancelling, timeouts and context variables are those of this task. The greenlet uses the same context object as the
task.

The function must not hold a `threading.Lock` while it waits: another task of the same thread that needs the lock would
block the thread for ever. This package holds no lock then.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import _get_running_loop, current_task
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from greenlet import getcurrent, greenlet

from ..core.hand_over import set_finder
from .loops import client_here
from .pool import EventLoopError

__all__ = ["run"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def run(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call `function`, an ordinary function that makes requests of models, and return its result:
    ``await run(User.get, "alice")``.

    Other tasks of the event loop run while requests of models wait, and while PynamoDB sleeps. All other code that
    waits still blocks the event loop: other clients, files, `time.sleep`. The requests of a model go to the cluster
    that its alias means now, over connections of this event loop.

    An iterator makes its requests when it is read, so read it inside of the function:
    ``await run(list, User.query("alice"))``.

    Raises what `function` raises. If the task is cancelled, CancelledError is raised in `function` where it waits.
    Raises TypeError for a coroutine function, which must be awaited directly, and for an argument that cannot be
    called; `EventLoopError` outside of an event loop of asyncio.
    """
    if not callable(function):
        _complain(function)
    call = _Call(function, args, kwargs)
    bridge = _parked.bridges.pop() if _parked.bridges else _Bridge(_make_calls)
    handed = bridge.begin(call)
    while handed is not _END:
        try:
            value = await handed
        except BaseException as error:
            handed = bridge.fail(error)
        else:
            handed = bridge.go_on(value)
    bridge.park()
    result = call.take_result()
    if type(result) is CoroutineType:
        result.close()
        raise TypeError(
            f"run() is for ordinary functions, and {_named(function)} is a coroutine function. "
            f"Write `await {_named(function)}(...)`."
        )
    return cast(_T, result)


def _complain(value: object) -> NoReturn:
    if type(value) is CoroutineType:
        value.close()
        raise TypeError(f"run() is for ordinary functions: write `await {_named(value)}(...)`, without run().")
    raise TypeError(
        f"run() takes a function and its arguments, such as `await run(User.get, 'alice')`; it was given what a call "
        f"has returned, or something else that cannot be called (a {type(value).__name__})."
    )


class _Call:
    """A function to call, and later its result. Both are removed when they are taken, because a greenlet keeps this
    object until its next call."""

    __slots__ = ("_result", "_what")

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._what: Any = (function, args, kwargs)
        self._result: Any = None

    def make(self) -> None:
        function, args, kwargs = self._what
        self._what = None
        self._result = function(*args, **kwargs)

    def take_result(self) -> Any:
        result, self._result = self._result, None
        return result


def _make_calls(call: _Call) -> None:
    """The function that runs in a greenlet. It does not refer to the greenlet: otherwise the greenlet would never be
    collected."""
    while True:
        call.make()
        call = getcurrent().parent.switch(_END)


class _Parked(threading.local):
    """The greenlets of a thread that wait for a function to call."""

    def __init__(self) -> None:
        self.bridges: list[_Bridge] = []


_parked = _Parked()
_MOST_PARKED = 100
"""The largest number of greenlets that are kept. Each takes 20 KiB, and a large number may never be needed again."""
_END: Any = object()
"""Means that the function has ended."""


def _named(function: object) -> str:
    return str(getattr(function, "__qualname__", None) or repr(function))


class _Bridge(greenlet):
    """A greenlet that calls functions for `run`, one after another, because to make a greenlet takes longer than
    everything else. An error ends it. Its parent is the greenlet in which the awaiting task runs."""

    _is_given_up = False
    _task: asyncio.Task[Any] | None = None

    # ---- on the side of the event loop -------------------------------------------------------------------------

    def begin(self, call: _Call) -> Any:
        """Make the call. Returns the first awaitable of the function, or `_END`."""
        self.parent = current = getcurrent()
        # The same context object, so that a variable that is set on one side is seen on the other side.
        self.gr_context = current.gr_context
        self._task = _task_here()
        return self.switch(call)

    def park(self) -> None:
        """After a call: keep the greenlet for another call."""
        self.gr_context = self._task = None
        if len(_parked.bridges) < _MOST_PARKED:
            _parked.bridges.append(self)

    def go_on(self, value: Any) -> Any:
        """Continue the function with the result of its wait. Returns its next awaitable, or `_END`."""
        # An event loop may run inside of a greenlet (nest_asyncio). Then the task may continue in another greenlet.
        self.parent = getcurrent()
        return self.switch(value)

    def fail(self, error: BaseException) -> Any:
        """Continue the function with the error of its wait. The frame of `run` is removed from its traceback, because
        it is added again at the beginning."""
        self._is_given_up = isinstance(error, GeneratorExit)
        try:
            self.parent = getcurrent()
        except ValueError:
            # The garbage collector ends the task in another thread, in which its greenlet cannot run.
            raise error from None
        trace = error.__traceback__
        try:
            return self.throw(type(error), error, trace and trace.tb_next)
        finally:
            del error, trace  # the error may be raised here again, and would refer to this frame

    # ---- in the greenlet ---------------------------------------------------------------------------------------

    @property
    def is_of_this_task(self) -> bool:
        """Whether the running code belongs to the task that awaits. Another task may run inside of the function: an
        eager task (`asyncio.eager_task_factory`), or a task of a nested event loop (nest_asyncio)."""
        return self._is_given_up or self._task is _task_here()

    def hand_over(self, awaitable: Awaitable[_T]) -> _T:
        """Have the event loop await `awaitable`, and return its result. Must be called in this greenlet."""
        if self._is_given_up:
            if isinstance(awaitable, CoroutineType):
                awaitable.close()
            raise EventLoopError("The event loop has given up this task: nothing can be awaited in it any more.")
        value: _T = self.parent.switch(awaitable)
        return value

    def client_of(self, cluster: Any) -> Any:
        """See `core.hand_over.HandsOver`."""
        return client_here(cluster, _hand_over)

    def sleep(self, seconds: float) -> None:
        """See `core.hand_over.HandsOver`."""
        self.hand_over(asyncio.sleep(seconds))


def _hand_over(awaitable: Awaitable[_T]) -> _T:
    bridge = _find()
    assert bridge is not None
    return bridge.hand_over(awaitable)


def _find() -> _Bridge | None:
    current = getcurrent()
    return current if type(current) is _Bridge and current.is_of_this_task else None


def _task_here() -> asyncio.Task[Any] | None:
    loop = _get_running_loop()
    return None if loop is None else current_task(loop)


set_finder(_find)
