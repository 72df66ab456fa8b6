"""The token ring of a table, as the doctor sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig
from pynamodb_alternator.core import token_ring_reader
from pynamodb_alternator.core.system_tables import query_system_table
from pynamodb_alternator.diagnostics import Finding
from pynamodb_alternator.diagnostics.checks import token_ring
from pynamodb_alternator.local import LocalCluster

from .support import create, of, the

AWARE = "/?token_aware=true"


def looked_at(local: LocalCluster, query: str = "") -> Finding:
    with Cluster(local.url + query) as cluster:
        create(cluster, "things")
        return the(cluster.check(), "token_ring")


def test_a_complete_ring_is_ok() -> None:
    with LocalCluster(nodes=5, replication_factor=2) as local:
        finding = looked_at(local)
        asked = [request for node in local.nodes for request in node.requests if "token_ring" in (request.table or "")]
    assert (finding.severity, finding.subject) == ("ok", "things")
    assert "16 ranges in 32 rows" in finding.message
    assert len(asked) == 1


def test_the_ring_of_a_server_with_vnodes() -> None:
    with LocalCluster(nodes=3, version="2024.1") as local:
        finding = looked_at(local)
    assert finding.severity == "ok"
    assert "The token ring is whole" in finding.message


@pytest.mark.parametrize(
    ("query", "said"), [("/?token_aware=false", "is off"), ("/?monitor=false", "only with token_aware=True")]
)
def test_where_no_ring_is_read(local: LocalCluster, query: str, said: str) -> None:
    finding = looked_at(local, query)
    assert finding.severity == "ok"
    assert said in finding.message
    assert not [request for node in local.nodes for request in node.requests if "token_ring" in (request.table or "")]


@pytest.mark.parametrize(("aware", "severity"), [("auto", "ok"), ("true", "warning")])
def test_nodes_behind_one_address(local: LocalCluster, aware: str, severity: str) -> None:
    """Without discovery the replicas are not nodes of this cluster: another mapping of addresses would not help."""
    with Cluster(f"{local.nodes[0].url}/?discovery_enabled=false&token_aware={aware}") as cluster:
        create(cluster, "things")
        finding = the(cluster.check(), "token_ring")
    assert finding.severity == severity
    assert "Discovery is switched off" in finding.message
    assert "token_aware=False" in finding.remedy


def test_a_denied_ring_comes_with_the_statement_that_grants_it() -> None:
    with LocalCluster(nodes=2, deny_virtual_tables=True) as local:
        finding = looked_at(local)
    assert finding.severity == "ok"
    assert "may not be read" in finding.message
    assert "GRANT SELECT ON system.token_ring TO" in finding.remedy


def test_a_server_without_the_table() -> None:
    with LocalCluster(nodes=2, token_ring=False) as local:
        finding = looked_at(local)
    assert (finding.severity, finding.remedy) == ("ok", "")
    assert "no table system.token_ring" in finding.message


@pytest.mark.parametrize(("query", "said"), [("", "set token_aware=True"), (AWARE, "only a part of it was")])
def test_a_large_ring_is_not_read_to_its_end(
    local: LocalCluster, monkeypatch: pytest.MonkeyPatch, query: str, said: str
) -> None:
    monkeypatch.setattr(token_ring, "MOST_ROWS", 10)
    finding = looked_at(local, query)
    assert finding.severity == "ok"
    assert "more than 10 rows" in finding.message
    assert said in finding.message


def test_a_ring_with_gaps(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_ring_reader, "make_ring", lambda ranges, read_at: None)
    finding = looked_at(local)
    assert finding.severity == "warning"
    assert "has gaps" in finding.message
    assert finding.remedy


def test_internal_addresses_that_the_system_tables_explain() -> None:
    with LocalCluster(nodes=3, internal_addresses=True) as local:
        assert looked_at(local).severity == "ok"


def test_replicas_that_are_not_nodes_which_we_know(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(client: Any, name: str, *more: Any) -> Iterator[dict[str, Any]]:
        for row in query_system_table(client, name, *more):
            yield {**row, "endpoint": "10.9.9.9"} if name == "system.token_ring" else row

    monkeypatch.setattr(token_ring, "query_system_table", elsewhere)
    finding = looked_at(local)
    assert finding.severity == "warning"
    assert "10.9.9.9" in finding.message
    assert "address_translator" in finding.remedy


def test_replicas_that_are_down(local: LocalCluster) -> None:
    """The server lists the living nodes alone, and the ring still names the others."""
    with Cluster(local.url) as cluster:
        create(cluster, "things")
        local.nodes[2].kill()
        cluster.refresh()
        finding = the(cluster.check(), "token_ring")
    assert finding.severity == "warning"
    assert local.nodes[2].host in finding.message
    assert "nodetool status" in finding.remedy


def test_replicas_outside_of_a_routing_scope_that_has_no_node(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        create(cluster, "things")
    with Cluster(f"{local.url}/?datacenter=elsewhere") as cluster:
        assert the(cluster.check(timeout=1), "token_ring").severity == "ok"


def test_replicas_in_a_datacenter_that_is_not_ours() -> None:
    with LocalCluster(datacenters={"dc1": 2, "dc2": 2}, replication_factor=2) as local:
        finding = looked_at(local, "/?datacenter=dc1")
    assert finding.severity == "ok"


def test_a_table_of_the_application_is_looked_at_first(local: LocalCluster) -> None:
    with Cluster(ClusterConfig([local.url.removeprefix("http://")], partition_keys={"things": "key"})) as cluster:
        create(cluster, "another")
        create(cluster, "things")
        assert the(cluster.check(), "token_ring").subject == "things"


def test_a_cluster_without_tables(cluster: Cluster) -> None:
    assert of(cluster.check(), "token_ring") == []
