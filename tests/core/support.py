"""The inside of a cluster, as its room's tests use it."""

from __future__ import annotations

import time
import weakref
from typing import Any

from pynamodb_alternator.core.cluster_core import ClusterCore
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.node import Node
from tests.topology.fakes import FakeNetwork

N1, N2 = "127.0.0.1", "127.0.0.2"


class Owner:
    """What stands for a `Cluster`. It has no client: such tests send no requests."""

    @property
    def client(self) -> Any:
        raise AssertionError("no request is sent here")


class Inside:
    """The inside of a cluster over a fake network of two nodes. `owner`: what stands for the `Cluster`."""

    def __init__(self, owner: Any, config: ClusterConfig) -> None:
        self.network = FakeNetwork(**{N1: ("dc1", "r1"), N2: ("dc1", "r2")})
        self.owner = owner
        self.core = ClusterCore(config, weakref.ref(owner), network=self.network)

    def request(self, total: float | None = None) -> None:
        """What a request does before it is routed."""
        self.core.prepare(time.monotonic(), total)

    def make_stale(self) -> None:
        """Have the next request read the node list, where there is no monitor."""
        self.core.membership.last_read = None

    def state(self, host: str) -> State:
        return next(node.state for node in self.core.membership.nodes() if node.address == f"{host}:8000")

    def node(self, host: str) -> Node:
        return Node("http", host, 8000)
