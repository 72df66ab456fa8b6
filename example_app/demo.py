"""The shop on a local cluster of three nodes, with a stream of orders, and a node that dies and comes back.

python -m example_app.demo            # until Ctrl-C; the cluster is on http://127.0.0.1:5000/dashboard
python -m example_app.demo --shop django
python -m example_app.demo --once     # one death and one return; exit status 0 only if all went well
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from pynamodb.exceptions import PynamoDBException
from werkzeug.serving import WSGIRequestHandler, make_server

from pynamodb_alternator import close_all
from pynamodb_alternator.errors import AlternatorError
from pynamodb_alternator.local import LocalCluster

from .shop import models, trade
from .shop.dashboard import Dashboard

HOST = "127.0.0.1"
CUSTOMERS = ("ada", "barbara", "edsger", "frances", "grace", "hedy", "margaret", "radia")
WORKERS = 4
PATIENCE = 30.0
"""Seconds within which something that must happen has happened."""

RESTOCK_BELOW = 40
DELIVERY = 200


class Failed(Exception):
    """The demo did not show what it should have."""


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


class Taken(Exception):
    """Somebody pressed a button of the dashboard: the nodes are theirs now."""


@dataclass(frozen=True)
class Shop:
    """A web application of the shop. `context`: what its models are used in, outside of its requests."""

    wsgi: Any
    board: Dashboard
    context: Callable[[], AbstractContextManager[Any]]


def url_of(local: LocalCluster) -> str:
    """With the token rings from the first request on: the shop is too small to be worth them by itself."""
    return f"{local.url}/?token_aware=true"


def flask_shop(local: LocalCluster) -> Shop:
    from .flask_shop import create_app, dashboard_of

    app = create_app({"ALTERNATOR_URL": url_of(local), "SHOP_LOCAL_CLUSTER": local})
    return Shop(app, dashboard_of(app), app.app_context)


def django_shop(local: LocalCluster) -> Shop:
    from .django_shop import create_app

    app = create_app(url_of(local), local)
    from .django_shop.views import board

    return Shop(app, board(), contextlib.nullcontext)


SHOPS = {"flask": flask_shop, "django": django_shop}


class Handler(WSGIRequestHandler):
    """A visitor who does not read what is sent must not keep a thread for ever."""

    timeout = 30.0


@dataclass
class Tally:
    """What became of the orders."""

    placed: int = 0
    sold_out: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def all(self) -> int:
        return self.placed + self.sold_out + len(self.failed)


class Orders:
    """A stream of orders from a few threads, each with a pause between two orders."""

    def __init__(
        self,
        pause: float,
        interrupted: threading.Event | None = None,
        context: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        self.pause = pause
        self.tally = Tally()
        self._context = context
        self._interrupted = interrupted or threading.Event()
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(number),), name=f"orders-{number}", daemon=True)
            for number in range(WORKERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the orders that are under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait_for(self, count: int, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until so many more orders were dealt with, or there is no need to wait."""
        with self._changed:
            goal = self.tally.all + count
            self._changed.wait_for(lambda: self.tally.all >= goal or self._interrupted.is_set() or unless(), PATIENCE)
            if self._interrupted.is_set():
                raise Stopped
            if self.tally.all < goal and not unless():
                raise Failed(f"The orders stand still: {self.tally.all} of {goal} in {PATIENCE:.0f} s.")

    def _run(self, chance: random.Random) -> None:
        goods = [sku for sku, *_ in trade.GOODS]
        with self._context():
            self._order(chance, goods)

    def _order(self, chance: random.Random, goods: list[str]) -> None:
        while not self._stop.wait(self.pause * chance.uniform(0.5, 1.5)):
            quantities = {sku: chance.randint(1, 3) for sku in chance.sample(goods, chance.randint(1, 3))}
            try:
                order = trade.place_order(chance.choice(CUSTOMERS), quantities)
                status = order.status
                for line in order.lines:
                    self._restock(line.sku)
            except Exception as error:
                status = "failed"
                reason = f"{type(error).__name__}: {error}"
            with self._changed:
                if status == "placed":
                    self.tally.placed += 1
                elif status == "rejected":
                    self.tally.sold_out += 1
                else:
                    self.tally.failed.append(reason if status == "failed" else f"an order stayed {status}")
                self._changed.notify_all()

    def _restock(self, sku: str) -> None:
        """Order more of what runs low, except of the rare product, which may sell out."""
        product = models.Product.get(sku)
        if sku != trade.GOODS[-1][0] and product.stock < RESTOCK_BELOW:
            # One delivery for each level of what was ever received: the threads that see the same level order it once.
            trade.deliver(sku, DELIVERY, f"delivery-{int(product.received)}")


