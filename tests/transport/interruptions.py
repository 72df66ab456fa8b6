"""An exception between any two steps of our code, as a signal's handler or gevent's Timeout raises it."""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pynamodb_alternator

__all__ = ["Interruption", "Tracer", "interruptions"]

_PACKAGE = str(Path(pynamodb_alternator.__file__).parent)
_TRACED = (f"{_PACKAGE}/transport", f"{_PACKAGE}/aio", socket.__file__)


_AWAITING = ("GET_AWAITABLE", "RESUME", "SEND", "YIELD_VALUE", "JUMP_BACKWARD_NO_INTERRUPT")
_LEAVING = ("TO_BOOL", "POP_JUMP_IF_TRUE", "POP_JUMP_FORWARD_IF_TRUE", "RERAISE", "COPY", "POP_TOP", "POP_EXCEPT")
"""Instructions behind a ``with`` block that an exception has ended."""


class Interruption(BaseException):
    """Comes out of nowhere."""


class Tracer:
    """``with`` it, the instruction with this `number` is not executed: an `Interruption` comes in its place.

    Only instructions of the transport count (and of Python's own socket module), and only where `counts` says so.
    """

    def __init__(self, number: int, counts: Callable[[FrameType], bool] = lambda _: True) -> None:
        self.number = number
        self._counts = counts
        self._seen = 0
        self._before: Any = None

    @property
    def came(self) -> bool:
        return self._seen >= self.number

    def __enter__(self) -> Tracer:
        self._before = sys.gettrace()
        # Python 3.12 traces instructions only if a frame had asked for them before.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(_TRACED):
            return None
        # In this order: Python 3.13 looks at the second only where the first is set.
        frame.f_trace = self._on_instruction
        frame.f_trace_opcodes = True
        return self._on_instruction

    def _on_instruction(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "opcode" and frame.f_lasti not in _ways_out(frame.f_code) and self._counts(frame):
            self._seen += 1
            if self._seen == self.number:
                raise Interruption(f"{frame.f_code.co_qualname}, line {frame.f_lineno}")
        return self._on_instruction


@functools.cache
def _ways_out(code: CodeType) -> frozenset[int]:
    """Where a ``with`` block has ended, and `__exit__` is just about to be called, or has just returned; and where an
    exception is just about to be handled, or has just been: what comes there would leave it the thread's current one.

    Nothing can come there: CPython looks for signals and for other threads' exceptions behind a call, at the beginning
    of a function and at a jump backwards. So a lock that is held by ``with`` is always let go.
    """
    ways: set[int] = set()
    instructions = list(dis.get_instructions(code))
    if any(instruction.opname == "BEFORE_ASYNC_WITH" for instruction in instructions):
        # CPython itself crashes if a trace function raises in the middle of an `async with`. What is called from there
        # is interrupted all the same.
        return frozenset(instruction.offset for instruction in instructions)
    for index, instruction in enumerate(instructions):
        if instruction.opname in _AWAITING and code.co_flags & inspect.CO_COROUTINE:
            # The awaited coroutine would not be ended, but dropped in the middle: asyncio does not stand that.
            ways |= {instruction.offset, instructions[index - 1].offset}
        elif instruction.opname == "LOAD_CONST":
            behind = instructions[index : index + 5]
            names = [
                instruction.opname
                for instruction in behind
                if instruction.opname != "LOAD_CONST" or instruction.argval is None
            ]
            if names[:3] == ["LOAD_CONST"] * 3 and names[3] in ("PRECALL", "CALL"):
                ways |= {
                    instruction.offset
                    for instruction in behind
                    if instruction.opname in ("LOAD_CONST", "PRECALL", "CALL")
                }
        elif instruction.opname in ("PUSH_EXC_INFO", "POP_EXCEPT"):
            ways.add(instruction.offset)
        elif instruction.opname == "WITH_EXCEPT_START":
            ends = itertools.takewhile(lambda instruction: instruction.opname in _LEAVING, instructions[index + 1 :])
            ways |= {instruction.offset for instruction in ends}
    return frozenset(ways)


def interruptions(action: Callable[[Tracer], bool]) -> Iterator[int]:
    """Run the action again and again, with the interruption one instruction later each time, until it comes too late.

    `action`: whether the interruption came. Gives the number of each run in which it did.
    """
    number = 1
    while action(Tracer(number)):
        yield number
        number += 1
