"""Requests that are interrupted in every way, for long: is a slot lost, and does a request fail afterwards?

python -m tests.chaos.slots [--seconds 60] [--only gevent,alarm] [--seed 7]

Each way to interrupt has an interpreter of its own (gevent patches it before anything else is imported), and all speak
to one embedded cluster here. Exit code 1: slots were lost, requests failed, or a way did not end. What the ways do is
in `interrupting`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

WAYS = ("gevent", "alarm", "async exception", "cancel")
_DELAYS = (0.003, 0.02)
"""Seconds: of the second node and the third. The first answers at once."""
_GRACE = 90.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.slots", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each way")
    parser.add_argument("--only", default="", help=f"ways, with commas, of: {', '.join(WAYS)}")
    parser.add_argument("--seed", type=int, default=None, help="of the random choices; one is picked and printed")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    if arguments.port is not None:
        return _be_client(arguments.only, arguments.port, arguments.seconds, seed)
    ways = [way.strip() for way in arguments.only.split(",") if way.strip()] or list(WAYS)
    unknown = set(ways) - set(WAYS)
    if unknown:
        parser.error(f"there is no way called {', '.join(sorted(unknown))}")
    return _run(ways, arguments.seconds, seed)


def _be_client(way: str, port: int, seconds: float, seed: int) -> int:
    if way == "gevent":
        from gevent import monkey

        monkey.patch_all()
    from tests import loopback

    from .interrupting import run

    loopback.install()
    print(json.dumps(run(way, port, seconds, seed)), flush=True)
    return 0


def _run(ways: Sequence[str], seconds: float, seed: int) -> int:
    print(f"seed {seed}: python -m tests.chaos.slots --seed {seed} --seconds {seconds:g}", flush=True)
    results = measure(ways, seconds, seed)
    print(f"\n{table(results)}")
    return 0 if all(map(is_good, results.values())) else 1


def measure(ways: Sequence[str], seconds: float, seed: int) -> dict[str, dict[str, Any]]:
    """The account of each way, for so many seconds each."""
    from pynamodb_alternator import Cluster, ClusterConfig
    from pynamodb_alternator.local import LocalCluster

    from .recording import RecordingEngine
    from .support import create_table

    results: dict[str, dict[str, Any]] = {}
    with LocalCluster(nodes=3, engine=RecordingEngine()) as local:
        with Cluster(ClusterConfig([local.nodes[0].host], port=local.port)) as cluster:
            create_table(cluster.client)
        for node, delay in zip(local.nodes[1:], _DELAYS, strict=True):
            node.delay(delay)
        for way in ways:
            results[way] = _client(way, local.port, seconds, seed)
            good = is_good(results[way])
            said = results[way].get("broken") or results[way]["examples"]
            print(f"{'ok  ' if good else 'FAIL'} interrupted by {way}", *([] if good else [said]), flush=True)
    return results


def _client(way: str, port: int, seconds: float, seed: int) -> dict[str, Any]:
    """The account of one way, from a process of its own."""
    command = [sys.executable, "-m", "tests.chaos.slots", "--only", way, "--port", str(port)]
    command += ["--seconds", str(seconds), "--seed", str(seed)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE)
    except subprocess.TimeoutExpired as late:
        said = late.stderr or b""
        return {"broken": f"it did not end: {said.decode() if isinstance(said, bytes) else said}"}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"broken": f"it ended with {done.returncode}: {done.stderr[-3000:]}"}
    account: dict[str, Any] = json.loads(lines[-1])
    return account


def is_good(account: dict[str, Any]) -> bool:
    """Whether no slot was lost, and no request failed."""
    return "broken" not in account and not (account["lost"] or account["failed afterwards"] or account["errors"])


def table(results: dict[str, dict[str, Any]]) -> str:
    """The account, as Markdown."""
    heads = ["requests", "interrupted", "errors", "lost", "failed afterwards"]
    lines = [f"| interrupted by | {' | '.join(heads)} |", "|---" + "|--:" * len(heads) + "|"]
    for way, account in results.items():
        cells = ["did not end"] * len(heads) if "broken" in account else [str(account[head]) for head in heads]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
