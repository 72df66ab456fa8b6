"""One configured seed as diagnostics see it: which addresses it stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ..settings import checks as settings
from ..settings.config import ClusterConfig
from ..topology.node import Node
from ..topology.seeds import host_and_port

__all__ = ["SeedReport", "look_at_seeds"]

_AT_ONCE = 8
"""Names that are resolved at the same time."""


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What is known of one seed.

    `seed`: as it is configured. `host`: without brackets. `is_name`: it had to be resolved. `nodes`: what it stands
    for. `error`: why it could not be resolved; a TimeoutError if there was no answer in time.
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
    """Resolve all seeds, within `timeout` seconds. A resolver that takes longer goes on in a thread of its own."""
    pool = ThreadPoolExecutor(_AT_ONCE, "pynamodb_alternator-check")
    try:
        resolving: dict[str, Future[Sequence[str]]] = {}
        for seed in config.seeds:
            host, _ = host_and_port(seed, config)
            if not settings.is_ip_address(host):
                resolving[seed] = pool.submit(resolve, host)
        deadline = time.monotonic() + timeout
        return tuple(_report(seed, config, resolving.get(seed), deadline) for seed in config.seeds)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _report(seed: str, config: ClusterConfig, resolving: Future[Sequence[str]] | None, deadline: float) -> SeedReport:
    host, port = host_and_port(seed, config)
    if resolving is None:
        return SeedReport(seed, host, port, is_name=False, nodes=(Node(config.scheme, host, port),))
    try:
        addresses = resolving.result(max(0.0, deadline - time.monotonic()))
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
        return SeedReport(seed, host, port, is_name=True, error=error)
    nodes = tuple(Node(config.scheme, address, port, server_name=host) for address in addresses)
    return SeedReport(seed, host, port, is_name=True, nodes=nodes)
