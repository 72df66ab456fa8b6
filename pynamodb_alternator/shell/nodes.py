"""``pynamodb-alternator nodes``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..diagnostics import Finding, ping, troubles
from . import settings
from .render import NodeLine, show_finding, show_nodes
from .screen import DIM, Screen

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..settings.config import ClusterConfig

__all__ = ["EVERY", "add", "run", "show", "watch"]

EVERY = 2.0
"""Seconds between two looks of ``--watch``."""


def add(commands: Any) -> None:
    command = commands.add_parser(
        "nodes",
        help="which nodes are in the cluster, where, and how fast they answer",
        description="Every node with its datacenter, rack, state and latency. Exit status 1 if none of the routing "
        "scope answers.",
    )
    command.add_argument(
        "--watch",
        nargs="?",
        const=EVERY,
        type=settings.number(0.1, 3600),
        metavar="SECONDS",
        help=f"look again every so many seconds ({EVERY:g}), until Ctrl-C; with --json a document in each line",
    )
    settings.add(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    with settings.open_cluster(options) as cluster:
        if options.watch is not None:
            return int(not watch(cluster, screen, timeout=options.timeout, every=options.watch))
        return int(not show(cluster, screen, timeout=options.timeout))


@dataclass(frozen=True, slots=True)
class _Look:
    """The result of one look at the nodes. `troubles`: why requested nodes are missing. `notes`: what is switched
    off."""

    lines: Sequence[NodeLine]
    scope: str
    troubles: Sequence[Finding]
    notes: Sequence[str] = ()

    @property
    def is_well(self) -> bool:
        return any(line.latency is not None and line.in_scope for line in self.lines)


def show(cluster: Cluster, screen: Screen, *, timeout: float) -> bool:
    """Show the nodes. True if one of them answers. `timeout`: seconds for each request."""
    with screen.waiting("asking the nodes"):
        look = _look(cluster, timeout)
    if screen.as_json:
        screen.document(_for_machines(look))
    else:
        _show(screen, look, cluster.name)
    return look.is_well


def watch(cluster: Cluster, screen: Screen, *, timeout: float, every: float) -> bool:
    """Show the nodes again and again, until Ctrl-C. True if a node answered in the last look."""
    look = _Look((), "", ())
    try:
        with screen.live() as show_lines:
            while True:
                look = _look(cluster, timeout)
                if screen.as_json:
                    screen.document({"time": round(time.time(), 3), **_for_machines(look)}, in_one_line=True)
                elif screen.is_live:
                    with screen.gathering() as lines:
                        _show_at(screen, look, cluster.name)
                    show_lines(lines)
                else:
                    _show_at(screen, look, cluster.name)
                    screen.line()
                time.sleep(every)
                cluster.refresh()
    except KeyboardInterrupt:
        pass
    if screen.is_live:
        _show_at(screen, look, cluster.name)
    return look.is_well


def _look(cluster: Cluster, timeout: float) -> _Look:
    answers = ping(cluster.core, timeout=timeout)
    lines = [NodeLine.of(node, answers.get(node.address, "not asked")) for node in cluster.nodes()]
    if cluster.config.process_number is None:
        # A random subset would belong to this command, and not to the process of an application.
        lines = [replace(line, in_subset=line.in_scope) for line in lines]
    scope = cluster.topology.scope
    is_complete = scope == cluster.config.routing_scope and any(line.in_scope for line in lines)
    missing = () if is_complete else troubles(cluster.core, timeout=timeout)
    return _Look(lines, str(scope), missing, _notes(cluster.config))


def _notes(config: ClusterConfig) -> list[str]:
    notes = [] if config.discovery.enabled else ["Discovery is switched off: these are the seeds."]
    return notes if config.health.enabled else [*notes, "Health checks are switched off: requests try each of them."]


def _show_at(screen: Screen, look: _Look, name: str) -> None:
    screen.line((time.strftime("%H:%M:%S"), DIM))
    _show(screen, look, name)


def _show(screen: Screen, look: _Look, name: str) -> None:
    show_nodes(screen, look.lines, look.scope)
    for note in look.notes:
        screen.paragraph(note, DIM)
    for finding in look.troubles:
        show_finding(screen, finding, name)


def _for_machines(look: _Look) -> dict[str, Any]:
    return {
        "scope": look.scope,
        "nodes": [_node_for_machines(line) for line in look.lines],
        "notes": list(look.notes),
        "findings": [asdict(finding) for finding in look.troubles],
    }


def _node_for_machines(line: NodeLine) -> dict[str, Any]:
    return {
        "address": line.address,
        "datacenter": line.datacenter,
        "rack": line.rack,
        "state": line.state,
        "in_scope": line.in_scope,
        "in_subset": line.in_subset,
        "latency_ms": None if line.latency is None else round(line.latency * 1000, 3),
        "error": line.note or None,
    }
