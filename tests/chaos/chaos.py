"""Injects faults of every kind during requests of every kind, and counts their effects.

Each scenario has a cluster of its own on loopback addresses, and threads that write and read. `Chaos` is the frame: it
runs the threads, times the faults, and counts what requests cost. What the threads do, and what must hold in the end,
is in `traffic` and `overwrite`; the faults are in `scenarios`; `running` makes the clusters and the table.

Where is the randomness? In `random.Random(seed)`, which picks nodes, kinds and pauses; the threads' timing is not ours.
"""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from botocore.exceptions import ClientError

from pynamodb_alternator import Cluster, signals
from pynamodb_alternator.errors import NotSentError, OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster

from .support import all_active, until

SLOW = 0.5
"""Seconds from which a request counts as slow."""
_JOIN = 60.0


_C = TypeVar("_C", bound="Chaos")


@dataclass
class Row:
    """What one scenario cost."""

    scenario: str
    faults: int = 0
    requests: int = 0
    acknowledged: int = 0
    lost: int = 0
    """Acknowledged writes that are not there, or were undone by a copy of another acknowledged write."""
    twice: int = 0
    """Executions beyond the first, of increments and conditional puts; and of puts, after they were acknowledged."""
    errors: int = 0
    """Of reads, and of idempotent writes whose node did not go silent, while a node lived."""
    excused: int = 0
    """Of any kind, while none did."""
    unknown: int = 0
    """Writes of which the caller was told that their outcome is unknown: increments and conditional puts, and plain
    puts whose node went silent."""
    slow: int = 0
    slow_per_thread: int = 0
    """The most that one thread met in one fault, of those that an attempt failed in: the others are the machine's."""
    longest: float = 0.0
    detect: float | None = None
    recover: float | None = None
    examples: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.twice or self.errors)


class Chaos(ABC):
    """One scenario under way: the cluster, its users, and their account."""

    def __init__(self, name: str, local: LocalCluster, cluster: Cluster, rng: random.Random) -> None:
        self.local = local
        self.cluster = cluster
        self.random = rng
        self.row = Row(name)
        self.stop = threading.Event()
        """Set when the threads are to end."""
        self.lock = threading.Lock()
        """For `row`, and for what the threads share."""
        self._excuses = 0
        self._is_excused = False
        self._slow_now: Counter[int] = Counter()
        self._downs: list[float] = []
        self._of_thread = threading.local()

    # ---- what a kind of traffic says -------------------------------------------------------------------------------

    @abstractmethod
    def users(self) -> Sequence[Callable[[int], None]]:
        """One function for each thread. It is called over and over, with the number of its thread."""

    @abstractmethod
    def verify(self) -> None:
        """At the end: hold what the servers have against what was acknowledged, and note it in `row`."""

    # ---- requests ------------------------------------------------------------------------------------------------

    @contextmanager
    def request(
        self, thread: int, *, may_be_unknown: Literal["never", "if silent", "always"] = "never"
    ) -> Iterator[Request]:
        """Around one request of a thread: counts what it costs. Its error, if it is of ours, ends here.

        `may_be_unknown`: whether its caller has to reckon with an unknown outcome.
        """
        request = Request()
        excuses, was_excused = self._excuses, self._is_excused
        started = time.monotonic()
        self._of_thread.failed = False
        try:
            yield request
            request.ok = True
        except (NotSentError, OutcomeUnknownError, ClientError) as error:
            request.error = error
            excused = was_excused or self._is_excused or excuses != self._excuses
            unknown = isinstance(error, OutcomeUnknownError) and (
                may_be_unknown == "always" or (may_be_unknown == "if silent" and error.may_still_execute)
            )
            with self.lock:
                if unknown:
                    self.row.unknown += 1
                elif excused:
                    self.row.excused += 1
                else:
                    self.row.errors += 1
                    self.note(f"{type(error).__name__}: {error}")
        took = time.monotonic() - started
        with self.lock:
            self.row.requests += 1
            self.row.longest = max(self.row.longest, took)
            if took > SLOW:
                self.row.slow += 1
                self._slow_now[thread] += self._of_thread.failed

    def note(self, what: str) -> None:
        """Keep what went wrong, for the account."""
        if len(self.row.examples) < 5:
            self.row.examples.append(what)

    # ---- the faults ----------------------------------------------------------------------------------------------

    @contextmanager
    def fault(self, *, takes_down: bool = False, none_lives: bool = False) -> Iterator[None]:
        """One fault: it is made in the block, and healed at its end. Waits until the cluster has recovered."""
        self.row.faults += 1
        self._slow_now.clear()
        self._downs.clear()
        if none_lives:
            self._excuses += 1
            self._is_excused = True
        started = time.monotonic()
        yield
        if takes_down and self._downs:
            self.row.detect = max(self.row.detect or 0.0, self._downs[0] - started)
        healed = time.monotonic()
        until(lambda: all_active(self.cluster, self.local), f"{self.row.scenario}: all nodes active again")
        self.row.recover = max(self.row.recover or 0.0, time.monotonic() - healed)
        self._is_excused = False
        with self.lock:
            self.row.slow_per_thread = max([self.row.slow_per_thread, *self._slow_now.values()])

    def pause(self, seconds: float) -> None:
        """Let the traffic go on for about so long."""
        self.stop.wait(seconds * self.random.uniform(0.7, 1.3))

    def until_down(self, count: int = 1) -> None:
        until(lambda: len(self._downs) >= count, f"{self.row.scenario}: the node is found out")

    def victim(self) -> Any:
        return self.random.choice(self.local.nodes)

    # ---- all of it -----------------------------------------------------------------------------------------------

    def run(self: _C, scenario: Callable[[_C], None], seconds: float) -> Row:
        users = self.users()
        failures: list[BaseException] = []

        def use(thread: int) -> None:
            try:
                while not self.stop.is_set():
                    users[thread](thread)
            except BaseException as error:
                failures.append(error)
                self.stop.set()

        def went_down(sender: Any, **_: Any) -> None:
            self._downs.append(time.monotonic())

        def completed(sender: Any, attempts: int, error: Any, **_: Any) -> None:
            self._of_thread.failed = attempts > 1 or error is not None

        threads = [threading.Thread(target=use, args=(number,), daemon=True) for number in range(len(users))]
        signals.node_down.connect(went_down, sender=self.cluster)
        signals.request_completed.connect(completed, sender=self.cluster)
        try:
            for thread in threads:
                thread.start()
            self.pause(0.2)
            end = time.monotonic() + seconds
            while time.monotonic() < end and not failures:
                scenario(self)
                self.pause(0.1)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(_JOIN)
        assert not any(thread.is_alive() for thread in threads), "a request does not end"
        if failures:
            raise failures[0]
        self.verify()
        assert not self.local.failures, self.local.failures
        return self.row


class Request:
    """How a request ended: `ok`, or with an error of ours."""

    ok: bool = False
    error: Exception | None = None
