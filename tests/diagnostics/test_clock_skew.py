"""This machine's clock against the nodes' clocks."""

from __future__ import annotations

import time

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Credentials
from pynamodb_alternator.diagnostics import examine
from pynamodb_alternator.local import LocalCluster

from .support import the


@pytest.mark.parametrize(
    ("off", "signed", "severity", "words"),
    [
        (3600, True, "error", "60 min ahead of the node's: signed requests are refused"),
        (-3600, True, "error", "60 min behind the node's: signed requests are refused"),
        (3600, False, "warning", "yours are not signed"),
        (300, True, "warning", "5 min ahead"),
        (2, True, "ok", "agree"),
    ],
)
def test_the_check_compares_the_clocks(off: int, signed: bool, severity: str, words: str) -> None:
    credentials = Credentials("alice", "secret") if signed else None
    with LocalCluster(nodes=1) as local, Cluster(ClusterConfig.of(local.url, credentials=credentials)) as cluster:
        findings = list(examine(cluster.core, wall_clock=lambda: time.time() + off))
    finding = the(findings, "clock_skew")
    assert finding.severity == severity
    assert words in finding.message
