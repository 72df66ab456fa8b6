"""Datacenters and racks that are configured, against those that the cluster has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.local import LocalCluster

from .support import of, the


@pytest.fixture
def two_datacenters() -> Iterator[LocalCluster]:
    with LocalCluster(datacenters={"dc1": 2, "dc2": 1}, racks=["r1", "r2"]) as local:
        yield local


@pytest.mark.parametrize(
    ("scope", "severity", "hint"),
    [
        (DatacenterScope("DC1"), "error", "Did you mean 'dc1'? The cluster has: dc1 (racks r1, r2); dc2 (racks r1)."),
        (RackScope("dc1", "R2"), "error", "Did you mean 'r2'?"),
        (DatacenterScope("mars"), "error", "The cluster has: dc1"),
        (DatacenterScope("mars", fallback=ClusterScope()), "warning", "The cluster has: dc1"),
        (RackScope("dc2", "r2", fallback=DatacenterScope("dc2")), "warning", "The cluster has"),
    ],
)
def test_names_that_the_cluster_does_not_know(
    two_datacenters: LocalCluster, scope: Any, severity: str, hint: str
) -> None:
    config = ClusterConfig.of(two_datacenters.url, routing_scope=scope)
    with Cluster(config) as cluster:
        bad = [finding for finding in of(cluster.check(), "routing_scope") if finding.severity != "ok"]
    assert [finding.severity for finding in bad] == [severity]
    assert hint in bad[0].remedy


def test_names_that_it_knows(two_datacenters: LocalCluster) -> None:
    with Cluster(two_datacenters.url + "/?datacenter=dc1&rack=r1") as cluster:
        finding = the(cluster.check(), "routing_scope")
    assert (finding.severity, finding.subject) == ("ok", "rack r1 of datacenter dc1")


def test_a_hint_without_the_system_tables() -> None:
    with (
        LocalCluster(nodes=1, deny_virtual_tables=True) as local,
        Cluster(local.url + "/?datacenter=mars") as cluster,
    ):
        assert "nodetool status" in the(cluster.check(), "routing_scope").remedy


def test_a_datacenter_without_a_seed(two_datacenters: LocalCluster) -> None:
    with Cluster(two_datacenters.url) as cluster:
        finding = the(cluster.check(), "datacenters")
    assert (finding.severity, finding.subject) == ("warning", "dc2")
    assert "127.0.0.3" in finding.remedy


@pytest.mark.parametrize(("query", "severity"), [("", "ok"), ("/?datacenter=datacenter1", "error")])
def test_an_old_server_ignores_them(query: str, severity: str) -> None:
    with LocalCluster(nodes=2, version="2024.2") as local, Cluster(local.url + query) as cluster:
        finding = the(cluster.check(), "rack_support")
    assert finding.severity == severity
    assert "2025.1" in finding.message
