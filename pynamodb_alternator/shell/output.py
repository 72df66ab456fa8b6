"""What happens when standard output is closed, or can take no more: a command ends without a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ends_quietly", "writing"]


class _OutputError(Exception):
    """What is written cannot be written."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.strerror)
        self.reader_is_gone: bool = isinstance(cause, BrokenPipeError)


@contextmanager
def writing() -> Iterator[None]:
    """Around each write of a command, so that its failures are told from those of everything else."""
    try:
        yield
    except OSError as wrong:
        raise _OutputError(wrong) from None


@contextmanager
def ends_quietly() -> Iterator[None]:
    """Let the process end with a status where the ``with`` block, or the flush at its end, can write no more.

    A reader that has seen enough, as of ``... | head``, is not an error: status 0. A full disk is: status 1, and one
    line on standard error.
    """
    try:
        yield
        if sys.stdout is not None:
            with writing():
                sys.stdout.flush()
    except _OutputError as wrong:
        # Python would complain once more when it flushes standard output at exit.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        if wrong.reader_is_gone:
            raise SystemExit(0) from None
        print(f"error: standard output: {wrong}", file=sys.stderr)
        raise SystemExit(1) from None
