"""The doctor as a whole: in which order it looks, and what it leaves alone."""

from __future__ import annotations

import pkgutil
import threading
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, errors
from pynamodb_alternator.diagnostics import Finding, checks, examiner
from pynamodb_alternator.local import LocalCluster
from tests.e2e.conftest import Recorder

from .support import create, of, problems, the


def test_a_healthy_cluster_has_no_problem(local: LocalCluster, cluster: Cluster) -> None:
    create(cluster, "things")
    findings = cluster.check()
    assert problems(findings) == []
    assert [finding.subject for finding in of(findings, "reachability")] == local.addresses
    assert {finding.id for finding in findings} == {
        "reachability",
        "topology",
        "rack_support",
        "clock_skew",
        "authentication",
        "request_compression",
        "response_compression",
        "write_isolation",
        "token_ring",
    }
    assert all(finding.message and not finding.remedy for finding in findings)


CHECKS = [module.name for module in pkgutil.iter_modules(checks.__path__)]


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_is_made_and_is_in_the_documentation(name: str) -> None:
    assert hasattr(examiner, name)
    page = Path(__file__).parents[2] / "docs" / "diagnostics.md"
    assert f"`{name}`" in page.read_text(encoding="utf-8")


def test_findings_are_frozen_values(cluster: Cluster) -> None:
    finding = cluster.check()[0]
    assert finding == Finding(finding.id, finding.severity, finding.subject, finding.message, finding.remedy)
    with pytest.raises(AttributeError):
        finding.severity = "ok"  # type: ignore[misc]


def test_signals_health_and_counters_do_not_hear_of_it(
    local: LocalCluster, cluster: Cluster, recorder: Recorder
) -> None:
    _ = cluster.topology
    local[1].hang()
    before = cluster.stats()
    recorder.clear()
    cluster.check(timeout=0.3)
    assert recorder.of("request_completed") == recorder.of("request_routed") == []
    assert {name: node.requests for name, node in cluster.stats().items()} == dict.fromkeys(before, 0)
    local[1].resume()


def test_it_leaves_no_thread_behind(cluster: Cluster) -> None:
    cluster.check()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pynamodb_alternator-check")]


def test_a_closed_cluster_raises_an_error(cluster: Cluster) -> None:
    cluster.close()
    with pytest.raises(errors.ClusterClosedError):
        cluster.check()


@pytest.mark.parametrize("timeout", [0, -1, "2", None])
def test_a_wrong_timeout_is_refused(cluster: Cluster, timeout: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"Cluster\.check: timeout"):
        cluster.check(timeout=timeout)


def test_system_tables_that_are_denied_hide_it() -> None:
    with (
        LocalCluster(nodes=1, deny_virtual_tables=True, response_compression=True) as local,
        Cluster(ClusterConfig.of(local.url, response_compression=True)) as cluster,
    ):
        create(cluster, "things")
        findings = cluster.check()
    assert problems(findings) == []
    assert "cannot be told" in the(findings, "response_compression").message
    assert "may not be read" in the(findings, "system_tables").message
    assert "may not be read" in the(findings, "write_isolation").message
