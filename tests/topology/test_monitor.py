"""The background thread: when it starts, wakes, probes and ends."""

from __future__ import annotations

import gc
import logging
import os
import random
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pynamodb_alternator.settings.values import Discovery, Health
from pynamodb_alternator.topology import health_book, waiting
from pynamodb_alternator.topology import membership as membership_module
from pynamodb_alternator.topology import monitor as monitor_module
from pynamodb_alternator.topology import probes as probes_module
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.monitor import TICK, Monitor, Waits
from pynamodb_alternator.topology.node import Node

from .fakes import PATIENCE, FakeNetwork, World, finished, hosts, in_thread, locks_of, thread_starters, until
from .interrupting import Interrupted, interruptions

N1, N2, N3 = "10.0.0.1", "10.0.0.2", "10.0.0.3"


_of_others: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def ours() -> list[threading.Thread]:
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("pynamodb_alternator")]
    return [thread for thread in threads if thread not in _of_others]


@pytest.fixture(autouse=True)
def _without_others() -> None:
    """In another order, tests of other rooms come before these. Their clusters may live until they are collected."""
    _of_others.update(ours())


class Bench(World):
    """A monitor over a fake network. Time is the test's own, and stands still; only its sleeping is real."""

    def __init__(self, *names: str, seeds: Any = None, kind: type[Monitor] = Monitor, **settings: Any) -> None:
        network = FakeNetwork(**dict.fromkeys(names or (N1, N2, N3), ("dc1", "r1")))
        super().__init__(network, seeds, **settings)
        self.waiting: list[tuple[Node, float]] = []
        self.waits: Waits = lambda now: list(self.waiting)
        self.monitor = kind(
            self.membership, waits=lambda now: self.waits(now), clock=self.clock, random=random.Random(5)
        )
        self.listener.on_suspect = self.monitor.suspect
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
        pause = self.monitor.step()
        until(lambda: not self.monitor.busy, "the end of what the step began")
        return pause

    def use_and_step(self) -> float:
        """The same, with a request before it that starts no thread."""
        self.monitor.last_use = self.clock.now
        return self.step()


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

    def test_only_one_thread_is_started(self, make: Make) -> None:
        bench = make()
        bench.hang(N1)
        threads = [in_thread(bench.use)[0] for _ in range(16)]
        for thread in threads:
            finished(thread)
        until(lambda: bench.hanging)
        assert len([thread for thread in ours() if thread.name.endswith("-monitor")]) == 1

    def test_a_hanging_seed_does_not_delay_the_start(self, make: Make) -> None:
        bench = make(seeds=["10.9.9.9", N1, "10.9.9.8"])
        bench.hang("10.9.9.9", "10.9.9.8")
        bench.ready()
        assert bench.in_scope == [N1, N2, N3]
        assert sorted(bench.hanging) == ["10.9.9.8", "10.9.9.9"], "they hang still, and nobody waited for them"

    def test_a_hanging_node_of_the_list_does_not_hold_it_up_either(self, make: Make) -> None:
        bench = make()
        bench.hang(N3)
        bench.ready()
        until(lambda: hosts(bench.membership.view.unproven) == [N3])
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
            bench.ready()
            assert bench.monitor.no_thread == "can't start new thread"
            assert not bench.monitor.running
            assert not bench.monitor.is_coming
        bench.use()
        assert not bench.monitor.is_coming, "not tried again with every request"
        bench.clock.now += 2
        bench.use()
        until(lambda: bench.in_scope == [N1, N2, N3])
        assert bench.monitor.running
        assert bench.monitor.no_thread is None

    def test_not_even_the_thread_that_would_start_it(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        bench = make()

        def refuse(*arguments: Any) -> int:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        with monkeypatch.context() as patch:
            patch.setattr("_thread.start_new_thread", refuse)
            bench.use()
            assert bench.monitor.ready.is_set()
            assert bench.monitor.no_thread == "can't create new thread at interpreter shutdown"
        bench.clock.now += 2
        bench.use()
        until(lambda: bench.in_scope == [N1, N2, N3])

    def test_no_further_thread_to_be_had(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """The limit was reached with the monitor thread: it reads the list and makes the probes itself."""
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if thread.name.endswith(("-reader", "-probe")):
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)
        bench = make()
        bench.ready()
        assert bench.in_scope == [N1, N2, N3]
        bench.use()
        until(lambda: {node.state for node in bench.membership.nodes()} == {State.ACTIVE})
        bench.network.dead.add(N2)
        bench.membership.failed(bench.node(N2), 0, OSError("reset"))
        until(lambda: bench.state(N2) is State.DOWN)
        before = bench.readings()
        bench.clock.now += 2
        bench.use()
        bench.monitor.wake()
        until(lambda: bench.readings() > before)

    def test_the_first_use_does_not_wait_for_the_thread(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """`Thread.start` waits until the new thread has its turn. It is called in another thread."""
        start, go_on = threading.Thread.start, threading.Event()

        def slow(thread: threading.Thread) -> None:
            assert go_on.wait(PATIENCE)
            start(thread)

        bench = make()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", slow)
            bench.use()
            assert bench.monitor.is_coming
            assert not bench.monitor.running
            bench.monitor.suspect(bench.node(N2))
            go_on.set()
            bench.ready()
        assert bench.in_scope == [N1, N2, N3]

    def test_no_other_thread_is_started_by_those_of_requests(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        starters = thread_starters(monkeypatch)
        bench = make()
        bench.ready()
        bench.network.dead.add(N2)
        bench.membership.failed(bench.node(N2), 0, OSError("reset"))
        until(lambda: bench.state(N2) is State.DOWN)
        bench.membership.suspect(bench.node(N3))
        until(lambda: bench.membership.suspects() == ())
        assert starters
        assert threading.get_ident() not in starters

    def test_a_suspect_is_probed_while_the_first_list_is_read(self, make: Make) -> None:
        """A request that did not wait for the list has met a node that hangs, and the source of the list hangs too."""
        bench = make(seeds=[N1, N2])
        asked, go_on = threading.Event(), threading.Event()

        def hang(node: Node, path: str) -> None:
            if path != "/":
                asked.set()
                assert go_on.wait(PATIENCE)

        bench.network.before = hang
        bench.use()
        try:
            assert asked.wait(PATIENCE)
            until(lambda: bench.state(N2) is State.ACTIVE)
            bench.network.dead.add(N2)
            bench.membership.failed(bench.node(N2), 0, OSError("reset"))
            until(lambda: bench.state(N2) is State.DOWN)
            assert not bench.monitor.ready.is_set()
        finally:
            go_on.set()
        bench.ready()

    def test_what_others_want_done_is_begun_in_its_thread(self, make: Make) -> None:
        bench = make()
        begun: list[str] = []
        monitor = Monitor(
            bench.membership,
            waits=lambda now: (),
            clock=bench.clock,
            random=random.Random(5),
            also=lambda: begun.append(threading.current_thread().name),
        )
        monitor.used(bench.clock())
        until(lambda: begun)
        before = len(begun)
        monitor.wake()
        until(lambda: len(begun) > before)
        monitor.close(PATIENCE)
        assert set(begun) == {"pynamodb_alternator-monitor"}

    def test_an_error_of_ours_does_not_end_it(self, make: Make, caplog: pytest.LogCaptureFixture) -> None:
        """Seen: one exception ended the thread for good, and the node list froze."""
        bench = make()
        broken = [True]

        def waits(now: float) -> Any:
            if broken:
                raise ZeroDivisionError
            return ()

        bench.waits = waits
        with caplog.at_level(logging.ERROR, "pynamodb_alternator.cluster"):
            bench.ready()
            until(lambda: caplog.records)
        assert bench.monitor.running
        broken.clear()
        bench.clock.now += 2
        before = bench.readings()
        bench.monitor.wake()
        until(lambda: bench.readings() > before)


class TestReading:
    def test_once_in_an_interval_while_in_use(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.clock.now += 0.5
        bench.monitor.last_use = bench.clock.now
        assert bench.step() <= 0.6
        assert bench.readings() == 0
        bench.clock.now += 0.7
        bench.step()
        assert bench.readings() == 1
        bench.step()
        assert bench.readings() == 1

    def test_an_idle_cluster_is_read_seldom(self, make: Make) -> None:
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
        assert len({round(bench.monitor.step(), 3) for _ in range(10)}) > 3

    def test_a_request_wakes_it_from_idleness(self, make: Make) -> None:
        bench = make()
        bench.ready()
        bench.clock.now += 30
        bench.monitor.wake()
        until(lambda: (bench.monitor.sleeping_until or 0) > bench.clock.now + 10, "its sleep")
        before = bench.readings()
        bench.use()
        until(lambda: bench.readings() > before)

    def test_a_request_while_it_looks_around_keeps_it_awake(self, make: Make) -> None:
        """Seen: it had decided to sleep for a minute, and nobody could wake it yet."""
        bench = make()
        bench.ready()
        step, asked = bench.monitor.step, []

        def with_a_request() -> float:
            pause = step()
            if not asked:
                asked.append(pause)
                bench.use()
            return pause

        bench.monitor.step = with_a_request  # type: ignore[method-assign]
        bench.clock.now += 30
        before = bench.readings()
        bench.monitor.wake()
        until(lambda: bench.readings() > before)
        assert asked[0] > TICK

    def test_waking_up_in_between_does_not_fail_the_request(self, make: Make) -> None:
        """Seen: the thread wakes up between two looks of the request at how long it sleeps."""

        class Waking(Monitor):
            reads: Iterator[float] = iter([])

            @property  # type: ignore[override]
            def sleeping_until(self) -> float | None:
                return next(self.reads, None)

            @sleeping_until.setter
            def sleeping_until(self, value: float | None) -> None:
                return

        bench = make(N1, kind=Waking)
        bench.ready()
        assert isinstance(bench.monitor, Waking)
        bench.monitor.reads = iter([bench.clock() + 60.0])
        bench.monitor.used(bench.clock())
        assert next(bench.monitor.reads, None) is None, "it has looked"

    def test_a_source_that_hangs_does_not_keep_it_from_the_others(self, make: Make) -> None:
        """Seen: the thread itself read the list, and while a source hung, nobody watched the waiting requests."""
        bench = make()
        bench.start()
        bench.hang(N1, N2)
        bench.clock.now += 2
        bench.monitor.last_use = bench.clock.now
        bench.monitor.step()
        until(lambda: bench.hanging)
        bench.waiting = [(bench.node(N3), 5.0)]
        bench.network.log.clear()
        bench.monitor.step()
        until(lambda: (N3, "/") in bench.network.log)
        assert bench.hanging, "the reading hangs still"

    def test_only_one_reading_is_under_way(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.hang(N1, N2, N3)
        for _ in range(5):
            bench.clock.now += 2
            bench.monitor.last_use = bench.clock.now
            bench.monitor.step()
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

    def test_nodes_that_are_being_probed_do_not_make_it_spin(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.down(N2)
        until(lambda: not bench.monitor.busy)
        bench.clock.now += 1.5
        bench.monitor.last_use = bench.clock.now
        bench.membership.last_read = bench.clock.now
        bench.hang(N2)
        bench.monitor.step()
        until(lambda: bench.hanging == [N2])
        assert bench.monitor.step() >= 0.1

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
        assert bench.step() <= TICK

    def test_while_none_waits_it_looks_when_one_may_have_waited_for_long(self, make: Make) -> None:
        for suspect_after, pause in ((0.3, 0.3), (1.0, 1.0), (5.0, 1.0)):
            bench = make(
                health=Health(suspect_after=suspect_after), discovery=Discovery(interval=50.0, idle_after=100.0)
            )
            bench.start()
            assert bench.step() == pytest.approx(pause)
            bench.waiting = [(bench.node(N2), 0.1)]
            assert bench.step() <= min(TICK, suspect_after / 2)

    def test_a_suspicion_is_not_lost_while_receivers_of_a_probe_run(self, make: Make) -> None:
        """A receiver of node_up takes its time, and the node fails meanwhile: it must be probed again."""
        bench = make(N1)
        bench.start()
        bench.listener.on_suspect = bench.listener.suspicions.append
        bench.down(N1)
        bench.listener.on_suspect = bench.monitor.suspect
        bench.network.dead.clear()
        node, told, go_on = bench.node(N1), threading.Event(), threading.Event()

        def on_emit(name: str, payload: dict[str, Any]) -> None:
            if name == "node-up":
                told.set()
                assert go_on.wait(PATIENCE)

        for _ in range(bench.config.health.down_recovery_threshold):
            bench.membership.probe(node, 1.0)
        assert bench.state(N1) is State.QUARANTINED
        bench.listener.on_emit = on_emit
        bench.clock.now += 1
        bench.monitor.last_use = bench.clock.now
        bench.membership.last_read = bench.clock.now
        bench.monitor.step()
        assert told.wait(PATIENCE)
        assert bench.state(N1) is State.ACTIVE
        bench.network.dead.add(N1)
        bench.membership.failed(node, bench.membership.generation(node), OSError("traffic failed"))
        go_on.set()
        until(lambda: bench.state(N1) is State.DOWN, "the probe of the suspicion")


class TestHealing:
    """An exception came in the thread of a request (gevent.Timeout, a signal handler): nothing is lost for ever."""

    def test_a_suspect_that_was_not_reported_is_probed_with_the_next_step(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.network.dead.add(N2)

        def interrupt(node: Node) -> None:
            raise Interrupted

        bench.listener.on_suspect = interrupt
        with pytest.raises(Interrupted):
            bench.membership.failed(bench.node(N2), 0, OSError("reset"))
        assert hosts(bench.membership.suspects()) == [N2]
        bench.use_and_step()
        assert bench.state(N2) is State.DOWN
        assert bench.membership.suspects() == ()

    def test_so_it_is_while_the_cluster_is_idle(self, make: Make) -> None:
        bench = make()
        bench.start()
        bench.network.dead.add(N2)
        bench.listener.on_suspect = lambda node: None
        bench.membership.suspect(bench.node(N2))
        bench.clock.now += 30
        bench.step()
        assert bench.state(N2) is State.DOWN

    def test_a_suspicion_is_not_lost_at_any_place(self, make: Make) -> None:
        """From the failure of a request to the thread that probes: whatever is cut short, the next step mends it."""
        benches: list[Bench] = []

        def prepare() -> Callable[[], object]:
            bench = make()
            bench.start()
            bench.network.dead.add(N2)
            benches.append(bench)
            return lambda: bench.membership.failed(bench.node(N2), 0, OSError("reset"))

        modules = (membership_module, health_book, monitor_module, probes_module)
        points, suspected = 0, False
        for _ in interruptions(prepare, *modules):
            points += 1
            bench = benches.pop()
            # From the place on at which the suspicion is noted.
            suspected = suspected or bench.node(N2) in bench.membership.suspects()
            bench.use_and_step()
            assert bench.membership.suspects() == ()
            assert not suspected or bench.state(N2) is State.DOWN
            bench.membership.suspect(bench.node(N2))
            bench.use_and_step()
            assert bench.state(N2) is State.DOWN, "a later suspicion is heard"
        assert suspected
        assert points > 30

    def test_a_start_that_was_cut_short_is_made_again(self, make: Make) -> None:
        benches: list[Bench] = []

        def prepare() -> Callable[[], object]:
            benches.append(make(N1))
            return benches[-1].use

        points = 0
        for _ in interruptions(prepare, monitor_module, probes_module):
            points += 1
            bench = benches.pop()
            bench.clock.now += 1.0
            bench.use()
            assert bench.monitor.ready.wait(PATIENCE)
            until(lambda bench=bench: bench.in_scope == [N1])  # type: ignore[misc]
            assert bench.monitor.running
            # The first start may have been under way still: then its thread finds that there is one, and ends.
            until(lambda: len([thread for thread in ours() if thread.name.endswith("-monitor")]) == 1)
            bench.monitor.close(PATIENCE)
        assert points > 3

    def test_waiting_for_the_start_may_be_cut_short(self, make: Make) -> None:
        """Seen with `threading.Event`: the request left a lock held, and the monitor could not say that it is ready."""
        benches: list[Bench] = []

        def prepare() -> Callable[[], object]:
            benches.append(make(N1))
            return lambda: benches[-1].monitor.ready.wait(0.0)

        points = 0
        for _ in interruptions(prepare, waiting, threading):
            points += 1
            thread, _ = in_thread(benches.pop().monitor.ready.set)
            finished(thread)
        assert points > 5

    def test_waking_it_may_be_cut_short(self, make: Make) -> None:
        benches: list[Bench] = []

        def prepare() -> Callable[[], object]:
            bench = make(N1)
            bench.ready()
            bench.clock.now += 30
            bench.monitor.wake()
            until(lambda: (bench.monitor.sleeping_until or 0) > bench.clock.now + 10)
            benches.append(bench)
            return bench.use

        for _ in interruptions(prepare, monitor_module, waiting, threading):
            bench = benches.pop()
            before = bench.readings()
            bench.use()
            until(lambda bench=bench, before=before: bench.readings() > before)  # type: ignore[misc]
            bench.monitor.close(PATIENCE)


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
        bench.monitor.wake()
        until(lambda: (bench.monitor.sleeping_until or 0) > bench.clock.now + 10)
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
        assert bench.monitor.ready.is_set(), "a thread that waits for the start is let go"

    def test_nothing_starts_after_it(self, make: Make) -> None:
        bench = make()
        bench.monitor.close(PATIENCE)
        bench.use()
        bench.monitor.suspect(bench.node(N1))
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

        step, bench.monitor.step = bench.monitor.step, leave  # type: ignore[method-assign]
        bench.use()
        until(lambda: not bench.monitor.running)
        bench.monitor.step = step  # type: ignore[method-assign]
        bench.use()
        until(lambda: bench.monitor.running)


def forked(work: Callable[[], None], held: Iterable[Any]) -> None:
    """Run `work` in a forked child, for which another thread held these locks at the fork."""
    mine = [lock for lock in held if lock.acquire(blocking=False)]
    pid = os.fork()
    if not pid:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    for lock in mine:
        lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
class TestFork:
    def test_a_child_starts_its_own_thread(self, make: Make) -> None:
        bench = make()
        bench.ready()
        until(lambda: bench.monitor.sleeping_until is not None and not bench.monitor.busy)

        def child() -> None:
            bench.membership.after_fork()
            bench.monitor.after_fork()
            assert bench.monitor.ready.is_set(), "the parent's node list is good enough to begin with"
            assert not bench.monitor.running
            before = bench.readings()
            bench.clock.now += 2
            bench.use()
            until(lambda: bench.readings() > before)
            assert bench.monitor.running
            bench.monitor.close(PATIENCE)
            assert ours() == []

        forked(child, [*locks_of(bench.membership), *locks_of(bench.monitor)])
        assert bench.monitor.running, "the parent's goes on"

    def test_a_child_of_a_parent_that_knew_nothing(self, make: Make) -> None:
        bench = make()
        bench.monitor.after_fork()
        assert not bench.monitor.ready.is_set()
        bench.ready()
        assert bench.in_scope == [N1, N2, N3]


def test_a_monitor_without_references_is_collected() -> None:
    bench = Bench()
    bench.ready()
    bench.monitor.close(PATIENCE)
    gone = weakref.ref(bench.monitor)
    del bench

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    # The short-lived thread that has started the monitor's own may still be about to end.
    until(is_gone, "its end")
