"""``pynamodb-alternator check --models MODULE``: the check of models, and its output.

The document of ``--format json`` is described in docs/model-check.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..diagnostics.severities import FAIL_LEVELS
from ..errors import ConfigurationError
from . import settings
from .screen import BAD, DIM, GOOD, HEAD, PLAIN, WARN, Screen

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..diagnostics.models import ModelFinding, ModelReport

__all__ = ["add", "document_of", "run", "show_report"]

_MOST_LINES = 10
"""The most findings of one rule that are shown as text. A document has all of them."""
_MARKS: Final = {"error": ("✗", "x", BAD), "warning": ("!", "!", WARN), "note": ("·", "-", DIM)}
_VERSION = 1
"""The version of the document. It is raised when a name in it changes its meaning or is removed."""


def add(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group(
        "models",
        "With --models the check is about PynamoDB models, and the code around them. It imports the modules, which "
        "runs them. The cluster may be left out.",
    )
    group.add_argument(
        "--models",
        nargs="+",
        action="extend",
        metavar="MODULE",
        help="what will behave differently on Alternator in the models of these modules, such as shop.models",
    )
    group.add_argument(
        "--source", nargs="+", action="extend", default=[], metavar="PATH", help="search these files or folders as well"
    )
    group.add_argument(
        "--ignore",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="accept the findings of this name, or those of one model: NAME:shop.models.Order",
    )
    group.add_argument(
        "--alias", metavar="ALIAS", help="compare only the models of this cluster: default, or what Meta.cluster says"
    )
    group.add_argument("--no-cluster", action="store_true", help="look at no cluster, even if ALTERNATOR_URL is set")
    command.add_argument(
        "--fail-level",
        choices=FAIL_LEVELS,
        help="from which severity on the exit status is 1 (default error; --strict means warning)",
    )
    command.add_argument("--format", choices=("text", "json"), help="json is --json")


def run(options: argparse.Namespace) -> int:
    """Check the models that the options name. Returns the exit status."""
    from ..diagnostics.models import Ignored, importable_here  # here, because the other commands do not need it

    screen = Screen(as_json=options.json)
    ignored = Ignored.of(options.ignore)
    with importable_here(), _cluster(options) as cluster, screen.waiting("looking"):
        from ..orm.model_check import check_models  # here, because the other commands do not need PynamoDB

        report = check_models(
            options.models,
            sources=[Path(path) for path in options.source],
            cluster=cluster,
            alias=options.alias,
            ignored=ignored,
        )
    show_report(screen, report, how_to_compare="Add --url to compare them.")
    return int(report.fails(options.fail_level))


@contextlib.contextmanager
def _cluster(options: argparse.Namespace) -> Iterator[Cluster | None]:
    if options.no_cluster and options.url is not None:
        raise ConfigurationError("--no-cluster and --url were both given. Leave one of them out.")
    if options.no_cluster or (options.url is None and not os.environ.get("ALTERNATOR_URL")):
        if options.alias is not None:
            raise ConfigurationError("--alias chooses what is compared with a cluster. Add --url, or leave it out.")
        yield None
        return
    with settings.open_cluster(options) as cluster:
        yield cluster


# ---- as text -----------------------------------------------------------------------------------------------------


def show_report(screen: Screen, report: ModelReport, *, how_to_compare: str) -> None:
    """The report, as text or as a document. `how_to_compare`: options that compare the models with a cluster."""
    if screen.as_json:
        screen.document(document_of(report))
        return
    for _, findings in groupby(report.findings, key=lambda finding: (finding.id, finding.severity, finding.remedy)):
        _show_findings(screen, list(findings), {model.name for model in report.models})
        screen.line()
    _show_total(screen, report)
    if not report.compared:
        text = f"Without a cluster: its tables, indexes and write isolation were not looked at. {how_to_compare}"
        screen.paragraph(text, DIM)


def _show_findings(screen: Screen, findings: Sequence[ModelFinding], models: set[str]) -> None:
    """The findings of one rule, with their remedy."""
    first = findings[0]
    character, instead, style = _MARKS[first.severity]
    screen.line((f"{screen.char(character, instead)} ", style), (first.id, HEAD), (f" ({first.severity})", DIM))
    screen.paragraph(first.message, PLAIN, indent=2)
    for finding in findings[:_MOST_LINES]:
        screen.paragraph(_line_of(finding, models), PLAIN, indent=4)
    if len(findings) > _MOST_LINES:
        screen.paragraph(f"and {len(findings) - _MOST_LINES} more: --format json has all of them", DIM, indent=4)
    screen.paragraph(first.remedy, DIM, first=(screen.char("→", ">"), style), indent=2)


def _line_of(finding: ModelFinding, models: set[str]) -> str:
    if finding.subject not in models:
        return f"{finding.position or finding.subject}: {finding.detail}"
    where = f" ({finding.position})" if finding.position else ""
    return f"{finding.subject}{where}: {finding.detail}"


def _show_total(screen: Screen, report: ModelReport) -> None:
    counts = ", ".join(
        f"{count or 'no'} {word}{'' if count == 1 else 's'}"
        for word, count in (("error", report.count("error")), ("warning", report.count("warning")))
    )
    notes = report.count("note")
    style = BAD if report.count("error") else WARN if report.count("warning") else GOOD
    text = f"{_some(len(report.models), 'model')} and {_some(report.files, 'source file')}: {counts}"
    text += f", {_some(notes, 'note')}" if notes else ""
    text += f" ({report.ignored} ignored)" if report.ignored else ""
    screen.paragraph(text, style)


def _some(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


# ---- as a document ------------------------------------------------------------------------------------------------


def document_of(report: ModelReport) -> dict[str, Any]:
    """The report as a document for ``--format json``."""
    return {
        "version": _VERSION,
        "models": [
            {"name": model.name, "table": model.table_name, **_position(model.position)} for model in report.models
        ],
        "files": report.files,
        "compared": report.compared,
        "findings": [
            {
                "id": finding.id,
                "severity": finding.severity,
                "subject": finding.subject,
                "detail": finding.detail,
                "message": finding.message,
                "remedy": finding.remedy,
                **_position(finding.position),
            }
            for finding in report.findings
        ],
        "errors": report.count("error"),
        "warnings": report.count("warning"),
        "notes": report.count("note"),
        "ignored": report.ignored,
    }


def _position(position: Any) -> dict[str, Any]:
    return {"file": None, "line": None} if position is None else {"file": position.file, "line": position.line}
