"""``pynamodb-alternator clients``: the clients that use the cluster."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..diagnostics.clients import Clients, clients
from ..settings.headers import OWN_USER_AGENT
from . import settings
from .render import some
from .screen import BAD, DIM, PLAIN, Screen, Text

if TYPE_CHECKING:
    from ..cluster import Cluster

__all__ = ["add", "run", "show"]

_SECONDS = 2.0
_OWN = f"{OWN_USER_AGENT} (clients)"
"""The User-Agent of this command, by which it recognizes and omits itself."""


def add(commands: Any) -> None:
    command = commands.add_parser(
        "clients",
        help="which programs send requests to the cluster, and from where",
        description="Asks every node for its table system.clients, again and again for some seconds. A node lists the "
        "requests that it is answering at that moment, so a client that was idle meanwhile, or whose requests are very "
        "short and few, is not seen. Exit status 1 if no node tells its clients.",
    )
    command.add_argument(
        "--seconds",
        type=settings.number(0, 3600),
        default=_SECONDS,
        help=f"how long to look (default {_SECONDS:g}); 0 looks once",
    )
    settings.add(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    with settings.open_cluster(options, user_agent=_OWN) as cluster:
        return int(not show(cluster, screen, timeout=options.timeout, seconds=options.seconds))


def show(cluster: Cluster, screen: Screen, *, timeout: float, seconds: float) -> bool:
    """Show the clients that are seen in so many `seconds`. True if a node has listed its clients.

    `timeout`: seconds for each request.
    """
    with screen.waiting(f"looking for {seconds:g} s"):
        seen = clients(cluster.core, seconds=seconds, timeout=timeout, own=_OWN)
    if screen.as_json:
        screen.document({"clients": [asdict(client) for client in seen.clients], "refusals": dict(seen.refusals)})
    else:
        _show(screen, seen, seconds)
    return len(seen.refusals) < len(seen.asked)


def _show(screen: Screen, seen: Clients, seconds: float) -> None:
    unknown = screen.char("–", "-")
    rows: list[list[Text]] = [
        [
            (client.address, PLAIN),
            (client.program or unknown, PLAIN),
            (client.user or unknown, PLAIN),
            (client.protocol + ("+tls" if client.tls else ""), PLAIN),
            (str(client.connections), PLAIN),
            (str(len(client.nodes)), PLAIN),
        ]
        for client in seen.clients
    ]
    if rows:
        screen.table(["address", "program", "user", "protocol", "connections", "nodes"], rows, right=[4, 5])
        screen.line()
    for node, reason in seen.refusals.items():
        screen.paragraph(f"{node} does not tell its clients: {reason}", BAD)
    if len(seen.refusals) == len(seen.asked):
        return
    how = f"in {seconds:g} s" if seconds else "at one moment"
    screen.paragraph(f"{some(len(rows), 'client')} seen {how}. An idle one is not seen.", DIM)
