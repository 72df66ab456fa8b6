"""A read and its hedge in one thread: two exchanges side by side, and the first answer wins.

`SideBySide` takes the place of a lane, so that the attempt loop need not know about hedges. Its `exchange` runs the
attempt in steps (`http1.steps`). It waits for the attempt's socket until `HedgedAttempts.hedge_at`, and then for both
sockets. It decides nothing: `HedgedAttempts` decides whether there is a hedge, and records an attempt that fails while
the other goes on. The result or error of the last attempt is returned or raised, as for any attempt.

Connecting, the handshake of TLS, sending and receiving wait in steps. Other work blocks, and so delays the other
exchange: the resolver, for a node that is known by a name; the source of credentials; handlers of botocore's events;
and a full pool, for which a hedge never waits.

The attempt that loses is closed while it waits, and its connection too. Handlers get no more events of this attempt, as
for a request that was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from ..errors import TransportError
from ..topology.node import Node
from .attempts import Attempts
from .hedged_attempts import Attempt, HedgedAttempts
from .http1 import Answer, Ready, Steps, wait_for_any
from .lanes import Lane

__all__ = ["SideBySide"]


class _Exchange:
    """One attempt under way. `steps`: its work. `waits_for`: the socket that it waits for, until the time `until`."""

    __slots__ = ("attempt", "is_ready", "steps", "until", "waits_for")

    def __init__(self, attempt: Attempt, steps: Steps[Answer]) -> None:
        self.attempt = attempt
        self.steps = steps
        self.is_ready: bool | None = None
        self.until = math.inf
        self.waits_for: Ready | None = None

    def go_on(self, now: float) -> Answer | None:
        """Do what needs no wait. Returns the answer if it is complete. Raises the error that ends the attempt."""
        try:
            waits_for = self.steps.send(self.is_ready)
        except StopIteration as ended:
            answer: Answer = ended.value
            return answer
        self.waits_for, self.until = waits_for, now + waits_for.seconds
        return None


class SideBySide:
    """A lane on which an attempt and its hedge run at the same time. Like each lane, it serves one call."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.result: Callable[[Answer, int], tuple[Any, dict[str, Any]]] = lane.result

    def steps(self, node: Node, attempts: Attempts) -> Steps[Answer]:
        return self._lane.steps(node, attempts)

    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        hedged = cast(HedgedAttempts, attempts)
        exchanges = [_Exchange(hedged.first(), self._lane.steps(node, hedged))]
        try:
            return self._run(exchanges, hedged)
        finally:
            for exchange in exchanges:
                exchange.steps.close()

    def _run(self, exchanges: list[_Exchange], attempts: HedgedAttempts) -> Answer:
        """The answer that counts. `exchanges`: those under way; those that have ended are removed from it."""
        clock = attempts.environment.clock
        due = exchanges[:]
        while True:
            for exchange in due:
                answer = _go_on(exchange, exchanges, attempts, clock())
                if answer is not None:
                    return answer
            due = _wait(exchanges, attempts, clock())
            # The thread may have waited for its turn: it first checks whether the answer has come meanwhile.
            if not due and clock() >= attempts.hedge_at:
                due = self._hedge(exchanges, attempts)

    def _hedge(self, exchanges: list[_Exchange], attempts: HedgedAttempts) -> list[_Exchange]:
        """Begin the hedge, unless an answer has begun."""
        if any(exchange.waits_for is not None and exchange.waits_for.has_begun for exchange in exchanges):
            attempts.hedge_at = math.inf
            return []
        hedge = attempts.hedge()
        if hedge is None:
            return []
        exchanges.append(_Exchange(hedge, self._lane.steps(hedge.node, attempts)))
        return exchanges[-1:]


def _go_on(exchange: _Exchange, exchanges: list[_Exchange], attempts: HedgedAttempts, now: float) -> Answer | None:
    """Go on with one exchange. Returns the answer that counts, or raises the error of the last attempt."""
    try:
        answer = exchange.go_on(now)
    except TransportError as error:
        exchanges.remove(exchange)
        if not exchanges:
            attempts.turn_to(exchange.attempt)
            raise
        attempts.failed_beside(exchange.attempt, error, exchanges[0].attempt)
        return None
    if answer is None:
        return None
    exchanges.remove(exchange)
    if not exchanges or attempts.settles(answer):
        attempts.turn_to(exchange.attempt)
        return answer
    attempts.answered_beside(exchange.attempt, answer, exchanges[0].attempt)
    return None


def _wait(exchanges: list[_Exchange], attempts: HedgedAttempts, now: float) -> list[_Exchange]:
    """Wait until an exchange can go on, its time is up, or the hedge is due. Returns those that can go on."""
    sockets = [(waits.fd, waits.events) for exchange in exchanges if (waits := exchange.waits_for) is not None]
    until = min(attempts.hedge_at, *(exchange.until for exchange in exchanges))
    ready = wait_for_any(sockets, until - now)
    now = attempts.environment.clock()
    due = []
    for exchange in exchanges:
        exchange.is_ready = exchange.waits_for is not None and exchange.waits_for.fd in ready
        if exchange.is_ready or now >= exchange.until:
            due.append(exchange)
    return due
