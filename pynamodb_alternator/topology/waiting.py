"""Two ways to wait for another thread that survive an exception between any two bytecodes.

The classes of `threading` do not: ``Event.set`` and ``Event.wait`` enter a lock in Python code, so a signal handler
that raises in there (Celery's soft limit, Ctrl-C) may leave that lock held for ever, and the thread on the other side
hangs. The threads of requests use what stands here instead: plain locks, each taken or released in one step of the
interpreter, and none that two waiting threads share.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

__all__ = ["Alarm", "Latch"]


class Alarm:
    """Wakes the one thread that sleeps with it. An alarm that comes before the sleep ends that at once."""

    def __init__(self) -> None:
        self._rings = threading.Lock()
        self._rings.acquire()

    def set(self) -> None:
        """Wake the sleeper, or the next one to come."""
        with contextlib.suppress(RuntimeError):  # it rings already
            self._rings.release()

    def sleep(self, seconds: float) -> bool:
        """Sleep until the alarm rings, but at most for `seconds`. Whether it rang."""
        return self._rings.acquire(timeout=max(0.0, seconds))

    def clear(self) -> None:
        """Forget an alarm that nobody has slept to hear."""
        self._rings.acquire(blocking=False)


class Latch:
    """Opens once, and lets all waiting threads go."""

    __slots__ = ("_open", "_waiting")

    def __init__(self) -> None:
        self._open = False
        self._waiting: list[Callable[[], object]] = []

    def set(self) -> None:
        """Open. More than once does no harm: it wakes those that an interrupted opening has left asleep."""
        self._open = True
        for tell in tuple(self._waiting):
            with contextlib.suppress(RuntimeError):  # another thread has opened it, or nobody is there any more
                tell()
        self._waiting.clear()

    def is_set(self) -> bool:
        return self._open

    def wait(self, seconds: float) -> bool:
        """Wait until it opens, but at most for `seconds`. Whether it is open."""
        if self._open:
            return True
        gate = threading.Lock()
        gate.acquire()
        self._waiting.append(gate.release)
        # In this order: the thread that opens it sets the flag first, and looks at the gates after that.
        if not self._open:
            gate.acquire(timeout=max(0.0, seconds))
        with contextlib.suppress(ValueError):
            self._waiting.remove(gate.release)
        return self._open

    def call(self, tell: Callable[[], object]) -> None:
        """Have `tell` called when it opens, in the thread that opens it, or now. It may be called more than once.

        A RuntimeError of it means that nothing is left that waits for the news.
        """
        self._waiting.append(tell)
        if self._open:
            tell()
