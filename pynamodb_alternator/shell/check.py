"""``pynamodb-alternator check``: the doctor."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from typing import Any

from ..diagnostics import Finding, examine
from . import settings
from .screen import BAD, DIM, GOOD, HEAD, PLAIN, WARN, Screen

_LABELS = 24
_NARROW = 72


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


def run(given: argparse.Namespace) -> int:
    screen = Screen(as_json=given.json)
    findings: list[Finding] = []
    with settings.open_cluster(given) as cluster:
        answers = examine(cluster, timeout=given.timeout)
        while True:
            with screen.waiting("looking"):
                one = next(answers, None)
            if one is None:
                break
            findings.append(one)
            if not screen.as_json:
                _show(screen, one)
    counts = Counter(one.severity for one in findings)
    if screen.as_json:
        screen.document(
            {"findings": [asdict(one) for one in findings], "errors": counts["error"], "warnings": counts["warning"]}
        )
    else:
        _sum_up(screen, counts)
    return 1 if counts["error"] or (given.strict and counts["warning"]) else 0


def _show(screen: Screen, one: Finding) -> None:
    mark, style = {
        "ok": (screen.char("✓", "+"), GOOD),
        "warning": ("!", WARN),
        "error": (screen.char("✗", "x"), BAD),
    }[one.severity]
    label = one.id.replace("_", " ")
    arrow = screen.char("→", ">")
    text = one.message if one.subject in ("cluster", "") else f"{one.subject}: {one.message}"
    if screen.width < _NARROW:
        screen.line((f"{mark} ", style), (label, HEAD))
        indent = 4
        screen.paragraph(text, PLAIN, indent=indent)
    else:
        indent = _LABELS
        lead = f"{mark} {label}"
        screen.paragraph(text, PLAIN, first=(lead, style), indent=indent)
    if one.remedy:
        screen.paragraph(one.remedy, DIM, first=(" " * (indent - 2) + f"{arrow} ", style), indent=indent)


def _sum_up(screen: Screen, counts: Counter[Any]) -> None:
    def some(count: int, word: str) -> str:
        return f"{count or 'no'} {word}{'' if count == 1 else 's'}"

    style = BAD if counts["error"] else WARN if counts["warning"] else GOOD
    screen.line()
    screen.line((f"{counts['ok']} fine, {some(counts['warning'], 'warning')}, {some(counts['error'], 'error')}", style))
