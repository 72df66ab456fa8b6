"""A cluster without sockets: a network that answers from a table, a clock that the test sets, and a listener that
records."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from blinker import NamedSignal

from pynamodb_alternator.errors import ReadTimeoutError
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.membership import Membership
from pynamodb_alternator.topology.node import Node

LOCK = type(threading.Lock())
PATIENCE = 10.0
"""Seconds after which a condition that a test waits for counts as never to come."""


class FakeClock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeNetwork:
    """Nodes by host: datacenter and rack of each. Answers ``/`` and ``/localnodes`` as servers do.

    `dead`: hosts that refuse. `silent`: hosts that say nothing. `answers`: a body or function that replaces a host's
    list. `ill`: hosts that answer probes with this status. `old`: servers ignore dc and rack.
    `log`: pairs of host and path, in order. `before`: is called before each answer.
    """

    def __init__(self, **places: tuple[str, str]) -> None:
        self.places: dict[str, tuple[str, str]] = dict(places)
        self.dead: set[str] = set()
        self.silent: set[str] = set()
        self.answers: dict[str, Any] = {}
        self.ill: dict[str, int] = {}
        self.old = False
        self.names: dict[str, Sequence[str]] = {}
        self.resolved: list[str] = []
        self.log: list[tuple[str, str]] = []
        self.before: Callable[[Node, str], None] = lambda node, path: None

    def fetch(self, node: Node, path: str, timeout: float) -> tuple[int, bytes]:
        assert timeout > 0
        self.log.append((node.host, path))
        self.before(node, path)
        if node.host in self.dead:
            raise ConnectionRefusedError(f"{node} refused")
        if node.host in self.silent:
            raise ReadTimeoutError(f"Node {node} did not answer")
        if path == "/":
            return self.ill.get(node.host, 200), b"healthy: x"
        if node.host in self.answers:
            answer = self.answers[node.host]
            if callable(answer):
                answer = answer(path)
            return answer if isinstance(answer, tuple) else (200, answer)
        return 200, self.lists(path, self.places[node.host][0])

    def lists(self, path: str, datacenter: str = "dc1") -> bytes:
        """The list that a node of this datacenter tells."""
        racks = None
        if not self.old:
            query = parse_qs(urlsplit(path).query)
            datacenter = query.get("dc", [datacenter])[0]
            racks = query.get("rack")
        listed = [h for h, (d, r) in self.places.items() if d == datacenter and (racks is None or r in racks)]
        return json.dumps(listed).encode()

    def resolve(self, name: str) -> Sequence[str]:
        self.resolved.append(name)
        if name not in self.names:
            raise OSError(f"unknown name {name}")
        return self.names[name]

    def asked(self, path_start: str = "/localnodes") -> list[str]:
        return [host for host, path in self.log if path.startswith(path_start)]


def hosts(nodes: Collection[Node]) -> list[str]:
    return sorted(node.host for node in nodes)


def locks_of(thing: object) -> list[Any]:
    """All plain locks that an object of ours has, and those of the objects of ours in its attributes."""
    locks, seen, left = [], set(), [thing]
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        for value in vars(part).values():
            if isinstance(value, LOCK):
                locks.append(value)
            elif type(value).__module__.startswith("pynamodb_alternator.") and hasattr(value, "__dict__"):
                left.append(value)
    return locks


class FakeListener:
    """Notes what the membership says, and that no lock is held when it says it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.members: list[list[str]] = []
        self.cut: list[str] = []
        self.suspicions: list[Node] = []
        self.order: list[str] = []
        self.membership: Membership | None = None
        self.on_suspect: Callable[[Node], None] = self.suspicions.append
        self.on_emit: Callable[[str, dict[str, Any]], None] = lambda name, payload: None

    def _unlocked(self) -> None:
        if self.membership is not None:
            for lock in locks_of(self.membership):
                assert lock.acquire(timeout=PATIENCE), "user code was called under the lock"
                lock.release()
            self.membership.nodes()

    def emit(self, signal: NamedSignal, **payload: Any) -> None:
        self._unlocked()
        assert signal.name is not None
        self.order.append(signal.name)
        self.told.append((signal.name, payload))
        self.on_emit(signal.name, payload)

    def members_changed(self, nodes: Collection[Node]) -> None:
        self._unlocked()
        self.order.append("members_changed")
        self.members.append(hosts(nodes))

    def went_down(self, node: Node) -> None:
        self._unlocked()
        self.order.append("went_down")
        self.cut.append(node.host)

    def suspect(self, node: Node) -> None:
        self._unlocked()
        self.on_suspect(node)

    def of(self, name: str) -> list[dict[str, Any]]:
        return [payload for told, payload in self.told if told == name]

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    def clear(self) -> None:
        self.told.clear()
        self.members.clear()
        self.order.clear()
        self.cut.clear()
        self.suspicions.clear()


