"""Prints what happens in the demo, and compares orders and stocks at its end."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from pynamodb.exceptions import PynamoDBException

from ..shop import trade
from ..shop.books import Books, audit
from ..shop.traffic import Traffic
from ..shop.words import counted
from .customers import Tally

__all__ = ["Account", "Unread", "conclude"]


class Unread(Exception):
    """The output cannot be written, because its reader has ended or the disk is full. `is_error`: the reader is not the
    cause."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"The account cannot be written: {cause.strerror}.")
        self.is_error = not isinstance(cause, BrokenPipeError)


class Account:
    """Prints what happens, with the time since the start. Raises `Unread`."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        self._print(f"{time.monotonic() - self._start:6.1f} s  {text}")

    def add(self, text: str) -> None:
        self._print(f"          {text}")

    def end_line(self) -> None:
        """End the line on which the terminal has written ^C."""
        self._print("")

    def _print(self, text: str) -> None:
        try:
            print(text, flush=True)
        except OSError as error:
            # At exit, Python flushes the rest of the output, and would report the error again.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Unread(error) from None


def conclude(account: Account, tally: Tally, traffic: Traffic, *, may_fail: bool, patience: float = 10.0) -> list[str]:
    """Compare orders and stocks after the customers have stopped, and print the numbers.

    Returns what is wrong. `may_fail`: whether requests may have failed. `patience`: seconds within which orders and
    stocks must agree once, although visitors of the web pages order something meanwhile.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            counter, books = trade.count("orders"), audit()
            wrong = _wrong(tally, traffic, books, counter)
        except PynamoDBException as error:  # the nodes have just come back
            counter, books, wrong = 0, Books(frozenset(), 0, ()), [f"the books cannot be read: {error}"]
        if not wrong or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    _write(account, tally, traffic, books, counter)
    return wrong if may_fail else wrong + _failed(tally, traffic)


def _wrong(tally: Tally, traffic: Traffic, books: Books, counter: int) -> list[str]:
    wrong = [f"the stock is wrong: {stock}" for stock in books.wrong]
    # Orders of visitors of the web pages are in the table, but the tally does not count them.
    lost = tally.placed - books.placed
    if lost:
        are = "is not in the table:" if len(lost) == 1 else "are not in the table, such as"
        wrong.append(f"of the orders that customers placed, {len(lost):,} {are} {min(lost)}")
    # An increment that failed, or has an unknown outcome, is not repeated.
    placed, least = len(books.placed), len(books.placed) - traffic.unknown - traffic.errors
    if not least <= counter <= placed:
        wrong.append(f"the counter says {counted(counter, 'order')}, the table {placed:,}")
    return wrong


def _failed(tally: Tally, traffic: Traffic) -> list[str]:
    failed = [f"order failed: {reason}" for reason in tally.failed[:5]]
    failed += [f"look failed: {reason}" for reason in tally.looks_failed[:5]]
    if traffic.errors:
        failed.append(f"{counted(traffic.errors, 'request')} failed, the last with: {traffic.snapshot()['last_error']}")
    return failed


def _write(account: Account, tally: Tally, traffic: Traffic, books: Books, counter: int) -> None:
    account.say("the books")
    for name, value in (
        ("orders placed", len(tally.placed)),
        ("orders turned down, sold out", tally.sold_out),
        ("orders that failed", len(tally.failed)),
        ("looks at a product that failed", len(tally.looks_failed)),
        ("requests", traffic.requests),
        ("requests that moved to another node", traffic.failovers),
        ("requests that failed", traffic.errors),
        ("writes of unknown outcome, asked for again by the shop", traffic.unknown),
        ("reads that were sent to a second node as well", traffic.hedges),
        ("orders in the table, with those of visitors", len(books.placed)),
        ("orders by the atomic counter", counter),
        ("orders that were not completed", books.unfinished),
        ("stocks that disagree with the orders", len(books.wrong)),
    ):
        account.add(f"{name:<56}{value:>9,}")
