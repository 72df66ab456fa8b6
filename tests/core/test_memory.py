"""What a client of a large cluster keeps in memory."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from typing import Any

import pytest

from pynamodb_alternator.core.cluster_core import ClusterCore
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.topology.discovery import READINGS_PER_LOOK_OUTSIDE
from tests.topology.fakes import FakeNetwork

from .support import Owner

NAMES = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(1000)]
RACK = RackScope("dc1", "r1", DatacenterScope("dc1", ClusterScope()))


def in_full_use(owner: Owner, network: FakeNetwork, **settings: Any) -> ClusterCore:
    """A core that has read the list often, has sent requests to all nodes, and has seen answers of some fail."""
    config = ClusterConfig(NAMES[:3], monitor=False, **settings)
    core = ClusterCore(config, weakref.ref(owner), network=network)
    membership = core.membership
    membership.begin()
    for _ in range(2):
        for _ in range(READINGS_PER_LOOK_OUTSIDE + 2):
            assert membership.refresh()
        for node in membership.view.unproven:
            membership.probe(node, 1.0)
    nodes = membership.view.topology.nodes
    for node in nodes:
        core.counts[node.address].answers += 1
        core.pools._pool(node)  # as its first request makes one
        if core.loads is not None:
            core.loads.failed(node, "GetItem")
    for node in nodes[:3]:
        membership.answer_failed(node, "status 503")
    return core


@pytest.mark.parametrize(
    "settings",
    [{}, {"routing_scope": RACK}, {"load_balancing": "least_busy"}, {"scheme": "https"}],
    ids=["cluster", "rack", "least-busy", "https"],
)
def test_a_thousand_nodes_take_less_than_three_megabytes(settings: dict[str, Any]) -> None:
    """Without open connections, which are as many as requests at once have needed."""
    network = FakeNetwork(**{name: ("dc1", f"r{number % 3}") for number, name in enumerate(NAMES)})
    owner = Owner()
    in_full_use(owner, network, **settings)  # what the process keeps for all clusters
    network.log.clear()
    gc.collect()
    tracemalloc.start()
    try:
        core = in_full_use(owner, network, **settings)
        network.log.clear()
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(core.membership.view.topology.ring) == 1000
    assert taken < 3_000_000
