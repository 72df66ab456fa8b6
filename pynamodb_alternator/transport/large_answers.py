"""Reads large answers, also malicious ones, in small steps. So they do not delay other requests, and the reading ends
with the call.

An answer of up to `LARGE` bytes is read in one step, in a few milliseconds. A longer one has a `Watch`, whose `look` is
called between the steps of the work: it ends the work when the deadline of the call has passed, or when no caller waits
any more. In an event loop this work is done in a thread (`aio.endpoint`). A parser in C would hold the interpreter's
lock from the first byte of a body to the last. So `document` uses a parser that calls Python code for each object, and
other threads can run meanwhile.

Nothing here waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from json import scanner
from typing import Any

from ..errors import ReadTimeoutError
from ..topology.node import Node

__all__ = ["LARGE", "Every", "Look", "Watch", "document", "parts"]

LARGE = 256 * 1024
"""The largest answer that is read in one step, in unpacked bytes."""
_SLICE = 64 * 1024
_MOST_PLAIN_SLICES = LARGE // _SLICE
_OBJECTS = 500
"""The number of objects or values between two looks. They take less than a millisecond."""
_VALUES_OF_A_SLICE = 1_000

Look = Callable[[], None]
"""Raises an error if the work must end."""


class Watch:
    """Ends the work on one answer of `node` in time. `deadline`: a time of `clock`; None for no limit."""

    def __init__(self, node: Node, deadline: float | None, clock: Callable[[], float]) -> None:
        self._node = node
        self._deadline = deadline
        self._clock = clock
        self._stopped = False

    def look(self) -> None:
        """Raise `ReadTimeoutError` if the deadline has passed, or no caller waits any more. Any thread may call
        this."""
        if self._stopped or (self._deadline is not None and self._clock() >= self._deadline):
            raise self.too_late()

    def left(self) -> float | None:
        """Seconds until the deadline; None if there is none."""
        return None if self._deadline is None else self._deadline - self._clock()

    def stop(self) -> None:
        """No caller waits any more."""
        self._stopped = True

    def too_late(self) -> ReadTimeoutError:
        error = ReadTimeoutError(
            f"Node {self._node} answered, but the deadline of the call passed before its answer was read",
            node=self._node.address,
        )
        error.may_still_execute = False
        return error


def document(body: bytes, look: Look) -> Any:
    """The result of `json.loads`, with looks in between. Raises ValueError and RecursionError as `json.loads` does."""
    text = body.decode()
    look()
    every = Every(look)
    # The hook is called only for objects, so an array of a million arrays, texts or numbers would be read in one step.
    # No application stores much data like this, so it is read in the slow way.
    return (_SlowDecoder(every) if _lacks_objects(body, look) else json.JSONDecoder(object_hook=every)).decode(text)


def parts(values: list[Any], look: Look) -> Iterator[list[Any]]:
    """The values in parts that each take about a millisecond, with a look before each part."""
    for start in range(0, len(values), _OBJECTS):
        look()
        yield values[start : start + _OBJECTS]


class Every:
    """Calls `look` at each `_OBJECTS`-th call, and returns its argument."""

    __slots__ = ("_left", "_look")

    def __init__(self, look: Look) -> None:
        self._look = look
        self._left = _OBJECTS

    def __call__(self, value: Any) -> Any:
        self._left -= 1
        if self._left <= 0:
            self._left = _OBJECTS
            self._look()
        return value


def _lacks_objects(body: bytes, look: Look) -> bool:
    """Whether the body has more than `LARGE` bytes in a row with many values and hardly any object."""
    plain = 0
    for start in range(0, len(body), _SLICE):
        if start % (16 * _SLICE) == 0:
            look()
        piece = body[start : start + _SLICE]
        commas = piece.count(b",") + piece.count(b"[")
        plain = plain + 1 if commas > _VALUES_OF_A_SLICE and piece.count(b"{") * 50 < commas else 0
        if plain > _MOST_PLAIN_SLICES:
            return True
    return False


class _SlowDecoder(json.JSONDecoder):
    """Python's own decoder without its parts in C, except for texts. It calls `every` for each nested value."""

    def __init__(self, every: Every) -> None:
        super().__init__(object_hook=every)
        parse_array: Any = self.parse_array
        parse_object: Any = self.parse_object

        def looking(scan: Any) -> Any:
            return lambda text, place: every(scan(text, place))

        def array(start: Any, scan: Any) -> Any:
            return parse_array(start, looking(scan))

        def mapping(start: Any, strict: Any, scan: Any, *hooks: Any) -> Any:
            return parse_object(start, strict, looking(scan), *hooks)

        self.parse_array: Any = array
        self.parse_object: Any = mapping
        make: Any = scanner.py_make_scanner  # type: ignore[attr-defined]  # public, and not in the stubs
        self.scan_once = make(self)
