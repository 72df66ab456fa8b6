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
from ..client import Cluster
from . import settings
from .route import describe
from .screen import BAD, DIM, GOOD, HEAD, PLAIN, WARN, Line, Screen, Text

_BOUNDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
"""Milliseconds at which the chart's bars end."""
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
    settings.add(command)
    command.set_defaults(run=run)


@dataclass(slots=True)
class _Load:
    """What has been measured. One thread appends to each list, and `append` needs no lock."""

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


def run(given: argparse.Namespace) -> int:
    screen = Screen(as_json=given.json)
    with settings.open_cluster(given) as cluster:
        cluster.allow_pool_connections(given.threads)
        try:
            table = describe(cluster, given.table)
        except (BotoCoreError, ClientError) as error:
            screen_error = f"The table {given.table} cannot be looked at: {error}"
            if screen.as_json:
                screen.document({"error": screen_error})
            else:
                screen.paragraph(screen_error, BAD)
            return 1
        keys = _keys(table, given.keys)
        cluster.register_table(given.table, _hash_name(table))
        if not screen.as_json:
            what = (
                f"Putting items of {given.size} bytes into {given.table} under {given.keys} keys of its own, which are "
                "deleted at the end"
                if given.write
                else f"Reading items that do not exist from {given.table}; nothing is written"
            )
            screen.paragraph(
                f"{what}. At most {given.requests} requests, {given.seconds:g} s, {given.threads} threads.", DIM
            )
            screen.line()
        load = _Load()
        interrupted = False
        with signals.request_completed.connected_to(load.heard, cluster):
            try:
                _measure(cluster, given, keys, load, screen)
            except KeyboardInterrupt:
                interrupted = True
        left = _clean_up(cluster, given.table, keys, screen) if given.write else 0
    if screen.as_json:
        screen.document(_report(given, load, left))
    else:
        _show(screen, load, given)
        if interrupted:
            screen.paragraph("Ended by Ctrl-C.", WARN)
        if left:
            screen.paragraph(f"{left} items could not be deleted. Their keys begin with {_shown_key(keys[0])}.", BAD)
    return 1 if load.failures or left or not load.latencies else 0


# ---- the load ---------------------------------------------------------------------------------------------------


