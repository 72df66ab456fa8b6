"""A node that answers its probes and fails its requests is not called well."""

from __future__ import annotations

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster
from tests.chaos.support import until

from .support import problems, set_aside, the


def test_a_node_that_is_set_aside(local: LocalCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: the doctor called it well, because it answers `GET /`."""
    set_aside(cluster, local[1].address, monkeypatch)
    findings = cluster.check()
    assert problems(findings) == [("warning", "set_aside", local[1].address)]
    finding = the(findings, "set_aside")
    assert "answers failed" in finding.message
    assert "status 503 without an error of Alternator's" in finding.message
    assert "proxy" in finding.remedy


def test_a_node_that_is_down_is_reported_once(
    local: LocalCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = set_aside(cluster, local[1].address, monkeypatch)
    local[1].kill(still_listed=True)
    cluster.core.membership.suspect(node)
    until(lambda: cluster.core.membership.is_down(node))
    assert [subject for _, _, subject in problems(cluster.check())] == [local[1].address]
