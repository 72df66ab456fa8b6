"""`make bench` measures all figures, in a few minutes. `python -m benchmarks --quick` only checks that everything runs.

`--write` writes the tables and the chart into docs/.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

from . import bars
from . import contenders as who
from .measure import Plan, measure_all
from .report import chart, tables

DOCS = Path(__file__).resolve().parent.parent / "docs"
FULL = Plan(rounds=9, slice_seconds=0.03, connect_rounds=2, start_rounds=7, models=(1, 50), reads=100, bars=bars.FULL)
QUICK = Plan(
    rounds=1, slice_seconds=0.002, connect_rounds=0.01, start_rounds=1, models=(1, 3), reads=5, bars=bars.QUICK
)
_BEGIN, _END = "<!-- begin: python -m benchmarks --write -->", "<!-- end -->"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only check that everything runs, in one short round")
    parser.add_argument("--write", action="store_true", help="write the tables and the chart into docs/")
    chosen = parser.parse_args(arguments)
    plan = QUICK if chosen.quick else FULL
    # The machine's own AWS settings must not change the figures.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    started, load = time.perf_counter(), os.getloadavg()[0]
    results = measure_all(plan, lambda what: print(f"... {what}", file=sys.stderr, flush=True))
    text = f"{_conditions(plan, load)}\n\n{tables(results)}"
    print(text)
    print(f"({time.perf_counter() - started:.0f} s)", file=sys.stderr)
    if chosen.write:
        _write(text, chart(results))
    return 0


def _conditions(plan: Plan, load: float) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in who.VERSIONS.items())
    return (
        f"Measured on {time.strftime('%Y-%m-%d')} with Python {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPUs (load average before the run: {load:.1f}, during it: "
        f"{os.getloadavg()[0]:.1f}); {versions}. The figures are medians of {plan.rounds} rounds, those of the bars "
        "minimums."
    )


def _write(text: str, drawn: str) -> None:
    page = DOCS / "benchmarks.md"
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n\n{text}\n{_END}{after}")
    (DOCS / "benchmarks.svg").write_text(drawn)


if __name__ == "__main__":
    sys.exit(main())
