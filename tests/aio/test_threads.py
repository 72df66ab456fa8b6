"""Calls that wait in a thread, for an event loop."""

from __future__ import annotations

import asyncio

import pytest

from pynamodb_alternator.aio.threads import run_in_thread


def test_a_call_that_raises_stop_iteration_ends_the_wait() -> None:
    """A future takes no StopIteration: it was never done, and every task that shared it waited for ever."""

    async def main() -> None:
        await asyncio.wait_for(run_in_thread(asyncio.get_running_loop(), lambda: next(iter(()))), 10)

    with pytest.raises(RuntimeError, match="StopIteration was raised"):
        asyncio.run(main())
