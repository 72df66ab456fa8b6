"""A certificate for each node, as step-ca, cert-manager and ScyllaDB's guides make them: own name, own address.

Discovery, probes and requests judge a node by the same names.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Discovery, Health, Tls
from pynamodb_alternator.errors import NotSentError
from pynamodb_alternator.local import LocalCluster, LocalTls

from ..transport.servers import until


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(3, tls=LocalTls(per_node=True)) as local:
        yield local


@pytest.fixture
def names(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the resolver knows: a name for each node, and one for all of them."""
    names = {f"n{number}.test": [node.host] for number, node in enumerate(local.nodes, 1)}
    names["all.test"] = [node.host for node in local.nodes]
    real = socket.getaddrinfo

    def lookup(host: str, *more: Any, **most: Any) -> Any:
        if not host.endswith(".test"):
            return real(host, *more, **most)
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [answer for address in names[host] for answer in real(address, *more, **most)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return names


def on(local: LocalCluster, *seeds: str, tls: Tls | None = None, **settings: Any) -> Cluster:
    """A cluster in which a node that returns or joins has its whole share at once."""
    defaults = {"health": Health(probe_interval=0.05), "discovery": Discovery(interval=0.1), "slow_start": 0}
    settings = {**defaults, **settings}
    tls = tls or Tls(ca=local.tls.ca_file)
    return Cluster(ClusterConfig(seeds, port=local.port, scheme="https", tls=tls, **settings))


def states(cluster: Cluster) -> list[str]:
    return [node.state.value for node in cluster.nodes()]


def all_are_used(local: LocalCluster, cluster: Cluster) -> None:
    """Every node is active, and answers its part of the requests."""

    def all_active() -> bool:
        cluster.client.list_tables()  # without a monitor, nothing happens but for requests
        return states(cluster) == ["active"] * 3

    until(all_active)
    for node in local.nodes:
        node.operations.clear()
    for _ in range(9):
        cluster.client.list_tables()
    assert [node.operations["ListTables"] for node in local.nodes] == [3, 3, 3]


OWN: dict[str, Callable[[int, str], list[str]]] = {
    "name": lambda number, host: [f"n{number}.test"],
    "name and address": lambda number, host: [f"n{number}.test", host],
    "address, and a name for the first": lambda number, host: [host, "n1.test"] if number == 1 else [host],
    "one name for all": lambda number, host: ["all.test"],
}


@pytest.mark.parametrize("monitor", [None, False])
@pytest.mark.parametrize(
    ("own", "seeds"),
    [
        ("name", ("n1.test", "n2.test", "n3.test")),
        ("name and address", ("n1.test", "n2.test", "n3.test")),
        ("name and address", ("n2.test",)),
        ("address, and a name for the first", ("n1.test",)),
        ("one name for all", ("all.test",)),
    ],
)
def test_all_nodes_are_used(
    local: LocalCluster, names: dict[str, list[str]], own: str, seeds: tuple[str, ...], monitor: bool | None
) -> None:
    for number, node in enumerate(local.nodes, 1):
        local.tls.present_names(node.host, *OWN[own](number, node.host))
    with on(local, *seeds, monitor=monitor) as cluster:
        all_are_used(local, cluster)
        pools = cluster.core.pools
        for node in cluster.topology.nodes:
            # The first may be that of a probe, which the pool has taken over: two more resume its session.
            connections = [pools.acquire(node, 5.0) for _ in range(3)]
            for connection in connections:
                pools.release(connection)
        assert all(node.tls_resumed for node in local.nodes)


def test_seeds_by_address(local: LocalCluster) -> None:
    with on(local, local.nodes[1].host) as cluster:
        all_are_used(local, cluster)


def test_a_seed_s_address_does_not_prove_its_name(local: LocalCluster, names: dict[str, list[str]]) -> None:
    """The resolver is not to be trusted: the server at the address that it gives must have the name."""
    with on(local, "all.test") as cluster, pytest.raises(NotSentError, match=r"not valid for 'all\.test'"):
        cluster.client.list_tables()


def test_a_node_with_none_of_the_names_is_out_for_everybody(local: LocalCluster, names: dict[str, list[str]]) -> None:
    for node in local.nodes:
        local.tls.present_names(node.host, "n1.test", node.host)
    local.tls.present_names(local.nodes[2].host, "elsewhere.test")
    with on(local, "n1.test", "n3.test") as cluster:
        for _ in range(6):
            cluster.client.list_tables()
        until(lambda: states(cluster)[:2] == ["active", "active"])
        assert states(cluster)[2] != "active"
        assert local.nodes[2].operations["ListTables"] == 0
        (finding,) = (finding for finding in cluster.check() if finding.subject == local.nodes[2].address)
        for name in ("'n1.test'", "'n3.test'", "'127.0.0.3'"):
            assert name in finding.message
        assert "Issue the node's certificate" in finding.remedy
        # Put right, it is used without a restart.
        local.tls.present_names(local.nodes[2].host, "n3.test")
        all_are_used(local, cluster)


def test_certificates_that_are_renewed_for_other_names(local: LocalCluster, names: dict[str, list[str]]) -> None:
    tls = Tls(ca=local.tls.ca_file, session_resumption=False)
    for number, node in enumerate(local.nodes, 1):
        local.tls.present_names(node.host, f"n{number}.test")
    with on(local, "n1.test", "n2.test", "n3.test", tls=tls) as cluster:
        all_are_used(local, cluster)
        for node in local.nodes:
            local.tls.present_names(node.host, node.host)
            node.close_idle_connections()
        all_are_used(local, cluster)
    assert [node.tls_resumed for node in local.nodes] == [0, 0, 0]


def test_a_node_that_moves_and_keeps_its_name(local: LocalCluster, names: dict[str, list[str]]) -> None:
    """As a pod does: its certificate has its name only, and its address is new."""
    for number, node in enumerate(local.nodes, 1):
        local.tls.present_names(node.host, f"n{number}.test")
    with on(local, "n1.test", "n2.test", "n3.test") as cluster:
        all_are_used(local, cluster)
        moved = local.add_node()
        local.tls.present_names(moved.host, "n3.test")
        names["n3.test"] = [moved.host]
        local.remove_node(local.nodes[2])
        until(lambda: [node.address for node in cluster.nodes()] == local.addresses)
        all_are_used(local, cluster)


def test_handshakes_are_few(local: LocalCluster, names: dict[str, list[str]]) -> None:
    """Three for a new node at most, and one for each connection from then on."""
    with on(local, "n1.test") as cluster:
        local.tls.present_names(local.nodes[0].host, "n1.test")
        cluster.client.list_tables()
        until(lambda: states(cluster) == ["active"] * 3)
        refused = [node.connections - node.tls_handshakes for node in local.nodes]
        assert refused[0] == 0  # its name is the first of its names
        for node in local.nodes:
            node.operations.clear()
        while min(node.operations["ListTables"] for node in local.nodes) < 5:
            for node in local.nodes:
                node.close_idle_connections()
            cluster.client.list_tables()
        for node, before in zip(local.nodes, refused, strict=True):
            until(lambda node=node, before=before: node.connections - node.tls_handshakes <= before)
