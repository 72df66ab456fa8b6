"""``pynamodb-alternator check``: the doctor."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from typing import Any

from ..diagnostics import Finding, examine
from . import settings
from .render import show_finding, show_total
from .screen import Screen


def add(commands: Any) -> None:
    command = commands.add_parser(
        "check",
        help="what is wrong between here and the cluster, and what to do about it",
        description="Looks at names, nodes, clocks, authentication, compression and tables, and changes nothing. "
        "Exit status: 0 without errors, 1 with errors (with --strict: with warnings too), 2 for a wrong option.",
    )
    settings.add(command)
    command.add_argument("--strict", action="store_true", help="count warnings as errors")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    findings: list[Finding] = []
    with settings.open_cluster(options, reads_rings=True) as cluster:
        coming = examine(cluster.core, timeout=options.timeout)
        while True:
            with screen.waiting("looking"):
                finding = next(coming, None)
            if finding is None:
                break
            findings.append(finding)
            if not screen.as_json:
                show_finding(screen, finding, cluster.name)
    counts = Counter(finding.severity for finding in findings)
    if screen.as_json:
        documents = [asdict(finding) for finding in findings]
        screen.document({"findings": documents, "errors": counts["error"], "warnings": counts["warning"]})
    else:
        show_total(screen, findings)
    return 1 if counts["error"] or (options.strict and counts["warning"]) else 0
