"""``pynamodb-alternator bench TABLE``: a short, bounded load, with its latencies while it runs."""

from __future__ import annotations

import argparse
import math
import threading
import time
import uuid
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .. import signals
from ..cluster import Cluster
from ..core.table_description import hash_key_of, key_types_of
from ..diagnostics import said
from . import settings
from .names import describe
from .screen import BAD, DIM, GOOD, HEAD, PLAIN, WARN, Line, Screen, Text

_BOUNDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
"""The upper bounds of the chart's bars, in milliseconds."""
_REFRESH = 0.2
_DIGITS = 10**18


def add(commands: Any) -> None:
    command = commands.add_parser(
        "bench",
        help="a short load on a table, with its latencies",
        description="Reads items that do not exist from a table, for a limited time and number of requests. Nothing is "
        "written, unless --write is given: then items with keys of its own are put, and deleted at the end. "
        "Exit status 1 if a request failed.",
    )
    command.add_argument("table", metavar="TABLE")
    command.add_argument("--requests", type=settings.whole(1, 1_000_000), default=1000, help="at most (default 1000)")
    command.add_argument(
        "--seconds", type=settings.number(0.1, 300), default=10.0, help="at most (default 10, no more than 300)"
    )
    command.add_argument("--threads", type=settings.whole(1, 64), default=4, help="at once (default 4, at most 64)")
    command.add_argument("--keys", type=settings.whole(1, 10_000), default=100, help="partition keys (default 100)")
    command.add_argument(
        "--write", action="store_true", help="put items instead of reading, and delete them at the end"
    )
    command.add_argument("--size", type=settings.whole(0, 100_000), default=100, help="bytes of each item put (100)")
    settings.add_token_aware(command, "send the requests to the replicas of their keys")
    settings.add(command)
    command.set_defaults(run=run)


@dataclass(slots=True)
class _Load:
    """The measured values. One thread appends to each list, and `append` needs no lock."""

    latencies: list[float] = field(default_factory=list)
    nodes: list[str | None] = field(default_factory=list)
    retries: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    started: float = 0.0
    seconds: float = 0.0

    def heard(self, _: Any, *, operation: str, node: str | None, attempts: int, **__: Any) -> None:
        if operation in ("GetItem", "PutItem"):
            self.nodes.append(node)
            if attempts > 1:
                self.retries.append(attempts - 1)


