"""The background thread of a cluster: it keeps the node list fresh, and has nodes probed that are not active.

Theory of operation. The monitor owns the thread, the pace of its looks around (`step`), the thread that reads the list,
and the `Probes`. It owns no state of nodes: that is the membership's, whose `refresh` and `probe` it has called in the
reader thread and in the probe threads. It holds no reference to the `Cluster`, so that a forgotten one is collected.

Threads. Each request calls `used` first, and the first one has the thread started, and does not wait for that to
happen: a short-lived thread does it (see `_start`). The monitor thread gets ready (from the seeds to a list of nodes
that have been seen alive, for which the first requests wait with `ready`), and then calls `step` for ever: every
quarter of a second while a request waits for its answer, to see which ones wait for long; once a second while the
cluster is in use and none waits, because none can have waited for long before; else once a minute. `step` itself
waits for no node, so that a source that hangs does not keep it from watching the others. All other threads are started
by the monitor thread: `suspect`, which threads of requests call, does no more than wake it, and so does what else they
want done (`also`). `close` and `after_fork` come from any thread.

Where the thread cannot be started (the interpreter ends, a container's limit), `no_thread` tells why, and requests do
its work (`core.inline`); one of them tries again each second. Where the thread lives and no further one can be started,
it reads the list and makes the probes itself.

Locks. `_lock` guards the start and the end of the thread, and nothing is waited for under it. Waking and waiting are
done with `Alarm` and `Latch`, and what runs is derived from what exists: a thread that has begun signs in itself, and
one that an exception kept from being started is replaced a second later. A suspect whose report was cut short by an
exception is still one of `Membership.suspects`, and each step begins the probes that these lack.
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
"""The same while none waits: at most, because a shorter `Health.suspect_after` may pass before."""
_SHORTEST_PAUSE = 0.02
_START_PATIENCE = 1.0
"""Seconds for a thread that is being started to begin, before another one is started in its place."""
_GRACE = 0.2
"""Seconds that the start waits for further seeds to be seen alive when one is, and for the nodes that they list."""


class Waits(Protocol):
    """Tells which requests wait for an answer now: pairs of their node, and for how many seconds they have waited."""

    def __call__(self, now: float) -> Iterable[tuple[Node, float]]: ...


class Monitor:
    """Runs `Membership.refresh` and `Membership.probe` when they are due.

    `waits` tells for which nodes requests are waiting now, and for how long. `also` is called with each look around:
    it begins what others want done in the background, and waits for nothing.
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
        """Why the thread cannot be started; None unless that was tried and has failed."""
        self._start_again_at: float | None = None
        self._probes = Probes(
            self._membership,
            most=self._policy.max_parallel_probes,
            timeout=self._policy.probe_timeout,
            name=f"{_THREAD_NAME}-probe",
        )
        self.sleeping_until: float | None = None
        """Until when the thread sleeps if nothing wakes it; None while it looks around."""
        self.ready: Latch = Latch()
        """Set when the first node list was read and its nodes had a moment to be probed, or that has failed."""
        self.begun: Latch = Latch()
        """Set when the seeds are known as nodes, or none can be resolved. What is ready has begun."""
        if self._membership.last_success is not None:
            self._say_ready()

    def used(self, now: float) -> None:
        """A request is about to be routed: start if need be, and be awake."""
        # In this order: the thread looks at them in the other one before it sleeps for long.
        self.last_use = now
        if not self._runs:
            self._start(now)
            return
        until = self.sleeping_until  # which the thread sets and unsets meanwhile
        if until is not None and until - now > _QUIET_TICK:
            self.wake()

    def wake(self) -> None:
        """Have the thread look around now."""
        self._alarm.set()

    def _start(self, now: float) -> None:
        with self._lock:
            if self._runs or self._closed or (self._start_again_at is not None and now < self._start_again_at):
                return
            # Before the thread exists: whatever becomes of it, another one may be started after that.
            self._start_again_at = now + _START_PATIENCE
        # Not with `Thread.start`: that waits until the new thread has its turn, and holds locks of `threading`
        # meanwhile, with which an exception that comes to this thread would take the whole process along.
        try:
            _thread.start_new_thread(self._start_thread, ())
        except RuntimeError as error:
            self._cannot_start(error)

    def _start_thread(self) -> None:
        """In a thread of its own, which nobody waits for: start the monitor thread."""
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
        """There are no more threads to be had: requests do our work, and one of them tries again in a while."""
        self._start_again_at = self._clock() + self._settings.interval
        self.no_thread = str(error)
        self._say_ready()

    def _say_ready(self) -> None:
        self.ready.set()
        self.begun.set()

    def suspect(self, node: Node) -> None:
        """Have the node probed now, beside the traffic, and before nodes whose turn it merely is.

        It is one of `Membership.suspects`, of which the thread begins the probes.
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
                with contextlib.suppress(RuntimeError):  # it was not started yet, and will find that we are closed
                    thread.join(max(0.0, end - time.monotonic()))

    @property
    def running(self) -> bool:
        """Whether the thread lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def is_coming(self) -> bool:
        """Whether the thread lives, or is being started."""
        start_again_at = self._start_again_at  # which another thread unsets meanwhile
        is_starting = start_again_at is not None and self.no_thread is None and self._clock() < start_again_at
        return self.running or is_starting

    @property
    def busy(self) -> bool:
        """Whether something is under way that a step has begun: a reading, or a probe."""
        reader = self._reader
        return (reader is not None and reader.is_alive()) or not self._probes.idle

    # ---- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._lock:
            if self._runs or self._closed:
                return  # another thread was started in its place, or the end has come before the beginning
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
        # A request that came while we looked around did not know that we would sleep for long.
        if pause <= _QUIET_TICK or self.last_use == use:
            self._alarm.sleep(pause)
        self.sleeping_until = None
        self._alarm.clear()

    def _complain(self) -> None:
        """A receiver or callback did what it should not: say so once, and go on."""
        if not self._complained:
            self._complained = True
            _log.exception("Cluster %r: the monitor thread met an error and goes on.", self._membership.config.name)

    def _get_ready(self) -> None:
        """From the seeds to a list of nodes that have been seen alive, so that the first requests go right."""
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
        # Seeds are asked side by side: a dead one must not hold up the others.
        self._probes.begin(membership.probes_due(self._clock()))
        self._probes.wait_for_first(self._settings.timeout)
        self._probes.wait_for_all(_GRACE)
        if self._closed:
            return
        told = self._begin_reading(wait=True)
        while not told.is_set() and not self._closed:
            # The first requests may not have waited for us, and have met a node that hangs.
            self._probes.begin(membership.suspects(), suspects=True)
            self._alarm.sleep(TICK)
        if membership.failed_readings:
            return
        self._probes.begin(membership.probes_due(self._clock()))
        self._probes.wait_for_all(_GRACE)

    def step(self) -> float:
        """Look at what is due, begin it, and tell for how many seconds nothing will be. Waits for no node."""
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
        # Those that are being probed are passed over. What is left are those whose report was cut short.
        self._probes.begin(membership.suspects(), suspects=True)
        # While no request needs them, nodes that are not active are looked at only when the list is read.
        if in_use or reads:
            self._probes.begin(membership.probes_due(now))
        self._also()
        pauses = [interval if last is None or reads else last + interval - now]
        if in_use:
            pauses += [TICK, self._policy.suspect_after / 2] if requests_wait else [self._quiet_tick]
            pauses += [at - now for at in (membership.next_probe_at(now), next_change) if at is not None]
        return max(_SHORTEST_PAUSE, min(pauses))

    def _suspect_those_waited_for(self, now: float) -> bool:
        """Suspect the nodes for which requests wait for long. Whether any request waits at all."""
        requests_wait = False
        for node, waited in self._waits(now):
            requests_wait = True
            if waited >= self._policy.suspect_after:
                self._membership.suspect(node)
        return requests_wait

    def _begin_reading(self, *, wait: bool = False) -> Latch:
        """Read the list in a thread of its own: a source that hangs must not keep us from watching the others.

        `wait`: have it wait for another thread's reading. Gives what opens when it is over.
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
                self.wake()  # it sleeps until then
