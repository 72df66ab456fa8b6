"""Functions that wait, in an event loop: `run` calls one in a greenlet, which hands over where it would wait.

    async def run(function)         a greenlet, in which function runs
      │  switch ──────────────────▶  User.get → ... → AlternatorConnection: what is to be awaited
      │  ◀──────────────────────── hand_over(awaitable)
      │  await                      (it stands still; other tasks go on)
      │  switch, or throw ────────▶  the answer, or the error, where it was waited for
      │  ◀──────────────────────── the end: what function gives, or its error

There is no thread, and nothing is scheduled: the task that awaits `run` awaits what the function waits for. So
cancelling, timeouts and context variables are those of this task: the greenlet has the context of the task, the same
object.

The function must not hold a `threading.Lock` while it waits: another task of the same thread that waits for the lock
would never end. This package holds none.
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
    """What `function` gives, an ordinary function that makes requests of models: ``await run(User.get, "alice")``.

    The event loop goes on with other tasks while the requests of models wait, and while PynamoDB sleeps. All other code
    that waits holds the event loop up, as always: other clients, files, `time.sleep`. The requests of a model go to the
    cluster that its alias means now, over connections of this event loop.

    An iterator that `function` gives makes its requests where it is read: ``await run(list, User.query("alice"))``.

    Raises what `function` raises; CancelledError comes out where it waits. TypeError for a coroutine function, which
    is awaited and not run, and for an argument that cannot be called; `EventLoopError` outside of an event loop of
    asyncio.
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
    """A function to call, and then its result. Each is dropped once it is taken, because a greenlet keeps this object
    until its next call."""

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
"""Each takes 20 KiB. More of them would keep memory for a peak that may not come again."""
_END: Any = object()
"""The function has come to its end."""


def _named(function: object) -> str:
    return str(getattr(function, "__qualname__", None) or repr(function))


class _Bridge(greenlet):
    """A greenlet that calls functions for `run`, one after another: making a greenlet takes longer than all that it
    does. An error ends it. Its parent is the greenlet in which the awaiting task runs."""

    _is_given_up = False
    _task: asyncio.Task[Any] | None = None

    # ---- on the side of the event loop -------------------------------------------------------------------------

    def begin(self, call: _Call) -> Any:
        """Make the call. Gives the first thing to wait for, or `_END`."""
        self.parent = current = getcurrent()
        # One object, so that what is set on one side is seen on the other one.
        self.gr_context = current.gr_context
        self._task = _task_here()
        return self.switch(call)

    def park(self) -> None:
        """After a call: keep the greenlet for another one."""
        self.gr_context = self._task = None
        if len(_parked.bridges) < _MOST_PARKED:
            _parked.bridges.append(self)

    def go_on(self, value: Any) -> Any:
        """Let the function go on with what it waited for. Gives the next thing to wait for, or `_END`."""
        # An event loop may be run inside of a greenlet (by nest_asyncio): then the task goes on in another one.
        self.parent = getcurrent()
        return self.switch(value)

    def fail(self, error: BaseException) -> Any:
        """The same with the error in which the wait has ended. The frame of `run` is left out of its traceback, because
        it comes again at the beginning."""
        self._is_given_up = isinstance(error, GeneratorExit)
        try:
            self.parent = getcurrent()
        except ValueError:
            # The garbage collector has found the task in another thread, where its greenlet cannot go on.
            raise error from None
        trace = error.__traceback__
        try:
            return self.throw(type(error), error, trace and trace.tb_next)
        finally:
            del error, trace  # it may come out of here, and refer to this frame

    # ---- in the greenlet ---------------------------------------------------------------------------------------

    @property
    def is_of_this_task(self) -> bool:
        """Whether the code that runs belongs to the task that awaits. Another task may run inside of the function: one
        that begins at once (`asyncio.eager_task_factory`), or one of an event loop in there (nest_asyncio)."""
        return self._is_given_up or self._task is _task_here()

    def hand_over(self, awaitable: Awaitable[_T]) -> _T:
        """What `awaitable` gives, once the event loop has awaited it. To be called in this greenlet."""
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
