"""The background thread of a cluster: it keeps the node list up to date, and has the nodes that are not active probed.

Theory of operation. The monitor owns the thread, the pace of its looks around (`step`), the thread that reads the list,
and the `Probes`. It owns no state of nodes: that belongs to the `Membership`, whose `refresh` runs in the reader
thread, and whose `probe` runs in the probe threads. It holds no reference to the `Cluster`, so that a `Cluster` that
nobody uses is collected.

Threads. Each request calls `used` first. The first request has the monitor thread started, by a short-lived thread for
which it does not wait (see `_start`). The monitor thread first gets ready: it asks the seeds, reads the list, and
probes some of its nodes. The first requests wait for this with `ready`. Then the thread calls `step` for ever: every
quarter of a second while a request waits for its answer, to notice requests that wait for a long time; once a second
while the cluster is in use and no request waits; else once a minute. `step` itself never waits for a node, so a source
that hangs does not keep it from watching the other nodes. All other threads are started by the monitor thread:
`suspect`, which threads of requests call, only wakes it. The other background work that requests need (`also`) is begun
by the monitor thread too. `close` and `after_fork` come from any thread.

If the monitor thread cannot be started (the interpreter ends, or the container limits the number of threads),
`no_thread` tells why, and requests do its work (`core.inline`); one of them tries to start it again each second. If the
monitor thread lives but no further thread can be started, it reads the list and makes the probes itself.

Locks. `_lock` guards the start and the end of the thread, and no code waits while it holds the lock. `Alarm` and
`Latch` are used for waking and waiting. Which threads run is derived from the threads themselves: a thread registers
itself when it begins, and if an exception prevented its start, another thread is started a second later. If an
exception interrupted the report of a suspect, the node is still one of `Membership.suspects`, and each step begins the
probes of suspects that are not being probed.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
import random as _random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from .membership import Membership
from .node import Node
from .probes import Probes, started
from .waiting import Alarm, Latch

__all__ = ["TICK", "Monitor", "Waits"]

_log = logging.getLogger("pynamodb_alternator.cluster")

_THREAD_NAME = "pynamodb_alternator"
_JITTER = 0.1
"""Part of an interval by which it is varied, so that many processes do not ask at the same moment."""
TICK = 0.25
"""Seconds between two looks at waiting requests, while there are some."""
_QUIET_TICK = 1.0
"""Seconds between two looks while no request waits, at most: with a short `Health.suspect_after` they are fewer."""
_SHORTEST_PAUSE = 0.02
_START_PATIENCE = 1.0
"""Seconds that a started thread has to begin. After them, another thread is started in its place."""
_GRACE = 0.2
"""Seconds that the start waits for the other seeds after one seed has answered, and then for the listed nodes."""


class Waits(Protocol):
    """Returns a pair for each request that waits for an answer: its node, and for how many seconds it has waited."""

    def __call__(self, now: float) -> Iterable[tuple[Node, float]]: ...


class Monitor:
    """Runs `Membership.refresh` and `Membership.probe` when they are due.

    `waits`: see `Waits`. `also`: is called in each step. It begins other background work, and must not wait.
    """

    def __init__(
        self,
        membership: Membership,
        *,
        waits: Waits,
        clock: Callable[[], float],
        random: _random.Random,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._also = also
        self._membership = membership
        self._settings = membership.config.discovery
        self._policy = membership.config.health
        self._waits = waits
        self._clock = clock
        self._random = random
        self._quiet_tick = min(_QUIET_TICK, self._policy.suspect_after)
        self.last_use: float = clock()
        self._closed = False
        self._complained = False
        self.after_fork()

    def after_fork(self) -> None:
        """The child has none of the parent's threads, and must not wait for locks that they held."""
        self._lock = threading.Lock()
        self._alarm = Alarm()
        self._runs = False
        self._thread: threading.Thread | None = None
        self._reader: threading.Thread | None = None
        self.no_thread: str | None = None
        """Why the thread cannot be started; None unless an attempt to start it has failed."""
        self._start_again_at: float | None = None
        self._probes = Probes(
            self._membership,
            most=self._policy.max_parallel_probes,
            timeout=self._policy.probe_timeout,
            name=f"{_THREAD_NAME}-probe",
        )
        self.sleeping_until: float | None = None
        """Until when the thread sleeps if nothing wakes it; None while it works."""
        self.ready: Latch = Latch()
        """Set when the first node list was read and its nodes had some time to be probed, or when the reading
        failed."""
        self.begun: Latch = Latch()
        """Set when the seeds are resolved, or cannot be resolved. It is always set when `ready` is set."""
        if self._membership.last_success is not None:
            self._say_ready()

    def used(self, now: float) -> None:
        """A request is about to be routed: start the thread if it does not run, and wake it if it sleeps for long."""
        # The order matters: before a long sleep, the thread sets `sleeping_until` first, and reads `last_use` after
        # that.
        self.last_use = now
        if not self._runs:
            self._start(now)
            return
        until = self.sleeping_until  # read once: the thread may change it meanwhile
        if until is not None and until - now > _QUIET_TICK:
            self.wake()

    def wake(self) -> None:
        """Have the thread make its next step now."""
        self._alarm.set()

    def _start(self, now: float) -> None:
        with self._lock:
            if self._runs or self._closed or (self._start_again_at is not None and now < self._start_again_at):
                return
            # Set before the thread exists: if its start fails in any way, another one may be started after this time.
            self._start_again_at = now + _START_PATIENCE
        # `Thread.start` is not used here: it waits until the new thread runs, and holds locks of `threading` meanwhile.
        # If an exception were raised in this thread then, these locks would stay held, and the whole process would
        # hang.
        try:
            _thread.start_new_thread(self._start_thread, ())
        except RuntimeError as error:
            self._cannot_start(error)

    def _start_thread(self) -> None:
        """Start the monitor thread. This runs in a thread of its own, for which no other thread waits."""
        try:
            thread = threading.Thread(target=self._run, name=f"{_THREAD_NAME}-monitor", daemon=True)
            with self._lock:
                if self._runs or self._closed:
                    return
                self._thread = thread
            thread.start()
        except RuntimeError as error:
            self._cannot_start(error)

    def _cannot_start(self, error: RuntimeError) -> None:
        """No thread can be started: requests do the work, and one of them tries again later."""
        self._start_again_at = self._clock() + self._settings.interval
        self.no_thread = str(error)
        self._say_ready()

    def _say_ready(self) -> None:
        self.ready.set()
        self.begun.set()

    def suspect(self, node: Node) -> None:
        """Have the node probed now, while traffic goes on, and before nodes that are only due for a probe.

        The node is one of `Membership.suspects` already, and the thread begins the probes of these. So this only wakes
        it.
        """
        self.wake()

    def close(self, timeout: float) -> None:
        """Stop the threads. Waits for them at most `timeout` seconds."""
        with self._lock:
            self._closed = True
        self.wake()
        self._say_ready()
        probers = self._probes.close()
        end = time.monotonic() + timeout
        for thread in (self._thread, self._reader, *probers):
            if thread is not None and thread is not threading.current_thread():
                with contextlib.suppress(RuntimeError):  # not started yet; it ends when it finds the monitor closed
                    thread.join(max(0.0, end - time.monotonic()))

    @property
    def running(self) -> bool:
        """Whether the thread lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def is_coming(self) -> bool:
        """Whether the thread lives, or is being started."""
        start_again_at = self._start_again_at  # read once: another thread may change it meanwhile
        is_starting = start_again_at is not None and self.no_thread is None and self._clock() < start_again_at
        return self.running or is_starting

    @property
    def busy(self) -> bool:
        """Whether a reading or a probe is under way."""
        reader = self._reader
        return (reader is not None and reader.is_alive()) or not self._probes.idle

    # ---- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._lock:
            if self._runs or self._closed:
                return  # another thread was started in its place, or the monitor was closed before this one began
            self._runs = True
            self._thread = threading.current_thread()
            self._start_again_at = None
            could_not_start, self.no_thread = self.no_thread, None
        try:
            if could_not_start:
                _log.info("Cluster %r: threads can be started again.", self._membership.config.name)
            self._get_ready()
            while not self._closed:
                self._look_around_and_sleep()
        finally:
            self._say_ready()
            self._runs = False  # the next request starts another one

    def _look_around_and_sleep(self) -> None:
        use = self.last_use
        try:
            pause = self.step()
            self._complained = False
        except Exception:
            self._complain()
            pause = self._settings.interval
        self.sleeping_until = self._clock() + pause
        # A request that came during the step has not woken the thread, because it did not know of this long sleep.
        if pause <= _QUIET_TICK or self.last_use == use:
            self._alarm.sleep(pause)
        self.sleeping_until = None
        self._alarm.clear()

    def _complain(self) -> None:
        """Log an unexpected exception, such as one of a user's callback. Errors in a row are logged once."""
        if not self._complained:
            self._complained = True
            _log.exception("Cluster %r: the monitor thread met an error and goes on.", self._membership.config.name)

    def _get_ready(self) -> None:
        """Ask the seeds, read the list, and probe some nodes, so that the first requests go to nodes that live."""
        try:
            self._read_first_list()
        except Exception:
            self._complain()
        self._say_ready()

    def _read_first_list(self) -> None:
        membership = self._membership
        if membership.last_success is not None:
            return
        membership.begin()
        self.begun.set()
        # All seeds are probed at the same time: a dead seed must not delay the others.
        self._probes.begin(membership.probes_due(self._clock()))
        self._probes.wait_for_first(self._settings.timeout)
        self._probes.wait_for_all(_GRACE)
        if self._closed:
            return
        told = self._begin_reading(wait=True)
        while not told.is_set() and not self._closed:
            # The first requests may not have waited for the list, and may have found a node that hangs.
            self._probes.begin(membership.suspects(), suspects=True)
            self._alarm.sleep(TICK)
        if membership.failed_readings:
            return
        self._probes.begin(membership.probes_due(self._clock()))
        self._probes.wait_for_all(_GRACE)

    def step(self) -> float:
        """Begin everything that is due, and return for how many seconds nothing will be due. Never waits for a node."""
        now = self._clock()
        membership, settings = self._membership, self._settings
        next_change = membership.review(now)
        requests_wait = self._suspect_those_waited_for(now)
        in_use = requests_wait or now - self.last_use < settings.idle_after
        interval = membership.pace.interval if in_use else settings.idle_interval
        interval *= self._random.uniform(1 - _JITTER, 1 + _JITTER)
        last = membership.last_read
        reads = last is None or now >= last + interval
        if reads and not (self._reader is not None and self._reader.is_alive()):
            self._begin_reading()
        # Suspects that are being probed are skipped. The others are those whose report an exception has interrupted.
        self._probes.begin(membership.suspects(), suspects=True)
        # While the cluster is not in use, nodes that are not active are probed only when the list is read.
        if in_use or reads:
            self._probes.begin(membership.probes_due(now))
        self._also()
        pauses = [interval if last is None or reads else last + interval - now]
        if in_use:
            pauses += [TICK, self._policy.suspect_after / 2] if requests_wait else [self._quiet_tick]
            pauses += [at - now for at in (membership.next_probe_at(now), next_change) if at is not None]
        return max(_SHORTEST_PAUSE, min(pauses))

    def _suspect_those_waited_for(self, now: float) -> bool:
        """Make nodes suspects if requests wait for them for a long time. Returns whether any request waits at all."""
        requests_wait = False
        for node, waited in self._waits(now):
            requests_wait = True
            if waited >= self._policy.suspect_after:
                self._membership.suspect(node)
        return requests_wait

    def _begin_reading(self, *, wait: bool = False) -> Latch:
        """Read the list in a thread of its own: a source that hangs must not keep the monitor from watching the other
        nodes.

        `wait`: whether to wait if another thread is reading. Returns a latch that opens when the reading is over.
        """
        over = Latch()
        reader = threading.Thread(target=self._read, args=(over, wait), name=f"{_THREAD_NAME}-reader", daemon=True)
        self._reader = reader
        if not started(reader):
            self._reader = None
            self._read(over, wait)
        return over

    def _read(self, over: Latch, wait: bool) -> None:
        try:
            self._membership.refresh(wait=wait)
        except Exception:
            self._complain()
        finally:
            over.set()
            if wait:
                self.wake()  # `_read_first_list` sleeps meanwhile