def _measure(
    cluster: Cluster, given: argparse.Namespace, keys: Sequence[dict[str, Any]], load: _Load, screen: Screen
) -> None:
    client, over = cluster.client, threading.Event()
    turns = iter(range(given.requests))
    lock = threading.Lock()
    payload = {"payload": {"S": "x" * given.size}} if given.size else {}
    load.started = time.monotonic()
    deadline = load.started + given.seconds

    def work() -> None:
        while not over.is_set():
            with lock:
                turn = next(turns, None)
            before = time.monotonic()
            if turn is None or before >= deadline:
                return
            key = keys[turn % len(keys)]
            try:
                if given.write:
                    client.put_item(TableName=given.table, Item={**payload, **key})
                else:
                    client.get_item(TableName=given.table, Key=key)
            except (BotoCoreError, ClientError) as error:
                load.failures.append(_said(error))
                # A cluster that refuses everything is not hammered.
                over.wait(0.01)
            else:
                load.latencies.append(time.monotonic() - before)

    threads = [
        threading.Thread(target=work, name="pynamodb_alternator-bench", daemon=True) for _ in range(given.threads)
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
                        show(_chart(screen, load, given))
    finally:
        over.set()
        for thread in threads:
            thread.join(given.timeout * 2 + 1)
        load.seconds = time.monotonic() - load.started


def _keys(table: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Keys that no application has: they begin with a word of ours and a random one."""
    types = {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]}
    names = [one["AttributeName"] for one in table["KeySchema"]]
    word = f"pynamodb-alternator-bench-{uuid.uuid4().hex}"
    base = -(10**30 + uuid.uuid4().int % _DIGITS * 10**6)
    made: dict[str, Callable[[int], Any]] = {
        "S": lambda number: f"{word}-{number}",
        "N": lambda number: str(base - number),
        "B": lambda number: f"{word}-{number}".encode(),
    }
    return [{name: {types[name]: made[types[name]](number)} for name in names} for number in range(count)]


def _hash_name(table: dict[str, Any]) -> str:
    return str(next(one["AttributeName"] for one in table["KeySchema"] if one["KeyType"] == "HASH"))


def _shown_key(key: dict[str, Any]) -> str:
    return repr(next(iter(next(iter(key.values())).values())))


def _clean_up(cluster: Cluster, table: str, keys: Sequence[dict[str, Any]], screen: Screen) -> int:
    """Delete what was put. How many may be left."""
    left = 0
    with screen.waiting("deleting the items"):
        for start in range(0, len(keys), 25):
            some = keys[start : start + 25]
            try:
                requests = [{"DeleteRequest": {"Key": key}} for key in some]
                cluster.client.batch_write_item(RequestItems={table: requests})
            except (BotoCoreError, ClientError):
                left += len(some)
    return left


def _said(error: Exception) -> str:
    if isinstance(error, ClientError):
        found = error.response.get("Error", {})
        return f"{found.get('Code', '?')}: {found.get('Message', '')}"
    return str(getattr(error, "reason", None) or error)


# ---- what is shown ----------------------------------------------------------------------------------------------


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _summary(ordered: Sequence[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: round(percentile(ordered, share) * 1000, 3) for name, share in shares.items()} if ordered else {}


def _report(given: argparse.Namespace, load: _Load, left: int) -> dict[str, Any]:
    done = len(load.latencies)
    return {
        "table": given.table,
        "operation": "PutItem" if given.write else "GetItem",
        "requests": done + len(load.failures),
        "failures": dict(Counter(load.failures)),
        "retries": sum(load.retries),
        "seconds": round(load.seconds, 3),
        "per_second": round(done / load.seconds, 1) if load.seconds else 0.0,
        "latency_ms": _summary(sorted(load.latencies)),
        "nodes": dict(sorted(Counter(one for one in load.nodes if one).items())),
        "not_deleted": left,
    }


def _chart(screen: Screen, load: _Load, given: argparse.Namespace) -> list[Line]:
    latencies = list(load.latencies)
    lines: list[Line] = list(_bars(screen, latencies))
    share = max((len(latencies) + len(load.failures)) / given.requests, load.seconds / given.seconds)
    room = max(10, min(screen.width - 30, 50))
    full = min(room, int(share * room))
    lines.append([])
    lines.append(
        [
            (screen.char("━", "=") * full, GOOD),
            (screen.char("━", "-") * (room - full), DIM),
            (f"  {len(latencies)} done, {len(load.failures)} failed", BAD if load.failures else PLAIN),
        ]
    )
    return lines


def _bars(screen: Screen, latencies: Sequence[float]) -> list[Line]:
    """A bar for each range of latencies, from the first to the last that occurs."""
    counts = Counter(bisect_right(_BOUNDS, one * 1000) for one in latencies)
    if not counts:
        return [[("no answer yet", DIM)]]
    labels = [f"{bound:g} ms" for bound in _BOUNDS] + ["more"]
    most = max(counts.values())
    digits = len(str(most))
    room = max(6, min(60, screen.width - 14 - digits))
    lines: list[Line] = []
    for place in range(min(counts), max(counts) + 1):
        count = counts[place]
        before = "to " if place < len(_BOUNDS) else ""
        length = math.ceil(count / most * room)
        bar = screen.char("█", "#") * length
        style = GOOD if place <= 3 else WARN if place <= 8 else BAD
        label = f"{before}{labels[place]}"
        lines.append([(f"{label:>10}  ", DIM), (bar, style), (" " if bar else "", PLAIN), (str(count), PLAIN)])
    return lines


def _show(screen: Screen, load: _Load, given: argparse.Namespace) -> None:
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
    answered = Counter(one for one in load.nodes if one)
    if answered:
        total = sum(answered.values())
        rows: list[list[Text]] = [
            [(node, PLAIN), (str(count), PLAIN), (f"{count / total:.0%}", DIM)]
            for node, count in sorted(answered.items())
        ]
        screen.table(["node", "requests", "share"], rows, right=[1, 2])
    if load.retries:
        screen.paragraph(f"{sum(load.retries)} attempts were repeated on another node.", WARN)
    for text, count in Counter(load.failures).most_common(5):
        screen.paragraph(f"{count} failed: {text}", BAD)
