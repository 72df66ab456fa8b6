"""The nodes that the configured seeds stand for."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.topology.seeds import Seeds

from .fakes import FakeNetwork, hosts


def test_a_name_stands_for_all_of_its_addresses() -> None:
    network = FakeNetwork()
    network.names["db.example.com"] = ["10.0.0.1", "2001:db8::1", "10.0.0.1"]
    config = ClusterConfig(["db.example.com:9000", "10.0.0.5", "[2001:db8::5]:1"], port=8000, scheme="https")
    nodes = Seeds(config, network.resolve).nodes()
    assert [node.address for node in nodes] == [
        *("10.0.0.1:9000", "[2001:db8::1]:9000", "10.0.0.5:8000", "[2001:db8::5]:1"),
    ]
    assert [node.server_name for node in nodes] == ["db.example.com", "db.example.com", None, None]
    assert {node.scheme for node in nodes} == {"https"}


def test_addresses_are_not_resolved() -> None:
    network = FakeNetwork()
    assert len(Seeds(ClusterConfig(["10.0.0.5", "::1"]), network.resolve).nodes()) == 2
    assert network.resolved == []


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
def test_what_cannot_be_resolved_is_told_once_until_it_can(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def resolve(name: str) -> Sequence[str]:
        if broken:
            raise error
        return ["10.0.0.1"]

    seeds = Seeds(ClusterConfig(["bad.example.com", "10.0.0.5"]), resolve)
    with caplog.at_level(logging.INFO, "pynamodb_alternator.cluster"):
        for _ in range(3):
            assert hosts(seeds.nodes()) == ["10.0.0.5"]
        assert len(caplog.records) == 1
        assert "bad.example.com cannot be resolved" in caplog.text
        broken.clear()
        assert hosts(seeds.nodes()) == ["10.0.0.1", "10.0.0.5"]
        broken.append(True)
        seeds.nodes()
    assert len(caplog.records) == 2
