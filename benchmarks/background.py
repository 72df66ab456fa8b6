"""Measures the CPU of the background threads of a process that makes one request a second.

`python -m benchmarks.background PORT SETTLE SECONDS PAUSE` is such a process; it prints the used part of one core,
without the thread that makes the requests.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["LIGHT", "background"]

LIGHT = 1.0
"""Seconds between two requests of light use."""


def background(ports: list[int], *, settle: float, seconds: float, pause: float) -> list[float]:
    """For each cluster, the part of one core that the background threads use. The processes run at the same time.

    `settle`: seconds before it is measured. `pause`: between two requests.
    """
    root = Path(__file__).resolve().parent.parent
    commands = [
        [sys.executable, "-m", "benchmarks.background", *map(str, (port, settle, seconds, pause))] for port in ports
    ]
    processes = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    parts = []
    for process in processes:
        shown, trouble = process.communicate(timeout=settle + seconds + 60)
        if process.returncode:
            raise RuntimeError(f"The process that is measured failed:\n{trouble}")
        parts.append(float(shown))
    return parts


def _measure(port: int, settle: float, seconds: float, pause: float) -> None:
    from .contenders import GET, client_calls, our_cluster

    # Without token rings, which are read at most every minute.
    with our_cluster(port, tables=(), token_aware=False) as cluster:
        get = client_calls(cluster.client)[GET]
        get()
        _use(get, settle, min(pause, LIGHT))
        cpu, began = _of_other_threads(), time.perf_counter()
        _use(get, seconds, pause)
        print((_of_other_threads() - cpu) / (time.perf_counter() - began))


def _of_other_threads() -> float:
    return time.process_time() - time.thread_time()


def _use(get: Callable[[], Any], seconds: float, pause: float) -> None:
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        time.sleep(min(pause, left))
        if left > pause:
            get()


if __name__ == "__main__":
    _measure(int(sys.argv[1]), *map(float, sys.argv[2:]))
