"""The state machine: faults, requests and their ends, in every order.

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

import itertools
import time
from typing import Any, ClassVar, Literal

import hypothesis.strategies as st
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pynamodb_alternator import ClusterConfig, Discovery, Health, Retries, Timeouts
from pynamodb_alternator.local import LocalCluster
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

nodes = st.integers(0, 2)


class Machine(RuleBasedStateMachine):
    """The rules. `users_type`: who makes the requests."""

    users_type: ClassVar[type[Users]]
    fates: ClassVar[dict[str, int]]
    """How many writes had which end, in all runs."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = RecordingEngine()
        self.local = LocalCluster(nodes=3, engine=self.engine).start()
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
        mix=st.lists(st.sampled_from(KINDS), min_size=6, max_size=12),
    )
    def open(self, silent_writes: Literal["raise", "wait"], affinity: Any, limit: int, mix: list[str]) -> None:
        self.mix = itertools.cycle(mix)
        self.config = ClusterConfig(
            [node.host for node in self.local.nodes],
            port=self.local.port,
            name="fuzz",
            key_route_affinity=affinity,
            max_pool_connections=limit,
            timeouts=Timeouts(connect=1.0, read=2.0, pool=3.0),
            retries=Retries(silent_writes=silent_writes, backoff_max=0.1),
            health=HEALTH,
            discovery=Discovery(interval=0.3, timeout=1.0),
            partition_keys={TABLE: "id"},
        )
        self._open()
        create_table(self._users.cluster.client, TABLE)

    def _open(self) -> None:
        self.users = self.users_type(self.config)
        self.health = HealthWatch(
            self.users.cluster, self.lag, {self.local.nodes[number].address for number in self.sick}
        )

    @property
    def _users(self) -> Users:
        assert self.users is not None
        return self.users

    # ---- requests ------------------------------------------------------------------------------------------------

    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    def request(self, kinds: list[str]) -> None:
        """Start some requests at once, each of a key of its own."""
        for kind in kinds:
            self._start(kind)

    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=4, max_size=4), rounds=st.integers(1, 4))
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

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.2, 0.7]))
    def pause(self, seconds: float) -> None:
        self._pause(seconds)

    def _pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def _go_on(self) -> None:
        """The traffic that never ceases: three requests of the run's own mix."""
        for kind in itertools.islice(self.mix, 3):
            self._start(kind)

    @rule()
    def settle(self) -> None:
        """Wait until nothing is under way."""
        until(lambda: not self._users.busy, "every request ends", _SETTLES)

    # ---- faults --------------------------------------------------------------------------------------------------

    def _breaks(self, number: int, how: str) -> bool:
        """Note that a node is in trouble from now on; False if it is already, or if no other would be left."""
        if number in self.sick or len(self.sick) == 2:
            return False
        self.sick[number] = how
        self.health.broke(self.local.nodes[number].address)
        return True

    def _heals(self, number: int) -> None:
        del self.sick[number]
        self.health.healed(self.local.nodes[number].address)

    @rule(number=nodes)
    def freeze(self, number: int) -> None:
        if self._breaks(number, "frozen"):
            self.local.nodes[number].hang()
            self._go_on()

    @precondition(lambda self: "frozen" in self.sick.values())
    @rule()
    def thaw(self) -> None:
        for number in [number for number, how in self.sick.items() if how == "frozen"]:
            self.local.nodes[number].resume()
            self._heals(number)

    @rule(number=nodes, still_listed=st.booleans())
    def kill(self, number: int, still_listed: bool) -> None:
        if self._breaks(number, "killed"):
            self.local.nodes[number].kill(still_listed=still_listed)

    @precondition(lambda self: "killed" in self.sick.values())
    @rule()
    def revive(self) -> None:
        for number in [number for number, how in self.sick.items() if how == "killed"]:
            self.local.nodes[number].revive()
            self._heals(number)

    @rule(number=nodes)
    def cut(self, number: int) -> None:
        """All connections break at once; the node lives."""
        if number not in self.sick:
            self.local.nodes[number].kill(still_listed=True)
            self.local.nodes[number].revive()

    @rule(number=nodes)
    def close_idle(self, number: int) -> None:
        self.local.nodes[number].close_idle_connections()

    @rule(number=nodes, executed=st.booleans(), times=st.integers(1, 12), status=st.sampled_from([None, 503]))
    def answer_5xx(self, number: int, executed: bool, times: int, status: int | None) -> None:
        self.local.nodes[number].fail_with("InternalServerError", executed=executed, times=times, status=status)

    @rule(number=nodes, times=st.integers(1, 12))
    def shed(self, number: int, times: int) -> None:
        self.local.nodes[number].fail_with("RequestLimitExceeded", times=times)

    @rule(
        number=nodes, seconds=st.sampled_from([0.03, 0.15, _MOST_DELAY]), after=st.booleans(), times=st.integers(1, 12)
    )
    def slow(self, number: int, seconds: float, after: bool, times: int) -> None:
        self.local.nodes[number].delay(seconds, after=after, times=times)

    @rule(
        number=nodes,
        fault=st.sampled_from(SPOILT),
        times=st.integers(1, 5),
    )
    def spoil(self, number: int, fault: str, times: int) -> None:
        getattr(self.local.nodes[number], fault)(times)

    @rule(number=nodes)
    def recover(self, number: int) -> None:
        """No answer of this node is spoilt any more."""
        node = self.local.nodes[number]
        if self.sick.get(number) != "frozen":
            for fault in node.faults:
                fault.cancel()

    # ---- ends ----------------------------------------------------------------------------------------------------

    @rule()
    def cancel(self) -> None:
        self._users.cancel()

    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    def fork(self, kinds: list[str]) -> None:
        """A child makes some requests, while those of the parent go on."""
        operations: list[Operation] = []
        for kind in kinds:
            keys = [key for key in self._free_keys() if all(key not in other.keys for other in operations)]
            if keys:
                operations.append(operation(self.ledger, kind, (keys[0],), self._before(keys[0])))
        wrong = self._users.fork(operations)
        assert wrong is None, wrong

    @rule()
    def close(self) -> None:
        """The application ends, and starts again."""
        self._close()
        self._open()

    def _close(self) -> None:
        users = self._users
        self.health.close()
        users.close()
        until(lambda: not users.busy, "every request ends", _SETTLES)
        assert users.in_use() == 0, f"slots are in use after close(): {users.cluster.stats()}"
        until(lambda: len(our_threads()) <= self.threads_before, f"threads end: {our_threads()}", 5.0)

    # ---- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def nothing_broke(self) -> None:
        if self.users is not None:
            self._check()
            self._go_on()

    def _check(self) -> None:
        found = [*self.ledger.broken(), *self.health.broken(), *map(repr, self.local.failures)]
        assert not found, "\n".join(found)
        users = self._users
        if not users.busy and users.in_use():
            # A request that has just ended may still be putting its connection back.
            until(lambda: users.busy or not users.in_use(), f"slots come back: {users.cluster.stats()}", 1.0)

    def teardown(self) -> None:
        try:
            if self.users is not None:
                self._end(self.users)
        finally:
            self.lag.close()
            self.local.close()

    def _end(self, users: Users) -> None:
        closed = False
        try:
            for number in list(self.sick):
                self.local.nodes[number].resume()
                self.local.nodes[number].revive()
                self._heals(number)
            for node in self.local.nodes:
                for fault in node.faults:
                    fault.cancel()
            self.settle()
            self._check()
            until(lambda: all(node.state.value == "active" for node in users.cluster.nodes()), "all nodes active", 10.0)
            self._start("put")
            self.settle()
            # What is still executed late is executed within the longest delay.
            time.sleep(_MOST_DELAY)
            self._check()
            self._close()
            closed = True
            assert not self.ledger.broken(), "\n".join(self.ledger.broken())
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
