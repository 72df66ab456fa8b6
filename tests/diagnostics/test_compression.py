"""Compression that is configured, against what the server does."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Gzip
from pynamodb_alternator.local import LocalCluster

from .support import the


@pytest.mark.parametrize(
    ("version", "configured", "severity", "words"),
    [
        ("2026.3", None, "ok", "takes compressed"),
        ("2026.3", Gzip(), "ok", "takes compressed"),
        ("2025.4", None, "ok", "older than ScyllaDB 2026.1"),
        ("2025.4", Gzip(), "error", "older than ScyllaDB 2026.1"),
        ("2025.4", "deflate", "error", "deflate"),
    ],
)
def test_the_check_tries_a_compressed_request(version: str, configured: Any, severity: str, words: str) -> None:
    with (
        LocalCluster(nodes=2, version=version) as local,
        Cluster(ClusterConfig.of(local.url, request_compression=configured)) as cluster,
    ):
        finding = the(cluster.check(), "request_compression")
    assert finding.severity == severity
    assert words in finding.message


@pytest.mark.parametrize(
    ("server", "configured", "severity", "words"),
    [
        (True, True, "ok", "compresses long answers"),
        (True, False, "ok", "if response_compression asks"),
        (False, True, "warning", "does not compress"),
        (False, False, "ok", "does not compress"),
    ],
)
def test_the_check_asks_for_a_compressed_answer(server: bool, configured: bool, severity: str, words: str) -> None:
    with (
        LocalCluster(nodes=1, response_compression=server) as local,
        Cluster(ClusterConfig.of(local.url, response_compression=configured)) as cluster,
    ):
        finding = the(cluster.check(), "response_compression")
    assert finding.severity == severity
    assert words in finding.message
