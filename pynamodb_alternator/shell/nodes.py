"""``pynamodb-alternator nodes``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..diagnostics import ping
from . import settings
from .render import NodeLine, show_nodes
from .screen import Screen

if TYPE_CHECKING:
    from ..topology.node_info import NodeInfo


def add(commands: Any) -> None:
    command = commands.add_parser(
        "nodes",
        help="which nodes are in the cluster, where, and how fast they answer",
        description="Every node with its datacenter, rack, state and latency. Exit status 1 if none answers.",
    )
    settings.add(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    with settings.open_cluster(options) as cluster, screen.waiting("asking the nodes"):
        answers = ping(cluster.core, timeout=options.timeout)
        lines = [_line(node, answers.get(node.address, "not asked")) for node in cluster.nodes()]
        scope = str(cluster.topology.scope)
    if screen.as_json:
        screen.document({"scope": scope, "nodes": [_for_machines(line) for line in lines]})
    else:
        show_nodes(screen, lines, scope, good="answer")
    return 0 if any(line.latency is not None for line in lines) else 1


def _line(node: NodeInfo, answer: float | Exception | str) -> NodeLine:
    """The node, shown by whether it has just answered. This process has just started, so its own record of health says
    less."""
    if not isinstance(answer, float):
        return NodeLine(node.address, node.datacenter, node.rack, "down", node.in_scope, note=str(answer))
    line = replace(NodeLine.of(node), latency=answer)
    return line if node.condition == "set_aside" else replace(line, state="active", note="", start="")


def _for_machines(line: NodeLine) -> dict[str, Any]:
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
