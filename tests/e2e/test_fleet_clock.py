"""The virtual clock of the fleet's simulator: threads, locks and waits that go by it, and modules that get them."""

from __future__ import annotations

import threading
import time

import pytest

from benchmarks.fleet.world import Condition, Lock, Thread, World, now, virtual_time
from pynamodb_alternator.topology import monitor, probes, waiting


def test_threads_take_turns_and_only_waiting_takes_time() -> None:
    world, told = World(1), []

    def work(name: str, pause: float) -> None:
        for _ in range(2):
            world.sleep(pause)
            told.append((name, world.now))

    world.spawn(work, "slow", 3.0)
    world.spawn(work, "fast", 2.0)
    world.run(100.0)
    assert told == [("fast", 2.0), ("slow", 3.0), ("fast", 4.0), ("slow", 6.0)]


def test_a_world_ends_its_threads() -> None:
    world, told = World(1), []

    def work() -> None:
        try:
            while True:
                world.sleep(1.0)
                told.append(world.now)
        finally:
            told.append("over")

    world.spawn(work)
    world.spawn(told.append, "never", at=7.0)
    world.run(2.5)
    assert told == [1.0, 2.0, "over"]


def test_a_lock_is_given_to_the_one_that_has_waited_longest() -> None:
    world, lock, told = World(1), Lock(), []

    def work(name: str) -> None:
        with lock:
            world.sleep(1.0)
            told.append((name, world.now))

    for name in ("a", "b", "c"):
        world.spawn(work, name)
    world.run(10.0)
    assert told == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    assert not lock.locked()


@pytest.mark.parametrize(("released_at", "outcome"), [(1.0, (True, 1.0)), (5.0, (False, 2.0))])
def test_a_wait_for_a_lock_has_an_end(released_at: float, outcome: tuple[bool, float]) -> None:
    world, lock, told = World(1), Lock(), []
    assert lock.acquire()
    world.spawn(lambda: told.append((lock.acquire(timeout=2.0), world.now)))
    world.spawn(lock.release, at=released_at)
    world.run(10.0)
    assert told == [outcome]
    assert lock.locked() == outcome[0]  # by the one that has waited, or by nobody


def test_a_condition_is_waited_for() -> None:
    world, lock = World(1), Lock()
    changed, told, facts = Condition(lock), [], [False]

    def wait(seconds: float) -> None:
        with changed:
            told.append((changed.wait_for(lambda: facts[0], seconds), world.now))

    def change() -> None:
        with changed:
            facts[0] = True
            changed.notify_all()

    world.spawn(wait, 1.0)
    world.spawn(wait, 5.0)
    world.spawn(change, at=3.0)
    world.run(10.0)
    assert told == [(False, 1.0), (True, 3.0)]


def test_the_package_gets_the_clock_and_gives_it_back() -> None:
    with virtual_time({waiting: {"Latch": "instead"}}):
        assert (monitor.time.monotonic, probes.threading.Thread, waiting.Latch) == (now, Thread, "instead")
        assert threading.Thread is not Thread  # everybody else has the real ones
        # What has no stand-in is the module's own.
        assert monitor.threading.TIMEOUT_MAX == threading.TIMEOUT_MAX
    assert (monitor.time, probes.threading) == (time, threading)
    assert waiting.Latch != "instead"