def run(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    with settings.open_cluster(options) as cluster:
        cluster.allow_pool_connections(options.threads)
        try:
            table = describe(cluster, options.table)
        except (BotoCoreError, ClientError) as error:
            screen_error = f"The table {options.table} cannot be looked at: {error}"
            if screen.as_json:
                screen.document({"error": screen_error})
            else:
                screen.paragraph(screen_error, BAD)
            return 1
        keys = _keys(table, options.keys)
        cluster.register_table(options.table, hash_key_of(table))
        if not screen.as_json:
            what = (
                f"Putting items of {options.size} bytes into {options.table} under {options.keys} keys of its own, "
                "which are deleted at the end"
                if options.write
                else f"Reading items that do not exist from {options.table}; nothing is written"
            )
            screen.paragraph(
                f"{what}. At most {options.requests} requests, {options.seconds:g} s, {options.threads} threads.", DIM
            )
            screen.line()
        load = _Load()
        interrupted = False
        with signals.request_completed.connected_to(load.heard, cluster):
            try:
                _measure(cluster, options, keys, load, screen)
            except KeyboardInterrupt:
                interrupted = True
        left = _clean_up(cluster, options.table, keys, screen) if options.write else 0
    if screen.as_json:
        screen.document(_report(options, load, left))
    else:
        _show(screen, load)
        if interrupted:
            screen.paragraph("Ended by Ctrl-C.", WARN)
        if left:
            screen.paragraph(f"{left} items could not be deleted. Their keys begin with {_shown_key(keys[0])}.", BAD)
    return 1 if load.failures or left or not load.latencies else 0


# ---- the load ---------------------------------------------------------------------------------------------------


def _measure(
    cluster: Cluster, options: argparse.Namespace, keys: Sequence[dict[str, Any]], load: _Load, screen: Screen
) -> None:
    client, over = cluster.client, threading.Event()
    turns = iter(range(options.requests))
    lock = threading.Lock()
    payload = {"payload": {"S": "x" * options.size}} if options.size else {}
    load.started = time.monotonic()
    deadline = load.started + options.seconds

    def work() -> None:
        while not over.is_set():
            with lock:
                turn = next(turns, None)
            before = time.monotonic()
            if turn is None or before >= deadline:
                return
            key = keys[turn % len(keys)]
            try:
                if options.write:
                    client.put_item(TableName=options.table, Item={**payload, **key})
                else:
                    client.get_item(TableName=options.table, Key=key)
            except (BotoCoreError, ClientError) as error:
                load.failures.append(_said(error))
                # If a cluster refuses everything, the load stays low.
                over.wait(0.01)
            else:
                load.latencies.append(time.monotonic() - before)

    threads = [
        threading.Thread(target=work, name="pynamodb_alternator-bench", daemon=True) for _ in range(options.threads)
    ]
    for thread in threads:
        thread.start()
    try:
        with screen.live() as show:
            for thread in threads:
                while thread.is_alive():
                    thread.join(_REFRESH)
                    load.seconds = time.monotonic() - load.started
                    if screen.is_live:
                        show(_chart(screen, load, options))
    finally:
        over.set()
        for thread in threads:
            thread.join(options.timeout * 2 + 1)
        load.seconds = time.monotonic() - load.started


def _keys(table: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Keys that no application has: they begin with a fixed word and a random word."""
    word = f"pynamodb-alternator-bench-{uuid.uuid4().hex}"
    base = -(10**30 + uuid.uuid4().int % _DIGITS * 10**6)
    made: dict[str, Callable[[int], Any]] = {
        "S": lambda number: f"{word}-{number}",
        "N": lambda number: str(base - number),
        "B": lambda number: f"{word}-{number}".encode(),
    }
    types = key_types_of(table)
    return [{name: {kind: made[kind](number)} for name, kind in types.items()} for number in range(count)]


def _shown_key(key: dict[str, Any]) -> str:
    return repr(next(iter(next(iter(key.values())).values())))


def _clean_up(cluster: Cluster, table: str, keys: Sequence[dict[str, Any]], screen: Screen) -> int:
    """Delete the items that were put. Returns the number of items that may be left."""
    left = 0
    with screen.waiting("deleting the items"):
        for start in range(0, len(keys), 25):
            some = keys[start : start + 25]
            try:
                requests: list[Any] = [{"DeleteRequest": {"Key": key}} for key in some]
                cluster.client.batch_write_item(RequestItems={table: requests})
            except (BotoCoreError, ClientError):
                left += len(some)
    return left


def _said(error: Exception) -> str:
    # Only the reason, without the nodes that were tried, so that equal failures are counted together.
    return said(error) if isinstance(error, ClientError) else str(getattr(error, "reason", None) or error)


# ---- the output -------------------------------------------------------------------------------------------------


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _summary(ordered: Sequence[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: round(percentile(ordered, share) * 1000, 3) for name, share in shares.items()} if ordered else {}


def _report(options: argparse.Namespace, load: _Load, left: int) -> dict[str, Any]:
    done = len(load.latencies)
    return {
        "table": options.table,
        "operation": "PutItem" if options.write else "GetItem",
        "requests": done + len(load.failures),
        "failures": dict(Counter(load.failures)),
        "retries": sum(load.retries),
        "seconds": round(load.seconds, 3),
        "per_second": round(done / load.seconds, 1) if load.seconds else 0.0,
        "latency_ms": _summary(sorted(load.latencies)),
        "nodes": dict(sorted(Counter(node for node in load.nodes if node).items())),
        "not_deleted": left,
    }


def _chart(screen: Screen, load: _Load, options: argparse.Namespace) -> list[Line]:
    latencies = list(load.latencies)
    lines: list[Line] = list(_bars(screen, latencies))
    share = max((len(latencies) + len(load.failures)) / options.requests, load.seconds / options.seconds)
    text = (f"{len(latencies)} done, {len(load.failures)} failed", BAD if load.failures else PLAIN)
    room = max(10, min(screen.width - len(text[0]) - 2, 50))
    full = min(room, int(share * room))
    bar = [(screen.char("━", "=") * full, GOOD), (screen.char("━", "-") * (room - full), DIM)]
    # A line that is redrawn is cut if it is too wide. Then the count gets its own line.
    is_narrow = room + 2 + len(text[0]) > screen.width
    return [*lines, [], *([bar, [text]] if is_narrow else [[*bar, ("  ", PLAIN), text]])]


def _bars(screen: Screen, latencies: Sequence[float]) -> list[Line]:
    """A bar for each range of latencies, from the first to the last that occurs."""
    counts = Counter(bisect_right(_BOUNDS, seconds * 1000) for seconds in latencies)
    if not counts:
        return [[("no answer yet", DIM)]]
    labels = [f"{bound:g} ms" for bound in _BOUNDS] + ["more"]
    most = max(counts.values())
    digits = len(str(most))
    room = max(6, min(60, screen.width - 14 - digits))
    lines: list[Line] = []
    for index in range(min(counts), max(counts) + 1):
        count = counts[index]
        before = "to " if index < len(_BOUNDS) else ""
        length = math.ceil(count / most * room)
        bar = screen.char("█", "#") * length
        style = GOOD if index <= 3 else WARN if index <= 8 else BAD
        label = f"{before}{labels[index]}"
        lines.append([(f"{label:>10}  ", DIM), (bar, style), (" " if bar else "", PLAIN), (str(count), PLAIN)])
    return lines


def _show(screen: Screen, load: _Load) -> None:
    ordered = sorted(load.latencies)
    if ordered:
        for line in _bars(screen, ordered):
            screen.line(*line)
        screen.line()
        values = _summary(ordered)
        screen.table(
            ["requests", "per second", *values],
            [
                [
                    (str(len(ordered)), PLAIN),
                    (f"{len(ordered) / load.seconds:.0f}", PLAIN),
                    *((f"{value:.1f} ms", HEAD if name == "p99" else PLAIN) for name, value in values.items()),
                ]
            ],
            right=range(2 + len(values)),
        )
        screen.line()
    answered = Counter(node for node in load.nodes if node)
    if answered:
        total = sum(answered.values())
        rows: list[list[Text]] = [
            [(node, PLAIN), (str(count), PLAIN), (f"{count / total:.0%}", DIM)]
            for node, count in sorted(answered.items())
        ]
        screen.table(["node", "requests", "share"], rows, right=[1, 2])
    if load.retries:
        screen.paragraph(f"{sum(load.retries)} attempts were retries on another node.", WARN)
    for text, count in Counter(load.failures).most_common(5):
        screen.paragraph(f"{count} failed: {text}", BAD)
