"""The shell commands: ``pynamodb-alternator <command>``, or ``python -m pynamodb_alternator <command>``.

Exit status: 0 if all is well, 1 if the answer is a bad one, 2 for a mistake in options or settings.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

from ._version import __version__
from .errors import AlternatorError, ConfigurationError

_PORT = 8000


class _Parser(argparse.ArgumentParser):
    """Says what to write instead."""

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice is not None:
            known = [one.strip(" '") for one in choice[2].split(",")]
            close = difflib.get_close_matches(choice[1], known, n=1)
            meant = f"Did you mean {close[0]!r}?" if close else f"Write one of: {', '.join(known)}."
            message = f"{message.partition(':')[0]}: {choice[1]!r} is not known. {meant}"
        text = message if message.endswith((".", "?", ")")) else message + "."
        self.exit(2, f"error: {text}\nTry: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    parser = _make_parser()
    given = parser.parse_args(arguments)
    # What goes wrong is told by the command itself, in its own words.
    logging.getLogger("pynamodb_alternator").addHandler(logging.NullHandler())
    try:
        return int(given.run(given))
    except AlternatorError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        is_a_mistake = isinstance(wrong, ConfigurationError) or given.command == "local"
        return 2 if is_a_mistake else 1
    except BrokenPipeError:
        # `... | head` has seen enough. Python would complain once more when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _make_parser() -> argparse.ArgumentParser:
    from .shell import bench, check, nodes, route

    parser = _Parser(
        prog="pynamodb-alternator",
        description="Look at a ScyllaDB Alternator cluster as an application sees it.",
        epilog="The cluster is given by --url or ALTERNATOR_URL. Colours and charts need the extra [cli].",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands: Any = parser.add_subparsers(dest="command", required=True, metavar="command")
    for module in (nodes, route, check, bench):
        module.add(commands)
    _add_local(commands)
    return parser


def _add_local(commands: Any) -> None:
    local = commands.add_parser(
        "local",
        help="run an embedded cluster until Ctrl-C",
        description="Run an embedded cluster on loopback addresses until Ctrl-C or SIGTERM. Its data is in memory.",
    )
    local.set_defaults(run=_local)
    local.add_argument("--nodes", type=int, help="how many nodes (default 3)")
    local.add_argument(
        "--port", type=int, default=_PORT, help="the port of all nodes; 0 finds a free one (default 8000)"
    )
    local.add_argument("--datacenters", help="'dc1,dc2' (nodes go to them in turn) or 'dc1:3,dc2:3'")
    local.add_argument("--racks", help="'r1,r2' (nodes go to them in turn) or 'r1:2,r2:1', in each datacenter")
    local.add_argument("--engine", default="moto", help="'moto' (default), or the URL of a DynamoDB endpoint")
    local.add_argument("--credentials", action="append", metavar="KEY:SECRET", help="demand signed requests")
    local.add_argument("--tls", action="store_true", help="https, with a certificate made on the spot")
    local.add_argument("--response-compression", action="store_true", help="compress long answers")
    local.add_argument("--write-isolation", default="only_rmw_uses_lwt", help="of tables without the tag for it")
    local.add_argument("--like", default="2026.3", metavar="VERSION", help="the ScyllaDB version to behave like")
    local.add_argument("--processes", action="store_true", help="each node in a process of its own")


def _local(given: argparse.Namespace) -> int:
    from .local import LocalCluster

    cluster = LocalCluster(
        given.nodes,
        datacenters=_places("--datacenters", given.datacenters),
        racks=_places("--racks", given.racks),
        port=given.port or None,
        engine=given.engine,
        credentials=_credentials(given.credentials),
        tls=given.tls,
        response_compression=given.response_compression,
        write_isolation=given.write_isolation,
        version=given.like,
        processes=given.processes,
    )
    over = threading.Event()
    # Before anything is started: a signal that comes early ends the program in order, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with cluster:
        print(cluster.url)
        for node in cluster.nodes:
            print(f"  {node.address}  {node.datacenter}/{node.rack}")
        if given.tls:
            print(f"  the authority to trust: {cluster.tls.ca_file}")
        print("Ctrl-C ends it.", flush=True)
        over.wait()
    return 0


def _places(option: str, text: str | None) -> list[str] | dict[str, int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not any(":" in part for part in parts):
        return parts
    counts: dict[str, int] = {}
    for part in parts:
        name, _, count = part.rpartition(":")
        if not name or not count.isdigit():
            raise ConfigurationError(f"{option}: write names such as 'a,b', or names and counts such as 'a:2,b:1'.")
        counts[name] = int(count)
    return counts


def _credentials(given: Sequence[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    credentials: dict[str, str] = {}
    for text in given:
        key, colon, secret = text.partition(":")
        if not (key and colon and secret):
            raise ConfigurationError("--credentials: write an access key and its secret as KEY:SECRET.")
        credentials[key] = secret
    return credentials
