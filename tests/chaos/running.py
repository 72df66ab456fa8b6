"""One scenario on a cluster of its own, and the table of what scenarios cost."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pynamodb_alternator import Cluster, ClusterConfig, Retries, Timeouts
from pynamodb_alternator.local import LocalCluster

from . import overwrite
from .chaos import Row
from .recording import RecordingEngine
from .scenarios import NAMED_SEED, SCENARIOS, freeze, names_known, no_dns
from .support import all_active, create_table, until
from .traffic import Traffic

READ_TIMEOUT = 3.0
"""Instead of 15 seconds, for the sake of those faults that only the read timeout ends: an answer that is announced to
be longer than it is."""
OVERWRITE = "overwrite"
NAMES = (*SCENARIOS, OVERWRITE)
"""All scenarios."""


def run(name: str, seconds: float, seed: int, *, retries: Retries | None = None) -> Row:
    """Run one scenario for about so many seconds. `retries`: other ones than the default."""
    rng = random.Random(f"{seed} {name}")
    with ExitStack() as stack:
        if name == OVERWRITE:
            return _overwrite(stack, seconds, rng, retries or Retries())
        local = stack.enter_context(LocalCluster(nodes=3, processes=SCENARIOS[name] is freeze))
        seeds = [local.nodes[0].host]
        if SCENARIOS[name] is no_dns:
            stack.enter_context(_names())
            names_known[NAMED_SEED] = local.nodes[0].host
            seeds = [NAMED_SEED]
        config = ClusterConfig(
            seeds,
            port=local.port,
            name=f"chaos: {name}",
            timeouts=Timeouts(read=READ_TIMEOUT),
            retries=retries or Retries(),
        )
        cluster = _cluster(stack, local, config)
        return Traffic(name, local, cluster, rng).run(SCENARIOS[name], seconds)


def _overwrite(stack: ExitStack, seconds: float, rng: random.Random, retries: Retries) -> Row:
    engine = RecordingEngine()
    local = stack.enter_context(LocalCluster(nodes=3, engine=engine, processes=True))
    config = ClusterConfig(
        [local.nodes[0].host],
        port=local.port,
        name=f"chaos: {OVERWRITE}",
        timeouts=Timeouts(read=overwrite.READ_TIMEOUT),
        health=overwrite.HEALTH,
        retries=retries,
    )
    cluster = _cluster(stack, local, config)
    return overwrite.Overwriting(OVERWRITE, local, cluster, rng, engine).run(overwrite.overwrite, seconds)


def _cluster(stack: ExitStack, local: LocalCluster, config: ClusterConfig) -> Cluster:
    """A cluster with a table, that knows all nodes."""
    cluster = stack.enter_context(Cluster(config))
    create_table(cluster.client)
    until(lambda: all_active(cluster, local), "all nodes active")
    return cluster


@contextmanager
def _names() -> Iterator[None]:
    """A name that is known as long as it is in `names_known`."""
    real = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == NAMED_SEED:
            if host not in names_known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = names_known[host]
        return real(host, *args, **kwargs)

    socket.getaddrinfo = lookup
    try:
        yield
    finally:
        socket.getaddrinfo = real
        names_known.clear()


def table(rows: list[Row]) -> str:
    """The account, as Markdown."""
    heads = [
        "scenario", "faults", "requests", "acknowledged writes", "lost", "applied twice", "errors", "outcome unknown",
        "slow per fault", "slow per thread", "longest", "found out", "recovered",
    ]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for row in rows:
        errors = f"{row.errors}" + (f" (+{row.excused})" if row.excused else "")
        cells = [
            row.scenario, row.faults, row.requests, row.acknowledged, row.lost, row.twice, errors, row.unknown,
            f"{row.slow / max(1, row.faults):.1f}", row.slow_per_thread, f"{row.longest:.2f} s",
            "" if row.detect is None else f"{row.detect:.2f} s", "" if row.recover is None else f"{row.recover:.2f} s",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
