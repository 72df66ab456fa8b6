"""A limit on retries, so that a sick cluster is not flooded by clients that all try again."""

from __future__ import annotations

import threading

__all__ = ["RetryBudget"]


class RetryBudget:
    """Each request earns a fraction of a retry, and each retry costs one (as in finagle).

    `ratio`: retries earned by a request. `reserve`: retries that are allowed even where hardly any requests are made.
    Moving on from a node that refused the connection is free: it costs the cluster nothing.

    An exception between two steps may cost what one request earns, or one retry. It is not made up for: a retry more
    or less does no harm, the balance never leaves its bounds, and requests fill it again.
    """

    def __init__(self, ratio: float = 0.5, reserve: float = 100.0) -> None:
        self._ratio = ratio
        self._most = reserve
        self._balance = reserve
        self._lock = threading.Lock()

    def deposit(self) -> None:
        """A request is made."""
        # A full budget, which is the rule, takes no lock.
        if self._balance < self._most:
            with self._lock:
                self._balance = min(self._most, self._balance + self._ratio)

    def withdraw(self) -> bool:
        """True if a retry is allowed now."""
        with self._lock:
            if self._balance < 1.0:
                return False
            self._balance -= 1.0
            return True

    def after_fork(self) -> None:
        """In a forked child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()
