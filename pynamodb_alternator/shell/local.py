"""``pynamodb-alternator local``: the embedded cluster, until Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import AlternatorError, ConfigurationError
from .screen import Screen

if TYPE_CHECKING:
    from ..local import LocalCluster

_PORT = 8000
_SAVE_SECONDS = 5
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
"""The signals that end the command in an orderly way. The last one is that of a terminal that is closed."""


def add(commands: Any) -> None:
    command = commands.add_parser(
        "local",
        help="run an embedded cluster until Ctrl-C",
        description="Run an embedded cluster on loopback addresses until Ctrl-C or SIGTERM. Its data is in memory, "
        "unless --persist names a file.",
    )
    command.set_defaults(run=run)
    command.add_argument("--nodes", type=int, help="how many nodes (default 3)")
    command.add_argument(
        "--port", type=int, default=_PORT, help="the port of all nodes; 0 finds a free one (default 8000)"
    )
    command.add_argument("--datacenters", help="'dc1,dc2' (nodes go to them in turn) or 'dc1:3,dc2:3'")
    command.add_argument("--racks", help="'r1,r2' (nodes go to them in turn) or 'r1:2,r2:1', in each datacenter")
    command.add_argument("--engine", default="moto", help="'moto' (default), or the URL of a DynamoDB endpoint")
    command.add_argument("--credentials", action="append", metavar="KEY:SECRET", help="demand signed requests")
    command.add_argument("--tls", action="store_true", help="https, with a certificate made on the spot")
    command.add_argument("--response-compression", action="store_true", help="compress long answers")
    command.add_argument("--write-isolation", default="only_rmw_uses_lwt", help="of tables without the tag for it")
    command.add_argument("--like", default="2026.3", metavar="VERSION", help="the ScyllaDB version to behave like")
    command.add_argument("--replication-factor", type=int, default=3, help="replicas in each datacenter (default 3)")
    command.add_argument("--tablets", type=int, default=16, help="of each table (default 16); 0 for vnodes")
    command.add_argument(
        "--hop-delay", type=float, default=0.0, metavar="SECONDS", help="what a node takes longer that is not a replica"
    )
    command.add_argument(
        "--ttl-period",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="between two sweeps of expired items (default 1)",
    )
    command.add_argument("--log", action="store_true", help="print a line for each request")
    command.add_argument(
        "--persist",
        metavar="FILE",
        help="keep tables and items in a file between runs: read at the start, written at the end and every "
        f"{_SAVE_SECONDS} seconds in which something was written; delete the file to begin anew",
    )
    command.add_argument(
        "--seed", metavar="FILE", help='load items from JSON lines: {"table": "users", "item": {"name": "alice"}}'
    )
    command.add_argument("--processes", action="store_true", help="each node in a process of its own")


def run(options: argparse.Namespace) -> int:
    from ..local import LocalCluster

    cluster = LocalCluster(
        options.nodes,
        datacenters=_names_or_counts("--datacenters", options.datacenters),
        racks=_names_or_counts("--racks", options.racks),
        port=options.port or None,
        engine=options.engine,
        credentials=_credentials(options.credentials),
        tls=options.tls,
        response_compression=options.response_compression,
        write_isolation=options.write_isolation,
        version=options.like,
        replication_factor=options.replication_factor,
        tablets=options.tablets or None,
        hop_delay=options.hop_delay,
        ttl_period=options.ttl_period,
        processes=options.processes,
    )
    over = threading.Event()
    # Before anything is started, so that a signal that comes early also ends the program in an orderly way.
    _end_on_signals(over)
    if options.log:
        _log_requests(over)
    screen = Screen()
    with cluster:
        _load(cluster, screen, options.persist, options.seed)
        if options.persist is not None:
            cluster.save(options.persist)  # now, so that a file that cannot be written is an error at the start
        screen.write(_description(cluster, tls=options.tls))
        if options.persist is None:
            over.wait()
        else:
            _keep_saved(cluster, options.persist, over)
    return 0


def _description(cluster: LocalCluster, *, tls: bool) -> str:
    nodes = [f"  {node.address}  {node.datacenter}/{node.rack}" for node in cluster.nodes]
    authority = [f"  the authority to trust: {cluster.tls.ca_file}"] if tls else []
    return "\n".join([cluster.url, *nodes, *authority, "Ctrl-C ends it.\n"])


def _end_on_signals(over: threading.Event) -> None:
    for name in _ENDING:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        # nohup has SIGHUP ignored, so that the program outlives its terminal.
        if number is not None and not (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            signal.signal(number, lambda *_: over.set())


class _RequestLogHandler(logging.StreamHandler[TextIO]):
    """Ends the command where its output is closed or full, instead of a traceback for each request."""

    def __init__(self, over: threading.Event) -> None:
        super().__init__(sys.stdout)
        self._over = over

    def handleError(self, record: logging.LogRecord) -> None:
        self._over.set()


def _log_requests(over: threading.Event) -> None:
    from ..local import request_log

    handler = _RequestLogHandler(over)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    request_log.LOGGER.addHandler(handler)
    request_log.LOGGER.setLevel(logging.DEBUG)
    request_log.LOGGER.propagate = False


def _load(cluster: LocalCluster, screen: Screen, persisted: str | None, seed: str | None) -> None:
    if persisted is not None and Path(persisted).exists():
        screen.write(f"{cluster.load(persisted)} items from {persisted}\n")
    if seed is not None:
        screen.write(f"{cluster.load(seed)} items from {seed}\n")


def _keep_saved(cluster: LocalCluster, path: str, over: threading.Event) -> None:
    """Save the data at the end, and from time to time while it changes, so that a killed program loses little."""
    saved = _writes(cluster)
    while not over.wait(_SAVE_SECONDS):
        if (writes := _writes(cluster)) != saved:
            try:
                cluster.save(path)
                saved = writes
            except AlternatorError as wrong:
                # The data is still in memory, and a full disk may get room again.
                print(f"{wrong} It is tried again in {_SAVE_SECONDS} seconds.", file=sys.stderr, flush=True)
    cluster.save(path)


def _writes(cluster: LocalCluster) -> int:
    """How many requests that may change data the nodes have received."""
    return sum(
        count
        for node in cluster.nodes
        for operation, count in dict(node.operations).items()
        if operation.startswith(("Put", "Update", "Delete", "BatchWrite", "Create", "Tag", "Untag"))
    )


def _names_or_counts(option: str, text: str | None) -> list[str] | dict[str, int] | None:
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


def _credentials(pairs: Sequence[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    credentials: dict[str, str] = {}
    for text in pairs:
        key, colon, secret = text.partition(":")
        if not (key and colon and secret):
            raise ConfigurationError("--credentials: write an access key and its secret as KEY:SECRET.")
        if credentials.setdefault(key, secret) != secret:
            raise ConfigurationError(f"--credentials: the access key {key} has two secrets.")
    return credentials
