"""Decides which token rings are read, and when: in the background, seldom, and within a budget.

`topology.replicas.Replicas` counts the requests for each table, and calls `TokenRings.want` for tables that have enough
of them. No request waits for a ring: until it is known, requests are routed without it.

**When.** A ring is read at once when it is wanted, and again after a minute. Each time that it has not changed, the
interval becomes 1.5 times as long, up to ten minutes. After a change, the interval is a minute again. When nodes have
come or gone, all rings are read again within ten seconds. The moment is random, because all clients of a fleet see the
change at the same time. After each reading there is a pause: one second for each 10 KB that were read. So all readings
of a process together take at most 10 KB/s on average, for any number of tables and any size of their rings.

**Without a ring.** If the server refuses a ring, does not tell it, or it is too large, requests for the table are
routed without it. A debug line says so, and the ring is asked for again in ten minutes. After a temporary failure it is
asked for again in ten seconds, and the time is doubled with each further failure; meanwhile the ring that is known
stays in use.
"""

from __future__ import annotations

import logging
import random as _random
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ..errors import SystemTableError
from ..topology.node import Node
from ..topology.replicas import Replicas, TokenRing
from .permanent import is_permanent
from .token_ring_reader import NoTokenRingError

__all__ = ["MOST_ROWS", "TokenRings"]

_log = logging.getLogger("pynamodb_alternator.routing")

MOST_ROWS = 20_000
"""The largest number of rows that a ring may have to be read in the mode "auto"."""
_FIRST_INTERVAL, _LONGEST_INTERVAL, _GROWTH = 60.0, 600.0, 1.5
_REST = 600.0
"""Seconds before a ring is asked for again that the server does not have or refuses."""
_FIRST_RETRY, _LONGEST_RETRY = 10.0, 300.0
_NODES_CHANGED_WITHIN = 10.0
_BYTES_PER_SECOND = 10_000


class _Plan(NamedTuple):
    """When a table's ring is read next. `always`: whether it is read whatever its size. `interval`: seconds from the
    last reading to the next one. `retry`: seconds until the reading after it, if the next one fails. `trouble`: why
    there is no ring, or why it was not read again."""

    always: bool
    due: float
    interval: float = _FIRST_INTERVAL
    retry: float = _FIRST_RETRY
    trouble: str | None = None


