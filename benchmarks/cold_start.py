"""Measures the CPU of a new process until the first answer of its model, with the interpreter's start and all imports.

`python -m benchmarks.cold_start KIND PORT TABLE` is such a process; it prints seconds of CPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "OURS", "OURS_WITHOUT_THREADS", "STOCK", "cold_start"]

KINDS = STOCK, OURS, OURS_WITHOUT_THREADS = "stock", "ours", "ours, without threads"


def cold_start(kind: str, port: int, table: str) -> float:
    """Seconds of CPU of a fresh process, of all its threads."""
    # Compiled modules are cached, as in any deployment.
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "PYTHONDONT"))}
    command = [sys.executable, "-m", "benchmarks.cold_start", kind, str(port), table]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"The process of {kind} failed:\n{done.stderr}")
    return float(done.stdout)


def _first_get(kind: str, port: int, table: str) -> None:
    if kind == STOCK:
        from pynamodb.models import Model

        from .models import make_model, stock_meta

        make_model(Model, table, **stock_meta(port)).get("alice")
        print(time.process_time())
        return
    import pynamodb_alternator
    from pynamodb_alternator import Cluster, ClusterConfig, Credentials

    from .models import ACCESS, SECRET, make_model

    settings: dict[str, Any] = {"monitor": False} if kind == OURS_WITHOUT_THREADS else {}
    config = ClusterConfig("127.0.0.1", port=port, credentials=Credentials(ACCESS, SECRET), **settings)
    with Cluster(config) as cluster:
        make_model(pynamodb_alternator.Model, table, cluster=cluster).get("alice")
        print(time.process_time())


if __name__ == "__main__":
    _first_get(sys.argv[1], int(sys.argv[2]), sys.argv[3])
