"""What surrounds the requests that the library makes for itself: the ``with`` blocks of tools that watch.

A tool that watches all clients of botocore sees these requests as well, because they go through the cluster's ordinary
client. What connects such a tool with this library can have them made inside of a block of its own, in which the tool
looks away: `contrib.opentelemetry` does.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

__all__ = ["surround", "surrounded"]

MakeBlock = Callable[[], AbstractContextManager[object]]

_log = logging.getLogger("pynamodb_alternator.cluster")

_surroundings: tuple[MakeBlock, ...] = ()
"""Replaced as a whole: threads that ask go through it without a lock."""


def surround(make_block: MakeBlock) -> Callable[[], None]:
    """Have each of the library's own requests made in a block of `make_block`. What this gives takes it back."""
    global _surroundings
    _surroundings = (*_surroundings, make_block)

    def take_back() -> None:
        global _surroundings
        _surroundings = tuple(other for other in _surroundings if other is not make_block)

    return take_back


@contextlib.contextmanager
def surrounded(block: AbstractContextManager[None]) -> Iterator[None]:
    """A block inside of all these. One that cannot be made is logged and left out: watching breaks no request."""
    with contextlib.ExitStack() as blocks:
        for make_block in _surroundings:
            try:
                blocks.enter_context(make_block())
            except Exception:
                _log.exception("What surrounds the library's own requests raised; the request goes on.")
        blocks.enter_context(block)
        yield
