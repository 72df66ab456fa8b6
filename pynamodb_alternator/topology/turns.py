"""One thread at a time, and the others wait for its result: the turns of those that read the node list.

A turn is not counted and not locked. It belongs to a `Claim`, an object that only the frame of the call holds which
does the work, so that a turn ends with its call, however that ends: also if an exception (`gevent.Timeout`, one of a
signal handler) comes in the middle of giving it back. Should somebody keep such an exception with its frames, the turn
ends when it has lasted longer than a real reading can.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from .waiting import Latch

__all__ = ["Claim", "Turn", "Turns"]

_LOOK_AGAIN = 1.0
"""Seconds after which a waiting thread looks whether the turn still exists that it waits for."""


class Claim:
    """What a call holds to have a turn for as long as it lasts."""

    __slots__ = ("__weakref__",)


class Turn:
    """The work of one thread. `thread`: its identifier. `since`: when it began. `succeeded`: its result."""

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
        """Whether the call is gone that had it."""
        return self._claim() is None

    def end(self) -> None:
        """Let those go that wait for it."""
        self._over.set()

    def wait(self, most: float) -> bool:
        """Wait at most `most` seconds for its end. Whether it has succeeded."""
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
        """In the child of a fork: the thread that has the turn does not exist there, nor one that held the lock."""
        self._lock = threading.Lock()
        self._turn = None

    def run(self, work: Callable[[Turn], bool], now: float, *, waits: bool, most: float, otherwise: bool) -> bool:
        """Have a turn, and do `work` in it; its result. While another thread has it, that of the other one, for which
        this waits at most `most` seconds, or `otherwise` at once if it does not wait."""
        claim = Claim()
        # The turn is taken inside, so that no exception comes between taking it and being ready to give it back.
        try:
            turn = self.take(claim, now)
            if turn.belongs_to(claim):
                return work(turn)
        finally:
            self.give_back(claim)
        # A receiver of one of our signals would wait for itself.
        if not waits or turn.thread == threading.get_ident():
            return otherwise
        return turn.wait(most)

    def take(self, claim: Claim, now: float) -> Turn:
        """The turn of `claim`, or that of another call which has not ended."""
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
