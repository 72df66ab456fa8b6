"""A read and its hedge in an event loop, like `transport.side_by_side` for threads.

The attempt runs in the task of the call, with a timer for its hedge. Few reads wait for so long, and a task for each
attempt would cost a large part of the time of a read. When the timer ends, the hedge gets a task of its own. So each
waits like any attempt of an event loop, also for handlers that are coroutines.

If the hedge settles the request, the task of the call is cancelled where it waits, and takes that back, as
`asyncio.timeout` does. A cancelled task closes its connection, which frees its slot. If the caller's task is cancelled,
both attempts end. The hedge has ended when `send` ends.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

from ..errors import TransportError
from ..topology.node import Node
from ..transport.attempts import Attempts
from ..transport.hedged_attempts import Attempt, HedgedAttempts
from ..transport.http1 import Answer

__all__ = ["AsyncSideBySide"]


class AsyncSideBySide:
    """A lane on which an attempt and its hedge run at the same time. Like each lane, it serves one call."""

    def __init__(self, lane: Any) -> None:
        self._lane = lane
        self.result: Any = lane.result

    async def send(self, sender: Any, node: Node, attempts: Attempts) -> Answer:
        both = _Both(self._lane, sender, cast(HedgedAttempts, attempts))
        try:
            return await both.send(node)
        except GeneratorExit:
            both.forget()  # this task was thrown away with its event loop, in which nothing can be waited for
            raise
        finally:
            await both.end()


class _Both:
    """An attempt under way, and perhaps its hedge."""

    def __init__(self, lane: Any, sender: Any, attempts: HedgedAttempts) -> None:
        self._lane = lane
        self._sender = sender
        self._attempts = attempts
        self._first: Attempt = attempts.first()
        self._hedge: Attempt = self._first
        self._hedging: asyncio.Task[Answer] | None = None
        """While the hedge is under way, and when it has settled the request."""
        self._timer: asyncio.TimerHandle | None = None
        self._caller: asyncio.Task[Any] | None = None
        """While the attempt is under way and may be interrupted."""
        self._interrupted = False
        self._error: BaseException | None = None

    async def send(self, node: Node) -> Answer:
        """The answer that counts, or the error of the last attempt."""
        attempts, first = self._attempts, self._first
        self._set_timer()
        try:
            answer = await self._send_first(node)
        except TransportError as error:
            if self._hedging is None:
                attempts.turn_to(first)
                raise
            attempts.failed_beside(first, error, self._hedge)
            answer = None
        if self._error is not None:
            raise self._error
        if answer is not None:
            if self._hedging is None or attempts.settles(answer):
                attempts.turn_to(first)
                return answer
            attempts.answered_beside(first, answer, self._hedge)
        assert self._hedging is not None
        await asyncio.wait((self._hedging,))
        attempts.turn_to(self._hedge)
        return self._hedging.result()

    async def _send_first(self, node: Node) -> Answer | None:
        """The attempt's answer; None if it was interrupted."""
        self._caller = caller = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelling = caller.cancelling()
        try:
            answer: Answer = await self._lane.send(self._sender, node, self._attempts)
        except asyncio.CancelledError:
            if self._take_back(caller) and caller.cancelling() <= cancelling:
                return None
            raise
        finally:
            self._caller = None
            self._stop_timer()
            self._take_back(caller)  # if it had ended all the same
        return answer

    def _take_back(self, caller: asyncio.Task[Any]) -> bool:
        """Take back that `caller` is to be cancelled. False if nobody here wanted that."""
        interrupted, self._interrupted = self._interrupted, False
        if interrupted:
            caller.uncancel()
        return interrupted

    # ---- the hedge -----------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        left = self._attempts.hedge_at - self._attempts.environment.clock()
        if left < math.inf:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, left), self._guarded, self._begin)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _guarded(self, step: Any) -> None:
        """The event loop calls this. What goes wrong is the caller's to know."""
        if self._caller is None:
            return
        try:
            step()
        except BaseException as error:
            self._error = error
            self._interrupt(self._caller)

    def _interrupt(self, caller: asyncio.Task[Any]) -> None:
        self._interrupted = True
        caller.cancel()

    def _begin(self) -> None:
        """Begin the hedge, unless an answer has begun."""
        attempts = self._attempts
        if any(connection.has_begun for connection in attempts.connections.values()):
            attempts.hedge_at = math.inf
            return
        hedge = attempts.hedge()
        if hedge is None:
            self._set_timer()
            return
        self._hedge = hedge
        self._hedging = asyncio.get_running_loop().create_task(self._lane.send(self._sender, hedge.node, attempts))
        self._hedging.add_done_callback(lambda _: self._guarded(self._hedge_ended))

    def _hedge_ended(self) -> None:
        """The hedge has ended before the attempt."""
        attempts, hedging = self._attempts, self._hedging
        assert hedging is not None
        try:
            answer = hedging.result()
        except TransportError as error:
            self._hedging = None
            attempts.failed_beside(self._hedge, error, self._first)
            self._set_timer()
            return
        if attempts.settles(answer):
            assert self._caller is not None
            self._interrupt(self._caller)
            return
        self._hedging = None
        attempts.answered_beside(self._hedge, answer, self._first)

    # ---- the end -------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        self._hedging = None

    async def end(self) -> None:
        """Cancel the hedge if it is under way, and wait for its end."""
        self._attempts.connections.clear()
        hedging = self._hedging
        if hedging is None:
            return
        hedging.cancel()
        hedging.add_done_callback(_hear)
        await asyncio.wait((hedging,))


def _hear(task: asyncio.Task[Answer]) -> None:
    # asyncio complains of an error that nobody has asked for.
    if not task.cancelled():
        task.exception()