class TokenRings:
    """Reads the rings that are wanted, and publishes them.

    `read`: reads the ring of a table; its arguments are the name, and the largest number of rows. `bytes_read`: how
    many bytes the last reading has read. `wake`: has another thread call `begin` soon. `may_read`: whether there may be
    a background thread.
    """

    def __init__(
        self,
        replicas: Replicas,
        read: Callable[[str, int | None], TokenRing],
        *,
        bytes_read: Callable[[], int],
        may_read: Callable[[], bool],
        wake: Callable[[], None],
        clock: Callable[[], float],
        random: _random.Random,
    ) -> None:
        self._replicas = replicas
        self._read = read
        self._bytes_read = bytes_read
        self._may_read = may_read
        self._wake = wake
        self._clock = clock
        self._random = random
        self._plans: dict[str, _Plan] = {}
        self._nodes: frozenset[Node] = frozenset()
        self._not_before = 0.0
        self._closed = False
        self.after_fork()

    def after_fork(self) -> None:
        """The child has no thread of the parent. The known rings stay, and are read again when they are due."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def want(self, name: str, always: bool) -> None:
        """The ring of a table is wanted. Returns at once, and starts no thread."""
        with self._lock:
            self._plans[name] = _Plan(always, due=self._clock())
        self._wake()

    def nodes_changed(self, nodes: Iterable[Node]) -> None:
        """The nodes, or their details, have changed. `nodes`: all nodes. If nodes have come or gone, replicas may have
        changed too."""
        before, self._nodes = self._nodes, frozenset(nodes)
        if before == self._nodes:
            return
        now = self._clock()
        with self._lock:
            for name, plan in self._plans.items():
                soon = now + self._random.uniform(0.0, _NODES_CHANGED_WITHIN)
                self._plans[name] = plan._replace(due=min(plan.due, soon), interval=_FIRST_INTERVAL)

    def trouble(self, name: str) -> str | None:
        """Why the ring of a table is not known, or was not read again."""
        plan = self._plans.get(name)
        return None if plan is None else plan.trouble

    @property
    def troubles(self) -> Mapping[str, str]:
        """The tables whose ring cannot be read, and why."""
        plans = dict(self._plans)
        return {name: plan.trouble for name, plan in plans.items() if plan.trouble is not None}

    # ---- reading -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """In the monitor thread: have the next ring read, if one is due. Returns at once."""
        if not self._plans or not self._may_read() or self._next(self._clock()) is None:
            return
        with self._lock:
            if self._closed or (self._thread is not None and self._thread.is_alive()):
                return
            thread = threading.Thread(target=self._work, name="pynamodb_alternator-token-ring", daemon=True)
            self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends, or no thread can be started: the monitor calls this again
            with self._lock:
                self._thread = None

    def is_due_inline(self, now: float) -> bool:
        """Whether `run_inline` would read a ring."""
        return bool(self._plans) and self._next(now, always=True) is not None

    def run_inline(self, now: float) -> None:
        """If there is no monitor thread: read the next ring within a request, if it is due and its mode is not
        "auto"."""
        name = self._next(now, always=True) if self._plans else None
        if name is not None:
            self.read_now(name)

    def read_unless_tried(self, name: str) -> None:
        """Read a ring that is not known in this thread, whatever its size, because a user asks about it.

        If a reading of this ring has failed before, this does nothing: the ring is read again when it is due.
        """
        with self._lock:
            plan = self._plans.get(name)
            if plan is not None and plan.always and plan.trouble is not None:
                return
            if plan is not None:
                self._plans[name] = plan._replace(always=True)
        self.read_now(name)

    def read_now(self, name: str) -> None:
        """Read one ring, in this thread. Errors of the reading are not raised."""
        plan = self._plans.get(name) or _Plan(True, due=self._clock())
        # No other reading begins before this time. It is a time and not a flag, so that an exception cannot block all
        # later readings. The requests of this reading itself are routed without the ring.
        self._not_before = self._clock() + _FIRST_RETRY
        try:
            ring = self._read(name, None if plan.always else MOST_ROWS)
        except Exception as error:
            self._failed(name, plan, error)
        else:
            self._took(name, plan, ring)
        finally:
            self._not_before = self._clock() + self._bytes_read() / _BYTES_PER_SECOND

    def close(self, timeout: float) -> None:
        """Read no more rings. Waits at most `timeout` seconds for a ring that is being read."""
        self._closed = True
        thread = self._thread
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(timeout)

    @property
    def busy(self) -> bool:
        """Whether a ring is being read."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _work(self) -> None:
        while (name := self._next_or_end()) is not None:
            self.read_now(name)

    def _next_or_end(self) -> str | None:
        """In the thread that reads: the next table; None if the thread ends.

        The thread removes itself under the same lock as it decides to end, so `begin` never relies on an ending one.
        """
        with self._lock:
            name = None if self._closed else self._next(self._clock())
            if name is None:
                self._thread = None
            return name

    def _next(self, now: float, *, always: bool = False) -> str | None:
        """The table whose ring has been due for the longest time; None if no ring is due, or the pause is not over.
        `always`: only tables whose mode is not "auto"."""
        if now < self._not_before:
            return None
        plans = list(self._plans.items())
        due = [(plan.due, name) for name, plan in plans if plan.due <= now and (plan.always or not always)]
        return min(due)[1] if due else None

    def _took(self, name: str, plan: _Plan, ring: TokenRing) -> None:
        known = self._replicas.ring(name)
        changed = known is None or plan.trouble is not None or not known.alike(ring)
        self._replicas.publish(name, ring)
        interval = _FIRST_INTERVAL if changed else min(plan.interval * _GROWTH, _LONGEST_INTERVAL)
        due = self._clock() + self._jittered(interval)
        self._put(name, plan._replace(due=due, interval=interval, retry=_FIRST_RETRY, trouble=None))

    def _failed(self, name: str, plan: _Plan, error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, SystemTableError) else error
        if isinstance(error, NoTokenRingError) or (isinstance(cause, Exception) and is_permanent(cause)):
            self._replicas.drop(name)
            pause = _REST
        else:
            pause = plan.retry
        retry = min(plan.retry * 2, _LONGEST_RETRY)
        self._put(name, plan._replace(due=self._clock() + self._jittered(pause), retry=retry, trouble=str(error)))
        _log.debug(
            "The token ring of table %r is not read (%s); its requests are routed without it, and it is asked for "
            "again in %g s.",
            name,
            error,
            pause,
        )

    def _put(self, name: str, plan: _Plan) -> None:
        with self._lock:
            known = self._plans.get(name)
            # Meanwhile `want` may have set `always`.
            self._plans[name] = plan if known is None else plan._replace(always=plan.always or known.always)

    def _jittered(self, seconds: float) -> float:
        return seconds * self._random.uniform(0.9, 1.1)
