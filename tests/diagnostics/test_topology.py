"""What the nodes say of each other."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster

from .support import of, the


def test_nodes_that_disagree_are_a_finding(local: LocalCluster, cluster: Cluster) -> None:
    local[1].lie(["127.0.0.1", "127.0.0.2"])
    finding = the(cluster.check(), "topology")
    assert finding.severity == "warning"
    assert finding.subject == local[2].address
    assert "disagree" in finding.message
    assert f"{local[1].address}: 2 nodes" in finding.message


@pytest.mark.parametrize(
    ("lie", "severity", "words"),
    [
        (b"<html>", "warning", "no node list"),
        ([], "warning", "lists no node"),
        (["0.0.0.0"], "error", "cannot be used"),
        (["127.0.0.2", "127.0.0.3"], "warning", "under another one"),
    ],
)
def test_a_node_list_that_is_odd(local: LocalCluster, cluster: Cluster, lie: Any, severity: str, words: str) -> None:
    _ = cluster.topology
    local[0].lie(lie)
    findings = [finding for finding in of(cluster.check(), "topology") if words in finding.message]
    assert [(finding.severity, finding.subject) for finding in findings] == [(severity, local[0].address)]
    assert findings[0].remedy
