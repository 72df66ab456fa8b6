"""``pynamodb-alternator check``: the doctor; with ``--models``, the check of models."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..diagnostics import Finding, examine
from ..errors import ConfigurationError
from . import check_models, settings
from .render import show_finding, show_total
from .screen import Screen

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..diagnostics.severities import FailLevel

__all__ = ["add", "run", "show"]


def add(commands: Any) -> None:
    command = commands.add_parser(
        "check",
        help="what is wrong between here and the cluster, or (--models) what your models will meet there",
        description="Looks at names, nodes, clocks, authentication, compression and tables, and changes nothing; with "
        "--models, at PynamoDB models and the code around them. "
        "Exit status: 0 without errors, 1 with errors (with --strict: with warnings too), 2 for a wrong option.",
    )
    settings.add(command)
    command.add_argument("--strict", action="store_true", help="count warnings as errors")
    check_models.add(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    options.json = _is_json(options)
    options.fail_level = _fail_level(options)
    if options.models:
        return check_models.run(options)
    for name in ("source", "ignore", "alias", "no_cluster"):
        if getattr(options, name):
            raise ConfigurationError(f"--{name.replace('_', '-')} is for the check of models. Add --models MODULE.")
    return _examine(options)


def _is_json(options: argparse.Namespace) -> bool:
    if options.json and options.format == "text":
        raise ConfigurationError("--json and --format text were both given. Leave one of them out.")
    return bool(options.json or options.format == "json")


def _fail_level(options: argparse.Namespace) -> str:
    if options.strict and options.fail_level not in (None, "warning"):
        raise ConfigurationError(f"--strict and --fail-level {options.fail_level} were both given. Leave out --strict.")
    return "warning" if options.strict else options.fail_level or "error"


def _examine(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    with settings.open_cluster(options, reads_rings=True) as cluster:
        return int(not show(cluster, screen, timeout=options.timeout, level=options.fail_level))


def show(cluster: Cluster, screen: Screen, *, timeout: float, level: FailLevel = "error") -> bool:
    """Show each finding of the doctor as soon as it comes. True if no finding is as severe as `level`.

    `timeout`: seconds for each request.
    """
    findings: list[Finding] = []
    coming = examine(cluster.core, timeout=timeout)
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
    fails = {"never": 0, "error": counts["error"]}.get(level, counts["error"] + counts["warning"])
    return not fails
