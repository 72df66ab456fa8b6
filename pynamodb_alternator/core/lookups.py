"""Asking the cluster about tables, in the background: the partition key of a table without a model, and the write
isolation of a table whose affinity mode is AUTO.

No request waits for an answer. If a question fails, it is asked again a few times. If it still fails, it rests: for a
second, and then for twice as long each time, up to half a minute. A failure is permanent only if waiting does not help
(no such table, no permission, a question that the server does not understand); then the question rests for five
minutes. After the rest, the next request that needs the answer has the question asked again.

A question with an answer is not asked again, except about the partition key: a request without a value for it shows
that the table may have been created again with another key. Then the question is asked again, with the same rests as
after failures, because the request itself may be wrong.

The questions go through the cluster's ordinary client, to the nodes of a query plan. But their failures do not count
for a node's health, and are not in its counters (`RequestOptions.is_lookup`), because these must show only the user's
traffic. A node at which a question fails becomes suspect, as with any failure: it is probed at once, and the probe
decides.
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
"""Seconds before a question with a permanent failure may be asked again."""
_SHORTEST_REST, _SHORT_REST = 1.0, 30.0
"""Seconds before a question with another failure may be asked again: the first rest and the longest one."""

Question = tuple[str, str]


class Lookups:
    """Handles `Tables.on_unknown`. A thread of its own asks the questions, and ends after the last one.

    Threads of requests call `ask`, but start no thread: they call `wake`, so that another thread calls `begin`.
    `client`: returns the cluster's botocore client. `asking`: makes a ``with`` block for each question, in which its
    requests are made. `may_ask`: whether there may be a background thread at all.
    `pause`: waits for an event, at most so many seconds, and returns whether it is set.
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
        """By question: for how many seconds it will rest the next time."""
        self._settled: set[Question] = set()
        self._closed = threading.Event()
        self.after_fork()

    def after_fork(self) -> None:
        """The child has no thread of the parent. A question that was under way is asked again when a request needs the
        answer."""
        self._lock = threading.Lock()
        self._waiting: dict[Question, None] = {}
        self._asking: Question | None = None
        self._thread: threading.Thread | None = None
        closed, self._closed = self._closed.is_set(), threading.Event()
        if closed:
            self._closed.set()

    def ask(self, table: str, what: str) -> None:
        """A request needs `what` of `table`, which is not known. Returns at once."""
        question = (table, what)
        if question in self._settled or not self._may_ask or self._clock() < self._not_before.get(question, 0.0):
            return
        with self._lock:
            if self._closed.is_set() or question in self._waiting or question == self._asking:
                return
            if self._clock() < self._not_before.get(question, 0.0):
                return  # it has been answered meanwhile
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
