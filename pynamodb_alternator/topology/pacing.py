"""How often the node list of one cluster is read: this module stores the pace, which follows the rules of `calm`.

It has no lock of its own: `Membership` holds its lock around `trouble` and `read`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ..settings.values import Discovery
from .calm import Pace, after_reading, in_trouble

__all__ = ["ReadingPace"]


class ReadingPace:
    """Stores the interval in which the list is read."""

    def __init__(self, settings: Discovery, clock: Callable[[], float], random: Random) -> None:
        self._settings = settings
        self._clock = clock
        self._random = random
        self._pace = Pace(settings.interval)

    @property
    def interval(self) -> float:
        """Seconds from the last reading to the next, while requests are made."""
        return self._pace.interval

    def trouble(self, last_read: float | None) -> None:
        """Something has gone wrong, so the list must be read soon. `last_read`: when the last reading began."""
        since = 0.0 if last_read is None else self._clock() - last_read
        self._pace = in_trouble(self._pace, self._settings, since_reading=since, random=self._random)

    def read(self, *, is_calm: bool) -> None:
        """A reading has ended. `is_calm`: whether it found nothing new, and all nodes are well."""
        self._pace = after_reading(self._pace, self._settings, is_calm=is_calm)
