"""``make chaos``: all scenarios, for long; the table is printed, and kept in docs/reliability.md.

python -m tests.chaos [--seconds 20] [--seed 7] [--only kill,hang] [--requests 100000] [--slots 60] [--keep]
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import random
import sys
import time
from pathlib import Path

from pynamodb_alternator import Cluster, ClusterConfig, Health, Timeouts
from pynamodb_alternator.local import LocalCluster

from . import slots
from .chaos import Row
from .leaks import use_and_count
from .running import NAMES, run, table
from .support import all_active, create_table, put, until

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each scenario")
    parser.add_argument("--seed", type=int, default=None, help="of the random choices; one is picked and printed")
    parser.add_argument("--only", default="", help="names of scenarios, with commas")
    parser.add_argument("--requests", type=int, default=100_000, help="for the search for leaks; 0 leaves it out")
    parser.add_argument("--slots", type=float, default=60.0, help="seconds for each way to interrupt; 0: leave it out")
    parser.add_argument("--keep", action="store_true", help=f"keep the table in {PAGE.name}")
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.only.split(",") if name.strip()] or list(NAMES)
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    # It ends by itself, whatever happens.
    faulthandler.dump_traceback_later(
        300 + len(names) * (arguments.seconds + 90) + arguments.requests / 100 + 4 * (arguments.slots + 90), exit=True
    )
    logging.getLogger("pynamodb_alternator").setLevel(logging.ERROR)
    print(f"seed {seed}: python -m tests.chaos --seed {seed} --seconds {arguments.seconds:g}", flush=True)
    started = time.monotonic()
    rows: list[Row] = []
    for name in names:
        row = run(name, arguments.seconds, seed)
        rows.append(row)
        print(f"{'ok  ' if row.is_good else 'FAIL'} {name}", *row.examples, sep="\n     ", flush=True)
    leaked = _leaks(arguments.requests) if arguments.requests else None
    interrupted = slots.measure(slots.WAYS, arguments.slots, seed) if arguments.slots else {}
    lines = [table(rows), ""]
    if interrupted:
        lines += [slots.table(interrupted), ""]
    if leaked is not None:
        descriptors, threads = leaked
        lines.append(
            f"{arguments.requests:,} requests with faults left {descriptors} descriptors and {threads} threads over."
        )
    lines.append(
        f"Seed {seed}, {arguments.seconds:g} s for each scenario"
        + (f", {arguments.slots:g} s for each way to interrupt" if interrupted else "")
        + f"; it took {time.monotonic() - started:.0f} s. {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}."
    )
    text = "\n".join(lines)
    print(f"\n{text}")
    if arguments.keep:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    faulthandler.cancel_dump_traceback_later()
    all_held = all(map(slots.is_good, interrupted.values()))
    return 0 if all(row.is_good for row in rows) and leaked in (None, (0, 0)) and all_held else 1


def _leaks(requests: int) -> tuple[int, int]:
    with LocalCluster(nodes=3) as local:
        config = ClusterConfig(
            [local.nodes[0].host], port=local.port, timeouts=Timeouts(read=2.0), health=Health(probe_interval=0.1)
        )
        with Cluster(config) as cluster:
            create_table(cluster.client)
            put(cluster.client, "k")
            until(lambda: all_active(cluster, local))
            return use_and_count(local, cluster, requests)


if __name__ == "__main__":
    sys.exit(main())
