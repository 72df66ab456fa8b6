"""A read and its hedge in an event loop, like `transport.side_by_side` for threads.

Each of the two attempts is a task, so each waits like any attempt of an event loop, also for handlers that are
coroutines. The task that loses is cancelled. If the caller's task is cancelled, both are. A cancelled task closes its
connection, which frees its slot. Both tasks have ended when `send` ends.
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

_Tasks = dict["asyncio.Task[Answer]", Attempt]


class AsyncSideBySide:
    """A lane on which an attempt and its hedge run at the same time. Like each lane, it serves one call."""

    def __init__(self, lane: Any) -> None:
        self._lane = lane
        self.result: Any = lane.result

    async def send(self, sender: Any, node: Node, attempts: Attempts) -> Answer:
        hedged = cast(HedgedAttempts, attempts)
        first = hedged.first()
        tasks: _Tasks = {}
        try:
            tasks[asyncio.create_task(self._lane.send(sender, node, hedged))] = first
            while True:
                ended = await _wait(tasks, hedged)
                for task in ended:
                    answer = _take(task, tasks, hedged)
                    if answer is not None:
                        return answer
                if not ended:
                    hedge = _hedge(tasks, hedged)
                    if hedge is not None:
                        tasks[asyncio.create_task(self._lane.send(sender, hedge.node, hedged))] = hedge
        except GeneratorExit:
            tasks.clear()  # this task was thrown away with its event loop, in which nothing can be waited for
            raise
        finally:
            hedged.connections.clear()
            await _end(tasks)


async def _wait(tasks: _Tasks, attempts: HedgedAttempts) -> list[asyncio.Task[Answer]]:
    """Wait until tasks have ended, and return them; an empty list if the attempt must be hedged now."""
    left = None
    if attempts.hedge_at < math.inf:
        left = max(0.0, attempts.hedge_at - attempts.environment.clock())
    ended, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    return [task for task in tasks if task in ended]


def _hedge(tasks: _Tasks, attempts: HedgedAttempts) -> Attempt | None:
    """Begin the hedge, unless an answer has begun."""
    if any(connection.has_begun for connection in attempts.connections.values()):
        attempts.hedge_at = math.inf
        return None
    return attempts.hedge()


def _take(task: asyncio.Task[Answer], tasks: _Tasks, attempts: HedgedAttempts) -> Answer | None:
    """Take the end of a task. Returns the answer that counts, or raises the error of the last attempt."""
    attempt = tasks.pop(task)
    others = list(tasks.values())
    try:
        answer = task.result()
    except TransportError as error:
        if not others:
            attempts.turn_to(attempt)
            raise
        attempts.failed_beside(attempt, error, others[0])
        return None
    if not others or attempts.settles(answer):
        attempts.turn_to(attempt)
        return answer
    attempts.answered_beside(attempt, answer, others[0])
    return None


async def _end(tasks: _Tasks) -> None:
    """Cancel the remaining tasks, and wait for their end."""
    for task in tasks:
        task.cancel()
        task.add_done_callback(_hear)
    if tasks:
        await asyncio.wait(tasks)


def _hear(task: asyncio.Task[Answer]) -> None:
    # Otherwise asyncio would log an exception that was never retrieved.
    if not task.cancelled():
        task.exception()
