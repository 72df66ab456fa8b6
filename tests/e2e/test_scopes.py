"""Routing scopes over real sockets: which nodes get the requests, and what is said when that changes."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.errors import ConfigurationError, NodeUnreachableError, NoNodesAvailableError
from pynamodb_alternator.local import LocalCluster, LocalNode
from pynamodb_alternator.settings.scopes import Scope
from pynamodb_alternator.settings.values import Discovery, Health

from .conftest import Recorder
from .support import is_active

QUICK = {
    "discovery": Discovery(interval=0.05, timeout=1.0, scope_restore_after=0.2),
    "health": Health(probe_interval=0.05, probe_timeout=0.5),
}


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    """Nodes 0 and 1 in rack r1 of dc1, 2 and 3 in its rack r2, 4 and 5 in dc2."""
    with LocalCluster(racks={"dc1": {"r1": 2, "r2": 2}, "dc2": {"r1": 2}}) as cluster:
        yield cluster
    assert not cluster.failures


def connect(local: LocalCluster, scope: Scope, seeds: Iterable[LocalNode] = (), **settings: Any) -> Cluster:
    hosts = [node.host for node in seeds or local.nodes]
    return Cluster(ClusterConfig(hosts, port=local.port, routing_scope=scope, **{**QUICK, **settings}))


def used(cluster: Cluster, recorder: Recorder) -> list[str]:
    """The nodes to which a dozen requests go, which all succeed."""
    recorder.clear()
    for _ in range(12):
        cluster.client.list_tables()
    return sorted({event["node"] for event in recorder.of("request_routed")})


def addresses(nodes: Iterable[LocalNode]) -> list[str]:
    return sorted(node.address for node in nodes)


def until(condition: Callable[[], bool], cluster: Cluster, timeout: float = 10.0) -> None:
    """Make requests until something is so: a cluster in use keeps its node list up to date."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, (cluster, cluster.nodes())
        # A request may give up that began before half of the cluster died: it has only so many cycles.
        with contextlib.suppress(NodeUnreachableError, NoNodesAvailableError):
            cluster.client.list_tables()


def changes(recorder: Recorder) -> list[tuple[str, str, str, str]]:
    return [
        (name, event["from_scope"], event["to_scope"], event["reason"])
        for name, event in list(recorder.events)
        if name in ("scope_fallback", "scope_restored")
    ]


@pytest.mark.parametrize(
    ("scope", "members"),
    [
        (RackScope("dc1", "r1"), (0, 1)),
        (RackScope("dc1", "r2"), (2, 3)),
        (DatacenterScope("dc1"), (0, 1, 2, 3)),
        (DatacenterScope("dc2"), (4, 5)),
        (ClusterScope(), (0, 1, 2, 3, 4, 5)),
        # Unknown names fall back at once.
        (RackScope("dc1", "r9", fallback=DatacenterScope("dc2")), (4, 5)),
        (DatacenterScope("nowhere", fallback=RackScope("dc9", "r1", fallback=ClusterScope())), (0, 1, 2, 3, 4, 5)),
    ],
    ids=str,
)
def test_requests_stay_in_the_scope(
    local: LocalCluster, recorder: Recorder, scope: Scope, members: tuple[int, ...]
) -> None:
    with connect(local, scope) as cluster:
        assert used(cluster, recorder) == addresses(local.nodes[number] for number in members)
        assert recorder.of("affinity_fallback") == []


def test_seeds_of_one_datacenter_find_the_nodes_of_another(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local, DatacenterScope("dc2"), seeds=local.nodes[:1]) as cluster:
        assert used(cluster, recorder) == addresses(local.nodes[4:])


