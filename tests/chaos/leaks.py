"""Many requests over nodes with faults, and what is left over afterwards: descriptors, threads, connections."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pynamodb_alternator import Cluster
from pynamodb_alternator.errors import OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster

from .support import all_active, descriptors, get, increment, until

_THREADS = 8


def use_and_count(local: LocalCluster, cluster: Cluster, requests: int) -> tuple[int, int]:
    """Make so many requests over nodes with faults; descriptors and threads that there are more of afterwards."""
    faults: list[Callable[[Any], Any]] = [
        lambda node: node.reset_mid_answer(),
        lambda node: node.truncate_answer(),
        lambda node: node.garbage_answer(),
        lambda node: node.cut_chunked(),
        lambda node: node.drop_request(),
        lambda node: node.drop_after_execute(),
        lambda node: node.wrong_content_length(-5),
        lambda node: node.fail_with("InternalServerError", times=1),
        lambda node: node.fail_with("RequestLimitExceeded", times=1),
        lambda node: node.close_idle_connections(),
    ]
    numbers = iter(range(requests))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            if number % 100 == 0:
                faults[number // 100 % len(faults)](local.nodes[number // 100 % 3])
            if number % 2_000 == 500:
                local.nodes[1].kill(still_listed=True)
            if number % 2_000 == 700:
                local.nodes[1].revive()
            try:
                if number % 10:
                    get(cluster.client, "k")
                else:
                    increment(cluster.client, "c")
            except OutcomeUnknownError:
                if number % 10:  # no increment
                    raise

    def run(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(work) for _ in range(threads)]:
                future.result(600)

    def settled() -> bool:
        return all_active(cluster, local)

    until(settled)
    gc.collect()
    # As many connections as there may be: each thread may have one to each node, and each end is ours.
    allowance = 2 * _THREADS * len(local.nodes)
    files, threads = descriptors(), threading.active_count()
    run(_THREADS)
    for node in local.nodes:
        node.clear_faults()
        node.revive()
    until(settled, "all nodes active again")
    gc.collect()
    open_now = sum(node.connections_open for node in cluster.stats().values())
    assert open_now <= _THREADS * len(local.nodes)
    assert sum(node.connections_in_use for node in cluster.stats().values()) == 0
    until(lambda: threading.active_count() <= threads + 1, "no more threads than before")
    until(lambda: descriptors() <= files + allowance, "no more descriptors than connections account for")
    for node in local.nodes:
        node.close_idle_connections()
    get(cluster.client, "k")
    return max(0, descriptors() - files - allowance), max(0, threading.active_count() - threads - 1)
