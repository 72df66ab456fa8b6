"""What happens to the nodes while customers order, and the account of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from pynamodb.exceptions import PynamoDBException

from pynamodb_alternator.local import LocalCluster

from ..shop import trade
from ..shop.dashboard import Dashboard
from ..shop.words import counted
from .customers import PATIENCE, Customers, Failed, Stopped

__all__ = ["Account", "Script", "Taken"]

RETURNING = 4
"""For so many full seconds after a node's return, the account tells its share."""


USUAL = 5.0
"""Seconds that it takes to learn what a node usually gets."""


class Taken(Exception):
    """A visitor pressed a button of the dashboard, and controls the nodes now."""


class Account:
    """Prints what happens, with the time since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._start:6.1f} s  {text}", flush=True)

    def add(self, text: str) -> None:
        print(f"          {text}", flush=True)


class Script:
    """Kills and freezes nodes, until a visitor does so. `account` tells the results."""

    def __init__(
        self, local: LocalCluster, board: Dashboard, customers: Customers, interrupted: threading.Event
    ) -> None:
        assert board.faults is not None
        self.local = local
        self.board = board
        self.faults = board.faults
        self.traffic = board.traffic
        self.customers = customers
        self.interrupted = interrupted
        self.account = Account()

    # ---- the rounds ------------------------------------------------------------------------------------------------

    def once(self, orders: int) -> None:
        """One node dies, another one freezes twice, and all come back."""
        began = time.monotonic()
        with self._stage("with all three nodes"):
            self._wait_for(orders)
            self._until(lambda: time.monotonic() - began > USUAL, "The clock did not go on")
        self.kill(1, orders)
        waits = [self.freeze(2, max(1, orders // 2), hedged=hedged) for hedged in (False, True)]
        without, with_hedges = (f"{wait:,.0f} ms" for wait in waits)
        self.account.say(f"the slowest look at a product while the node was frozen: {without}, hedged: {with_hedges}")

    def kill(self, victim: int, orders: int) -> None:
        """Orders without one of the nodes, and with it again."""
        address = self.local.nodes[victim].address
        with self._away("kill", address):
            self.account.say(f"killed the node {address}; the orders go on")
            with self._stage("with one node dead"):
                self._until_down(address)
                self._wait_for(orders)
        with self._stage("with all three nodes again") as went_to:
            self._wait_for(orders)
        if not went_to().get(address):
            raise Failed(f"{address} is active again, and got no request.")
        self._tell_of_return(address)

    def freeze(self, victim: int, orders: int, *, hedged: bool) -> float:
        """Orders while a node is silent. Gives what the slowest look of a customer took, in milliseconds."""
        address = self.local.nodes[victim].address
        self.board.looks.hedged = hedged
        began = time.monotonic()
        before = self.traffic.hedges, self.traffic.hedges_won
        with self._away("freeze", address):
            self.account.say(f"froze the node {address}; looks at products are {'' if hedged else 'not '}hedged")
            with self._stage("with one node frozen"):
                self._until_down(address)
                self._wait_for(orders)
            hedges, won = self.traffic.hedges - before[0], self.traffic.hedges_won - before[1]
            slowest = self.board.looks.slowest(since=began) or 0.0
            self.account.add(f"{counted(hedges, 'hedge')}, of which {won} won; the slowest look took {slowest:,.0f} ms")
        return slowest

    @contextlib.contextmanager
    def _away(self, action: str, address: str) -> Iterator[None]:
        self.faults.do(action, address)
        try:
            yield
        finally:
            if not self.is_taken:
                self.faults.do("revive", address)
        self.account.say(f"revived the node {address}")
        self._until(lambda: self._state(address) == "active", f"{address} was not seen to be active again")
        self.account.add(f"{address} is active")

    def _until_down(self, address: str) -> None:
        self._until(lambda: self._state(address) in ("down", None), f"{address} was not seen to be down")
        self.account.add(f"{address} is known to be down: requests go past it now, without trying it")

    def _tell_of_return(self, address: str) -> None:
        """With slow start the share grows; without it, the share is at once about what it was before."""
        self._until(lambda: len(self.traffic.shares(address, RETURNING)) == RETURNING, "The clock did not go on")
        shares = ["–" if share is None else f"{share} %" for share in self.traffic.shares(address, RETURNING)]
        self.account.add(f"{address} got, of its usual share of reads and plain writes,")
        self.account.add(f"in each of the first seconds after its return: {', '.join(shares)}")

    def go_on(self) -> None:
        """Keep the shop open, with fewer orders, and let another node die or freeze now and then."""
        self.customers.pause = 0.4
        self.account.say("the shop stays open until you press Ctrl-C; now and then a node dies or freezes")
        number = 0
        while True:
            for _ in range(30):
                self.pause(0.5)
                self._unless_taken()
            number += 1
            victim = number % len(self.local.nodes)
            if number % 2:
                self.kill(victim, orders=60)
            else:
                self.freeze(victim, orders=60, hedged=number % 4 == 0)
            with contextlib.suppress(PynamoDBException):
                trade.settle(unless=self.interrupted.is_set)

    def leave_it_to_the_visitor(self) -> None:
        """The script kills no node any more: it and a visitor would disturb each other."""
        self.customers.pause = 0.05
        self.account.say("somebody uses the buttons of the dashboard; the nodes are yours now, until you press Ctrl-C")
        seen = ""
        while True:
            for _ in range(20):
                if self.board.last != seen:
                    seen = self.board.last
                    self.account.say(seen)
                self.pause(0.5)
            with contextlib.suppress(PynamoDBException):
                trade.settle(unless=self.interrupted.is_set)

    # ---- the end ---------------------------------------------------------------------------------------------------

    def conclude(self) -> list[str]:
        """Compare the books when the last order is done. Gives what is wrong."""
        self.faults.heal()
        self.customers.stop()
        tally, state = self.customers.tally, self.traffic.snapshot()
        counter = trade.count("orders")
        placed, discrepancies = trade.audit()
        self.account.say("the books")
        rows = [
            ("orders placed", f"{tally.placed:,}"),
            ("orders turned down, sold out", f"{tally.sold_out:,}"),
            ("orders that failed", f"{len(tally.failed):,}"),
            ("requests", f"{state['requests']:,}"),
            ("requests that moved to another node", f"{state['failovers']:,}"),
            ("requests that failed", f"{state['errors']:,}"),
            ("writes of unknown outcome, asked for again by the shop", f"{state['unknown']:,}"),
            ("reads that were sent to a second node as well", f"{state['hedges']:,}"),
            ("orders by the atomic counter", f"{counter:,}"),
            ("stocks that disagree with the orders", f"{len(discrepancies):,}"),
        ]
        for name, value in rows:
            self.account.add(f"{name:<56}{value:>9}")
        # If two of three nodes die at once, an order may fail. The books agree all the same.
        wrong = [] if self.is_taken else [f"order failed: {reason}" for reason in tally.failed[:5]]
        wrong += [] if self.is_taken else [f"look failed: {reason}" for reason in tally.looks_failed[:5]]
        wrong += [f"the stock is wrong: {discrepancy}" for discrepancy in discrepancies]
        # Orders by visitors of the web page are not part of the tally.
        if placed < tally.placed:
            wrong.append(f"the customers placed {counted(tally.placed, 'order')}, and the table has {placed:,}")
        if not placed - state["unknown"] <= counter <= placed:
            wrong.append(f"the counter says {counted(counter, 'order')}, the table {placed:,}")
        if state["errors"] and not self.is_taken:
            wrong.append(f"{counted(state['errors'], 'request')} failed, the last with: {state['last_error']}")
        return wrong

    # ---- what happens, and waiting for it --------------------------------------------------------------------------

    @property
    def is_taken(self) -> bool:
        return self.board.presses > 0

    def pause(self, seconds: float) -> None:
        if self.interrupted.wait(seconds):
            raise Stopped

    def _unless_taken(self) -> None:
        if self.is_taken:
            raise Taken

    def _wait_for(self, orders: int) -> None:
        self.customers.wait_for(orders, unless=lambda: self.is_taken)
        self._unless_taken()

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[Callable[[], dict[str, int]]]:
        """Say, when it is over, where the requests of this stage went."""
        before, failovers, orders = self.traffic.per_node(), self.traffic.failovers, self.customers.tally.all
        hits, misses = self.traffic.to_replicas, self.traffic.elsewhere

        def went_to() -> dict[str, int]:
            return {node: count - before.get(node, 0) for node, count in self.traffic.per_node().items()}

        yield went_to
        self.account.say(
            f"{name}: {counted(self.customers.tally.all - orders, 'order')}, "
            f"{counted(self.traffic.failovers - failovers, 'failover')}, "
            f"{counted(len(self.customers.tally.failed), 'error')}"
        )
        for node, count in went_to().items():
            self.account.add(f"{node:<22}{counted(count, 'request'):>16}")
        hits, misses = self.traffic.to_replicas - hits, self.traffic.elsewhere - misses
        if hits:
            share = 100 * hits / (hits + misses)
            self.account.add(f"{share:.0f} % of reads and plain writes went to a node that holds their key")

    def _state(self, address: str) -> str | None:
        """None for a node that the others do not list any more."""
        return next((node.state.value for node in self.board.cluster.nodes() if node.address == address), None)

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self._unless_taken()
            if time.monotonic() > deadline:
                raise Failed(f"{otherwise} within {PATIENCE:.0f} s.")
            self.pause(0.02)
