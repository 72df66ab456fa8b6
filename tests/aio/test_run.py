"""Functions that wait, in a greenlet: what comes out, and what becomes of the task that awaits them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator.aio import EventLoopError, get_cluster
from pynamodb_alternator.aio import run as awaited
from pynamodb_alternator.core.hand_over import hands_over, sleep

from .support import run

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")


def test_a_function_that_does_not_wait_gives_its_result() -> None:
    async def main() -> None:
        assert await awaited(lambda a, *, b: (a, b), 1, b=2) == (1, 2)
        assert await awaited(lambda: None) is None

    run(main)


def test_a_function_waits_and_others_go_on() -> None:
    seen: list[str] = []

    def wait(name: str) -> str:
        for _ in range(3):
            seen.append(name)
            sleep(0)
        return name

    async def main() -> None:
        assert await asyncio.gather(*(awaited(wait, name) for name in "abc")) == ["a", "b", "c"]
        assert seen == list("abc" * 3)

    run(main)


def test_outside_of_run_no_request_hands_over() -> None:
    assert hands_over() is None
    before = time.monotonic()
    sleep(0.01)
    assert time.monotonic() - before >= 0.01

    async def main() -> None:
        assert hands_over() is None
        assert await awaited(lambda: hands_over() is not None)
        assert hands_over() is None

    run(main)


def test_in_another_thread_no_request_hands_over() -> None:
    seen: list[Any] = []

    def ask() -> None:
        thread = threading.Thread(target=lambda: seen.append(hands_over()))
        thread.start()
        thread.join()

    async def main() -> None:
        await awaited(ask)
        assert seen == [None]

    run(main)


def test_an_error_has_the_frames_of_the_function_and_of_what_was_awaited() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("k")

    def inner() -> None:
        bridge: Any = hands_over()
        bridge.hand_over(fails())

    def outer() -> None:
        inner()

    async def main() -> None:
        with pytest.raises(KeyError) as raised:
            await awaited(outer)
        frames = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
        assert [name for name in frames if name in ("main", "run", "outer", "inner", "fails")] == [
            "main",
            "run",
            "outer",
            "inner",
            "fails",
        ]
        assert raised.value.__context__ is None

    run(main)


def test_the_function_may_catch_an_error_and_go_on() -> None:
    async def fails() -> None:
        raise KeyError("k")

    def function() -> str:
        bridge: Any = hands_over()
        for _ in range(3):
            with pytest.raises(KeyError):
                bridge.hand_over(fails())
        sleep(0)
        return "done"

    async def main() -> None:
        assert await awaited(function) == "done"

    run(main)


def test_each_error_has_its_own_context() -> None:
    """What is handled on one side is not the context of what is raised on the other one."""

    def function() -> None:
        try:
            raise KeyError("handled in the function")
        except KeyError:
            sleep(0)
            raise ValueError("raised") from None

    async def main() -> None:
        try:
            raise OSError("handled in the task")
        except OSError:
            with pytest.raises(ValueError, match="raised") as raised:
                await awaited(function)
        assert isinstance(raised.value.__context__, KeyError)

    run(main)


def test_cancellation_comes_out_where_the_function_waits() -> None:
    seen: list[str] = []

    def function() -> None:
        try:
            sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            sleep(0)  # it may still wait, as a coroutine may
            seen.append("cleaned up")
            raise

    async def main() -> None:
        task = asyncio.create_task(awaited(function))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled", "cleaned up"]
        assert task.cancelled()

    run(main)


def test_timeouts_hold() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await awaited(sleep, 60)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(awaited(sleep, 60), 0.01)

    run(main)


def test_both_sides_have_the_same_context_variables() -> None:
    async def look() -> str:
        await asyncio.sleep(0)
        return VARIABLE.get()

    def function() -> list[str]:
        bridge: Any = hands_over()
        seen = [VARIABLE.get()]
        token = VARIABLE.set("in the function")
        seen.append(bridge.hand_over(look()))
        VARIABLE.reset(token)
        seen.append(bridge.hand_over(look()))
        VARIABLE.set("at the end")
        return seen

    async def main() -> None:
        VARIABLE.set("in the task")
        assert await awaited(function) == ["in the task", "in the function", "in the task"]
        assert VARIABLE.get() == "at the end"

    run(main)


def test_tasks_do_not_see_each_others_variables() -> None:
    def function(name: str) -> None:
        for _ in range(5):
            with_name = VARIABLE.set(name)
            sleep(0)
            assert VARIABLE.get() == name
            VARIABLE.reset(with_name)
            sleep(0)
            assert VARIABLE.get() == "none"

    async def main() -> None:
        await asyncio.gather(*(awaited(function, str(number)) for number in range(100)))

    run(main)


def test_a_coroutine_function_is_a_mistake() -> None:
    async def coroutine() -> None: ...

    async def main() -> None:
        with pytest.raises(TypeError, match=r"is a coroutine function\. Write `await .*coroutine\(\.\.\.\)`"):
            await awaited(coroutine)

    run(main)


def test_run_refuses_what_is_not_a_function() -> None:
    async def coroutine() -> None: ...

    async def main() -> None:
        with pytest.raises(TypeError, match=r"takes a function and its arguments, .*\(a bool\)"):
            await awaited(True)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"write `await .*coroutine\(\.\.\.\)`, without run\(\)"):
            await awaited(coroutine())  # type: ignore[arg-type]

    run(main)


def test_a_generator_goes_on_in_another_greenlet() -> None:
    def generate() -> Iterator[int]:
        for number in range(3):
            sleep(0)
            yield number

    async def main() -> None:
        generator = generate()
        assert [await awaited(next, generator, None) for _ in range(4)] == [0, 1, 2, None]

    run(main)


def test_a_task_that_is_never_finished_runs_its_cleaning_up() -> None:
    seen: list[str] = []

    async def never() -> None: ...

    def function() -> None:
        try:
            sleep(60)
        finally:
            bridge: Any = hands_over()
            with pytest.raises(EventLoopError, match="given up this task"):
                bridge.hand_over(never())
            seen.append("cleaned up")

    coroutine = awaited(function)
    loop = asyncio.new_event_loop()
    try:
        loop.call_soon(loop.stop)
        task = loop.create_task(coroutine)
        loop.run_forever()
        coroutine.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    finally:
        loop.close()
    del task, coroutine
    gc.collect()
    assert seen == ["cleaned up"]


def test_a_task_that_another_thread_finds_unfinished_ends_quietly() -> None:
    coroutine = awaited(sleep, 60)
    coroutines = [coroutine]

    def begin() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(coroutine)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    coroutines.pop().close()


def test_an_event_loop_inside_of_a_function() -> None:
    """As nest_asyncio has it: a task goes on in another greenlet than the one in which it began."""

    def function() -> int:
        other = asyncio.new_event_loop()
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return other.run_until_complete(awaited(lambda: sleep(0) or 7))
        finally:
            asyncio._set_running_loop(running)
            other.close()

    async def main() -> None:
        assert await awaited(function) == 7

    run(main)


def test_another_task_inside_of_a_function_waits_for_itself() -> None:
    """It would stand still, and with it the event loop: only the task that awaits the function can hand over."""

    async def other() -> object:
        return hands_over()

    def function() -> tuple[object, object]:
        loop = asyncio.new_event_loop()
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            inside = loop.run_until_complete(other())
        finally:
            asyncio._set_running_loop(running)
            loop.close()
        return inside, hands_over()

    async def main() -> None:
        inside, behind = await awaited(function)
        assert inside is None
        assert behind is not None

    run(main)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 and newer have eager tasks")
def test_a_task_that_begins_at_once_inside_of_a_function() -> None:
    async def other() -> tuple[object, int]:
        handed = hands_over()
        return handed, await awaited(lambda: sleep(0.001) or 7)

    def function() -> tuple[Any, object]:
        task = asyncio.get_running_loop().create_task(other())
        sleep(0.001)
        return task, hands_over()

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        task, behind = await awaited(function)
        assert await task == (None, 7)
        assert behind is not None

    run(main)


def test_outside_of_an_event_loop() -> None:
    with pytest.raises(EventLoopError, match="No event loop of asyncio runs here"):
        get_cluster()


def test_greenlets_are_used_again_and_keep_nothing() -> None:
    class Thing:
        pass

    async def main() -> None:
        used = {await awaited(lambda: id(hands_over())) for _ in range(20)}
        assert len(used) == 1
        thing, token = Thing(), VARIABLE.set("in the task")
        references = [weakref.ref(thing), weakref.ref(contextvars.copy_context())]
        assert await awaited(lambda value: value, thing) is thing
        VARIABLE.reset(token)
        del thing
        assert [reference() for reference in references] == [None, None]

    run(main)


def test_greenlets_end_with_their_thread() -> None:
    bridges: list[Any] = []

    async def main() -> None:
        await asyncio.gather(*(awaited(wait) for _ in range(10)))

    def wait() -> None:
        bridges.append(weakref.ref(hands_over()))  # type: ignore[arg-type]
        sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    gc.collect()
    assert len(bridges) == 10
    assert [bridge() for bridge in bridges] == [None] * 10


def test_many_more_calls_at_once_than_greenlets_are_kept() -> None:
    async def main() -> None:
        assert await asyncio.gather(*(awaited(lambda n: (sleep(0), n)[1], n) for n in range(1000))) == list(range(1000))

    run(main)


def test_a_signal_of_the_system_ends_the_call_that_waits() -> None:
    """As Ctrl-C: asyncio cancels the main task."""
    seen: list[str] = []

    def function() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
            sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # workers of pytest-xdist ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(awaited(function))
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["cancelled"]


def test_errors_and_cancelled_calls_leave_no_circles() -> None:
    async def fails() -> None:
        raise KeyError

    def fail() -> None:
        bridge: Any = hands_over()
        bridge.hand_over(fails())

    async def call() -> None:
        with contextlib.suppress(KeyError):
            await awaited(fail)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await awaited(sleep, 60)

    async def main() -> None:
        await call()
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await call()
            assert gc.collect() < 20
        finally:
            gc.enable()

    run(main)
