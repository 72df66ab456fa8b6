"""The faults of one node: each says what goes wrong, for which requests, and how often.

They are added from any thread, and looked up in the event loop, under one lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Literal, Self

from ..errors import ConfigurationError
from ..settings import checks
from .answers import Answer

HEALTH = "/"
LOCALNODES = "/localnodes"
EVERYTHING = "*"

Wire = Literal["whole", "reset", "truncate", "garbage", "cut_chunked", "wrong_length", "drop"]
"""How an answer is sent: correctly (``whole``), or spoilt in one of these ways."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The combined effect on one request of all faults that matched it."""

    delay: float = 0.0
    delay_after: float = 0.0
    execute: bool = True
    answer: Answer | None = None
    wire: Wire = "whole"
    garbage: bytes = b""
    length_error: int = 0


UNHARMED = Effect()
"""The effect on a request that has no fault."""


@dataclass(slots=True, eq=False)
class Fault:
    """One fault of one node. It ends when it has struck `times` times, or with `cancel()`, or at the end of ``with``.

    `operations`: the operations that it strikes; None means every DynamoDB operation, but not `GET /` and
    ``GET /localnodes``, which are named ``"/"`` and ``"/localnodes"``. ``"*"`` means every request.
    """

    name: str
    operations: frozenset[str] | None = None
    times: int | None = None
    effect: Effect = UNHARMED
    hits: int = 0
    """How many requests it has struck."""
    on_cancel: Callable[[Fault], None] | None = field(default=None, repr=False)
    """Removes the fault from its node."""

    def strikes(self, operation: str) -> bool:
        if self.operations is None:
            return not operation.startswith("/")
        return operation in self.operations or EVERYTHING in self.operations

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times

    def cancel(self) -> None:
        """End the fault. A second call does nothing."""
        if self.on_cancel is not None:
            self.on_cancel(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


class Faults:
    """The faults of one node, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: tuple[Fault, ...] = ()

    def add(
        self, name: str, effect: Effect, operation: str | Iterable[str] | None = None, times: int | None = None
    ) -> Fault:
        if times is not None:
            checks.whole(f"LocalNode.{name}: times", times, 1, 10**9)
        fault = Fault(name, _operations(name, operation), times, effect, on_cancel=self.remove)
        with self._lock:
            self._rules += (fault,)
        return fault

    def remove(self, fault: Fault) -> None:
        with self._lock:
            self._rules = tuple(rule for rule in self._rules if rule is not fault)

    def clear(self) -> None:
        with self._lock:
            self._rules = ()

    @property
    def rules(self) -> tuple[Fault, ...]:
        """The faults that have not ended."""
        return self._rules

    def strike(self, operation: str) -> Effect:
        """The effect on one request of `operation`: all delays that match, and the oldest of the other faults."""
        if not self._rules:
            return UNHARMED
        delay = delay_after = 0.0
        spoilt: Effect | None = None
        with self._lock:
            for rule in self._rules:
                delays = rule.effect.delay or rule.effect.delay_after
                if rule.spent or not rule.strikes(operation) or (spoilt is not None and not delays):
                    continue
                rule.hits += 1
                if delays:
                    delay += rule.effect.delay
                    delay_after += rule.effect.delay_after
                else:
                    spoilt = rule.effect
            if any(rule.spent for rule in self._rules):
                self._rules = tuple(rule for rule in self._rules if not rule.spent)
        return replace(spoilt or UNHARMED, delay=delay, delay_after=delay_after)


def _operations(name: str, operation: str | Iterable[str] | None) -> frozenset[str] | None:
    if operation is None:
        return None
    names = frozenset([operation] if isinstance(operation, str) else operation)
    for item in names:
        if not isinstance(item, str) or not (item in (HEALTH, LOCALNODES, EVERYTHING) or item.isalnum()):
            raise ConfigurationError(
                f"LocalNode.{name}: operation must be a DynamoDB operation such as 'UpdateItem', "
                f"'/localnodes', '/' or '*' (got {item!r})."
            )
    return names
