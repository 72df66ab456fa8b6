"""`make fleet`: what a fleet of 10,000 clients costs a cluster, simulated, in less than two minutes.

`--write` writes the figures and charts into docs/ (with `--only`, only the charts). `--csv FOLDER` writes each node's
counts in each second.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .figures import figures
from .memory import megabytes
from .report import by_node, by_second, figures_table, load_before, save_before, write_charts, write_table
from .scenarios import SCENARIOS, run
from .tally import Tally

NAMES = [scenario.name for scenario in SCENARIOS]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, help="this scenario alone; may be repeated")
    parser.add_argument("--part", type=float, default=1.0, help="simulate this part of the clients (default: 1.0)")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers (default: 1)")
    parser.add_argument("--write", action="store_true", help="put the figures and the charts into docs/")
    parser.add_argument("--csv", type=Path, metavar="FOLDER", help="write each node's counts in each second")
    parser.add_argument("--save-before", action="store_true", help="keep this run as that of the version before")
    chosen = parser.parse_args(arguments)
    began = time.process_time()
    tallies: dict[str, Tally] = {}
    for scenario in SCENARIOS:
        if chosen.only and scenario.name not in chosen.only:
            continue
        tally = tallies[scenario.name] = run(scenario, chosen.part, chosen.seed)
        print(f"## {scenario.name}: {scenario.words}\n\n{by_second(tally)}\n", flush=True)
        if chosen.csv is not None:
            chosen.csv.mkdir(parents=True, exist_ok=True)
            (chosen.csv / f"{scenario.name}.csv").write_text("\n".join(by_node(tally)) + "\n")
    judged = figures(tallies, None if chosen.only else megabytes(1000))
    before = load_before()
    table = figures_table(judged, before["figures"])
    print(table)
    missed = sum(not figure.holds for figure in judged.values())
    print(f"\n{f'{missed} of the bars are missed.' if missed else 'All bars hold.'}")
    print(f"({time.process_time() - began:.0f} s of CPU)", file=sys.stderr)
    if chosen.save_before:
        save_before(judged, tallies)
    if chosen.write:
        write_charts(tallies, before["courses"])
        if not chosen.only:
            write_table(table)
    return 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of nodes in a set depends on this variable, and all runs must give the same result.
        os.execve(sys.executable, [*sys.orig_argv], {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main())
