"""Turns to read the node list: one thread at a time reads, and the others wait for its result.

A turn is neither a count nor a lock. It belongs to a `Claim`, an object to which only the frame of the reading call
refers. So a turn ends with its call in any case, even if an exception (`gevent.Timeout`, or one from a signal handler)
comes while the turn is given back. If such an exception is kept with its frames, the turn ends when it has lasted
longer than a real reading can.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from .waiting import Latch

__all__ = ["Claim", "Turn", "Turns"]

_LOOK_AGAIN = 1.0
"""Seconds after which a waiting thread checks whether the turn that it waits for still exists."""


class Claim:
    """The object that a call holds to have a turn, for as long as the call lasts."""

    __slots__ = ("__weakref__",)


class Turn:
    """The turn of one thread. `thread`: its identifier. `since`: when it began. `succeeded`: its result."""

    __slots__ = ("_claim", "_over", "since", "succeeded", "thread")

    def __init__(self, claim: Claim, since: float) -> None:
        self.thread: int = threading.get_ident()
        self.since: float = since
        self._claim = weakref.ref(claim)
        self._over = Latch()
        self.succeeded: bool = False

    def belongs_to(self, claim: Claim) -> bool:
        return self._claim() is claim

    @property
    def abandoned(self) -> bool:
        """Whether the call that had this turn has ended, so that its claim does not exist any more."""
        return self._claim() is None

    def end(self) -> None:
        """Wake the threads that wait for it."""
        self._over.set()

    def wait(self, most: float) -> bool:
        """Wait at most `most` seconds for its end. Returns whether it has succeeded."""
        while most > 0 and not self.abandoned and not self._over.wait(min(most, _LOOK_AGAIN)):
            most -= _LOOK_AGAIN
        return self.succeeded


class Turns:
    """Gives one turn at a time. `longest`: seconds after which a turn that has not ended counts as abandoned."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._turn: Turn | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """In the child of a fork, the thread that has the turn does not exist, and no thread could release the old
        lock."""
        self._lock = threading.Lock()
        self._turn = None

    def run(self, work: Callable[[Turn], bool], now: float, *, waits: bool, most: float, otherwise: bool) -> bool:
        """Take the turn, do `work`, and give its result. While another thread has the turn: wait at most `most` seconds
        for its result and give that, or give `otherwise` at once if `waits` is False."""
        claim = Claim()
        # The turn is taken inside of the `try`, so that an exception right after `take` cannot skip `give_back`.
        try:
            turn = self.take(claim, now)
            if turn.belongs_to(claim):
                return work(turn)
        finally:
            self.give_back(claim)
        # If a receiver of a signal calls this inside of the reading, it would wait for itself.
        if not waits or turn.thread == threading.get_ident():
            return otherwise
        return turn.wait(most)

    def take(self, claim: Claim, now: float) -> Turn:
        """The turn of `claim`, or the turn of another call that has not ended."""
        mine = Turn(claim, now)
        with self._lock:
            turn = self._turn
            if turn is None or turn.abandoned or now - turn.since > self._longest:
                self._turn = turn = mine
        return turn

    def give_back(self, claim: Claim) -> None:
        """End the turn of `claim`, if it has one."""
        with self._lock:
            turn = self._turn
            if turn is None or not turn.belongs_to(claim):
                return
            self._turn = None
        turn.end()
