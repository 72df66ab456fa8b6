"""A limit on retries, so that a sick cluster is not flooded by clients that all try again."""

from __future__ import annotations

import threading

__all__ = ["RetryBudget"]


class RetryBudget:
    """Each request adds a fraction of a retry to the budget, and each retry takes one from it (as in finagle).

    `ratio`: the part of a retry that a request adds. `reserve`: retries that are allowed even if hardly any requests
    are made. A request that goes on because a node has refused the connection takes nothing from the budget, because
    this is not a load for the cluster.

    An exception between two steps may lose the part of one request, or one retry. This is not corrected: it does no
    harm, the balance stays within its bounds, and later requests fill it again.
    """

    def __init__(self, ratio: float = 0.5, reserve: float = 100.0) -> None:
        self._ratio = ratio
        self._most = reserve
        self._balance = reserve
        self._lock = threading.Lock()

    def deposit(self) -> None:
        """A request is made."""
        # The budget is nearly always full, and then no lock is taken.
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
