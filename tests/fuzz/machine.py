"""The state machine: faults, and requests with all their ends, in every order.

One run has three nodes over one `RecordingEngine`, and users of one kind (`Threads` or `Tasks`). Rules start requests
beside the machine, put faults on nodes and take them away, cancel, fork and close. What a rule does depends on the
drawn values alone, so that a run can be made again from its seed; only the timing is the machine's.

After each step (`Machine.nothing_broke`):

- what callers were told of their writes is true (`ledger`);
- no slot is in use while nothing is under way;
- no healthy node is down for more than a second (`health`).

A *frozen* node executes what lies in its sockets when it is thawed, whether its client still waits or not.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeVar, cast

import hypothesis.strategies as st
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pynamodb_alternator import ClusterConfig, Discovery, Health, Retries, Timeouts, Tls
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster, LocalNode
from tests.chaos.ledger import Fate, Ledger
from tests.chaos.recording import RecordingEngine
from tests.chaos.support import create_table, our_threads, until

from .health import HealthWatch, Lag
from .requests import KINDS, TABLE, Operation, operation
from .users import Tasks, Threads, Users

_KEYS = 6
_MOST_DELAY = 0.4
"""Seconds; longer than `suspect_after` of these runs."""
_SETTLES = 15.0
"""Seconds within which all requests end: the read timeout, times the attempts that may wait for it."""
SPOILT = (
    *("reset_mid_answer", "truncate_answer", "garbage_answer", "cut_chunked"),
    *("drop_request", "drop_after_execute"),
)
HEALTH = Health(probe_interval=0.1, probe_timeout=0.4, suspect_after=0.2)

_random = random.SystemRandom()
NUMBERS = st.integers(0, 2)
_Rule = TypeVar("_Rule", bound=Callable[..., None])


def step(**strategies: st.SearchStrategy[Any]) -> Callable[[_Rule], _Rule]:
    """A rule that is noted in the machine's `trace`.

    What a run finds depends on timing as well, so that Hypothesis may not find it again, and then says nothing of it.
    """

    def decorate(function: _Rule) -> _Rule:
        @functools.wraps(function)
        def noted(self: Machine, **drawn: Any) -> None:
            arguments = ", ".join(f"{name}={value!r}" for name, value in drawn.items())
            self.trace.append(f"{time.monotonic() - self.began:6.2f} {function.__name__}({arguments})")
            function(self, **drawn)

        decorated: Any = cast(Any, rule)(**strategies)
        return cast(_Rule, decorated(noted))

    return decorate


def _start(engine: RecordingEngine, tls: bool) -> LocalCluster:
    """A cluster at a port that no run beside this one takes: Hypothesis gives all of them the same `random`."""
    for _ in range(20):
        with contextlib.suppress(ConfigurationError):
            return LocalCluster(nodes=3, engine=engine, tls=tls, port=_random.randrange(10_240, 32_000)).start()
    return LocalCluster(nodes=3, engine=engine, tls=tls).start()


class Machine(RuleBasedStateMachine):
    """The rules. `users_type`: makes the requests."""

    users_type: ClassVar[type[Users]]
    findings: ClassVar[list[str]] = []
    """What was found wrong, with the steps before it, in all runs."""
    fates: ClassVar[dict[str, int]]
    """How many writes had which end, in all runs."""

    def __init__(self) -> None:
        super().__init__()
        self.trace: list[str] = []
        self.began = time.monotonic()
        self.engine = RecordingEngine()
        self.local: LocalCluster | None = None
        self.lag = Lag()
        self.ledger = Ledger(self.engine)
        self.keys = [f"k{number}" for number in range(_KEYS)]
        self.sick: dict[int, str] = {}
        self.users: Users | None = None
        self.threads_before = len(our_threads())

    @initialize(
        silent_writes=st.sampled_from(["raise", "raise", "wait"]),
        affinity=st.sampled_from(["auto", "any_write", "none"]),
        limit=st.sampled_from([1, 3, 50]),
        monitor=st.sampled_from([True, True, False]),
        total=st.sampled_from([None, None, 1.0, 0.1]),
        tls=st.sampled_from([False, False, False, True]),
        mix=st.lists(st.sampled_from(KINDS), min_size=6, max_size=12),
    )
    def open(
        self,
        silent_writes: Literal["raise", "wait"],
        affinity: Any,
        limit: int,
        monitor: bool,
        total: float | None,
        tls: bool,
        mix: list[str],
    ) -> None:
        self.local = local = _start(self.engine, tls)
        self.mix = itertools.cycle(mix)
        self.config = ClusterConfig(
            [node.host for node in local.nodes],
            port=local.port,
            scheme="https" if tls else "http",
            tls=Tls(ca=local.tls.ca_file) if tls else None,
            name="fuzz",
            key_route_affinity=affinity,
            max_pool_connections=limit,
            monitor=monitor,
            timeouts=Timeouts(connect=1.0, read=2.0, pool=3.0, total=total),
            retries=Retries(silent_writes=silent_writes, backoff_max=0.1),
            health=HEALTH,
            discovery=Discovery(interval=0.3, timeout=1.0),
            partition_keys={TABLE: "id"},
        )
        self._open()
        with self._users.cluster.options(timeouts={"total": 10.0}):
            create_table(self._users.cluster.client, TABLE)

    def _open(self) -> None:
        self.users = self.users_type(self.config)
        self.health = HealthWatch(self.users.cluster, self.lag, {self.nodes[number].address for number in self.sick})

    @property
    def nodes(self) -> Sequence[LocalNode]:
        assert self.local is not None
        return self.local.nodes

    @property
    def _users(self) -> Users:
        assert self.users is not None
        return self.users

    # ---- requests ------------------------------------------------------------------------------------------------

    @step(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    def request(self, kinds: list[str]) -> None:
        """Start some requests at once, each of a key of its own."""
        for kind in kinds:
            self._start(kind)

    @step(kinds=st.lists(st.sampled_from(KINDS), min_size=4, max_size=4), rounds=st.integers(1, 4))
    def traffic(self, kinds: list[str], rounds: int) -> None:
        """Requests one after the other, so that writes follow writes of the same key."""
        for _ in range(rounds):
            for kind in kinds:
                self._start(kind)
            self._pause(0.03)

    def _start(self, kind: str) -> None:
        keys = self._free_keys()
        if keys:
            count = 2 if kind == "batch" else 1
            self._users.start(operation(self.ledger, kind, tuple(keys[:count]), self._before(keys[0])))

    def _free_keys(self) -> list[str]:
        """Keys that no request is under way for. A key with an open write is not used any more; another replaces it.

        The one that was not used for longest is first.
        """
        busy = {key for under_way in self._users.busy for key in under_way.keys}
        for write in self.ledger.writes():
            if write.fate is Fate.OPEN and write.key in self.keys:
                self.keys[self.keys.index(write.key)] = f"{write.key}'"
        self.keys.append(self.keys.pop(0))
        return [key for key in self.keys if key not in busy]

    def _before(self, key: str) -> str | None:
        item = self.engine.item(key)
        return str(item["write"]["S"]) if item is not None else None

    @step(seconds=st.sampled_from([0.01, 0.05, 0.2, 0.7]))
    def pause(self, seconds: float) -> None:
        self._pause(seconds)

    def _pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def _go_on(self) -> None:
        """The traffic that never ceases: three requests of the run's own mix."""
        for kind in itertools.islice(self.mix, 3):
            self._start(kind)

    @step()
    def settle(self) -> None:
        """Wait until nothing is under way."""
        self._until(lambda: not self._users.busy, "requests do not end")

    # ---- faults --------------------------------------------------------------------------------------------------

    def _breaks(self, number: int, how: str) -> bool:
        """Note that a node is in trouble from now on; False if it is already, or if no other would be left."""
        if number in self.sick or len(self.sick) == 2:
            return False
        self.sick[number] = how
        self.health.broke(self.nodes[number].address)
        return True

    def _heals(self, number: int) -> None:
        del self.sick[number]
        self.health.healed(self.nodes[number].address)

    @step(number=NUMBERS)
    def freeze(self, number: int) -> None:
        if self._breaks(number, "frozen"):
            self.nodes[number].hang()
            self._go_on()

    @step(
        number=NUMBERS,
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
        seconds=st.sampled_from([0.05, 0.3, 0.9]),
    )
    def freeze_amid_traffic(self, number: int, kinds: list[str], seconds: float) -> None:
        """A node freezes and thaws again, sooner or later than it is found out, while the same keys are written."""
        if not self._breaks(number, "frozen"):
            return
        self.nodes[number].hang()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for kind in kinds:
                self._start(kind)
            self._pause(0.03)
        self.nodes[number].resume()
        self._heals(number)
        for kind in kinds:
            self._start(kind)

    @precondition(lambda self: "frozen" in self.sick.values())
    @step()
    def thaw(self) -> None:
        for number in [number for number, how in self.sick.items() if how == "frozen"]:
            self.nodes[number].resume()
            self._heals(number)

    @step(number=NUMBERS, still_listed=st.booleans())
    def kill(self, number: int, still_listed: bool) -> None:
        if self._breaks(number, "killed"):
            self.nodes[number].kill(still_listed=still_listed)

    @precondition(lambda self: "killed" in self.sick.values())
    @step()
    def revive(self) -> None:
        for number in [number for number, how in self.sick.items() if how == "killed"]:
            self.nodes[number].revive()
            self._heals(number)

    @step(number=NUMBERS)
    def cut(self, number: int) -> None:
        """All connections break at once; the node lives."""
        if number not in self.sick:
            self.nodes[number].kill(still_listed=True)
            self.nodes[number].revive()

    @step(number=NUMBERS)
    def close_idle(self, number: int) -> None:
        self.nodes[number].close_idle_connections()

    @step(number=NUMBERS, executed=st.booleans(), times=st.integers(1, 12), status=st.sampled_from([None, 503]))
    def answer_5xx(self, number: int, executed: bool, times: int, status: int | None) -> None:
        self.nodes[number].fail_with("InternalServerError", executed=executed, times=times, status=status)

    @step(number=NUMBERS, times=st.integers(1, 12))
    def shed(self, number: int, times: int) -> None:
        self.nodes[number].fail_with("RequestLimitExceeded", times=times)

    @step(
        number=NUMBERS,
        seconds=st.sampled_from([0.03, 0.15, _MOST_DELAY]),
        after=st.booleans(),
        times=st.integers(1, 12),
    )
    def slow(self, number: int, seconds: float, after: bool, times: int) -> None:
        self.nodes[number].delay(seconds, after=after, times=times)

    @step(
        number=NUMBERS,
        fault=st.sampled_from(SPOILT),
        times=st.integers(1, 5),
    )
    def spoil(self, number: int, fault: str, times: int) -> None:
        getattr(self.nodes[number], fault)(times)

    @step(number=NUMBERS)
    def recover(self, number: int) -> None:
        """No answer of this node is spoilt any more."""
        node = self.nodes[number]
        if self.sick.get(number) != "frozen":
            for fault in node.faults:
                fault.cancel()

    # ---- ends ----------------------------------------------------------------------------------------------------

    @step()
    def cancel(self) -> None:
        self._users.cancel()

    @step(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    def fork(self, kinds: list[str]) -> None:
        """A child makes some requests, while those of the parent go on."""
        operations: list[Operation] = []
        for kind in kinds:
            keys = [key for key in self._free_keys() if all(key not in other.keys for other in operations)]
            if keys:
                operations.append(operation(self.ledger, kind, (keys[0],), self._before(keys[0])))
        wrong = self._users.fork(operations)
        self._must_be_empty([wrong] if wrong else [])

    @step()
    def close(self) -> None:
        """The application ends, and starts again."""
        self._close()
        self._open()

    def _close(self) -> None:
        users = self._users
        self.health.close()
        users.close()
        self._until(lambda: not users.busy, "requests do not end")
        self._until(lambda: not users.in_use(), "slots are in use after close()", 0.0)
        self._until(lambda: len(our_threads()) <= self.threads_before, "threads do not end", 5.0)

    # ---- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def nothing_broke(self) -> None:
        if self.users is not None:
            self._check()
            self._go_on()

    def _check(self) -> None:
        mistakes = [*self.ledger.broken(), *map(repr, self.local.failures if self.local else ())]
        if self.config.monitor:
            # Without a thread of its own the library looks at a node that is down when there is a request.
            mistakes += self.health.broken()
        self._must_be_empty(mistakes)
        users = self._users
        if not users.busy and users.in_use():
            # The library's own look-ups take slots too, meet the same faults, and end.
            self._until(lambda: not users.in_use(), "slots are lost")

    def _until(self, condition: Callable[[], bool], otherwise: str, seconds: float = _SETTLES) -> None:
        try:
            until(condition, timeout=seconds)
        except AssertionError:
            self._must_be_empty([f"{otherwise}: {our_threads()}, {self._users.cluster.stats()}"])

    def _must_be_empty(self, mistakes: list[str]) -> None:
        if mistakes:
            self.findings.append("\n".join([repr(self.config), *self.trace, *mistakes]))
            raise AssertionError("\n".join(mistakes))

    def teardown(self) -> None:
        try:
            if self.users is not None:
                self._end(self.users)
        finally:
            self.lag.close()
            if self.local is not None:
                self.local.close()

    def _all_active(self) -> bool:
        self._go_on()
        return all(node.state.value == "active" for node in self._users.cluster.nodes())

    def _end(self, users: Users) -> None:
        closed = False
        try:
            for number in list(self.sick):
                self.nodes[number].resume()
                self.nodes[number].revive()
                self._heals(number)
            for node in self.nodes:
                for fault in node.faults:
                    fault.cancel()
            self.settle()
            self._check()
            self._until(self._all_active, "nodes do not become active", 10.0)
            self.settle()
            # What is still executed late is executed within the longest delay.
            time.sleep(_MOST_DELAY)
            self._check()
            self._close()
            closed = True
            self._must_be_empty(self.ledger.broken())
        finally:
            for fate, count in self.ledger.count().items():
                self.fates[fate] = self.fates.get(fate, 0) + count
            note(f"writes: {self.ledger.count()}")
            if not closed:
                self.health.close()
                users.close()


class ThreadsMachine(Machine):
    users_type = Threads
    fates: ClassVar[dict[str, int]] = {}


class TasksMachine(Machine):
    users_type = Tasks
    fates: ClassVar[dict[str, int]] = {}


MACHINES = {"threads": ThreadsMachine, "asyncio": TasksMachine}
