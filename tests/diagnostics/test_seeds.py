"""Seeds: names that resolve, addresses and ports."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.diagnostics import examine
from pynamodb_alternator.local import LocalCluster

from .support import Changed, of, problems, the


def test_a_name_that_resolves(local: LocalCluster) -> None:
    with Cluster(f"http://localhost:{local.port}") as cluster:
        finding = of(cluster.check(), "seeds")[0]
    assert (finding.severity, finding.subject) == ("ok", "localhost")
    assert "127.0.0.1" in finding.message


def test_a_name_that_does_not(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **more: Any) -> Any:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with Cluster(f"http://nowhere.invalid,127.0.0.1:{local.port}") as cluster:
        finding = the(cluster.check(), "seeds")
    assert (finding.severity, finding.subject) == ("warning", "nowhere.invalid")
    with Cluster(f"http://nowhere.invalid:{local.port}") as cluster:
        findings = cluster.check()
    assert [finding.severity for finding in of(findings, "seeds")] == ["error"]


def test_a_resolver_that_hangs(local: LocalCluster) -> None:
    over = threading.Event()
    with Cluster(f"http://localhost,127.0.0.1:{local.port}") as cluster:
        inside = Changed(cluster.core, resolve=lambda host: over.wait(20) and ["127.0.0.1"])
        started = time.monotonic()
        finding = the(list(examine(inside, timeout=0.2)), "seeds")
        assert time.monotonic() - started < 5
    over.set()
    assert finding.severity == "warning"
    assert "no answer" in finding.message


def test_addresses_and_ports_that_make_no_sense() -> None:
    with Cluster("http://0.0.0.0:9042") as cluster:
        findings = cluster.check(timeout=0.3)
    assert ("error", "seeds", "0.0.0.0") in problems(findings)
    assert "CQL" in the(findings, "port").message
