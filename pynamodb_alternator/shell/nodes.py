"""``pynamodb-alternator nodes``."""

from __future__ import annotations

import argparse
from typing import Any

from ..diagnostics import milliseconds, ping
from . import settings
from .screen import BAD, DIM, GOOD, PLAIN, WARN, Screen, Text

_STYLES = {"active": GOOD, "quarantined": WARN, "down": BAD}


def add(commands: Any) -> None:
    command = commands.add_parser(
        "nodes",
        help="who is in the cluster, where, and how fast they answer",
        description="Every node with its datacenter, rack, state and latency. Exit status 1 if none answers.",
    )
    settings.add(command)
    command.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    screen = Screen(as_json=given.json)
    with settings.open_cluster(given) as cluster, screen.waiting("asking the nodes"):
        answered = ping(cluster, timeout=given.timeout)
        nodes = cluster.nodes()
        scope = str(cluster.topology.scope)
    found: list[dict[str, Any]] = []
    for node in nodes:
        answer = answered.get(node.address, "not asked")
        reached = isinstance(answer, float)
        found.append(
            {
                "address": node.address,
                "datacenter": node.datacenter,
                "rack": node.rack,
                "state": "active" if reached else "down",
                "in_scope": node.in_scope,
                "latency_ms": round(answer * 1000, 3) if isinstance(answer, float) else None,
                "error": None if reached else str(answer),
            }
        )
    reached_count = sum(one["state"] == "active" for one in found)
    if screen.as_json:
        screen.document({"scope": scope, "nodes": found})
        return 0 if reached_count else 1
    nothing = screen.char("–", "-")
    rows: list[list[Text]] = []
    for one in found:
        latency = milliseconds(one["latency_ms"] / 1000) if one["latency_ms"] is not None else nothing
        style = PLAIN if one["in_scope"] else DIM
        rows.append(
            [
                (one["address"], style),
                (one["datacenter"] or nothing, style),
                (one["rack"] or nothing, style),
                (one["state"], _STYLES[one["state"]]),
                (latency, style),
            ]
        )
    if rows:
        screen.table(["address", "datacenter", "rack", "state", "latency"], rows, right=[4])
        screen.line()
    for one in found:
        if one["error"]:
            screen.paragraph(one["error"], BAD)
    outside = sum(not one["in_scope"] for one in found)
    text = f"{len(found)} nodes, {reached_count} of them answer; the scope is {scope}"
    screen.paragraph(text + (f" ({outside} are outside of it)." if outside else "."), DIM)
    if not found:
        screen.paragraph("Nobody has told a node list. `pynamodb-alternator check` says why.", BAD)
    elif all(one["datacenter"] is None for one in found):
        screen.paragraph("Datacenter and rack are not known: the system tables may not be read.", DIM)
    return 0 if reached_count else 1
