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


def test_several_seeds_may_mean_one_node() -> None:
    """A node that is known by a name proves itself by a name, and by its address only if the user names that."""
    network = FakeNetwork()
    network.names.update({"db.test": ["10.0.0.1", "10.0.0.2"], "n2.db.test": ["10.0.0.2"], "n3": ["10.0.0.3"]})
    config = ClusterConfig(["10.0.0.3", "db.test", "n2.db.test", "n3"], port=8043, scheme="https")
    nodes = {node.host: node.certificate_names for node in Seeds(config, network.resolve).nodes()}
    assert nodes == {
        "10.0.0.3": ("n3", "10.0.0.3"),
        "10.0.0.1": ("db.test",),
        "10.0.0.2": ("db.test", "n2.db.test"),
    }


def test_no_more_names_than_handshakes() -> None:
    network = FakeNetwork()
    names = [f"n{number}.test" for number in range(9)]
    network.names.update({name: ["10.0.0.1"] for name in names})
    (node,) = Seeds(ClusterConfig(names, port=1, scheme="https"), network.resolve).nodes()
    assert node.certificate_names == ("n0.test", "n1.test", "n2.test")


class TestNamesOfListedNodes:
    """`names_of`: by which configured names a listed address is known."""

    def seeds(self, network: FakeNetwork, *names: str) -> Seeds:
        seeds = Seeds(ClusterConfig(names, port=1, scheme="https"), network.resolve)
        seeds.nodes()
        network.resolved.clear()
        return seeds

    def test_all_names_that_resolve_to_it(self) -> None:
        network = FakeNetwork()
        network.names.update({"db": ["10.0.0.1", "fe80::1%2"], "n1": ["10.0.0.1"]})
        seeds = self.seeds(network, "db", "n1", "10.0.0.7")
        assert seeds.names_of("10.0.0.1") == ("db", "n1")
        assert seeds.names_of("[FE80:0:0::1]") == ("db",)
        assert seeds.names_of("10.0.0.7") == ()
        assert network.resolved == []

    def test_a_new_address_has_the_names_resolved_again_once_per_reading(self) -> None:
        network = FakeNetwork()
        network.names.update({"n1": ["10.0.0.1"], "n2": ["10.0.0.2"]})
        seeds = self.seeds(network, "n1", "n2")
        network.names["n2"] = ["10.0.0.22"]
        assert seeds.names_of("10.0.0.33") == ()
        assert network.resolved == []  # no reading has begun since they were
        seeds.new_reading(may_resolve=True, look_again=False)
        assert seeds.names_of("10.0.0.22") == ("n2",)
        assert seeds.names_of("10.0.0.2") == ()
        assert seeds.names_of("10.0.0.3") == ()
        assert network.resolved == ["n1", "n2"]
        seeds.new_reading(may_resolve=True, look_again=False)
        assert seeds.names_of("10.0.0.3") == ()  # known to have none
        assert network.resolved == ["n1", "n2"]
        network.names["n1"] = ["10.0.0.3"]
        seeds.new_reading(may_resolve=True, look_again=True)
        assert seeds.names_of("10.0.0.3") == ("n1",)
        assert seeds.names_of("10.0.0.1") == ()

    def test_a_resolver_that_fails_takes_no_name_away(self) -> None:
        network = FakeNetwork()
        network.names["n1"] = ["10.0.0.1"]
        seeds = self.seeds(network, "n1")
        del network.names["n1"]
        seeds.new_reading(may_resolve=True, look_again=True)
        assert seeds.names_of("10.0.0.1") == ("n1",)
        assert network.resolved == ["n1"]
        assert seeds.nodes() == ()

    def test_addresses_alone_need_no_resolver(self) -> None:
        network = FakeNetwork()
        seeds = self.seeds(network, "10.0.0.1")
        seeds.new_reading(may_resolve=True, look_again=True)
        assert seeds.names_of("10.0.0.2") == ()
        assert network.resolved == []


def test_addresses_are_not_resolved() -> None:
    network = FakeNetwork()
    assert len(Seeds(ClusterConfig(["10.0.0.5", "::1"]), network.resolve).nodes()) == 2
    assert network.resolved == []


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_resolved_is_logged_once(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
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
