"""An exception at any place where the interpreter lets one in: what signal handlers do to the thread of a request.

CPython runs signal handlers at the beginning of a function, after a call (as a part of it) and when a loop goes round.
In particular it runs none between entering a ``with`` block of a plain lock and being ready to leave it.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any

__all__ = ["Interrupted", "interruptions"]

_LETS_IN = ("CALL", "JUMP_BACKWARD", "RESUME")


class Interrupted(BaseException):
    """Raised where it is least expected."""


@functools.cache
def _entries(code: CodeType) -> list[Any]:
    """Which handler an exception at which offset goes to."""
    return list(dis.Bytecode(code).exception_entries)


@functools.cache
def _lets_in(code: CodeType, before: int, now: int) -> bool:
    """Whether an exception that is raised at the offset `now` is one that the instruction at `before` let in."""
    name = dis.opname[code.co_code[before]]
    handlers = [
        next((entry.target for entry in _entries(code) if entry.start <= offset < entry.end), None)
        for offset in (before, now)
    ]
    # Where another handler begins, it would not be the same exception any more.
    return before == 0 or (name.startswith(_LETS_IN) and handlers[0] == handlers[1])


class _Tracer:
    """Raises at the place number `at` of the functions of some files."""

    def __init__(self, files: set[str], at: int) -> None:
        self._files = files
        self._left = at
        self.raised = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        # Not while a generator is closed, where exceptions are dropped.
        if frame.f_code.co_filename not in self._files or frame.f_code.co_flags & inspect.CO_GENERATOR:
            return None
        offsets = [0]

        def at_each_bytecode(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
            if event == "opcode":
                if _lets_in(frame.f_code, offsets[-1], frame.f_lasti):
                    self._place()
                offsets[:] = [frame.f_lasti]
            return at_each_bytecode

        # In this order: Python 3.13 looks at the second only where the first is set.
        frame.f_trace = at_each_bytecode
        frame.f_trace_opcodes = True
        return at_each_bytecode

    def _place(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.raised:
            self.raised = True
            raise Interrupted


def interruptions(prepare: Callable[[], Callable[[], object]], *modules: ModuleType, step: int = 1) -> Iterator[int]:
    """Interrupt some work at each of its places in turn, and yield after each time, for the test to look.

    `prepare`: makes a fresh world, and gives the work. `modules`: those in whose code it is interrupted, in the thread
    that works and in no other. `step`: 1 for each place, or only every so many. It ends when the work was done without
    an interruption.
    """
    files = {str(module.__file__) for module in modules}
    at, interrupted = 0, True
    while interrupted:
        work = prepare()
        tracer = _Tracer(files, at)
        before, of_threads = sys.gettrace(), threading.gettrace()
        threading.settrace(None)  # type: ignore[arg-type]
        # Python 3.12 traces instructions only if a frame had asked for them before.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(tracer)
        try:
            work()
        except Interrupted:
            pass  # with its frames, which a caller that catches it does not keep either
        finally:
            sys.settrace(before)
            threading.settrace(of_threads)  # type: ignore[arg-type]
        interrupted = tracer.raised
        if interrupted:
            yield at
        at += step