def test_down_a_chain_and_up_again(local: LocalCluster, recorder: Recorder) -> None:
    chain = RackScope("dc1", "r1", fallback=RackScope("dc1", "r2", fallback=DatacenterScope("dc2")))
    r1, r2, dc2 = "rack r1 of datacenter dc1", "rack r2 of datacenter dc1", "datacenter dc2"
    with connect(local, chain) as cluster:
        assert used(cluster, recorder) == addresses(local.nodes[:2])

        local.nodes[0].kill()
        until(lambda: bool(recorder.of("node_down")), cluster)
        assert used(cluster, recorder) == addresses(local.nodes[1:2])
        assert changes(recorder) == []  # one node of the rack is left

        recorder.clear()
        local.nodes[1].kill()
        until(lambda: bool(changes(recorder)), cluster)
        assert changes(recorder) == [("scope_fallback", r1, r2, "no_usable_node")]
        assert cluster.topology.scope == chain.fallback
        assert used(cluster, recorder) == addresses(local.nodes[2:4])

        for node in local.nodes[2:4]:
            node.kill()
        until(lambda: bool(changes(recorder)), cluster)
        assert changes(recorder) == [("scope_fallback", r2, dc2, "no_usable_node")]
        assert used(cluster, recorder) == addresses(local.nodes[4:])

        local.nodes[3].revive()
        until(lambda: bool(changes(recorder)), cluster)
        assert changes(recorder) == [("scope_fallback", dc2, r2, "usable_again")]
        assert used(cluster, recorder) == addresses(local.nodes[3:4])

        recorder.clear()
        local.nodes[0].revive()
        until(lambda: bool(changes(recorder)), cluster)
        assert changes(recorder) == [("scope_restored", r2, r1, "usable_again")]
        assert used(cluster, recorder) == addresses(local.nodes[:1])
        event = recorder.of("scope_restored")
        assert all(payload["sender"] is cluster and payload["cluster_name"] == "default" for payload in event)


def test_a_whole_chain_is_skipped_at_once(local: LocalCluster, recorder: Recorder) -> None:
    chain = RackScope("dc1", "r1", fallback=DatacenterScope("dc1", fallback=ClusterScope()))
    with connect(local, chain) as cluster:
        used(cluster, recorder)
        for node in local.nodes[:4]:
            node.kill()
        until(lambda: cluster.topology.scope == ClusterScope(), cluster)
        assert used(cluster, recorder) == addresses(local.nodes[4:])
        for node in local.nodes[:4]:
            node.revive()
        until(lambda: cluster.topology.scope == chain, cluster)
        # Not through the middle of the chain if that came back at the same time, or through it, but never astray.
        assert used(cluster, recorder) == addresses(local.nodes[:2])


def test_a_preferred_scope_that_has_just_come_back_is_not_used_yet(local: LocalCluster, recorder: Recorder) -> None:
    chain = RackScope("dc1", "r1", fallback=RackScope("dc1", "r2"))
    with connect(local, chain, discovery=Discovery(interval=0.05, scope_restore_after=600.0)) as cluster:
        used(cluster, recorder)
        for node in local.nodes[:2]:
            node.kill()
        until(lambda: bool(changes(recorder)), cluster)
        for _ in range(2):
            recorder.clear()
            local.nodes[0].revive()
            until(lambda: is_active(cluster, local.nodes[0]), cluster)
            assert used(cluster, recorder) == addresses(local.nodes[2:4])
            assert changes(recorder) == []
            local.nodes[0].kill()
            until(lambda: not is_active(cluster, local.nodes[0]), cluster)
        # A better scope is not waited for when the one in use is gone.
        local.nodes[0].revive()
        until(lambda: is_active(cluster, local.nodes[0]), cluster)
        recorder.clear()
        for node in local.nodes[2:4]:
            node.kill()
        until(lambda: bool(changes(recorder)), cluster)
        assert [change[0] for change in changes(recorder)] == ["scope_restored"]
        assert used(cluster, recorder) == addresses(local.nodes[:1])


def test_an_empty_list_moves_on(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local, RackScope("dc1", "r1", fallback=DatacenterScope("dc2"))) as cluster:
        used(cluster, recorder)
        for node in local.nodes[:2]:
            node.leave()
        until(lambda: bool(changes(recorder)), cluster)
        assert used(cluster, recorder) == addresses(local.nodes[4:])
        for node in local.nodes[:2]:
            node.join()
        until(lambda: bool(recorder.of("scope_restored")), cluster)
        assert used(cluster, recorder) == addresses(local.nodes[:2])


@pytest.mark.parametrize("lie", [b"<html>", b"{}", b"[17, null]"])
def test_who_answers_nonsense_is_not_believed(local: LocalCluster, recorder: Recorder, lie: bytes) -> None:
    for node in local.nodes[:2]:
        node.lie(lie)
    with connect(local, RackScope("dc1", "r1", fallback=ClusterScope())) as cluster:
        until(lambda: cluster.topology.scope.rack == "r1", cluster)
        recorder.clear()
        recorder.wait_for("topology_refreshed")
        assert used(cluster, recorder) == addresses(local.nodes[:2])
        assert changes(recorder) == []


