"""Asking the cluster about tables, in the background: the partition key of a table without a model, and the write
isolation of a table whose affinity mode is AUTO.

No request waits for an answer. A failure is tried again a few times; if it does not pass, the question rests: for a
second, and for twice as long each time that it happens again, up to half a minute. Only a failure that waiting does not
change (no such table, no permission, a question that the server does not take) is permanent, and rests for five
minutes. After the rest the next request that lacks the answer asks anew.

What was answered is not asked again, except for the partition key: a request without a value of it shows that the table
may have been made anew with another key. Then the question is put again, with the same rests between two answers as
between failures, because the request itself may as well be wrong.

The questions go through the cluster's ordinary client, to the nodes of a query plan, but their failures count for no
node: neither towards taking it down nor in its counters (`RequestOptions.is_lookup`). They are the library's own, and
few, and what is known of a node's traffic must not depend on them. But a node that fails one becomes suspect, as with
any failure: it is probed at once, and the probe decides.
"""

from __future__ import annotations

import contextlib
import logging
import random as _random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ..routing.tables import PARTITION_KEY, WRITE_ISOLATION, Tables
from .permanent import is_permanent
from .table_description import hash_key_of, index_keys_of
from .write_isolation import unparsed_isolation

__all__ = ["Lookups"]

_log = logging.getLogger("pynamodb_alternator.routing")

_TRIES = 4
_FIRST_PAUSE, _LONGEST_PAUSE, _JITTER = 0.1, 2.0, 0.2
_REST = 300.0
"""Seconds before a question that had a permanent failure is put again."""
_SHORTEST_REST, _SHORT_REST = 1.0, 30.0
"""The same for failures that may pass, but did not in time: the first rest and the longest one."""

Question = tuple[str, str]


class Lookups:
    """Answers `Tables.on_unknown`. A thread of its own works through the questions and ends with the last one.

    Threads of requests put the questions, and start no thread: they call `wake`, which has another one call `begin`.
    `client`: gives the cluster's botocore client. `asking`: makes a ``with`` block for each question, in which its
    requests are made. `may_ask`: whether there may be a background thread at all.
    `pause`: waits for an event, at most so many seconds, and tells whether it is set.
    """

    def __init__(
        self,
        tables: Tables,
        client: Callable[[], Any],
        *,
        may_ask: bool,
        wake: Callable[[], None],
        clock: Callable[[], float],
        random: _random.Random,
        asking: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
        pause: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._tables = tables
        self._client = client
        self._asking_block = asking
        self._may_ask = may_ask
        self._wake = wake
        self._clock = clock
        self._random = random
        self._pause = pause
        self._not_before: dict[Question, float] = {}
        self._rests: dict[Question, float] = {}
        """How long a question is to rest next, by question."""
        self._settled: set[Question] = set()
        self._closed = threading.Event()
        self.after_fork()

    def after_fork(self) -> None:
        """The child has no thread of the parent: a question that was under way is put again when a request needs the
        answer."""
        self._lock = threading.Lock()
        self._waiting: dict[Question, None] = {}
        self._asking: Question | None = None
        self._thread: threading.Thread | None = None
        closed, self._closed = self._closed.is_set(), threading.Event()
        if closed:
            self._closed.set()

    def ask(self, table: str, what: str) -> None:
        """A request lacks `what` of `table`. Returns at once."""
        question = (table, what)
        if question in self._settled or not self._may_ask or self._clock() < self._not_before.get(question, 0.0):
            return
        with self._lock:
            if self._closed.is_set() or question in self._waiting or question == self._asking:
                return
            if self._clock() < self._not_before.get(question, 0.0):
                return  # it was answered just now
            self._waiting[question] = None
        self._wake()

    def begin(self) -> None:
        """Start to ask the questions that wait. Returns at once."""
        if not self._waiting:
            return
        with self._lock:
            if self._closed.is_set() or self._thread is not None or not self._waiting:
                return
            thread = threading.Thread(target=self._work, name="pynamodb_alternator-lookup", daemon=True)
            self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # interpreter shutdown, or no more threads
            with self._lock:
                self._thread = None
                self._waiting.clear()

    @property
    def busy(self) -> bool:
        """Whether a question is being asked, or waits for its turn."""
        return self._thread is not None or (bool(self._waiting) and not self._closed.is_set())

    def close(self, timeout: float) -> None:
        self._closed.set()
        thread = self._thread
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._asking = next(iter(self._waiting), None)
                if self._asking is None or self._closed.is_set():
                    self._asking = self._thread = None
                    return
                question = self._asking
                del self._waiting[question]
            try:
                self._answer(question)
            except Exception:
                _log.exception("Asking for the %s of table %r failed.", question[1], question[0])
                self._not_before[question] = self._clock() + _REST

    def _answer(self, question: Question) -> None:
        table, what = question
        ask = {PARTITION_KEY: self._ask_partition_key, WRITE_ISOLATION: self._ask_write_isolation}[what]
        seconds = _FIRST_PAUSE
        for left in reversed(range(_TRIES)):
            try:
                with self._asking_block():
                    ask(table)
            except Exception as error:
                if self._closed.is_set():
                    return
                if is_permanent(error) or not left:
                    self._rest(question, error)
                    return
            else:
                if what == PARTITION_KEY:
                    self._not_before[question] = self._clock() + self._next_rest(question)
                else:
                    self._settled.add(question)
                return
            if self._pause(self._closed, seconds * self._random.uniform(1 - _JITTER, 1 + _JITTER)):
                return
            seconds = min(seconds * 2, _LONGEST_PAUSE)

    def _next_rest(self, question: Question) -> float:
        seconds = self._rests.get(question, _SHORTEST_REST)
        self._rests[question] = min(seconds * 2, _SHORT_REST)
        return seconds

    def _rest(self, question: Question, error: Exception) -> None:
        """Do not ask again for a while."""
        if is_permanent(error):
            seconds = _REST
        else:
            seconds = self._next_rest(question)
        self._not_before[question] = self._clock() + seconds
        table, what = question
        _log.info(
            "The %s of table %r cannot be learnt (%s); requests go on without it, and it is asked for again in %g s.",
            what.replace("_", " "),
            table,
            error,
            seconds,
        )

    def _ask_partition_key(self, table: str) -> None:
        description = self._client().describe_table(TableName=table)["Table"]
        self._tables.learn_partition_key(table, hash_key_of(description), index_keys_of(description))

    def _ask_write_isolation(self, table: str) -> None:
        isolation = unparsed_isolation(self._client(), table)
        if isolation is not None:
            self._tables.learn_write_isolation(table, isolation)
