"""Compares the CPU of operations in two checkouts of this project, which take turns.

`python -m benchmarks.compare PATH_OF_OTHER_CHECKOUT` (or `make compare OTHER=PATH`) runs this checkout and the other
one in turn, each time in a fresh process that sends to the same node of `benchmarks.node`. What counts is the least
CPU of all rounds: whatever else the machine did only adds to it. It ends with 1 if this checkout needs more than
`--most` times what the other one needs.

Both checkouts are measured by `benchmarks/compared.py` of this one, with the Python that runs it; of the other checkout
nothing is used but its package. So it may be an old one, as long as it has `Cluster`, `ClusterConfig` and `Model`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .node import PAGES, TABLE, running
from .one_core import on_one_core

__all__ = ["compare", "main"]

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = {
    "get": 2_000,
    "save": 2_000,
    "conditional update": 1_000,
    "batch write of 25": 500,
    "page of 100": 250,
    "page of 1,000": 40,
    "client get": 2_000,
}
"""For each operation, the number of calls in one round."""
Figures = dict[str, float]
"""Microseconds of CPU by operation."""


def compare(other: Path, rounds: int, calls: float, tell: Callable[[str], None]) -> tuple[Figures, Figures]:
    """The least CPU of each operation in this checkout and in `other`, which take turns for `rounds` rounds.

    `calls`: how many calls a round makes, relative to what `OPERATIONS` says. Raises RuntimeError if a checkout cannot
    be measured.
    """
    checkouts = {"this": ROOT, "other": other}
    least: dict[str, Figures] = {name: {} for name in checkouts}
    with on_one_core(), running(1) as (port,):
        for number in range(rounds):
            # The order alternates, because the checkout that runs second may find a warmer machine.
            for turn in ("this", "other") if number % 2 else ("other", "this"):
                figures = _in_fresh_process(checkouts[turn], port, calls)
                for name, cpu in figures.items():
                    least[turn][name] = min(cpu, least[turn].get(name, cpu))
                shown = ", ".join(f"{name} {cpu:.1f}" for name, cpu in figures.items())
                tell(f"round {number + 1}, {turn}: {shown}")
    return least["this"], least["other"]


def _in_fresh_process(checkout: Path, port: int, calls: float) -> Figures:
    counts = {name: max(1, int(count * calls)) for name, count in OPERATIONS.items()}
    job = {"checkout": str(checkout), "port": port, "table": TABLE, "pages": PAGES, "counts": counts}
    # Without this file's folder in the path: `benchmarks` of the other checkout may be another one.
    command = [sys.executable, "-P", str(Path(__file__).with_name("compared.py")), json.dumps(job)]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    environment["PYTHONPATH"] = str(checkout)  # before the package that is installed
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{checkout} cannot be measured:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout)
    return figures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("other", type=Path, help="the folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--calls", type=float, default=1.0, help="calls of a round, relative to the usual number")
    parser.add_argument("--most", type=float, default=1.03, help="the ratio that is still fine")
    chosen = parser.parse_args(arguments)
    other = chosen.other.resolve()
    if not (other / "pynamodb_alternator" / "__init__.py").is_file():
        parser.error(f"{chosen.other} is not a checkout of this project: it has no folder pynamodb_alternator")
    ours, theirs = compare(other, chosen.rounds, chosen.calls, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"CPU in µs, the least of {chosen.rounds} rounds")
    print(f"{'':<20}{'this':>10}{'other':>10}{'ratio':>8}")
    too_slow = []
    for name in OPERATIONS:
        ratio = ours[name] / theirs[name]
        print(f"{name:<20}{ours[name]:>10.1f}{theirs[name]:>10.1f}{ratio:>8.3f}")
        if ratio > chosen.most:
            too_slow.append(name)
    if too_slow:
        print(f"More than {chosen.most:g} times the CPU: {', '.join(too_slow)}")
    return 1 if too_slow else 0


if __name__ == "__main__":
    sys.exit(main())
