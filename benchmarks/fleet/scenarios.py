"""The scenarios of a simulated fleet: the cluster, the clients and the events of each."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pynamodb_alternator import ClusterConfig
from pynamodb_alternator.routing.generator import first_below
from pynamodb_alternator.routing.hashing import key_hash
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.view import ring_order

from .client import HOT, TABLE, Client, Load, simulated
from .cluster import NODE_PORT, Cluster, Event, State
from .tally import Tally
from .wires import Network
from .world import World

__all__ = ["CLIENTS", "DEATH", "RETURN", "SCENARIOS", "SEEDS", "Scenario", "run"]

CLIENTS = 10_000
"""The number of clients in the fleet."""
DEATH, RETURN = 5.0, 60.0
"""Seconds after which a node dies, and after which it returns, in the scenario ``death``."""
SEEDS = 3
"""The clients are configured with at most so many seeds."""


class Scenario(NamedTuple):
    """One scenario. `simulated`: how many clients are simulated; each stands for its part of the fleet. `seconds`: the
    simulated time. `within`: seconds in which all clients start. `focus`: the nodes that the scenario is about.
    `called`: the name of these nodes. `settings`: the clients' settings that differ from the defaults."""

    name: str
    title: str
    words: str
    cluster: Callable[[], Cluster]
    seconds: int
    simulated: int
    load: Load = Load()
    focus: Sequence[int] = range(SEEDS)
    called: str = "seeds"
    within: float = 1.0
    settings: Mapping[str, Any] = {}


def run(scenario: Scenario, part: float = 1.0, seed: int = 1) -> Tally:
    """Run a scenario, and return what the nodes see. `part`: the part of the scenario's clients that is simulated."""
    cluster, count = scenario.cluster(), max(1, round(scenario.simulated * part))
    tally = Tally(cluster.size, scenario.seconds, CLIENTS / count)
    config = ClusterConfig(
        cluster.hosts[:SEEDS],
        port=NODE_PORT,
        **{"token_aware": False, "partition_keys": {TABLE: "id"}, **scenario.settings},
    )
    starts = random.Random(seed)
    Network.running = Network(cluster, tally)
    log = logging.getLogger("pynamodb_alternator")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with simulated():
            for number in range(count):
                world = World(seed * 1_000_003 + number)
                # Evenly spread, so that the starts of a sample are spread like those of the whole fleet.
                mine = config.replace(process_number=number * CLIENTS // count)
                client = Client(world, mine, scenario.load, scenario.within * (number + starts.random()) / count)
                world.run(scenario.seconds)
                del client
    finally:
        log.setLevel(level)
    return tally


def _restarts(nodes: Iterable[int], *, begin: float, every: float, lasts: float) -> list[Event]:
    """One node after another restarts: it disappears from the other nodes' lists, and later appears there again."""
    events = []
    for turn, node in enumerate(nodes):
        at = begin + turn * every
        events += [Event(at, [node], State.REFUSES, listed=False), Event(at + lasts, [node], State.UP)]
    return sorted(events, key=lambda event: event.at)


def _died() -> Cluster:
    return Cluster(3, [Event(DEATH, [1], State.REFUSES), Event(RETURN, [1], State.UP)])


def _rack_cut() -> Cluster:
    rack = list(range(0, 30, 3))
    return Cluster(30, [Event(10.0, rack, State.SILENT), Event(40.0, rack, State.UP)])


def _scaled() -> Cluster:
    return Cluster(30, [Event(10.0 + number - 3, [number], State.UP) for number in range(3, 30)], first=3)


def _coordinator_of_hot_key(size: int) -> int:
    cluster = Cluster(size)
    ring = ring_order(Node("http", host, NODE_PORT) for host in cluster.hosts)
    return cluster.number[ring[first_below(key_hash("S", HOT), size)].host]


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "start",
        "All clients start, 100 nodes",
        "10,000 clients start within one second, on 100 nodes.",
        lambda: Cluster(100),
        60,
        300,
        Load(rate=5.0),
    ),
    Scenario(
        "start-1000",
        "All clients start, 1,000 nodes",
        "10,000 clients start within one second, on 1,000 nodes.",
        lambda: Cluster(1000),
        10,
        80,
        Load(rate=5.0),
    ),
    Scenario(
        "start-subset",
        "All clients start, 100 nodes, subset=8",
        "10,000 clients with subset=8 start within one second, on 100 nodes.",
        lambda: Cluster(100),
        30,
        300,
        Load(rate=5.0),
        settings={"subset": 8},
    ),
    Scenario(
        "death",
        "A node dies and returns",
        "One of three nodes refuses connections from second 5 to second 60, and the others go on listing it.",
        _died,
        90,
        500,
        Load(rate=10.0),
        focus=(1,),
        called="the node",
    ),
    Scenario(
        "rack-cut",
        "A rack is cut off",
        "One rack of three, with 10 of 30 nodes, goes silent from second 10 to second 40.",
        _rack_cut,
        60,
        200,
        Load(rate=10.0),
        focus=range(0, 30, 3),
        called="the rack",
    ),
    Scenario(
        "rolling-restart",
        "A rolling restart",
        "The 12 nodes of a cluster restart one after another, each for 3 seconds of 5, and leave the list meanwhile.",
        lambda: Cluster(12, _restarts(range(12), begin=10.0, every=5.0, lasts=3.0)),
        75,
        200,
        Load(rate=10.0),
        focus=(6,),
        called="node 7",
    ),
    Scenario(
        "scale-out",
        "Three nodes become thirty",
        "A cluster of three nodes grows to 30, by one node each second from second 10 on.",
        _scaled,
        60,
        200,
        Load(rate=10.0),
        focus=range(3, 30),
        called="the new nodes",
    ),
    Scenario(
        "hot-key",
        "A hot key",
        "A tenth of the requests is for one key. Writes have affinity, and reads, one half, go to replicas. 30 nodes.",
        lambda: Cluster(30),
        20,
        100,
        Load(rate=10.0, writes=0.5, hot=0.1),
        focus=[_coordinator_of_hot_key(30)],
        called="coordinator",
        settings={"key_route_affinity": "any_write", "token_aware": True},
    ),
)
