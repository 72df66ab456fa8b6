"""The background thread: when it starts, wakes, probes and ends."""

from __future__ import annotations

import gc
import logging
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pynamodb_alternator.settings.values import Discovery, Health
from pynamodb_alternator.topology import monitor as module
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.monitor import Monitor
from pynamodb_alternator.topology.node import Node

from .fakes import PATIENCE, FakeNetwork, World, finished, hosts, in_thread

N1, N2, N3 = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pynamodb_alternator")]


def until(condition: Callable[[], Any], what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.002)


class Bench(World):
    """A monitor over a fake network. Time is the test's own, and stands still; only its sleeping is real."""

    def __init__(self, *names: str, seeds: Any = None, **settings: Any) -> None:
        network = FakeNetwork(**dict.fromkeys(names or (N1, N2, N3), ("dc1", "r1")))
        super().__init__(network, seeds, **settings)
        self.waiting: list[tuple[Node, float]] = []
        self.monitor = Monitor(
            self.membership, waits=lambda now: list(self.waiting), clock=self.clock, random=random.Random(5)
        )
        self.listener.suspect = self.monitor.suspect  # type: ignore[method-assign]
        self.gates: dict[str, threading.Event] = {}
        self.hanging: list[str] = []
        self._count = threading.Lock()
        self.most_at_once = 0
        network.before = self._hang

    def hang(self, *names: str) -> None:
        """From now on these accept and never answer, until `release`."""
        for name in names:
            self.gates[name] = threading.Event()

    def release(self) -> None:
        gates, self.gates = self.gates, {}
        for gate in gates.values():
            gate.set()

    def _hang(self, node: Node, path: str) -> None:
        gate = self.gates.get(node.host)
        if gate is None:
            return
        with self._count:
            self.hanging.append(node.host)
            self.most_at_once = max(self.most_at_once, len(self.hanging))
        try:
            assert gate.wait(PATIENCE)
        finally:
            with self._count:
                self.hanging.remove(node.host)
        raise TimeoutError(f"{node} did not answer")

    def use(self) -> None:
        self.monitor.used(self.clock())

    def ready(self) -> None:
        self.use()
        assert self.monitor.ready.wait(PATIENCE)

    def readings(self) -> int:
        return len(self.listener.of("topology-refreshed"))

    def step(self) -> float:
        """One look around, in this thread, and all that it began."""
        pause = self.monitor._step()
        until(lambda: self.monitor._reader is None or not self.monitor._reader.is_alive())
        until(self.monitor._probes._idle)
        return pause


Make = Callable[..., Bench]


@pytest.fixture
def make() -> Iterator[Make]:
    benches: list[Bench] = []

    def new(*names: str, **settings: Any) -> Bench:
        benches.append(Bench(*names, **settings))
        return benches[-1]

    yield new
    for bench in benches:
        bench.release()
        bench.monitor.close(PATIENCE)
    until(lambda: not ours(), "the end of all threads")


