"""Lets monitoring tools surround the library's own requests with ``with`` blocks.

A tool that records the requests of all botocore clients records these requests too, because they go through the
cluster's ordinary client. An integration of such a tool can have them made inside of a block in which the tool does not
record. `contrib.opentelemetry` does this.
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
"""The tuple is replaced as a whole, so threads may read it without a lock."""


def surround(make_block: MakeBlock) -> Callable[[], None]:
    """Have each of the library's own requests made in a block of `make_block`. Returns a function that undoes this."""
    global _surroundings
    _surroundings = (*_surroundings, make_block)

    def take_back() -> None:
        global _surroundings
        _surroundings = tuple(other for other in _surroundings if other is not make_block)

    return take_back


@contextlib.contextmanager
def surrounded(block: AbstractContextManager[None]) -> Iterator[None]:
    """`block` inside of the blocks of all tools. If the block of a tool cannot be made, the error is logged and the
    block left out, because monitoring must not break a request."""
    with contextlib.ExitStack() as blocks:
        for make_block in _surroundings:
            try:
                blocks.enter_context(make_block())
            except Exception:
                _log.exception("The block of a tool around the library's own requests raised; the request goes on.")
        blocks.enter_context(block)
        yield
