"""Measures what token awareness costs and saves: query plans with token rings, and reads from an embedded cluster.

The embedded cluster delays requests to a node that is not a replica of the key, as a hop to a replica would.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.topology.replicas import TokenRange, TokenRing, make_ring

from .node import TABLE

__all__ = ["HOPS", "LOOK_UP", "LOOK_UPS", "RINGS", "hops", "plans"]

RINGS = {"256 tablets": 256, "100,000 ranges": 100_000}
"""Token rings by their ranges; each has three replicas."""
LOOK_UP, LOOK_UPS = "replicas of a token", 10_000
"""The look-up of a token in the larger ring, and how many of them one call makes."""
HOPS = (0.0, 0.001, 0.002, 0.005)
"""Seconds that a hop to a replica takes."""
_NODES, _REPLICAS, _KEYS = 6, 3, 200

Calls = dict[str, Callable[[], Any]]


def plans(cluster: Any) -> Calls:
    """For each token ring: the query plan of a GetItem whose key was not met before, and the first of its nodes.

    And the look-up of tokens in the larger ring, which is a part of it.
    """
    cluster.register_table(TABLE, "key")
    nodes, view = cluster.topology.nodes, cluster.core.membership.view
    calls: Calls = {}
    for words, ranges in RINGS.items():
        table = f"{TABLE}-{ranges}"
        cluster.register_table(table, "key")
        ring = _ring(ranges, nodes)
        cluster.core.replicas.publish(table, ring)
        calls[words] = _plan(cluster, view, table)
        calls[LOOK_UP] = _look_up(ring, cluster.topology)
    return calls


def _look_up(ring: TokenRing, topology: Any) -> Callable[[], Any]:
    """Makes so many look-ups that other costs do not matter."""
    chance = random.Random(7)
    tokens = [chance.randrange(-(1 << 63), 1 << 63) for _ in range(LOOK_UPS)]

    def look_up() -> Any:
        nodes: Any = ()
        for token in tokens:
            nodes = ring.nodes(token, topology)
        return nodes

    return look_up


def _plan(cluster: Any, view: Any, table: str) -> Callable[[], Any]:
    router = cluster.core.environment.router
    requests = itertools.cycle([{"TableName": table, "Key": {"key": {"S": f"user-{n}"}}} for n in range(10_000)])

    def plan() -> Any:
        plan = router.plan("GetItem", next(requests), view, token_aware=True)
        assert plan.policy == "replica"
        return next(plan.order(view))

    return plan


def _ring(ranges: int, nodes: Any) -> TokenRing:
    chance = random.Random(7)
    step = (1 << 64) // ranges
    bounds = [None, *(step * number - (1 << 63) for number in range(1, ranges)), None]
    rows = (
        TokenRange(start, end, (node.host, node.port))
        for start, end in itertools.pairwise(bounds)
        for node in chance.sample(nodes, _REPLICAS)
    )
    ring = make_ring(rows, 0.0)
    assert ring is not None
    assert len(ring) == ranges
    return ring


def hops(rounds: int, requests: int) -> dict[float, tuple[float, float]]:
    """For each time that a hop takes: the mean time of a read of one item, without token awareness and with it.

    Both take turns in each of the rounds, and the median of the rounds counts. In seconds.
    """
    return {seconds: _reads(seconds, rounds, requests) for seconds in HOPS}


def _reads(hop: float, rounds: int, requests: int) -> tuple[float, float]:
    with (
        LocalCluster(nodes=_NODES, replication_factor=_REPLICAS, hop_delay=hop) as local,
        Cluster(f"{local.url}/?token_aware=false") as blind,
        Cluster(f"{local.url}/?token_aware=true") as aware,
    ):
        blind.client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        keys = itertools.cycle([{"key": {"S": f"user-{number}"}} for number in range(_KEYS)])
        for cluster in (blind, aware):
            cluster.register_table(TABLE, "key")
            cluster.route(TABLE, "user-0")  # which reads the token ring
            _mean(cluster.client, keys, 4 * _NODES)
        figures = [[_mean(cluster.client, keys, requests) for cluster in (blind, aware)] for _ in range(rounds)]
    without, with_ = (statistics.median(column) for column in zip(*figures, strict=True))
    return without, with_


def _mean(client: Any, keys: Any, requests: int) -> float:
    started = time.perf_counter()
    for _ in range(requests):
        client.get_item(TableName=TABLE, Key=next(keys))
    return (time.perf_counter() - started) / requests
