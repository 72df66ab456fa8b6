"""An attempt and its hedge in an event loop, over a lane whose answers come when the test says so."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator.aio.side_by_side import AsyncSideBySide
from pynamodb_alternator.errors import ReadTimeoutError

from .support import run, until

FIRST: Any = SimpleNamespace(node="first", is_hedge=False)
HEDGE: Any = SimpleNamespace(node="hedge", is_hedge=True)
GOOD: Any = "good"
BAD: Any = "bad"
"""An answer that does not settle the request."""


class Attempts:
    """What `HedgedAttempts` is to both: it takes notes, and decides that the hedge is due at once."""

    def __init__(self, *, after: float = 0.0) -> None:
        self.environment = SimpleNamespace(clock=time.monotonic)
        self.connections: dict[Any, Any] = {}
        self.hedge_at = time.monotonic() + after
        self.notes: list[Any] = []

    def first(self) -> Any:
        return FIRST

    def hedge(self) -> Any:
        self.hedge_at = math.inf
        self.notes.append("hedged")
        return HEDGE

    def turn_to(self, attempt: Any) -> None:
        self.notes.append(f"turned to {attempt.node}")

    def settles(self, answer: Any) -> bool:
        return bool(answer == GOOD)

    def failed_beside(self, attempt: Any, error: Any, other: Any) -> None:
        self.notes.append(f"{attempt.node} failed")

    def answered_beside(self, attempt: Any, answer: Any, other: Any) -> None:
        self.notes.append(f"{attempt.node} answered")


class Lane:
    """`ends`: by node, what its attempt waits for. `cancelled`: the nodes whose attempts were. `stubborn`: nodes whose
    attempts end in another way when they are cancelled."""

    result = None

    def __init__(self, *, stubborn: Callable[[], Any] | None = None) -> None:
        self.ends: dict[Any, asyncio.Future[Any]] = {}
        self.cancelled: list[Any] = []
        self._stubborn = stubborn

    async def send(self, sender: Any, node: Any, attempts: Any) -> Any:
        end = self.ends[node] = asyncio.get_running_loop().create_future()
        try:
            return await end
        except asyncio.CancelledError:
            self.cancelled.append(node)
            if self._stubborn is not None and node == "first":
                return self._stubborn()
            raise


def begun(lane: Lane, attempts: Attempts) -> asyncio.Task[Any]:
    both: Any = AsyncSideBySide(lane)
    return asyncio.create_task(both.send(None, "first", attempts))


def both_under_way(test: Callable[[Lane, Attempts, asyncio.Task[Any]], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        lane, attempts = Lane(**settings), Attempts()
        task = begun(lane, attempts)
        await until(lambda: len(lane.ends) == 2)
        await test(lane, attempts, task)

    run(main)


@pytest.mark.parametrize(("winner", "loser"), [("first", "hedge"), ("hedge", "first")])
def test_the_first_answer_wins_and_the_other_attempt_is_cancelled(winner: str, loser: str) -> None:
    async def test(lane: Lane, attempts: Attempts, task: asyncio.Task[Any]) -> None:
        lane.ends[winner].set_result(GOOD)
        assert await task == GOOD
        assert (lane.cancelled, attempts.notes, task.cancelling()) == ([loser], ["hedged", f"turned to {winner}"], 0)

    both_under_way(test)


@pytest.mark.parametrize(("early", "late"), [("first", "hedge"), ("hedge", "first")])
@pytest.mark.parametrize("bad", [True, False])
def test_one_that_ends_badly_leaves_it_to_the_other(early: str, late: str, bad: bool) -> None:
    async def test(lane: Lane, attempts: Attempts, task: asyncio.Task[Any]) -> None:
        if bad:
            lane.ends[early].set_result(BAD)
        else:
            lane.ends[early].set_exception(ReadTimeoutError("late"))
        await until(lambda: len(attempts.notes) == 2)
        lane.ends[late].set_result(BAD)
        assert await task == BAD
        how = "answered" if bad else "failed"
        assert attempts.notes == ["hedged", f"{early} {how}", f"turned to {late}"]

    both_under_way(test)


@pytest.mark.parametrize(("early", "late"), [("first", "hedge"), ("hedge", "first")])
def test_the_error_of_the_last_one_is_that_of_the_call(early: str, late: str) -> None:
    async def test(lane: Lane, attempts: Attempts, task: asyncio.Task[Any]) -> None:
        lane.ends[early].set_exception(ReadTimeoutError("late"))
        await until(lambda: len(attempts.notes) == 2)
        lane.ends[late].set_exception(ReadTimeoutError("later"))
        with pytest.raises(ReadTimeoutError, match="later"):
            await task
        assert attempts.notes[-1] == f"turned to {late}"

    both_under_way(test)


@pytest.mark.parametrize("turns", range(6))
def test_a_cancellation_of_the_caller_is_never_lost(turns: int) -> None:
    """It comes so many turns of the event loop after the hedge's answer. Either the call has ended by then, or it ends
    as cancelled."""

    async def test(lane: Lane, attempts: Attempts, task: asyncio.Task[Any]) -> None:
        lane.ends["hedge"].set_result(GOOD)
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled = task.cancel()
        if cancelled:
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (task.cancelled(), task.done()) == (cancelled, True)
        assert lane.cancelled == ["first"]

    both_under_way(test)


def test_the_caller_cancels_both() -> None:
    async def test(lane: Lane, attempts: Attempts, task: asyncio.Task[Any]) -> None:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lane.cancelled == ["first", "hedge"]

    both_under_way(test)


def _late() -> Any:
    raise ReadTimeoutError("it was about to end")


@pytest.mark.parametrize("stubborn", [lambda: BAD, _late], ids=["answers", "fails"])
def test_an_attempt_that_ends_in_another_way_when_it_is_cancelled(stubborn: Any) -> None:
    async def test(lane: Lane, attempts: Attempts, task: asyncio.Task[Any]) -> None:
        lane.ends["hedge"].set_result(GOOD)
        assert await task == GOOD
        assert task.cancelling() == 0

    both_under_way(test, stubborn=stubborn)


def test_an_error_of_the_hedge_that_is_a_defect_reaches_the_caller() -> None:
    async def test(lane: Lane, attempts: Attempts, task: asyncio.Task[Any]) -> None:
        lane.ends["hedge"].set_exception(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await task
        assert (lane.cancelled, task.cancelling()) == (["first"], 0)

    both_under_way(test)


def test_without_a_hedge_there_is_no_task_and_no_timer_left() -> None:
    async def main() -> None:
        lane, attempts = Lane(), Attempts(after=1000.0)
        before = len(asyncio.all_tasks())
        task = begun(lane, attempts)
        await until(lambda: lane.ends)
        assert len(asyncio.all_tasks()) == before + 1
        lane.ends["first"].set_exception(ReadTimeoutError("late"))
        with pytest.raises(ReadTimeoutError):
            await task
        assert attempts.notes == ["turned to first"]

    run(main)
