"""Long runs of the state machine: ``python -m tests.fuzz --seconds 600``.

A run that finds something prints its steps and its seed, and the next seed follows; the exit code is 1 then. To look
for the shortest run that fails: ``python -m tests.fuzz --only asyncio --seed 17 --seconds 1 --shrink``.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
import traceback

from tests import loopback

from .machine import MACHINES
from .running import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="in all")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--only", choices=MACHINES, help="users of one kind")
    parser.add_argument("--shrink", action="store_true", help="look for the shortest run that fails; it takes long")
    arguments = parser.parse_args()
    # It ends by itself, whatever happens.
    faulthandler.dump_traceback_later(arguments.seconds + (900 if arguments.shrink else 180), exit=True)
    loopback.install()
    kinds = [arguments.only] if arguments.only else list(MACHINES)
    end = time.monotonic() + arguments.seconds
    number, failed = arguments.seed, []
    while True:
        for kind in kinds:
            try:
                # So short that it is one seed.
                fuzz(kind, 1e-3, number, shrink=arguments.shrink)
            except Exception:
                failed.append(f"--only {kind} --seed {number}")
                traceback.print_exc()
        number += 1
        if time.monotonic() >= end:
            break
    print(f"{number - arguments.seed} seeds of each of {', '.join(kinds)}; failed: {', '.join(failed) or 'none'}")
    for kind in kinds:
        print(f"writes of {kind}: {MACHINES[kind].fates}")
    faulthandler.cancel_dump_traceback_later()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
