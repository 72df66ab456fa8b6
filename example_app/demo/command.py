"""The command of the demo: its arguments, its start and its end."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import signal
import sys
import threading
import time

from pynamodb_alternator import close_all, registry
from pynamodb_alternator.errors import AlternatorError
from pynamodb_alternator.local import LocalCluster

from ..shop import models, trade
from ..shop.words import counted
from .account import Unread
from .applications import NEEDS, SHOPS
from .customers import Failed, Stopped
from .script import Script, Taken
from .serving import HOST, Served, served, why_not_open

__all__ = ["main"]

_TWICE = 2.0
"""Seconds after a Ctrl-C, after which a second one ends the demo at once."""


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # The demo's own output says what happens to nodes.
    logging.getLogger("pynamodb_alternator").setLevel(logging.CRITICAL)
    interrupted = _interrupts()
    try:
        local = LocalCluster(nodes=3, replication_factor=2).start()
    except AlternatorError as error:
        print(f"The demo needs three addresses of this machine's own: {error}", file=sys.stderr)
        return 1
    with contextlib.ExitStack() as stack:
        stack.callback(local.close)
        stack.callback(close_all)
        _fill(local)
        shop = SHOPS[arguments.shop](local)
        place = stack.enter_context(served(shop, arguments.port))
        stack.callback(shop.board.traffic.close)
        stack.enter_context(shop.context())
        try:
            return _run(arguments, local, place, interrupted)
        except Unread as error:
            if error.is_error:
                print(error, file=sys.stderr)
            return int(error.is_error)


def _interrupts() -> threading.Event:
    """Ctrl-C lets running requests finish, so that orders and stocks can be compared."""
    interrupted = threading.Event()
    since: list[float] = []

    def interrupt(number: int, frame: object) -> None:
        since.append(time.monotonic())
        interrupted.set()
        if since[-1] - since[0] > _TWICE:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    return interrupted


def _fill(local: LocalCluster) -> None:
    """Create and fill the tables before the shop opens, so that no visitor sees it without tables."""
    with registry.replaced(default=local.url):
        models.create_tables()
        trade.seed()


def _run(arguments: argparse.Namespace, local: LocalCluster, place: Served, interrupted: threading.Event) -> int:
    customers = place.customers(pause=0.05, interrupted=interrupted)
    script = Script(local, place.shop.board, customers, interrupted)
    account = script.account
    account.say(f"a cluster of three nodes, and a {arguments.shop} shop on it: {place.url}")
    account.add(f"watch it, and kill nodes yourself: {place.url}/dashboard")
    wrong = []
    try:
        customers.start()
        try:
            script.once(arguments.orders)
            if not arguments.once:
                script.go_on()
        except Taken:
            script.leave_it_to_the_visitor()
    except Stopped:
        account.end_line()
    except Failed as failure:
        wrong.append(str(failure))
    except BaseException:
        customers.stop()
        raise
    wrong += script.conclude()
    for text in wrong:
        account.say(f"FAILED: {text}")
    if not wrong:
        tally = customers.tally
        failed = [counted(len(tally.failed), "order")] if tally.failed else []
        failed += [counted(len(tally.looks_failed), "look")] if tally.looks_failed else []
        saw = f"{' and '.join(failed)} failed meanwhile" if failed else "no customer saw a dead or frozen node"
        account.say(f"all orders and stocks agree; {saw}")
    return 1 if wrong else 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m example_app.demo",
        description="The shop on a local cluster of three nodes, with customers, and nodes that die and come back.",
    )
    parser.add_argument("--port", type=int, default=5000, help="the port of the shop (5000)")
    parser.add_argument("--shop", choices=sorted(SHOPS), default="flask", help="which of the shops (flask)")
    parser.add_argument("--once", action="store_true", help="end after one death and two freezes of a node")
    parser.add_argument("--orders", type=int, default=150, help="orders in each stage (150)")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.port <= 65535:
        parser.error(f"--port must be between 1 and 65535 (got {arguments.port})")
    if arguments.orders < 1:
        parser.error(f"--orders must be at least 1 (got {arguments.orders})")
    _check_packages(parser, arguments.shop)
    reason = why_not_open(arguments.port)
    if reason is not None:
        parser.error(
            f"port {arguments.port} of {HOST} {reason}. Choose another one: "
            f"make demo SHOP={arguments.shop} PORT={max(5001, arguments.port % 65535 + 1)}"
        )
    return arguments


def _check_packages(parser: argparse.ArgumentParser, shop: str) -> None:
    missing = [module for module in NEEDS[shop] if importlib.util.find_spec(module) is None]
    if missing:
        parser.error(f"the {shop} shop needs these packages too: pip install {' '.join(missing)}")


if __name__ == "__main__":
    sys.exit(main())
