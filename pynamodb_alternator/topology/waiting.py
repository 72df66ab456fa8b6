"""Two ways to wait for another thread that survive an exception between any two bytecodes.

The classes of `threading` do not survive it: ``Event.set`` and ``Event.wait`` enter a lock in Python code. If a signal
handler raises there (Celery's soft limit, Ctrl-C), this lock may stay held for ever, and the other thread hangs. The
threads of requests use the classes of this module instead. They consist of plain locks, each of which is taken or
released in one step of the interpreter, and no two waiting threads share a lock.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

__all__ = ["Alarm", "Latch"]


class Alarm:
    """Wakes the one thread that sleeps with it. An alarm that comes before the sleep ends the sleep at once."""

    def __init__(self) -> None:
        self._rings = threading.Lock()
        self._rings.acquire()

    def set(self) -> None:
        """Wake the sleeper, or the next one to come."""
        with contextlib.suppress(RuntimeError):  # it rings already
            self._rings.release()

    def sleep(self, seconds: float) -> bool:
        """Sleep until the alarm is set, but at most for `seconds`. Returns whether it was set."""
        return self._rings.acquire(timeout=max(0.0, seconds))

    def clear(self) -> None:
        """Forget an alarm that was set while the thread did not sleep."""
        self._rings.acquire(blocking=False)


class Latch:
    """Opens once, and lets all waiting threads go."""

    __slots__ = ("_open", "_waiting")

    def __init__(self) -> None:
        self._open = False
        self._waiting: list[Callable[[], object]] = []

    def set(self) -> None:
        """Open it. A second call does no harm: it wakes threads that an interrupted first call has not woken."""
        self._open = True
        for tell in tuple(self._waiting):
            with contextlib.suppress(RuntimeError):  # another thread has told it, or nothing waits there any more
                tell()
        self._waiting.clear()

    def is_set(self) -> bool:
        return self._open

    def wait(self, seconds: float) -> bool:
        """Wait until it opens, but at most for `seconds`. Returns whether it is open."""
        if self._open:
            return True
        gate = threading.Lock()
        gate.acquire()
        self._waiting.append(gate.release)
        # The order matters: the thread that opens it sets `_open` first, and reads `_waiting` after that.
        if not self._open:
            gate.acquire(timeout=max(0.0, seconds))
        with contextlib.suppress(ValueError):
            self._waiting.remove(gate.release)
        return self._open

    def call(self, tell: Callable[[], object]) -> None:
        """Call `tell` when it opens, in the thread that opens it, or at once if it is open. `tell` may be called more
        than once.

        A RuntimeError that `tell` raises is ignored: it means that nothing waits any more.
        """
        self._waiting.append(tell)
        if self._open:
            tell()
