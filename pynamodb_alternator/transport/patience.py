"""Measures a wait, and counts only the time in which this process could have noticed an answer.

A timer that fires late says nothing about a node: the event loop or the whole process was blocked, and the answer may
be in the kernel's buffer already. So a wait is checked several times. Between two checks (looks), at most the planned
interval counts. If the process was blocked, this time counts as only one part of the wait, and the event loop handles
the events of its connections before the next look.
"""

from __future__ import annotations

import math

__all__ = ["Patience", "SharedPatience"]

_SLACK = 0.01
"""A look that is late by at most so many seconds still counts in full, because timers are rounded to milliseconds."""


class Patience:
    """How much of a wait of `seconds` is left. `now`: a time of the monotonic clock, like all times here.

    `parts`: how many looks there are in a wait in which nothing happens.
    """

    __slots__ = ("_counted", "_looked", "_part", "_seconds")

    def __init__(self, seconds: float, now: float, *, parts: int) -> None:
        self._seconds = seconds
        self._part = seconds / parts
        self._counted = 0.0
        self._looked = now

    def left(self, now: float, progress: float = 0.0) -> float:
        """Seconds until the next look; 0 if the wait is over.

        `progress`: the last time at which there was a reason to begin the wait again.
        """
        began = self._looked
        if progress > began:
            began, self._counted = min(progress, now), 0.0
        self._counted += min(now - began, self._part + _SLACK)
        self._looked = now
        return max(0.0, min(self._part, self._seconds - self._counted))


class SharedPatience:
    """Like `Patience`, for many waits that are checked together.

    It is a clock that counts time as `Patience` does. Each wait keeps what the clock showed when it began.
    `next_look`: the time of the next look.
    """

    __slots__ = ("_counted", "_looked", "_progressed", "next_look")

    def __init__(self, now: float) -> None:
        self._counted = 0.0
        self._looked = now
        self.next_look: float = now
        self._progressed = -math.inf

    def shows(self, now: float) -> float:
        """The seconds that have counted until `now`. `now` must not be before the last look."""
        return self._counted + min(now, self.next_look + _SLACK) - self._looked

    def look(self, now: float, next_look: float, progress: float) -> None:
        """Check all waits. `progress`: the last time at which there was a reason to begin all waits again."""
        if progress > self._looked:
            self._progressed = self.shows(progress)
        self._counted, self._looked, self.next_look = self.shows(now), now, next_look

    def left(self, seconds: float, began: float) -> float:
        """The seconds that were left at the last look of a wait of `seconds`. `began`: what `shows` returned when it
        began."""
        return seconds + max(began, self._progressed) - self._counted
