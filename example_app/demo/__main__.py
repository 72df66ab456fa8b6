"""``python -m example_app.demo``: its arguments, and its beginning and end."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import signal
import sys
import threading

from pynamodb_alternator import close_all
from pynamodb_alternator.errors import AlternatorError
from pynamodb_alternator.local import LocalCluster

from ..shop import models, trade
from .applications import NEEDS, SHOPS
from .customers import Failed, Stopped
from .script import Script, Taken
from .serving import HOST, Served, is_taken, served


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
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
        shop = SHOPS[arguments.shop](local)
        place = stack.enter_context(served(shop, arguments.port))
        stack.callback(shop.board.traffic.close)
        stack.enter_context(shop.context())
        models.create_tables()
        trade.seed()
        return _run(arguments, local, place, interrupted)


def _run(arguments: argparse.Namespace, local: LocalCluster, place: Served, interrupted: threading.Event) -> int:
    customers = place.customers(pause=0.05, interrupted=interrupted)
    script = Script(local, place.shop.board, customers, interrupted)
    account = script.account
    account.say(f"a cluster of three nodes, and a {arguments.shop} shop on it: {place.url}")
    account.add(f"watch it, and kill nodes yourself: {place.url}/dashboard")
    try:
        customers.start()
        try:
            script.once(arguments.orders)
            if not arguments.once:
                script.go_on()
        except Taken:
            script.leave_it_to_the_visitor()
    except Stopped:
        print()
    except Failed as failure:
        account.say(f"FAILED: {failure}")
        script.conclude()
        return 1
    except BaseException:
        customers.stop()
        raise
    wrong = script.conclude()
    for text in wrong:
        account.say(f"FAILED: {text}")
    if not wrong:
        account.say("all orders and stocks agree; no customer saw a dead or frozen node")
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
    if is_taken(arguments.port):
        parser.error(
            f"port {arguments.port} of {HOST} is in use. Choose another one: "
            f"make demo SHOP={arguments.shop} PORT={arguments.port % 65535 + 1}"
        )
    return arguments


def _check_packages(parser: argparse.ArgumentParser, shop: str) -> None:
    missing = [module for module in NEEDS[shop] if importlib.util.find_spec(module) is None]
    if missing:
        parser.error(f"the {shop} shop needs these packages too: pip install {' '.join(missing)}")


if __name__ == "__main__":
    sys.exit(main())
