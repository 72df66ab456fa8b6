"""What the tests of the doctor have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.diagnostics import Finding, Inside
from pynamodb_alternator.topology import set_aside as rules
from pynamodb_alternator.topology.node import Node


class Changed:
    """The inside of a cluster with some parts replaced: ``Changed(cluster.core, resolve=...)``."""

    def __init__(self, inside: Inside, **parts: Any) -> None:
        self._inside = inside
        self.__dict__.update(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)


def of(findings: Sequence[Finding], id: str) -> list[Finding]:
    return [finding for finding in findings if finding.id == id]


def the(findings: Sequence[Finding], id: str) -> Finding:
    (finding,) = of(findings, id)
    return finding


def problems(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.id, finding.subject) for finding in findings if finding.severity != "ok"]


def create(cluster: Cluster, name: str, isolation: str | None = None) -> None:
    tags = [{"Key": "system:write_isolation", "Value": isolation}] if isolation else []
    cluster.client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=tags,
    )


def put(cluster: Cluster, key: str, table: str = "things") -> None:
    cluster.client.put_item(TableName=table, Item={"key": {"S": key}})


def set_aside(cluster: Cluster, address: str, monkeypatch: pytest.MonkeyPatch) -> Node:
    """Have the node set aside for a minute, as after many answers that failed."""
    monkeypatch.setattr(rules, "PERIOD", 60.0)
    membership, ring = cluster.core.membership, cluster.topology.ring
    (sick,) = (node for node in ring if node.address == address)
    for _ in range(25):
        membership.answer_failed(sick, "status 503 without an error of Alternator's", counted=False)
        for node in ring:
            cluster.core.counts[node.address].answers += node is not sick
    assert sick in membership.view.set_aside
    return sick