class Account:
    """Prints what happens, with the time since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._start:6.1f} s  {text}", flush=True)

    def add(self, text: str) -> None:
        print(f"          {text}", flush=True)


class Demo:
    def __init__(self, local: LocalCluster, shop: Shop, orders: Orders, interrupted: threading.Event) -> None:
        assert shop.board.faults is not None
        self.local = local
        self.board = shop.board
        self.faults = shop.board.faults
        self.traffic = shop.board.traffic
        self.orders = orders
        self.interrupted = interrupted
        self.account = Account()

    @property
    def is_taken(self) -> bool:
        return self.faults.presses > 0

    def one_round(self, victim: int, orders: int) -> None:
        """Orders with all nodes, without one of them, and with all of them again."""
        address = self.local.nodes[victim].address
        with self._stage("with all three nodes"):
            self._orders(orders)

        self.faults.do("kill", address)
        self.account.say(f"killed the node {address}; the orders go on")
        try:
            with self._stage("with one node dead"):
                self._until(lambda: self._state(address) in ("down", None), f"{address} was not seen to be down")
                self.account.add(f"{address} is known to be down: requests go past it now, without trying it")
                self._orders(orders)
        finally:
            if not self.is_taken:
                self.faults.do("revive", address)
        self.account.say(f"revived the node {address}")
        self._until(lambda: self._state(address) == "active", f"{address} was not seen to be active again")
        self.account.add(f"{address} is active")
        with self._stage("with all three nodes again") as went_to:
            self._orders(orders)
        if not went_to().get(address):
            raise Failed(f"{address} is active again, and got no request.")

    def _orders(self, count: int) -> None:
        self.orders.wait_for(count, unless=lambda: self.is_taken)
        if self.is_taken:
            raise Taken

    def conclude(self) -> list[str]:
        """Compare the books when the last order is done. Gives what is wrong."""
        self.faults.heal()
        self.orders.stop()
        tally, state = self.orders.tally, self.traffic.snapshot()
        counted = trade.count("orders")
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
            ("orders by the atomic counter", f"{counted:,}"),
            ("stocks that disagree with the orders", f"{len(discrepancies):,}"),
        ]
        for name, value in rows:
            self.account.add(f"{name:<56}{value:>9}")
        # If two of three nodes die at once, an order may fail. The books agree all the same.
        wrong = [] if self.is_taken else [f"order failed: {reason}" for reason in tally.failed[:5]]
        wrong += [f"the stock is wrong: {one}" for one in discrepancies]
        # Orders by visitors of the web page are not part of the tally.
        if placed < tally.placed:
            wrong.append(f"{tally.placed} orders were acknowledged, and {placed} are in the table")
        if not placed - state["unknown"] <= counted <= placed:
            wrong.append(f"the counter says {counted} orders, the table {placed}")
        if state["errors"] and not self.is_taken:
            wrong.append(f"{state['errors']} requests failed, the last with: {state['last_error']}")
        return wrong

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[Callable[[], dict[str, int]]]:
        """Say, when it is over, where the requests of this stage went."""
        before, failovers, orders = self.traffic.per_node(), self.traffic.failovers, self.orders.tally.all

        def went_to() -> dict[str, int]:
            return {node: count - before.get(node, 0) for node, count in self.traffic.per_node().items()}

        yield went_to
        self.account.say(
            f"{name}: {self.orders.tally.all - orders} orders, {self.traffic.failovers - failovers} failovers, "
            f"{len(self.orders.tally.failed)} errors"
        )
        for node, count in went_to().items():
            self.account.add(f"{node:<22}{count:>7,} requests")

    def pause(self, seconds: float) -> None:
        if self.interrupted.wait(seconds):
            raise Stopped

    def _state(self, address: str) -> str | None:
        """None for a node that the others do not list any more."""
        return next((node.state.value for node in self.board.cluster.nodes() if node.address == address), None)

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.is_taken:
                raise Taken
            if time.monotonic() > deadline:
                raise Failed(f"{otherwise} within {PATIENCE:.0f} s.")
            self.pause(0.02)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m example_app.demo", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=5000, help="the port of the shop (5000)")
    parser.add_argument("--shop", choices=sorted(SHOPS), default="flask", help="which of the two shops (flask)")
    parser.add_argument("--once", action="store_true", help="end after one death and one return of a node")
    parser.add_argument("--orders", type=int, default=150, help="orders in each stage (150)")
    given = parser.parse_args(argv)
    if not 1 <= given.port <= 65535:
        parser.error(f"--port must be between 1 and 65535 (got {given.port})")
    if given.orders < 1:
        parser.error(f"--orders must be at least 1 (got {given.orders})")
    if importlib.util.find_spec(given.shop) is None:
        parser.error(
            f"the {given.shop} shop needs the package {given.shop}: pip install 'pynamodb-alternator[{given.shop}]'"
        )
    if _taken(given.port):
        parser.error(
            f"port {given.port} of {HOST} is in use. Choose another one: make demo PORT={given.port % 65535 + 1}"
        )
    return given


def main(argv: list[str] | None = None) -> int:
    given = _arguments(argv)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # What happens to nodes is the demo's subject, and its account tells it.
    logging.getLogger("pynamodb_alternator").setLevel(logging.CRITICAL)
    # Ctrl-C lets the request under way finish, so that the books can be compared.
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    try:
        local = LocalCluster(nodes=3, replication_factor=2).start()
    except AlternatorError as error:
        print(f"The demo needs three addresses of this machine's own: {error}", file=sys.stderr)
        return 1
    with contextlib.ExitStack() as stack:
        stack.callback(local.close)
        stack.callback(close_all)
        shop = SHOPS[given.shop](local)
        stack.callback(shop.board.traffic.close)
        stack.enter_context(shop.context())
        models.create_tables()
        trade.seed()
        server = make_server(HOST, given.port, shop.wsgi, threaded=True, request_handler=Handler)
        stack.callback(server.server_close)
        threading.Thread(target=server.serve_forever, name="shop", daemon=True).start()
        stack.callback(server.shutdown)
        stack.callback(shop.board.close)
        orders = Orders(pause=0.05, interrupted=interrupted, context=shop.context)
        stack.callback(orders.stop)
        demo = Demo(local, shop, orders, interrupted)
        demo.account.say(f"a cluster of three nodes, and a {given.shop} shop on it: http://{HOST}:{given.port}")
        demo.account.add(f"watch it, and kill nodes yourself: http://{HOST}:{given.port}/dashboard")
        orders.start()
        try:
            try:
                demo.one_round(victim=1, orders=given.orders)
                if not given.once:
                    _go_on(demo, orders)
            except Taken:
                _leave_it_to_the_visitor(demo)
        except Stopped:
            print()
        except Failed as failure:
            demo.account.say(f"FAILED: {failure}")
            demo.conclude()
            return 1
        wrong = demo.conclude()
    for text in wrong:
        demo.account.say(f"FAILED: {text}")
    if not wrong:
        demo.account.say("all orders and stocks agree; no customer saw the dead node")
    return 1 if wrong else 0


def _go_on(demo: Demo, orders: Orders) -> None:
    """Keep the shop open, with fewer orders, and let another node die now and then."""
    orders.pause = 0.4
    demo.account.say("the shop stays open until you press Ctrl-C; now and then a node dies and comes back")
    victim = 1
    while True:
        for _ in range(30):
            demo.pause(0.5)
            if demo.is_taken:
                raise Taken
        victim = (victim + 1) % len(demo.local.nodes)
        demo.one_round(victim, orders=60)
        with contextlib.suppress(PynamoDBException):
            trade.settle()


def _leave_it_to_the_visitor(demo: Demo) -> None:
    """No node dies by itself any more: two who play with the same nodes confuse each other."""
    demo.orders.pause = 0.05
    demo.account.say("somebody uses the buttons of the dashboard; the nodes are yours now, until you press Ctrl-C")
    seen = ""
    while True:
        for _ in range(20):
            if demo.faults.last != seen:
                seen = demo.faults.last
                demo.account.say(seen)
            demo.pause(0.5)
        with contextlib.suppress(PynamoDBException):
            trade.settle()


if __name__ == "__main__":
    sys.exit(main())
