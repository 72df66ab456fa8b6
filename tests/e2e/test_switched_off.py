"""Discovery and health switched off: for those behind a proxy that does this itself."""

from __future__ import annotations

import re

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, DatacenterScope, Discovery, Health
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.topology.health import State
from tests.local.wire import until

NO_DISCOVERY = Discovery(enabled=False, interval=0.05)
NO_HEALTH = Health(enabled=False, suspect_after=0.1)


def polls(local: LocalCluster, path: str) -> int:
    return sum(node.polls[path] for node in local.nodes)


def at_seeds(local: LocalCluster, count: int, **settings: object) -> Cluster:
    return Cluster(ClusterConfig(local.addresses[:count], **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("monitor", [True, False])
def test_only_seeds_get_requests_and_no_node_list_is_read(local: LocalCluster, monitor: bool) -> None:
    with at_seeds(local, 2, discovery=NO_DISCOVERY, monitor=monitor) as cluster:
        for _ in range(20):
            cluster.client.list_tables()
        assert [node.address for node in cluster.nodes()] == local.addresses[:2]
        if monitor:
            before = cluster.core.membership.last_read
            until(lambda: cluster.core.membership.last_read != before)
        assert cluster.refresh()
        assert cluster.topology.version == 1 or len(cluster.nodes()) == 2
    assert polls(local, "/localnodes") == 0
    assert sum(local.nodes[0].operations.values()) > 0
    assert sum(local.nodes[1].operations.values()) > 0
    assert local.nodes[2].operations["ListTables"] == 0


def test_health_is_looked_at_where_discovery_is_not(local: LocalCluster) -> None:
    with at_seeds(local, 2, discovery=NO_DISCOVERY) as cluster:
        cluster.client.list_tables()
        local.nodes[0].kill()
        until(lambda: cluster.client.list_tables() and cluster.nodes()[0].state is State.DOWN)
        local.nodes[0].revive()
        until(lambda: cluster.nodes()[0].state is State.ACTIVE)


@pytest.mark.parametrize("monitor", [True, False])
def test_no_node_is_probed_or_taken_out(local: LocalCluster, monitor: bool) -> None:
    with at_seeds(local, 2, health=NO_HEALTH, discovery=NO_DISCOVERY, monitor=monitor) as cluster:
        cluster.client.list_tables()
        local.nodes[0].kill()
        for _ in range(30):
            cluster.client.list_tables()
        assert {node.state for node in cluster.nodes()} == {State.ACTIVE}
        assert cluster.core.membership.suspects() == ()
    assert polls(local, "/") == polls(local, "/localnodes") == 0


def test_lists_are_read_where_health_is_not_looked_at(local: LocalCluster) -> None:
    with at_seeds(local, 1, health=NO_HEALTH) as cluster:
        until(lambda: len(cluster.nodes()) == 3)
        for node in local.nodes:
            until(lambda node=node: cluster.client.list_tables() and node.operations["ListTables"])  # type: ignore[misc]
    assert polls(local, "/") == 0
    assert polls(local, "/localnodes") > 0


def test_a_node_whose_answers_fail_is_not_set_aside(local: LocalCluster) -> None:
    with at_seeds(local, 3, health=NO_HEALTH, discovery=NO_DISCOVERY) as cluster:
        local.nodes[0].fail_with("InternalServerError", times=None, status=500)
        for _ in range(200):
            cluster.client.list_tables()
        assert {node.condition for node in cluster.nodes()} == {"active"}
    assert local.nodes[0].operations["ListTables"] > 30


def test_what_the_doctor_says(local: LocalCluster) -> None:
    with at_seeds(local, 2, health=NO_HEALTH, discovery=NO_DISCOVERY) as cluster:
        findings = {finding.id: finding for finding in cluster.check()}
        assert findings["topology"].severity == "ok"
        assert "Discovery is switched off: requests go to 2 seeds" in findings["topology"].message
        assert "no node is probed or taken out" in findings["health"].message
        assert "rack_support" not in findings
        assert all(finding.severity == "ok" for finding in findings.values())
    scope = DatacenterScope("datacenter1")
    with at_seeds(local, 2, discovery=NO_DISCOVERY, routing_scope=scope) as cluster:
        (warning,) = (finding for finding in cluster.check() if finding.severity != "ok")
        assert (warning.id, warning.subject) == ("routing_scope", "datacenter datacenter1")
    assert polls(local, "/localnodes") == 0


def test_seeds_that_cannot_be_resolved() -> None:
    with Cluster("http://no-such-host.invalid:8000/?discovery_enabled=off&health_enabled=off") as cluster:
        assert not cluster.config.discovery.enabled
        assert not cluster.config.health.enabled
        assert not cluster.refresh()
        (error,) = (finding for finding in cluster.check(timeout=5) if finding.id == "seeds")
        assert re.search("cannot be resolved|gave no answer", error.message)
