"""The figures and the counts of all scenarios as text, and their places in the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .charts import Courses, chart, courses
from .figures import Figure
from .scenarios import SCENARIOS, Scenario
from .tally import HANDSHAKES, OWN_HANDSHAKES, PROBES, READINGS, REQUESTS, Tally

__all__ = ["by_node", "by_second", "figures_table", "load_before", "save_before", "write_charts", "write_table"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BEFORE = Path(__file__).with_name("before.json")
_BEGIN, _END = "<!-- begin: python -m benchmarks.fleet --write -->", "<!-- end -->"
_SHOWN = (READINGS, PROBES, OWN_HANDSHAKES, HANDSHAKES, REQUESTS)


def by_second(tally: Tally) -> str:
    """For each second and kind: the sum of all nodes, their mean, and the busiest node."""
    lines = ["  s " + "".join(f"{kind.replace('handshakes', 'hands.'):>36}" for kind in _SHOWN)]
    lines.append("    " + "".join(f"{'all':>14}{'mean':>11}{'busiest':>11}" for _ in _SHOWN))
    columns = [(tally.sum(kind), tally.mean(kind), tally.busiest(kind)) for kind in _SHOWN]
    for second in range(tally.seconds):
        cells = "".join(
            f"{total[second]:14,.0f}{mean[second]:11,.1f}{most[second]:11,.0f}" for total, mean, most in columns
        )
        lines.append(f"{second:3} {cells}")
    return "\n".join(lines)


def by_node(tally: Tally) -> Iterator[str]:
    """The counts of each node in each second, as lines of a CSV file."""
    yield ",".join(["second", "node", *_SHOWN])
    columns = [[tally.of_node(kind, node) for node in range(tally.nodes)] for kind in _SHOWN]
    for second in range(tally.seconds):
        for node in range(tally.nodes):
            counts = [column[node][second] for column in columns]
            if any(counts):
                yield ",".join([str(second), str(node), *(f"{count:.0f}" for count in counts)])


def figures_table(now: Mapping[str, Figure], before: Mapping[str, float]) -> str:
    """All figures, as a Markdown table."""
    rows = [["", "before", "now", "bar", "holds"]]
    for name, figure in now.items():
        past = before.get(name)
        rows.append(
            [
                figure.words,
                "" if past is None else _number(past) + figure.unit,
                _number(figure.value) + figure.unit,
                "" if figure.limit is None else f"≤ {_number(figure.limit)}{figure.unit}",
                "" if figure.limit is None else ("yes" if figure.holds else "NO"),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * (width - 1) + (":" if column else "-") for column, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(_padded(row, widths))} |" for row in (rows[0], rule, *rows[1:]))


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 and value != int(value) else f"{value:.4g}"


# ---- files -------------------------------------------------------------------------------------------------------


def load_before() -> dict[str, Any]:
    """The figures and curves of the version before, as `save_before` has written them."""
    if not _BEFORE.exists():
        return {"figures": {}, "courses": {}}
    before: dict[str, Any] = json.loads(_BEFORE.read_text())
    return before


def save_before(judged: Mapping[str, Figure], tallies: Mapping[str, Tally]) -> None:
    """Save a run as the run of the version before."""
    kept = {
        scenario.name: {
            panel: {name: [round(value, 1) for value in line] for name, line in list(lines.items())[:1]}
            for panel, lines in courses(scenario, tallies[scenario.name]).items()
        }
        for scenario in _run(tallies)
    }
    figures = {name: round(figure.value, 4) for name, figure in judged.items()}
    _BEFORE.write_text(json.dumps({"figures": figures, "courses": kept}, indent=None, separators=(",", ":")) + "\n")


def write_table(table: str) -> None:
    """Put the table into docs/scale.md."""
    page = DOCS / "scale.md"
    start, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, end = rest.partition(_END)
    page.write_text(f"{start}{_BEGIN}\n\n{table}\n\n{_END}{end}", encoding="utf-8")


def write_charts(tallies: Mapping[str, Tally], before: Mapping[str, Courses]) -> None:
    """Put a chart of each scenario that was run into docs/images/."""
    for scenario in _run(tallies):
        drawn = chart(scenario, courses(scenario, tallies[scenario.name]), before.get(scenario.name))
        (DOCS / "images" / f"scale-{scenario.name}.svg").write_text(drawn, encoding="utf-8")


def _run(tallies: Mapping[str, Tally]) -> list[Scenario]:
    return [scenario for scenario in SCENARIOS if scenario.name in tallies]
