"""The one background thread of a cluster: it keeps the node list fresh, and probes nodes that are not active.

It is started by the first request. It holds no reference to the `Cluster`, so that a forgotten cluster is collected.
"""

from __future__ import annotations

import logging
import random as _random
import threading
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
"""Seconds between two looks at waiting requests, while there are any."""


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
        self._sleeping_until: float | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """The child has none of the parent's threads, and must not wait for locks that they held."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._probes = _Probes(self._membership, self._policy.max_parallel_probes, self._policy.probe_timeout)
        self.ready = threading.Event()
        """Set when the first node list was read and its nodes were probed, or that has failed."""
        if self._membership.last_success is not None:
            self.ready.set()

    def used(self, now: float) -> None:
        """A request is about to be routed: start if need be, and be awake."""
        self.last_use = now
        if self._thread is None:
            self._start()
        elif self._sleeping_until is not None and self._sleeping_until - now > self._settings.interval:
            self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None or self._closed:
                return
            thread = threading.Thread(target=self._run, name=f"{_THREAD_NAME}-monitor", daemon=True)
            self._thread = thread
        try:
            thread.start()
        except RuntimeError as error:
            # Interpreter shutdown, or no more threads: requests go on with what is known.
            _log.warning("The monitor thread cannot be started: %s", error)
            self.ready.set()

    def doubt(self, node: Node) -> None:
        """Probe the node now, beside the traffic."""
        if not self._closed:
            self._probes.begin(node)

    def close(self, timeout: float) -> None:
        """Stop the threads. Waits for them at most `timeout` seconds."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake.set()
        self.ready.set()
        end = self._clock() + timeout
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(timeout)
        self._probes.join(max(0.0, end - self._clock()))

    @property
    def running(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    # ---- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._get_ready()
            self.ready.set()
            while not self._closed:
                pause = self._step()
                self._sleeping_until = self._clock() + pause
                self._wake.wait(pause)
                self._sleeping_until = None
                self._wake.clear()
        except BaseException:
            if not self._closed:
                _log.exception("The monitor thread of cluster %r has failed.", self._membership.config.name)
                raise
        finally:
            self.ready.set()

    def _get_ready(self) -> None:
        """From the seeds to a list of nodes that have been seen alive, so that the first requests go right."""
        membership = self._membership
        if membership.last_success is not None:
            return
        membership.begin()
        # Seeds are asked side by side: a dead one must not hold up the others.
        self._probes.begin_all(membership.probes_due(self._clock()))
        self._probes.wait_for_first(self._settings.timeout)
        if self._closed or not membership.refresh():
            return
        self._probes.begin_all(membership.probes_due(self._clock()))
        self._probes.wait_for_all(self._settings.timeout)

    def _step(self) -> float:
        """Do what is due, and tell how long nothing will be, in seconds."""
        now = self._clock()
        membership, settings = self._membership, self._settings
        waiting = False
        for node, waited in self._waits(now):
            waiting = True
            if waited >= self._policy.doubt_after:
                membership.doubt(node)
        in_use = waiting or now - self.last_use < settings.idle_after
        interval = settings.interval if in_use else settings.idle_interval
        next_read = (membership.last_read or now) + interval * self._random.uniform(1 - _JITTER, 1 + _JITTER)
        if membership.last_read is None or now >= next_read:
            membership.refresh()
            now = self._clock()
            next_read = now + interval
        due = membership.probes_due(now)
        if in_use:
            self._probes.begin_all(due)
            next_probe = membership.next_probe_at()
        else:
            # Nobody waits for these nodes; they are looked at when the list is read.
            if now - (membership.last_read or now) < _TICK:
                self._probes.begin_all(due)
            next_probe = None
        wanted = [next_read - now]
        if in_use:
            wanted.append(min(_TICK, self._policy.doubt_after / 2))
        if next_probe is not None:
            wanted.append(next_probe - now)
        return max(0.02, min(wanted))


class _Probes:
    """Probes under way: one per node, a few at a time, each in a thread that ends with its last probe."""

    def __init__(self, membership: Membership, most: int, timeout: float) -> None:
        self._membership = membership
        self._most = most
        self._timeout = timeout
        self._changed = threading.Condition()
        self._waiting: dict[Node, None] = {}
        self._under_way: set[Node] = set()
        self._threads: set[threading.Thread] = set()
        self._answers = 0

    def begin(self, node: Node) -> None:
        self.begin_all([node])

    def begin_all(self, nodes: Iterable[Node]) -> None:
        fresh: list[threading.Thread] = []
        with self._changed:
            for node in nodes:
                if node not in self._under_way:
                    self._waiting[node] = None
            for _ in range(min(len(self._waiting), self._most - len(self._threads))):
                thread = threading.Thread(target=self._work, name=f"{_THREAD_NAME}-probe", daemon=True)
                self._threads.add(thread)
                fresh.append(thread)
        for thread in fresh:
            try:
                thread.start()
            except RuntimeError:  # interpreter shutdown, or no more threads
                with self._changed:
                    self._threads.discard(thread)
                    self._changed.notify_all()

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    if not self._waiting:
                        # Gone from the list in the same step as the decision, so that `begin_all` sees the truth.
                        self._threads.discard(threading.current_thread())
                        self._changed.notify_all()
                        return
                    node = next(iter(self._waiting))
                    del self._waiting[node]
                    self._under_way.add(node)
                alive = False
                try:
                    alive = self._membership.probe(node, self._timeout)
                finally:
                    with self._changed:
                        self._under_way.discard(node)
                        self._answers += alive
                        self._changed.notify_all()
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def wait_for_first(self, timeout: float) -> None:
        """Wait until a probe had an answer, or none is under way any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._answers > 0 or self._idle(), timeout)

    def wait_for_all(self, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(self._idle, timeout)

    def _idle(self) -> bool:
        return not self._waiting and not self._under_way

    def join(self, timeout: float) -> None:
        with self._changed:
            self._waiting.clear()
            self._changed.wait_for(lambda: not self._threads, timeout)
