"""Each table's write isolation against its affinity mode."""

from __future__ import annotations

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster

from .support import create, the


@pytest.mark.parametrize(
    ("isolation", "affinity", "severity"),
    [
        ("always", "auto", "ok"),
        ("always", "any_write", "ok"),
        ("always", "rmw", "warning"),
        ("always", "none", "warning"),
        ("only_rmw_uses_lwt", "rmw", "ok"),
        ("only_rmw_uses_lwt", "any_write", "warning"),
        (None, "none", "warning"),
        ("forbid_rmw", "rmw", "warning"),
        ("unsafe_rmw", "none", "ok"),
        ("unsafe_rmw", "any_write", "warning"),
    ],
)
def test_write_isolation_against_affinity(
    local: LocalCluster, isolation: str | None, affinity: str, severity: str
) -> None:
    with Cluster(local.url + f"/?key_route_affinity={affinity}") as cluster:
        create(cluster, "things", isolation)
        finding = the(cluster.check(), "write_isolation")
    assert (finding.severity, finding.subject) == (severity, "things")
    assert (isolation or "only_rmw_uses_lwt") in finding.message
    assert bool(finding.remedy) == (severity == "warning")


def test_the_remedy_names_the_mode(local: LocalCluster) -> None:
    with Cluster(local.url + "/?key_route_affinity=rmw") as cluster:
        create(cluster, "things", "always")
        assert "AUTO or ANY_WRITE" in the(cluster.check(), "write_isolation").remedy


def test_a_missing_table_is_reported(cluster: Cluster) -> None:
    cluster.register_table("ghosts", "key")
    finding = the(cluster.check(), "write_isolation")
    assert (finding.severity, finding.subject) == ("warning", "ghosts")
    assert "create_table" in finding.remedy
