"""Probes under way: one per node, a few at a time, each in a thread that ends with its last probe.

Theory of operation. `begin` puts nodes into one of two queues (suspects come before nodes whose turn it merely is), and
starts threads, as many as are needed and allowed. Each thread takes nodes from the queues until they are empty.
`begin` is called by the monitor thread alone: threads of requests start no threads. Where no thread can be started
(a container's limit), the monitor thread makes a probe itself, one with each `begin`.

What counts here is derived from what exists: a thread signs in itself when it has begun, and counts for as long as it
lives; a probe is under way for as long as the thread that makes it lives. A thread that was never started is in no
count, and the nodes that it should have probed are in a queue, from which the next `begin` has them probed.

One lock guards the queues and the counts. Threads are started, and nodes are probed, outside of it.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable
from typing import Protocol

from .node import Node

__all__ = ["Prober", "Probes", "started"]

_log = logging.getLogger("pynamodb_alternator.cluster")


class Prober(Protocol):
    """What makes a probe, and keeps the suspects: a `Membership`."""

    def probe(self, node: Node, timeout: float) -> bool: ...

    def is_suspect(self, node: Node) -> bool: ...


class Probes:
    """Has nodes probed by `prober`, at most `most` at once. `timeout`: seconds for each. `name`: of the threads."""

    def __init__(self, prober: Prober, *, most: int, timeout: float, name: str) -> None:
        self._prober = prober
        self._most = most
        self._timeout = timeout
        self._name = name
        # Requests enter the lock itself: `threading.Condition` may lose it to an exception on the way in.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._suspects: dict[Node, None] = {}
        self._routine: dict[Node, None] = {}
        self._under_way: dict[Node, threading.Thread] = {}
        self._workers: set[threading.Thread] = set()
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._answers = 0
        self._lacks_threads = False
        self._closed = False

    def begin(self, nodes: Iterable[Node], *, suspects: bool = False) -> None:
        """Have `nodes` probed, except those that are being probed. `suspects`: before all others."""
        with self._lock:
            if self._closed:
                return
            for node in nodes:
                if self._is_under_way(node) or node in self._suspects:
                    continue
                if suspects:
                    self._suspects[node] = None
                    self._routine.pop(node, None)
                else:
                    self._routine[node] = None
            queued = len(self._suspects) + len(self._routine)
            missing = min(queued, self._most - self._alive()) if queued else 0
        for _ in range(missing):
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._threads.add(thread)
            self._lacks_threads = not started(thread)
            if self._lacks_threads:
                self._probe_here()
                return

    def _probe_here(self) -> None:
        """Make one probe in this thread, unless there are threads that will make it."""
        with self._lock:
            if self._alive():
                return
        node = self._next(threading.current_thread())
        if node is not None:
            self._probe(node)

    def _is_under_way(self, node: Node) -> bool:
        thread = self._under_way.get(node)
        return thread is not None and thread.is_alive()

    def _alive(self) -> int:
        self._workers = {thread for thread in self._workers if thread.is_alive()}
        return len(self._workers)

    def _work(self) -> None:
        me = threading.current_thread()
        with self._lock:
            if self._alive() >= self._most:
                return
            self._workers.add(me)
        try:
            while (node := self._next(me)) is not None:
                self._probe(node)
        except Exception:
            _log.exception("The thread %s has failed.", me.name)
        finally:
            with self._changed:
                self._workers.discard(me)
                self._changed.notify_all()

    def _next(self, me: threading.Thread) -> Node | None:
        with self._changed:
            queue = self._suspects or self._routine
            if not queue:
                # It signs out in the same step as it decides to end, so that `begin` sees the truth.
                self._workers.discard(me)
                self._changed.notify_all()
                return None
            node = next(iter(queue))
            self._under_way[node] = me
            del queue[node]
            return node

    def _probe(self, node: Node) -> None:
        lives = False
        try:
            lives = self._prober.probe(node, self._timeout)
        finally:
            with self._changed:
                self._under_way.pop(node, None)
                if self._prober.is_suspect(node) and not self._closed:
                    # The suspicion came after the answer, while that was still being told: `begin` has passed the node
                    # over, and there would be no other suspicion of it.
                    self._suspects[node] = None
                self._answers += lives
                self._changed.notify_all()

    # ---- waiting -----------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no probe is under way or queued."""
        with self._lock:
            return self._idle()

    def _idle(self) -> bool:
        return self._closed or not (self._suspects or self._routine or any(map(self._is_under_way, self._under_way)))

    def wait_for_first(self, timeout: float) -> None:
        """Wait until a probe had an answer, or none is under way any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._answers > 0 or self._is_over(), timeout)

    def wait_for_all(self, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(self._is_over, timeout)

    def _is_over(self) -> bool:
        """Whether waiting brings nothing: the probes have ended, or there is no thread to make those that are left."""
        return self._idle() or self._lacks_threads

    def close(self) -> list[threading.Thread]:
        """Begin no more probes. The threads that are left; each ends with the probe that it has under way."""
        with self._changed:
            self._closed = True
            self._suspects.clear()
            self._routine.clear()
            self._changed.notify_all()
        return list(self._threads)


def started(thread: threading.Thread) -> bool:
    """Start the thread. False if there are to be no more threads, as when the interpreter shuts down."""
    try:
        thread.start()
    except RuntimeError as error:
        _log.debug("The thread %s cannot be started: %s", thread.name, error)
        return False
    return True
