"""The report on one configured seed: its addresses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ..settings import addresses
from ..settings.config import ClusterConfig
from ..topology.node import Node

__all__ = ["SeedReport", "look_at_seeds"]

_AT_ONCE = 8
"""The largest number of names that are resolved at the same time."""


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What is known of one seed.

    `seed`: as it is configured. `host`: without brackets. `is_name`: whether it had to be resolved. `nodes`: a node for
    each of its addresses. `error`: why it could not be resolved; a TimeoutError if there was no answer in time.
    """

    seed: str
    host: str
    port: int
    is_name: bool
    nodes: tuple[Node, ...] = ()
    error: Exception | None = None


def look_at_seeds(
    config: ClusterConfig, resolve: Callable[[str], Sequence[str]], timeout: float
) -> tuple[SeedReport, ...]:
    """Resolve all seeds, within `timeout` seconds. A look-up that takes longer continues in a thread of its own."""
    pool = ThreadPoolExecutor(_AT_ONCE, "pynamodb_alternator-check")
    try:
        resolving: dict[str, Future[Sequence[str]]] = {}
        seeds = tuple(zip(config.seeds, config.seed_addresses, strict=True))
        for seed, (host, _) in seeds:
            if not addresses.is_ip_address(host):
                resolving[seed] = pool.submit(resolve, host)
        deadline = time.monotonic() + timeout
        return tuple(
            _report(seed, host, port, config.scheme, resolving.get(seed), deadline) for seed, (host, port) in seeds
        )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _report(
    seed: str, host: str, port: int, scheme: str, resolving: Future[Sequence[str]] | None, deadline: float
) -> SeedReport:
    if resolving is None:
        return SeedReport(seed, host, port, is_name=False, nodes=(Node(scheme, host, port),))
    try:
        resolved = resolving.result(max(0.0, deadline - time.monotonic()))
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
        return SeedReport(seed, host, port, is_name=True, error=error)
    nodes = tuple(Node(scheme, address, port, server_name=host) for address in resolved)
    return SeedReport(seed, host, port, is_name=True, nodes=nodes)
