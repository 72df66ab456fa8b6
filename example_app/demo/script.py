"""Kills and freezes nodes while customers order."""

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
from .account import Account, conclude
from .customers import PATIENCE, Customers, Failed, Stopped

__all__ = ["Script", "Taken"]

RETURNING = 4
"""The number of full seconds after a node's return for which the script prints its share."""


USUAL = 5.0
"""Seconds for which the usual share of a node is measured."""


class Taken(Exception):
    """A visitor has pressed a button of the dashboard, and controls the nodes now."""


class Script:
    """Kills and freezes nodes, until a visitor does so. `account` prints the results."""

    def __init__(
        self, local: LocalCluster, board: Dashboard, customers: Customers, interrupted: threading.Event
    ) -> None:
        assert board.faults is not None
        self.local = local
        self.board = board
        board.has_script = True
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
        """Take orders while one node is dead, and after its return."""
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
        """Take orders while a node is silent. Returns the time of the slowest look of a customer, in milliseconds."""
        address = self.local.nodes[victim].address
        self._do("hedge" if hedged else "wait")
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
        self._do(action, address)
        try:
            yield
        finally:
            self.board.act("revive", address)
        self.account.say(f"revived the node {address}")
        self._until(lambda: self._state(address) == "active", f"{address} was not seen to be active again")
        self.account.add(f"{address} is active")

    def _until_down(self, address: str) -> None:
        self._until(lambda: self._state(address) in ("down", None), f"{address} was not seen to be down")
        self.account.add(f"{address} is known to be down: requests go past it now, without trying it")

    def _tell_of_return(self, address: str) -> None:
        """With slow start the share grows. Without it, the share is at once about the same as before."""
        self._until(lambda: len(self.traffic.shares(address, RETURNING)) == RETURNING, "The clock did not go on")
        shares = ["–" if share is None else f"{share} %" for share in self.traffic.shares(address, RETURNING)]
        self.account.add(f"{address} got, of its usual share of reads and plain writes,")
        self.account.add(f"in each of the first seconds after its return: {', '.join(shares)}")

    def go_on(self) -> None:
        """Keep the shop open, with fewer orders, and kill or freeze another node from time to time."""
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
        """Stop killing nodes, because the script and the visitor would disturb each other."""
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
        """Compare orders and stocks after the last order. Returns what is wrong."""
        self.faults.heal()
        self.customers.stop()
        # If a visitor kills two of three nodes at once, an order may fail. Orders and stocks still agree.
        return conclude(self.account, self.customers.tally, self.traffic, may_fail=self.is_taken)

    # ---- what happens, and waiting for it --------------------------------------------------------------------------

    @property
    def is_taken(self) -> bool:
        return self.board.presses > 0

    def pause(self, seconds: float) -> None:
        if self.interrupted.wait(seconds):
            raise Stopped

    def _do(self, action: str, address: str = "") -> None:
        if not self.board.act(action, address):
            raise Taken

    def _unless_taken(self) -> None:
        if self.is_taken:
            raise Taken

    def _wait_for(self, orders: int) -> None:
        self.customers.wait_for(orders, unless=lambda: self.is_taken)
        self._unless_taken()

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[Callable[[], dict[str, int]]]:
        """When the stage is over, print where its requests went."""
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
        """The state of a node; None if the other nodes do not list it any more."""
        return next((node.state.value for node in self.board.cluster.nodes() if node.address == address), None)

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self._unless_taken()
            if time.monotonic() > deadline:
                raise Failed(f"{otherwise} within {PATIENCE:.0f} s.")
            self.pause(0.02)