class TestStart:
    def test_nothing_runs_before_the_first_use(self, make: Make) -> None:
        bench = make()
        assert ours() == []
        assert not bench.monitor.running
        assert bench.network.log == []

    def test_the_first_use_reads_the_list_and_probes_its_nodes(self, make: Make) -> None:
        bench = make()
        bench.ready()
        assert bench.monitor.running
        assert bench.in_scope == [N1, N2, N3]
        until(lambda: {node.state for node in bench.membership.nodes()} == {State.ACTIVE})

    def test_ready_is_said_while_the_thread_goes_on(self, make: Make) -> None:
        bench = make()
        bench.ready()
        assert bench.monitor.running

    def test_it_is_one_thread_whoever_comes_first(self, make: Make) -> None:
        bench = make()
        bench.hang(N1)
        threads = [in_thread(bench.use)[0] for _ in range(16)]
        for thread in threads:
            finished(thread)
        assert len([thread for thread in ours() if thread.name.endswith("-monitor")]) == 1

    def test_a_hanging_seed_does_not_hold_up_the_start(self, make: Make) -> None:
        bench = make(seeds=["10.9.9.9", N1, "10.9.9.8"])
        bench.hang("10.9.9.9", "10.9.9.8")
        bench.ready()
        assert bench.in_scope == [N1, N2, N3]
        assert sorted(bench.hanging) == ["10.9.9.8", "10.9.9.9"], "they hang still, and nobody waited for them"

    def test_a_hanging_node_of_the_list_does_not_hold_it_up_either(self, make: Make) -> None:
        bench = make()
        bench.hang(N3)
        bench.ready()
        until(lambda: hosts(bench.membership.view.quarantined) == [N3])
        assert bench.hanging == [N3]

    def test_without_any_seed_alive_it_is_ready_to_fail(self, make: Make) -> None:
        bench = make(seeds=["10.9.9.9", "10.9.9.8"])
        bench.network.dead = {"10.9.9.9", "10.9.9.8"}
        bench.ready()
        assert bench.in_scope == ["10.9.9.8", "10.9.9.9"]
        assert bench.listener.of("discovery-failed")[0]["consecutive"] == 1

    def test_a_name_that_cannot_be_resolved(self, make: Make) -> None:
        bench = make(seeds=["db.example.com"])
        bench.ready()
        assert bench.in_scope == []
        bench.network.names["db.example.com"] = [N1]
        bench.clock.now += 2
        bench.use()
        until(lambda: bench.in_scope == [N1, N2, N3])

    def test_no_more_threads_to_be_had(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        bench = make()

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            bench.use()
            assert bench.monitor.ready.is_set(), "requests go on with what is known"
            assert not bench.monitor.running
        bench.use()
        assert not bench.monitor.running, "not tried again with every request"
        bench.clock.now += 2
        bench.use()
        assert bench.monitor.running
        until(lambda: bench.in_scope == [N1, N2, N3])

    def test_an_error_of_ours_does_not_end_it(self, make: Make, caplog: pytest.LogCaptureFixture) -> None:
        """Seen: one exception ended the thread for good, and the node list froze."""
        bench = make()
        broken = [True]

        def waits(now: float) -> Any:
            if broken:
                raise ZeroDivisionError
            return ()

        bench.monitor._waits = waits
        with caplog.at_level(logging.ERROR, "pynamodb_alternator.cluster"):
            bench.ready()
            until(lambda: caplog.records)
        assert bench.monitor.running
        broken.clear()
        bench.clock.now += 2
        before = bench.readings()
        bench.monitor._wake.set()
        until(lambda: bench.readings() > before)


class TestReading:
    def test_once_in_an_interval_while_in_use(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.clock.now += 0.5
        bench.monitor.last_use = bench.clock.now
        assert bench.step() <= module._TICK
        assert bench.readings() == 0
        bench.clock.now += 0.7
        bench.step()
        assert bench.readings() == 1
        bench.step()
        assert bench.readings() == 1

    def test_seldom_while_idle(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.clock.now += 11
        pause = bench.step()
        assert 40 <= pause <= 56
        assert bench.readings() == 0
        bench.clock.now += 60
        assert 54 <= bench.step() <= 66
        assert bench.readings() == 1

    def test_the_intervals_vary(self, make: Make) -> None:
        bench = make(discovery=Discovery(idle_after=0.1))
        bench.start()
        bench.clock.now += 1
        assert len({round(bench.monitor._step(), 3) for _ in range(10)}) > 3

    def test_a_request_wakes_it_from_idleness(self, make: Make) -> None:
        bench = make()
        bench.ready()
        bench.clock.now += 30
        bench.monitor._wake.set()
        until(lambda: (bench.monitor._sleeping_until or 0) > bench.clock.now + 10, "its sleep")
        before = bench.readings()
        bench.use()
        until(lambda: bench.readings() > before)

    def test_a_request_while_it_looks_around_keeps_it_awake(self, make: Make) -> None:
        """Seen: it had decided to sleep for a minute, and nobody could wake it yet."""
        bench = make()
        bench.ready()
        step, asked = bench.monitor._step, []

        def with_a_request() -> float:
            pause = step()
            if not asked:
                asked.append(pause)
                bench.use()
            return pause

        bench.monitor._step = with_a_request  # type: ignore[method-assign]
        bench.clock.now += 30
        before = bench.readings()
        bench.monitor._wake.set()
        until(lambda: bench.readings() > before)
        assert asked[0] > module._TICK

    def test_a_source_that_hangs_does_not_keep_it_from_the_others(self, make: Make) -> None:
        """Seen: the thread itself read the list, and while a source hung, nobody watched the waiting requests."""
        bench = make()
        bench.start()
        bench.hang(N1, N2)
        bench.clock.now += 2
        bench.monitor.last_use = bench.clock.now
        bench.monitor._step()
        until(lambda: bench.hanging)
        bench.waiting = [(bench.node(N3), 5.0)]
        bench.network.log.clear()
        bench.monitor._step()
        until(lambda: (N3, "/") in bench.network.log)
        assert bench.hanging, "the reading hangs still"

    def test_only_one_reading_is_under_way(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.hang(N1, N2, N3)
        for _ in range(5):
            bench.clock.now += 2
            bench.monitor.last_use = bench.clock.now
            bench.monitor._step()
        until(lambda: bench.hanging)
        assert len([thread for thread in ours() if thread.name.endswith("-reader")]) == 1
        assert len(bench.network.asked()) == 1


class TestProbes:
    def test_nodes_that_are_down_come_back_by_themselves(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.down(N2)
        bench.network.dead.clear()
        for _ in range(4):
            bench.clock.now += 1
            bench.monitor.last_use = bench.clock.now
            bench.step()
        assert bench.state(N2) is State.ACTIVE

    def test_only_so_many_at_once(self, make: Make) -> None:
        names = [f"10.0.0.{number}" for number in range(1, 31)]
        bench = make(*names, health=Health(max_parallel_probes=4))
        bench.start(probe=False)
        others = [name for name in names if name != N1]
        bench.hang(*others)
        bench.monitor._probes.begin(bench.membership.probes_due(bench.clock()))
        until(lambda: len(bench.hanging) == 4)
        bench.monitor._probes.begin(bench.membership.probes_due(bench.clock()))
        bench.release()
        until(bench.monitor._probes._idle)
        assert bench.most_at_once <= 4
        asked = bench.network.asked("/")
        assert len(asked) >= len(others)

    def test_one_in_flight_per_node(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.hang(N2)
        bench.network.log.clear()
        for _ in range(5):
            bench.monitor._probes.begin([bench.node(N2)])
            bench.monitor.suspect(bench.node(N2))
        until(lambda: bench.hanging == [N2])
        for _ in range(5):
            bench.monitor.suspect(bench.node(N2))
        bench.release()
        until(bench.monitor._probes._idle)
        assert bench.network.asked("/") == [N2]

    def test_a_suspicion_goes_before_routine(self, make: Make) -> None:
        """Seen: behind hundreds of down nodes, the probe of a suspect came minutes late."""
        names = [f"10.0.0.{number}" for number in range(1, 31)]
        bench = make(*names, health=Health(max_parallel_probes=1))
        bench.start(probe=False)
        bench.hang(*names[1:2])
        routine = [bench.node(name) for name in names[1:]]
        bench.monitor._probes.begin(routine)
        until(lambda: bench.hanging == [names[1]])
        bench.monitor.suspect(bench.node(names[20]))
        bench.network.log.clear()
        bench.release()
        until(bench.monitor._probes._idle)
        assert bench.network.asked("/")[0] == names[20]
        assert sorted(bench.network.asked("/")) == sorted(names[2:])

    def test_nodes_that_are_being_probed_do_not_make_it_spin(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.down(N2)
        until(bench.monitor._probes._idle)
        bench.clock.now += 1
        bench.monitor.last_use = bench.clock.now
        bench.membership.last_read = bench.clock.now
        bench.hang(N2)
        bench.monitor._step()
        until(lambda: bench.hanging == [N2])
        assert bench.monitor._step() >= 0.1

    def test_a_request_that_waits_long_has_its_node_probed(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.waiting = [(bench.node(N2), 0.9), (bench.node(N3), 1.0)]
        bench.network.log.clear()
        bench.step()
        assert bench.network.asked("/") == [N3]

    def test_a_node_that_hangs_is_down_when_its_probe_fails(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.network.dead.add(N3)
        bench.waiting = [(bench.node(N3), 1.5)]
        bench.step()
        assert bench.state(N3) is State.DOWN
        assert bench.listener.cut == [N3]

    def test_waiting_requests_count_as_use(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.clock.now += 100
        bench.waiting = [(bench.node(N2), 0.1)]
        assert bench.step() <= module._TICK

    def test_a_probe_that_raises_ends_neither_the_others_nor_the_count(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = make(health=Health(max_parallel_probes=1))
        bench.start()

        def broken(node: Node, timeout: float) -> bool:
            raise ZeroDivisionError

        probe, bench.membership.probe = bench.membership.probe, broken  # type: ignore[method-assign]
        bench.monitor.suspect(bench.node(N2))
        until(bench.monitor._probes._idle)
        until(lambda: not ours())
        bench.membership.probe = probe  # type: ignore[method-assign]
        bench.network.log.clear()
        bench.monitor.suspect(bench.node(N3))
        until(lambda: bench.network.asked("/") == [N3])


class TestEnd:
    def test_close_leaves_no_thread(self, make: Make) -> None:
        bench = make()
        bench.ready()
        bench.monitor.suspect(bench.node(N1))
        bench.monitor.close(PATIENCE)
        assert ours() == []
        assert not bench.monitor.running
        bench.monitor.close(PATIENCE)

    def test_it_ends_from_an_idle_sleep(self, make: Make) -> None:
        bench = make()
        bench.ready()
        bench.clock.now += 1000
        bench.monitor._wake.set()
        until(lambda: (bench.monitor._sleeping_until or 0) > bench.clock.now + 10)
        bench.monitor.close(PATIENCE)
        assert ours() == []

    def test_it_is_bounded_while_everything_hangs(self, make: Make) -> None:
        bench = make()
        bench.hang(N1)
        bench.use()
        until(lambda: bench.hanging)
        began = time.monotonic()
        bench.monitor.close(0.1)
        assert time.monotonic() - began < PATIENCE / 2
        assert bench.monitor.ready.is_set(), "whoever waits for the start is let go"

    def test_nothing_starts_after_it(self, make: Make) -> None:
        bench = make()
        bench.monitor.close(PATIENCE)
        bench.use()
        bench.monitor.suspect(bench.node(N1))
        bench.monitor._probes.begin([bench.node(N1)])
        assert ours() == []
        assert bench.network.log == []

    @pytest.mark.parametrize("signal", ["node-up", "topology-refreshed"])
    def test_a_receiver_may_close_it(self, make: Make, signal: str) -> None:
        bench = make()
        closed = threading.Event()

        def close(name: str, payload: dict[str, Any]) -> None:
            if name == signal:
                bench.monitor.close(PATIENCE)
                closed.set()

        bench.listener.on_emit = close
        bench.use()
        assert closed.wait(PATIENCE)
        until(lambda: not ours())

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_thread_that_ended_by_itself_is_started_again(self, make: Make) -> None:
        bench = make()

        def leave() -> float:
            raise SystemExit

        step, bench.monitor._step = bench.monitor._step, leave  # type: ignore[method-assign]
        bench.use()
        until(lambda: not bench.monitor.running)
        bench.monitor._step = step  # type: ignore[method-assign]
        bench.use()
        assert bench.monitor.running


class TestFork:
    def test_a_child_starts_its_own_thread(self, make: Make) -> None:
        bench = make()
        bench.ready()
        bench.monitor.close(PATIENCE)
        # What a child finds: locks that are held, and a thread that is not there.
        bench.monitor._closed = False
        bench.monitor._lock.acquire()
        bench.monitor._probes._changed.acquire()
        bench.membership.after_fork()
        bench.monitor.after_fork()
        assert bench.monitor.ready.is_set(), "the parent's node list is good enough to begin with"
        assert not bench.monitor.running
        before = bench.readings()
        bench.clock.now += 2
        bench.use()
        assert bench.monitor.running
        until(lambda: bench.readings() > before)

    def test_a_child_of_a_parent_that_knew_nothing(self, make: Make) -> None:
        bench = make()
        bench.monitor.after_fork()
        assert not bench.monitor.ready.is_set()
        bench.ready()
        assert bench.in_scope == [N1, N2, N3]


def test_a_monitor_that_nobody_holds_is_collected() -> None:
    bench = Bench()
    bench.ready()
    bench.monitor.close(PATIENCE)
    gone = weakref.ref(bench.monitor)
    del bench
    gc.collect()
    assert gone() is None
