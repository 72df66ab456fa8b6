"""A limit on retries, so that a sick cluster is not flooded by clients that all try again."""

from __future__ import annotations

import threading

__all__ = ["RetryBudget"]


class RetryBudget:
    """Each request earns a fraction of a retry, and each retry costs one (as in finagle).

    `ratio`: retries earned by a request. `reserve`: what a cluster that is hardly used may repeat all the same.
    Moving on from a node that refused the connection is free: it costs the cluster nothing.
    """

    def __init__(self, ratio: float = 0.5, reserve: float = 100.0) -> None:
        self._ratio = ratio
        self._most = reserve
        self._balance = reserve
        self._lock = threading.Lock()

    def deposit(self) -> None:
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
        self._lock = threading.Lock()
