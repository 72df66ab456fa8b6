"""Waking a thread, and letting threads go: also when an exception comes at any place of it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pynamodb_alternator.topology import waiting as module
from pynamodb_alternator.topology.waiting import Alarm, Latch

from .fakes import PATIENCE, finished, in_thread
from .interrupting import interruptions


class TestAlarm:
    def test_it_ends_a_sleep(self) -> None:
        alarm = Alarm()
        thread, rang = in_thread(lambda: alarm.sleep(PATIENCE))
        alarm.set()
        finished(thread)
        assert rang == [True]

    def test_one_that_came_before_the_sleep_ends_it_once(self) -> None:
        alarm = Alarm()
        alarm.set()
        alarm.set()
        assert alarm.sleep(PATIENCE)
        assert not alarm.sleep(0.0)

    def test_one_that_was_not_slept_for_can_be_forgotten(self) -> None:
        alarm = Alarm()
        alarm.set()
        alarm.clear()
        alarm.clear()
        assert not alarm.sleep(0.0)

    def test_a_sleep_has_an_end(self) -> None:
        assert not Alarm().sleep(0.01)
        assert not Alarm().sleep(-1.0)

    def test_an_exception_at_any_place_of_waking_leaves_one_that_works(self) -> None:
        alarms: list[Alarm] = []

        def prepare() -> Callable[[], object]:
            alarms.append(Alarm())
            return alarms[-1].set

        points = 0
        for _ in interruptions(prepare, module, threading):
            points += 1
            alarm = alarms.pop()
            alarm.set()
            assert alarm.sleep(PATIENCE)
            assert not alarm.sleep(0.0)
        assert points


class TestLatch:
    def test_it_lets_all_go(self) -> None:
        latch = Latch()
        assert not latch.is_set()
        waiters = [in_thread(lambda: latch.wait(PATIENCE)) for _ in range(5)]
        latch.set()
        for thread, opened in waiters:
            finished(thread)
            assert opened == [True]
        assert latch.is_set()
        assert latch.wait(0.0)
        latch.set()

    def test_waiting_has_an_end(self) -> None:
        assert not Latch().wait(0.01)
        assert not Latch().wait(-1.0)

    def test_an_exception_at_any_place_of_waiting_does_not_block_others(self) -> None:
        """Seen with `threading.Event`: the lock inside stays held, and the thread that sets it hangs for ever."""
        latches: list[Latch] = []

        def prepare() -> Callable[[], object]:
            latches.append(Latch())
            return lambda: latches[-1].wait(0.0)

        points = 0
        for _ in interruptions(prepare, module, threading):
            points += 1
            latch = latches.pop()
            other, opened = in_thread(lambda latch=latch: latch.wait(PATIENCE))  # type: ignore[misc]
            setter, _ = in_thread(latch.set)
            finished(setter)
            finished(other)
            assert opened == [True]
        assert points > 5

    def test_opening_works_again_after_an_exception_at_any_place(self) -> None:
        latches: list[Latch] = []
        waiters: list[tuple[threading.Thread, list[bool]]] = []

        def prepare() -> Callable[[], object]:
            latch = Latch()
            latches.append(latch)
            waiters.append(in_thread(lambda: latch.wait(PATIENCE)))
            return latch.set

        for _ in interruptions(prepare, module, threading):
            latch, (thread, opened) = latches.pop(), waiters.pop()
            latch.set()
            finished(thread)
            assert opened == [True]

    def test_it_calls_who_asked_for_that(self) -> None:
        latch = Latch()
        called: list[str] = []

        def gone() -> None:
            called.append("gone")
            raise RuntimeError("the event loop is closed")

        latch.call(gone)
        latch.call(lambda: called.append("before"))
        assert called == []
        latch.set()
        assert called == ["gone", "before"]
        latch.call(lambda: called.append("after"))
        assert called == ["gone", "before", "after"]
