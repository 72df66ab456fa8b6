"""The one background thread of a cluster: it keeps the node list fresh, and probes nodes that are not active.

It is started by the first request. It holds no reference to the `Cluster`, so that a forgotten cluster is collected.
"""

from __future__ import annotations

import contextlib
import logging
import random as _random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from .membership import Membership
from .node import Node

__all__ = ["Monitor", "Waits"]

_log = logging.getLogger("pynamodb_alternator.cluster")

_THREAD_NAME = "pynamodb_alternator"
_JITTER = 0.1
"""Part of an interval by which it is varied, so that many processes do not ask at the same moment."""
_TICK = 0.25
"""Seconds between two looks at waiting requests, while the cluster is in use."""
_SHORTEST_PAUSE = 0.02
_GRACE = 0.2
"""Seconds that the start waits for further seeds to be seen alive when one is, and for the nodes that they list."""


class Waits(Protocol):
    """Who knows how long requests have been waiting for an answer."""

    def __call__(self, now: float) -> Iterable[tuple[Node, float]]: ...


class Monitor:
    """Runs `Membership.refresh` and `Membership.probe` when they are due.

    `waits` tells for which nodes requests are waiting now, and for how long.
    """

    def __init__(
        self,
        membership: Membership,
        *,
        waits: Waits,
        clock: Callable[[], float],
        random: _random.Random,
    ) -> None:
        self._membership = membership
        self._settings = membership.config.discovery
        self._policy = membership.config.health
        self._waits = waits
        self._clock = clock
        self._random = random
        self.last_use = clock()
        self._closed = False
        self._complained = False
        self.after_fork()

    def after_fork(self) -> None:
        """The child has none of the parent's threads, and must not wait for locks that they held."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._reader: threading.Thread | None = None
        self._sleeping_until: float | None = None
        self._start_again_at: float | None = None
        self._probes = _Probes(self._membership, self._policy.max_parallel_probes, self._policy.probe_timeout)
        self.ready = threading.Event()
        """Set when the first node list was read and its nodes had a moment to be probed, or that has failed."""
        if self._membership.last_success is not None:
            self.ready.set()

    def used(self, now: float) -> None:
        """A request is about to be routed: start if need be, and be awake."""
        # In this order: the thread looks at them in the other one before it sleeps for long.
        self.last_use = now
        if self._thread is None:
            self._start(now)
            return
        until = self._sleeping_until  # which the thread sets and unsets meanwhile
        if until is not None and until - now > _TICK:
            self._wake.set()

    def _start(self, now: float) -> None:
        with self._lock:
            if self._thread is not None or self._closed:
                return
            if self._start_again_at is not None and now < self._start_again_at:
                return
            thread = threading.Thread(target=self._run, name=f"{_THREAD_NAME}-monitor", daemon=True)
            self._thread = thread
        if not _started(thread):
            # Requests go on with what is known.
            self._start_again_at = now + self._settings.interval
            self._thread = None
            self.ready.set()

    def suspect(self, node: Node) -> None:
        """Probe the node now, beside the traffic, and before nodes whose turn it merely is."""
        if not self._closed:
            self._probes.begin([node], urgent=True)

    def close(self, timeout: float) -> None:
        """Stop the threads. Waits for them at most `timeout` seconds."""
        with self._lock:
            self._closed = True
        self._wake.set()
        self.ready.set()
        probers = self._probes.close()
        end = time.monotonic() + timeout
        for thread in (self._thread, self._reader, *probers):
            if thread is not None and thread is not threading.current_thread():
                with contextlib.suppress(RuntimeError):  # it was not started yet, and will find that we are closed
                    thread.join(max(0.0, end - time.monotonic()))

    @property
    def running(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    # ---- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            try:
                self._get_ready()
            except Exception:
                self._complain()
            self.ready.set()
            while not self._closed:
                use = self.last_use
                try:
                    pause = self._step()
                    self._complained = False
                except Exception:
                    self._complain()
                    pause = self._settings.interval
                self._sleeping_until = self._clock() + pause
                # A request that came while we looked around did not know that we would sleep for long.
                if pause <= _TICK or self.last_use == use:
                    self._wake.wait(pause)
                self._sleeping_until = None
                self._wake.clear()
        finally:
            self.ready.set()
            if not self._closed:
                self._thread = None  # the next request starts another one

    def _complain(self) -> None:
        """A receiver or callback did what it should not: say so once, and go on."""
        if not self._complained:
            self._complained = True
            _log.exception("Cluster %r: the monitor thread met an error and goes on.", self._membership.config.name)

    def _get_ready(self) -> None:
        """From the seeds to a list of nodes that have been seen alive, so that the first requests go right."""
        membership = self._membership
        if membership.last_success is not None:
            return
        membership.begin()
        # Seeds are asked side by side: a dead one must not hold up the others.
        self._probes.begin(membership.probes_due(self._clock()))
        self._probes.wait_for_first(self._settings.timeout)
        self._probes.wait_for_all(_GRACE)
        if self._closed or not membership.refresh():
            return
        self._probes.begin(membership.probes_due(self._clock()))
        self._probes.wait_for_all(_GRACE)

    def _step(self) -> float:
        """Begin what is due, and tell how long nothing will be, in seconds. Waits for no node."""
        now = self._clock()
        membership, settings = self._membership, self._settings
        waiting = False
        for node, waited in self._waits(now):
            waiting = True
            if waited >= self._policy.suspect_after:
                membership.suspect(node)
        in_use = waiting or now - self.last_use < settings.idle_after
        interval = settings.interval if in_use else settings.idle_interval
        interval *= self._random.uniform(1 - _JITTER, 1 + _JITTER)
        last = membership.last_read
        reads = last is None or now >= last + interval
        if reads:
            self._begin_reading()
        # While nobody needs them, suspects are looked at only when the list is read.
        if in_use or reads:
            self._probes.begin(membership.probes_due(now))
        wanted = [interval if last is None or reads else last + interval - now]
        if in_use:
            wanted += [_TICK, self._policy.suspect_after / 2]
            next_probe = membership.next_probe_at(now)
            if next_probe is not None:
                wanted.append(next_probe - now)
        return max(_SHORTEST_PAUSE, min(wanted))

    def _begin_reading(self) -> None:
        """Read the list in a thread of its own: a source that hangs must not keep us from watching the others."""
        if self._reader is not None and self._reader.is_alive():
            return
        reader = threading.Thread(target=self._read, name=f"{_THREAD_NAME}-reader", daemon=True)
        self._reader = reader
        if not _started(reader):
            self._reader = None

    def _read(self) -> None:
        try:
            self._membership.refresh(wait=False)
        except Exception:
            self._complain()


def _started(thread: threading.Thread) -> bool:
    """Start the thread. False if there are to be no more threads, as when the interpreter shuts down."""
    try:
        thread.start()
    except RuntimeError as error:
        _log.debug("The thread %s cannot be started: %s", thread.name, error)
        return False
    return True


class _Probes:
    """Probes under way: one per node, a few at a time, each in a thread that ends with its last probe."""

    def __init__(self, membership: Membership, most: int, timeout: float) -> None:
        self._membership = membership
        self._most = most
        self._timeout = timeout
        self._changed = threading.Condition()
        self._urgent: dict[Node, None] = {}
        self._waiting: dict[Node, None] = {}
        self._under_way: set[Node] = set()
        self._workers: set[threading.Thread] = set()
        self._ended: set[threading.Thread] = set()
        self._answers = 0
        self._closed = False

    def begin(self, nodes: Iterable[Node], *, urgent: bool = False) -> None:
        queue = self._urgent if urgent else self._waiting
        fresh: list[threading.Thread] = []
        with self._changed:
            if self._closed:
                return
            self._ended = {thread for thread in self._ended if thread.is_alive()}
            for node in nodes:
                if node not in self._under_way and node not in self._urgent:
                    queue[node] = None
                    if urgent:
                        self._waiting.pop(node, None)
            for _ in range(min(len(self._urgent) + len(self._waiting), self._most - len(self._workers))):
                thread = threading.Thread(target=self._work, name=f"{_THREAD_NAME}-probe", daemon=True)
                self._workers.add(thread)
                fresh.append(thread)
        for thread in fresh:
            if not _started(thread):
                with self._changed:
                    self._workers.discard(thread)
                    self._changed.notify_all()

    def _work(self) -> None:
        me = threading.current_thread()
        try:
            while (node := self._next(me)) is not None:
                alive = False
                try:
                    alive = self._membership.probe(node, self._timeout)
                finally:
                    with self._changed:
                        self._under_way.discard(node)
                        if self._membership.is_suspect(node) and not self._closed:
                            # The suspicion came after the answer, while that was still being told: `begin` has passed
                            # the node over, and there would never be another suspicion of it.
                            self._urgent[node] = None
                        self._answers += alive
                        self._changed.notify_all()
        except Exception:
            _log.exception("A probe thread of cluster %r has failed.", self._membership.config.name)
        finally:
            with self._changed:
                self._end(me)

    def _next(self, me: threading.Thread) -> Node | None:
        with self._changed:
            queue = self._urgent or self._waiting
            if not queue:
                # Gone from the set in the same step as the decision, so that `begin` sees the truth.
                self._end(me)
                return None
            node = next(iter(queue))
            del queue[node]
            self._under_way.add(node)
            return node

    def _end(self, me: threading.Thread) -> None:
        if me in self._workers:
            self._workers.discard(me)
            self._ended.add(me)
            self._changed.notify_all()

    def wait_for_first(self, timeout: float) -> None:
        """Wait until a probe had an answer, or none is under way any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._answers > 0 or self._idle(), timeout)

    def wait_for_all(self, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(self._idle, timeout)

    def _idle(self) -> bool:
        return self._closed or not (self._urgent or self._waiting or self._under_way)

    def close(self) -> list[threading.Thread]:
        """Begin no more probes. The threads that are left; each ends with the probe that it has under way."""
        with self._changed:
            self._closed = True
            self._urgent.clear()
            self._waiting.clear()
            self._changed.notify_all()
            return [*self._workers, *self._ended]
