"""Work in steps: how one thread waits for more than one connection at a time.

Such work is a generator. When it must wait for a socket, it yields a `Ready`. Its caller waits for this socket and for
the sockets of other work, and then sends whether the socket is ready. So the work needs no thread and no event loop,
and it ends when the generator is closed. It is not a coroutine, because Python warns of a coroutine that never began,
as after an exception.
"""

from __future__ import annotations

import math
import select
from collections.abc import Generator, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from .sockets import READ, WRITE

__all__ = ["Awaitable", "Ready", "Steps", "wait_for_any"]

_LONGEST_POLL = 86_400.0
"""Seconds; `poll` takes a C int of milliseconds."""
_T = TypeVar("_T")


class Ready(NamedTuple):
    """What work in steps waits for: a socket. It is sent True when the socket is ready, and False after `seconds`.

    `fd`: of the socket. `events`: `READ`, `WRITE` or both. `has_begun`: whether a byte of the answer has come.
    """

    fd: int
    events: int
    seconds: float
    has_begun: bool = False


Steps = Generator[Ready, Any, _T]
"""Work in steps, with the type of its result."""


class Awaitable(Generic[_T]):
    """Lets a coroutine await work in steps; the coroutine is then work in steps itself."""

    __slots__ = ("_work",)

    def __init__(self, work: Steps[_T]) -> None:
        self._work = work

    def __await__(self) -> Steps[_T]:
        return self._work


def wait_for_any(sockets: Iterable[tuple[int, int]], seconds: float) -> set[int]:
    """Wait until one of the sockets is ready, and return the descriptors of those that are; none after `seconds`.

    `sockets`: pairs of a descriptor and the events to wait for.
    """
    seconds = min(max(0.0, seconds), _LONGEST_POLL)
    # Looked up now, and not when this module is imported: gevent replaces these by its own.
    make = getattr(select, "poll", None)
    if make is None:
        return _select(sockets, seconds)
    poller = make()
    for fd, events in sockets:
        poller.register(fd, events)
    # Rounded up: if it were rounded down, the wait would end too early, and be repeated again and again.
    return {fd for fd, _ in poller.poll(math.ceil(seconds * 1000.0))}


def _select(sockets: Iterable[tuple[int, int]], seconds: float) -> set[int]:
    """For platforms and event loops that have no `select.poll`."""
    pairs = list(sockets)
    reading = [fd for fd, events in pairs if events & READ]
    writing = [fd for fd, events in pairs if events & WRITE]
    # On Windows, a refused connection is in the third list.
    return {fd for ready in select.select(reading, writing, writing, seconds) for fd in ready}
