"""Ends a command without a traceback when standard output is closed or full."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ends_quietly", "writing"]


class _OutputError(Exception):
    """The output cannot be written."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.strerror)
        self.reader_is_gone: bool = isinstance(cause, BrokenPipeError)


@contextmanager
def writing() -> Iterator[None]:
    """A block around each write of a command, which distinguishes failed writes from all other errors."""
    try:
        yield
    except OSError as wrong:
        raise _OutputError(wrong) from None


@contextmanager
def ends_quietly() -> Iterator[None]:
    """End the process with a status if the ``with`` block, or the flush at its end, cannot write any more.

    If the reader has closed the pipe, as in ``... | head``, this is not an error: status 0. A full disk is an error:
    status 1, and one line on standard error.
    """
    try:
        yield
        if sys.stdout is not None:
            with writing():
                sys.stdout.flush()
    except _OutputError as wrong:
        # Without this, Python would report the error again when it flushes standard output at exit.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        if wrong.reader_is_gone:
            raise SystemExit(0) from None
        print(f"error: standard output: {wrong}", file=sys.stderr)
        raise SystemExit(1) from None