def test_the_last_list_stays_if_no_node_answers(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local, RackScope("dc1", "r1", fallback=ClusterScope())) as cluster:
        used(cluster, recorder)
        for node in local.nodes:
            node.fail_with("InternalServerError", operation="/localnodes")
        until(lambda: len(recorder.of("discovery_failed")) >= 2, cluster)
        assert used(cluster, recorder) == addresses(local.nodes[:2])
        assert changes(recorder) == []


def test_a_strict_scope_fails_without_its_nodes(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local, RackScope("dc1", "r1")) as cluster:
        used(cluster, recorder)
        for node in local.nodes[:2]:
            node.kill()

        until(lambda: bool(recorder.of("no_nodes_available")), cluster)
        with pytest.raises(NoNodesAvailableError, match="rack r1 of datacenter dc1"):
            cluster.client.list_tables()
        assert recorder.of("no_nodes_available")[-1]["scope"] == "rack r1 of datacenter dc1"
        assert changes(recorder) == []
        assert {event["node"] for event in recorder.of("request_routed")} == set(addresses(local.nodes[:2]))
        recorder.clear()
        local.nodes[1].revive()
        recorder.wait_for("node_up", node=local.nodes[1].address)
        assert used(cluster, recorder) == addresses(local.nodes[1:2])


@pytest.mark.parametrize("scope", [RackScope("dc1", "r9"), RackScope("dc9", "r1"), DatacenterScope("dc9")], ids=str)
def test_a_strict_scope_that_does_not_exist(local: LocalCluster, recorder: Recorder, scope: Scope) -> None:
    """No node outside the scope gets a request. The error names the scope."""
    with connect(local, scope) as cluster:
        with pytest.raises(NoNodesAvailableError, match=str(scope)):
            cluster.client.list_tables()
        assert recorder.of("request_routed") == []


@pytest.mark.parametrize("make", [
    lambda: DatacenterScope(""), lambda: DatacenterScope("  "), lambda: RackScope("dc1", ""),
    lambda: RackScope("", "r1"), lambda: RackScope("dc1", None),  # type: ignore[arg-type]
    lambda: DatacenterScope("dc1", fallback="cluster"),  # type: ignore[arg-type]
])  # fmt: skip
def test_scopes_that_cannot_be(make: Callable[[], Scope]) -> None:
    with pytest.raises(ConfigurationError, match="Scope: "):
        make()


def test_the_cluster_scope_unites_the_datacenters_of_its_seeds(local: LocalCluster, recorder: Recorder) -> None:
    """A node without ``dc`` in the question tells its own datacenter only."""
    with connect(local, ClusterScope(), seeds=[local.nodes[0]]) as cluster:
        assert used(cluster, recorder) == addresses(local.nodes[:4])
    with connect(local, ClusterScope(), seeds=[local.nodes[1], local.nodes[5]]) as cluster:
        assert used(cluster, recorder) == addresses(local.nodes)
        groups = {frozenset(node.address for node in group) for group in cluster.topology.datacenters}
        assert groups == {frozenset(addresses(local.nodes[:4])), frozenset(addresses(local.nodes[4:]))}
        # It goes on without its seeds, and hears of what changes in either datacenter.
        local.nodes[1].kill()
        local.nodes[5].kill()
        local.nodes[2].leave()
        until(lambda: len(cluster.topology.ring) == 3, cluster)
        local.nodes[2].join()
        local.nodes[5].revive()
        until(lambda: len(cluster.topology.ring) == 5, cluster)


@pytest.mark.parametrize("scope", [DatacenterScope("dc1"), RackScope("dc1", "r1", fallback=ClusterScope())], ids=str)
def test_a_server_that_knows_no_scopes_is_reported_once(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, scope: Scope
) -> None:
    with (
        LocalCluster(racks={"dc1": {"r1": 2, "r2": 2}}, version="2024.2") as local,
        caplog.at_level(logging.WARNING, "pynamodb_alternator"),
        connect(local, scope) as cluster,
    ):
        assert used(cluster, recorder) == addresses(local.nodes)
        until(lambda: len(recorder.of("topology_refreshed")) >= 5, cluster)
        told = [record.getMessage() for record in caplog.records if "2025.1" in record.getMessage()]
        assert len(told) == 1
        assert str(scope) in told[0]


def test_a_server_that_knows_scopes_is_not_reported(
    local: LocalCluster, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pynamodb_alternator"), connect(local, RackScope("dc1", "r1")) as cluster:
        used(cluster, recorder)
        until(lambda: len(recorder.of("topology_refreshed")) >= 5, cluster)
    assert caplog.messages == []
