"""Signatures that the server takes, refuses, or does not ask for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Credentials
from pynamodb_alternator.diagnostics import examine
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.transport.lanes import Sender

from .support import Changed, of, the


@pytest.mark.parametrize(
    ("credentials", "severity", "words"),
    [
        (None, "error", "salted_hash FROM system.roles"),
        (Credentials("alice", "wrong"), "error", "not its password"),
        (Credentials("bob", "s3cr3t"), "error", "name of a role"),
        (Credentials("alice", "s3cr3t"), "ok", ""),
        (lambda: 1 / 0, "error", "credentials"),
    ],
)
def test_the_check_compares_credentials_with_the_server(credentials: Any, severity: str, words: str) -> None:
    with (
        LocalCluster(nodes=2, credentials={"alice": "s3cr3t"}) as local,
        Cluster(ClusterConfig.of(local.url, credentials=credentials)) as cluster,
    ):
        findings = cluster.check()
    finding = the(findings, "authentication")
    assert finding.severity == severity
    assert words in finding.remedy
    assert "s3cr3t" not in repr(findings)
    # What comes after it makes no sense without it.
    assert bool(of(findings, "request_compression")) == (severity == "ok")


@pytest.mark.parametrize("works", [True, False])
def test_credentials_are_asked_for_once(works: bool) -> None:
    """A vault may take seconds. Seen: it was asked for each question."""
    asked = 0

    def ask() -> Credentials:
        nonlocal asked
        asked += 1
        if not works:
            raise ValueError("no route to the vault")
        return Credentials("alice", "s3cr3t")

    with (
        LocalCluster(nodes=3, credentials={"alice": "s3cr3t"}) as local,
        Cluster(ClusterConfig.of(local.url, credentials=ask)) as cluster,
    ):
        _ = cluster.topology
        for times in (1, 2):
            assert (the(cluster.check(), "authentication").severity == "ok") is works
            assert asked == times


def test_a_server_that_refuses_an_old_signature() -> None:
    with (
        LocalCluster(nodes=1, credentials={"alice": "secret"}) as local,
        Cluster({"url": local.url, "credentials": Credentials("alice", "secret")}) as cluster,
    ):
        core = cluster.core
        sender = Sender(cluster.config, core.pools, wall_clock=lambda: time.time() + 3600)
        finding = the(list(examine(Changed(core, sender=sender))), "authentication")
    assert finding.severity == "error"
    assert "NTP" in finding.remedy


def test_signing_for_a_server_that_does_not_ask(local: LocalCluster) -> None:
    with Cluster({"url": local.url, "credentials": Credentials("alice", "secret")}) as cluster:
        assert "unsigned ones as well" in the(cluster.check(), "authentication").message


def test_a_node_that_does_not_answer_in_time_has_no_deadline_of_a_call(local: LocalCluster, cluster: Cluster) -> None:
    _ = cluster.topology
    local[0].delay(60.0, times=None, operation="ListTables")
    findings = of(cluster.check(timeout=0.5), "authentication")
    assert [finding.message for finding in findings if finding.severity == "warning"] == [
        f"ListTables failed: Node {local[0].address} did not answer ListTables within 0.5 s"
    ]