class World:
    """A membership with all of its fakes."""

    def __init__(self, network: FakeNetwork, seeds: Any = None, *, history: int = 1_000, **settings: Any) -> None:
        self.network = network
        self.clock = FakeClock()
        self.listener = FakeListener()
        self.answers: Counter[Node] = Counter()
        self.config = ClusterConfig(seeds or list(network.places)[:1], **settings)
        self.membership = Membership(
            self.config,
            self.listener,
            fetch=network.fetch,
            resolve=network.resolve,
            clock=self.clock,
            random=random.Random(7),
            answers_of=self.answers.__getitem__,
            history=history,
        )
        self.listener.membership = self.membership

    def node(self, host: str) -> Node:
        return Node(self.config.scheme, host, self.config.node_port)

    def start(self, *, probe: bool = True) -> None:
        self.membership.begin()
        if probe:
            self.probe_all()
        assert self.membership.refresh()
        if probe:
            self.prove_all()
        self.listener.clear()
        self.network.log.clear()

    def probe_all(self) -> None:
        for node in self.membership.probes_due(self.clock()):
            self.membership.probe(node, 1.0)

    def prove_all(self) -> None:
        """As if requests had named each node."""
        for node in (*self.membership.view.unproven, *self.membership.probes_due(self.clock())):
            self.membership.probe(node, 1.0)

    def down(self, *names: str) -> None:
        """Take these out: their traffic fails, and a probe confirms it."""
        self.network.dead.update(names)
        for name in names:
            node = self.node(name)
            self.membership.failed(node, self.membership.generation(node), OSError("traffic failed"))
            self.membership.probe(node, 1.0)
            assert self.state(name) is State.DOWN

    def fail_answers(self, *names: str, times: int = 20) -> None:
        """All members answer this number of times, and these members with a page of a proxy."""
        members = self.membership.view.topology.ring
        for _ in range(times):
            for node in members:
                self.answers[node] += 1
                if node.host in names:
                    self.membership.answer_failed(node, "status 503")

    def up(self, *names: str) -> None:
        """Bring these back, by probes alone."""
        self.network.dead.difference_update(names)
        for name in names:
            for _ in range(self.config.health.down_recovery_threshold + 1):
                self.membership.probe(self.node(name), 1.0)
            assert self.state(name) is State.ACTIVE

    def state(self, name: str) -> State:
        return next(node.state for node in self.membership.nodes() if node.address == self.node(name).address)

    @property
    def in_scope(self) -> list[str]:
        return hosts(self.membership.view.topology.nodes)


def will_be_probed(membership: Membership) -> bool:
    """Whether each member that is not active has a next probe, except those that wait until a request names them."""
    snapshot = membership.snapshot()
    statuses = {node: snapshot.statuses[node] for node in snapshot.members}
    on_trial = {
        node for node, status in statuses.items() if status.state is not State.ACTIVE and not status.is_unproven
    }
    return on_trial <= snapshot.next_probes.keys()


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run `work` in a thread; its result, or what it raised, is put into the list."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def until(condition: Callable[[], Any], what: str = "") -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.002)


def thread_starters(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The identifiers of the threads that start others from now on."""
    start, starters = threading.Thread.start, set[int]()

    def note(thread: threading.Thread) -> None:
        starters.add(threading.get_ident())
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", note)
    return starters


def finished(thread: threading.Thread) -> None:
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it never came back"
