"""Nodes that answer, and those that do not."""

from __future__ import annotations

import socket
import time

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster

from .support import of, problems


def test_a_dead_node_is_a_warning_while_others_answer(local: LocalCluster, cluster: Cluster) -> None:
    _ = cluster.topology
    local[2].kill(still_listed=True)
    findings = cluster.check()
    assert problems(findings) == [("warning", "reachability", local[2].address)]
    (dead,) = (finding for finding in of(findings, "reachability") if finding.severity == "warning")
    assert "refused" in dead.message
    assert "nodetool status" in dead.remedy


def test_a_hung_node_takes_the_timeout_and_no_longer(local: LocalCluster, cluster: Cluster) -> None:
    cluster.client.list_tables()  # the engine's first answer takes longest
    local[0].hang()
    started = time.monotonic()
    findings = cluster.check(timeout=1.0)
    assert time.monotonic() - started < 8
    assert problems(findings) == [("warning", "reachability", local[0].address)]
    local[0].resume()


def test_a_cluster_without_an_answer_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with Cluster(f"http://127.0.0.1:{port}") as cluster:
            findings = cluster.check(timeout=0.5)
    assert problems(findings) == [
        ("error", "reachability", "default"),
        ("warning", "reachability", f"127.0.0.1:{port}"),
    ]
    assert "scheme" in findings[0].remedy


def test_the_wrong_scheme_is_reported() -> None:
    with LocalCluster(nodes=1, tls=True) as local, Cluster(f"http://127.0.0.1:{local.port}") as cluster:
        findings = cluster.check(timeout=1)
    assert ("error", "reachability", "default") in problems(findings)
    with LocalCluster(nodes=1) as local, Cluster(f"https://127.0.0.1:{local.port}") as cluster:
        findings = cluster.check(timeout=1)
    assert ("error", "reachability", "default") in problems(findings)
    assert findings[-1].remedy == "Write http:// in the cluster's URL, or the port for https."


def test_an_authority_that_is_not_trusted() -> None:
    with LocalCluster(nodes=1, tls=True) as local:
        with Cluster(local.url) as cluster:
            findings = cluster.check(timeout=1)
        assert "Tls(ca=" in findings[-1].remedy
        with Cluster({"url": local.url, "tls": {"ca": str(local.tls.ca_file)}}) as cluster:
            assert problems(cluster.check()) == []


def test_a_seed_that_lists_addresses_that_cannot_be_reached(local: LocalCluster, cluster: Cluster) -> None:
    """As behind NAT, or from outside of the containers."""
    _ = cluster.topology
    for node in (local[1], local[2]):
        node.kill(still_listed=True)
    local[0].lie(["127.0.0.2", "127.0.0.3"])
    (finding,) = (finding for finding in of(cluster.check(), "reachability") if finding.severity == "error")
    assert finding.subject == local[0].address
    assert f"{local[1].address}, {local[2].address}" in finding.message
    assert "address_translator" in finding.remedy
