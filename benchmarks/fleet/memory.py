"""The bytes that one client keeps for a large cluster."""

from __future__ import annotations

import gc
import tracemalloc

from pynamodb_alternator import ClusterConfig

from .client import Client, Load, simulated
from .cluster import NODE_PORT, Cluster
from .tally import Tally
from .wires import Network
from .world import World

__all__ = ["megabytes"]

_SECONDS = 20


def megabytes(nodes: int) -> float:
    """MB of one client that knows so many nodes, has probed the usual number of them, and makes few requests.

    It counts all objects that were made since the client's start and live 20 seconds later: its node list, health,
    rings, pools and plans. Another client is made before, because some objects are shared by all clients of a process.
    """
    cluster = Cluster(nodes)
    Network.running = Network(cluster, Tally(nodes, _SECONDS, 1.0))
    config = ClusterConfig(cluster.hosts[:3], port=NODE_PORT, token_aware=False)
    measured: list[int] = []

    def measure() -> None:
        gc.collect()
        measured.append(tracemalloc.get_traced_memory()[0])

    with simulated():
        for turn in range(2):
            world = World(turn)
            if turn:
                gc.collect()
                tracemalloc.start()
            client = Client(world, config, Load(rate=1.0, threads=1), 0.0)
            world.spawn(measure, at=_SECONDS - 0.5)
            try:
                world.run(_SECONDS)
            finally:
                tracemalloc.stop()
            del client
    return measured[-1] / 1e6
