"""What /localnodes says, by datacenter and rack."""

from __future__ import annotations

from pynamodb_alternator.local import LocalCluster

from .wire import Wire


def test_localnodes_by_datacenter_and_rack() -> None:
    with LocalCluster(racks={"dc1": {"r1": 2, "r2": 1}, "dc2": {"r1": 1}}) as cluster:
        a, b, c, d = (node.host for node in cluster.nodes)
        with Wire(cluster.nodes[0]) as first, Wire(cluster.nodes[3]) as last:
            for path, expected in {
                "/localnodes": [a, b, c],
                "/localnodes?dc=": [a, b, c],
                "/localnodes?dc=dc2": [d],
                "/localnodes?dc=none": [],
                "/localnodes?rack=r2": [c],
                "/localnodes?rack=none": [],
                "/localnodes?dc=dc1&rack=r1": [a, b],
                "/localnodes?dc=dc2&rack=r2": [],
                "/localnodes?dc=dc%31&rack=": [a, b, c],
            }.items():
                assert first.get(path) == expected, path
            assert last.get("/localnodes") == [d]
            assert last.get("/localnodes?rack=r1") == [d]


def test_servers_before_2025_1_ignore_the_parameters() -> None:
    with LocalCluster(datacenters={"dc1": 2, "dc2": 1}, version="2024.2") as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.get("/localnodes?dc=dc2&rack=none") == ["127.0.0.1", "127.0.0.2"]
