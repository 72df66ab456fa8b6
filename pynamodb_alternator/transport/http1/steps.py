"""Work in steps: what a thread does that waits for more than one connection at a time.

Such work is a coroutine. Where it would wait for a socket, it awaits a `Ready`, and whatever runs it waits for that,
and for others beside it. So it needs no thread and no event loop; closing the coroutine ends it where it waits.
"""

from __future__ import annotations

import math
import select
from collections.abc import Coroutine, Generator, Iterable
from typing import Any, TypeVar

from .sockets import READ, WRITE

__all__ = ["Ready", "straight_through", "wait_for_any"]

_LONGEST_POLL = 86_400.0
"""Seconds; `poll` takes a C int of milliseconds."""
_T = TypeVar("_T")


class Ready:
    """Awaiting it waits until a socket is ready, and tells whether it is: False after `seconds`.

    `fd`: of the socket. `events`: `READ`, `WRITE` or both. `has_begun`: whether a byte of the answer has come.
    """

    __slots__ = ("events", "fd", "has_begun", "seconds")

    def __init__(self, fd: int, events: int, seconds: float, *, has_begun: bool = False) -> None:
        self.fd = fd
        self.events = events
        self.seconds = seconds
        self.has_begun = has_begun

    def __await__(self) -> Generator[Ready, bool, bool]:
        return (yield self)


def straight_through(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: _T = ended.value
        return result
    raise AssertionError("work that waits for nothing but its own calls does not suspend")


def wait_for_any(sockets: Iterable[tuple[int, int]], seconds: float) -> set[int]:
    """Wait until one of the sockets is ready, and give the descriptors of those that are; none of them after `seconds`.

    `sockets`: pairs of a descriptor and the events to wait for.
    """
    seconds = min(max(0.0, seconds), _LONGEST_POLL)
    # Looked up now, and not when this module is imported: gevent puts its own in the place of these.
    make = getattr(select, "poll", None)
    if make is None:
        return _select(sockets, seconds)
    poller = make()
    for fd, events in sockets:
        poller.register(fd, events)
    # Rounded up: a moment that has not quite come would be waited for again and again.
    return {fd for fd, _ in poller.poll(math.ceil(seconds * 1000.0))}


def _select(sockets: Iterable[tuple[int, int]], seconds: float) -> set[int]:
    """For platforms and event loops that have no `select.poll`."""
    pairs = list(sockets)
    reading = [fd for fd, events in pairs if events & READ]
    writing = [fd for fd, events in pairs if events & WRITE]
    # Windows tells in the third list that a connection was refused.
    return {fd for ready in select.select(reading, writing, writing, seconds) for fd in ready}
