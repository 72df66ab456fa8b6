"""Probes under way: at most one for each node, and a few at a time. A thread ends when no node is left to probe.

Theory of operation.
`begin` puts nodes into one of two queues: suspects come before nodes that are only due. It starts as many threads as
are needed and allowed. Each thread takes nodes from the queues until they are empty.
`begin` is called by the monitor thread alone: threads of requests start no threads. Where no thread can be started (a
container's limit), the monitor thread makes a probe itself, one with each `begin`.

The counts are derived from the threads that exist: a thread registers itself when it begins, and counts for as long as
it lives; a probe is under way for as long as the thread that makes it lives. A thread that could not be started is not
counted. The nodes that it should have probed are still in a queue, and the next `begin` has them probed.

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
                # The thread removes itself under the same lock as it decides to end, so `begin` never counts an ending
                # one.
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
                    # The node became a suspect after its answer, while this probe was still under way. So `begin` has #
                    # skipped the node, and nothing else would have it probed.
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
        """Wait until one probe was successful, or no probe is under way any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._answers > 0 or self._is_over(), timeout)

    def wait_for_all(self, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(self._is_over, timeout)

    def _is_over(self) -> bool:
        """Whether waiting is useless: the probes have ended, or no thread exists that could make the remaining ones."""
        return self._idle() or self._lacks_threads

    def close(self) -> list[threading.Thread]:
        """Begin no more probes. Returns the threads that still live; each ends after its present probe."""
        with self._changed:
            self._closed = True
            self._suspects.clear()
            self._routine.clear()
            self._changed.notify_all()
        return list(self._threads)


def started(thread: threading.Thread) -> bool:
    """Start the thread. False if no thread can be started, for example when the interpreter shuts down."""
    try:
        thread.start()
    except RuntimeError as error:
        _log.debug("The thread %s cannot be started: %s", thread.name, error)
        return False
    return True
