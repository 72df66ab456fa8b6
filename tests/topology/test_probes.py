"""Probes: how many at once, in which order, and that none is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from pynamodb_alternator.topology import probes as module
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.probes import Probes

from .fakes import PATIENCE, until
from .interrupting import interruptions

NAME = "probes_under_test"
NODES = [Node("http", f"10.0.0.{number}", 8000) for number in range(1, 31)]


class FakeProber:
    """Notes which nodes are probed. Those in `gates` hang until their gate is opened."""

    def __init__(self) -> None:
        self.gates: dict[Node, threading.Event] = {}
        self.probed: list[Node] = []
        self.hanging: list[Node] = []
        self.suspects: set[Node] = set()
        self.broken = False
        self.most_at_once = 0
        self._lock = threading.Lock()

    def is_suspect(self, node: Node) -> bool:
        return node in self.suspects

    def hang(self, *nodes: Node) -> None:
        self.gates = {node: threading.Event() for node in nodes}

    def release(self) -> None:
        for gate in self.gates.values():
            gate.set()

    def probe(self, node: Node, timeout: float) -> bool:
        with self._lock:
            self.probed.append(node)
            self.hanging.append(node)
            self.most_at_once = max(self.most_at_once, len(self.hanging))
        try:
            if self.broken:
                raise ZeroDivisionError
            if node in self.gates:
                assert self.gates[node].wait(PATIENCE)
            return True
        finally:
            with self._lock:
                self.hanging.remove(node)


@pytest.fixture
def prober() -> Iterator[FakeProber]:
    prober = FakeProber()
    yield prober
    prober.release()
    until(lambda: not ours(), "the end of all threads")


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def probes_of(prober: FakeProber, most: int = 10) -> Probes:
    return Probes(prober, most=most, timeout=1.0, name=NAME)


def idle(probes: Probes) -> None:
    until(lambda: probes.idle, "the end of the probes")


def test_only_so_many_at_once(prober: FakeProber) -> None:
    probes = probes_of(prober, most=4)
    prober.hang(*NODES)
    probes.begin(NODES)
    until(lambda: len(prober.hanging) == 4)
    probes.begin(NODES)
    prober.release()
    idle(probes)
    assert prober.most_at_once == 4
    assert set(prober.probed) == set(NODES)


def test_one_under_way_per_node(prober: FakeProber) -> None:
    probes, node = probes_of(prober), NODES[0]
    prober.hang(node)
    for _ in range(5):
        probes.begin([node])
        probes.begin([node], suspects=True)
    until(lambda: prober.hanging == [node])
    for _ in range(5):
        probes.begin([node], suspects=True)
    prober.release()
    idle(probes)
    assert prober.probed == [node]


def test_a_suspect_goes_before_routine(prober: FakeProber) -> None:
    """Seen: behind hundreds of down nodes, the probe of a suspect came minutes late."""
    probes = probes_of(prober, most=1)
    prober.hang(NODES[0])
    probes.begin(NODES)
    until(lambda: prober.hanging == NODES[:1])
    probes.begin([NODES[20]], suspects=True)
    prober.release()
    idle(probes)
    assert prober.probed[:2] == [NODES[0], NODES[20]]
    assert sorted(prober.probed, key=str) == sorted(NODES, key=str), "each of them once"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_probe_that_raises_does_not_end_the_others(prober: FakeProber, caplog: pytest.LogCaptureFixture) -> None:
    probes = probes_of(prober, most=1)
    prober.broken = True
    probes.begin(NODES[:1])
    idle(probes)
    until(lambda: not ours())
    assert [record.message for record in caplog.records] == [f"The thread {NAME} has failed."]
    prober.broken = False
    probes.begin(NODES[1:3])
    idle(probes)
    assert prober.probed == NODES[:3]


def test_a_suspicion_that_comes_after_the_answer_has_the_node_probed_again(prober: FakeProber) -> None:
    probes, node = probes_of(prober), NODES[0]
    prober.hang(node)
    probes.begin([node])
    until(lambda: prober.hanging)
    prober.suspects.add(node)
    probes.begin([node], suspects=True)
    gate = prober.gates.pop(node)
    gate.set()
    until(lambda: len(prober.probed) >= 2)
    prober.suspects.clear()
    idle(probes)


def test_no_thread_can_be_started(prober: FakeProber, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that asks makes one probe itself, the other nodes stay in the queue, and no slot is lost."""
    probes = probes_of(prober, most=2)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        probes.begin(NODES[:3])
        assert prober.probed == NODES[:1]
        probes.begin([])
        assert prober.probed == NODES[:2]
        assert not probes.idle
        probes.wait_for_all(PATIENCE * 10)  # which would be in vain
    probes.begin([])
    idle(probes)
    assert prober.probed == NODES[:3]


def test_no_further_thread_can_be_started(prober: FakeProber, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that there are make the probes. The thread that asks is not held up."""
    probes = probes_of(prober, most=2)
    prober.hang(NODES[0])
    probes.begin(NODES[:1])
    until(lambda: prober.hanging == NODES[:1])

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    probes.begin(NODES[1:3])
    assert prober.probed == NODES[:1]
    prober.release()
    idle(probes)
    assert prober.probed == NODES[:3]


def test_an_exception_at_any_place_loses_no_node_and_no_slot(prober: FakeProber) -> None:
    """Seen: a thread was counted that an exception kept from being started: its slot was lost for ever."""
    made: list[Probes] = []

    def prepare() -> Callable[[], object]:
        prober.probed.clear()
        made.append(probes_of(prober, most=1))
        return lambda: made[-1].begin(NODES[:1], suspects=True)

    points = 0
    for _ in interruptions(prepare, module):
        points += 1
        probes = made.pop()
        probes.begin(NODES[1:2])
        idle(probes)
        assert NODES[1] in prober.probed
        probes.begin(NODES[:1], suspects=True)
        idle(probes)
        assert NODES[0] in prober.probed
        assert prober.most_at_once == 1
        probes.close()
    assert points > 15


def test_nothing_begins_after_the_end(prober: FakeProber) -> None:
    probes = probes_of(prober)
    probes.close()
    probes.begin(NODES)
    assert probes.idle
    assert prober.probed == []


def test_the_threads_that_are_left_are_told_at_the_end(prober: FakeProber) -> None:
    probes = probes_of(prober, most=2)
    prober.hang(*NODES)
    probes.begin(NODES)
    until(lambda: len(prober.hanging) == 2)
    left = probes.close()
    assert set(ours()) <= set(left)
    prober.release()
    for thread in left:
        thread.join(PATIENCE)
    assert len(prober.probed) == 2
