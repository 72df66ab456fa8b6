"""ScyllaDB's own tables through Alternator, and what they tell of the nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pynamodb_alternator import Cluster, errors, signals
from pynamodb_alternator.core.system_tables import read_locations, read_system_table
from pynamodb_alternator.local import LocalCluster


@pytest.fixture
def two_datacenters() -> Iterator[LocalCluster]:
    with LocalCluster(datacenters={"dc1": 2, "dc2": 1}) as local:
        yield local


@pytest.fixture
def denied() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2, deny_virtual_tables=True) as local:
        yield local


def asked(local: LocalCluster) -> list[list[str]]:
    """Per node the names of the system tables that it was asked for."""
    return [
        [request.table for request in node.requests if request.table and "system." in request.table]
        for node in local.nodes
    ]


# ---- rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["system.local", "system.peers", "system.config", "system.cluster_status"])
def test_rows_are_plain_dicts(cluster: Cluster, table: str) -> None:
    rows = list(cluster.system_table(table))
    expected = {"system.local": 1, "system.peers": 2, "system.cluster_status": 3}
    assert len(rows) == expected.get(table, len(rows)) > 0
    assert all(isinstance(value, str) for row in rows for value in row.values())


def test_a_value_for_the_partition_key_picks_rows(cluster: Cluster) -> None:
    (row,) = cluster.system_table("system.config", name="alternator_write_isolation")
    assert row["value"] == '"only_rmw_uses_lwt"'
    assert list(cluster.system_table("system.config", name="no such option")) == []
    (me,) = cluster.system_table("system.local", key="local")
    assert me["data_center"] == "datacenter1"


def test_all_rows_are_of_one_node_which_may_be_chosen(local: LocalCluster, cluster: Cluster) -> None:
    for _ in range(4):
        assert len(list(cluster.system_table("system.local"))) == 1
        assert len(list(cluster.system_table("system.peers"))) == 2
    with cluster.options(consistent_node="mine"):
        hosts = {next(cluster.system_table("system.local"))["rpc_address"] for _ in range(6)}
    assert len(hosts) == 1


def test_pages_are_of_one_node_and_what_is_between_them_is_not_ours() -> None:
    blocks: list[str] = []

    class Client:
        def scan(self, **parameters: Any) -> dict[str, Any]:
            assert blocks == ["in"]
            number = parameters.get("ExclusiveStartKey", {}).get("k", 0)
            more = {"LastEvaluatedKey": {"k": number + 1}} if number < 2 else {}
            return {"Items": [{"k": {"N": str(number)}}], **more}

    class Block:
        def __enter__(self) -> None:
            blocks.append("in")

        def __exit__(self, *_: object) -> None:
            blocks.pop()

    keys = []
    for row in read_system_table(Client(), "system.local", {}, Block):
        assert blocks == []
        keys.append(row["k"])
    assert keys == [0, 1, 2]


def test_types_are_read_leniently() -> None:
    class Client:
        def scan(self, **_: Any) -> dict[str, Any]:
            return {
                "Items": [
                    {
                        "whole": {"N": "12"},
                        "half": {"N": "0.5"},
                        "long": {"N": "1e400"},
                        "odd": {"N": "NaN or what"},
                        "blob": {"B": b"x"},
                        "nothing": {"NULL": True},
                        "numbers": {"NS": ["1", "2"]},
                        "names": {"SS": ["a"]},
                        "list": {"L": [{"S": "a"}, {"M": {"b": {"BOOL": True}}}]},
                        "new": {"Vector": "1 2"},
                        "bare": "text",
                        "strange": {"S": "a", "N": "1"},
                    }
                ]
            }

    (row,) = read_system_table(Client(), "system.x", {}, contextlib.nullcontext)
    assert row == {
        "whole": 12,
        "half": Decimal("0.5"),
        "long": Decimal("1e400"),
        "odd": "NaN or what",
        "blob": b"x",
        "nothing": None,
        "numbers": {1, 2},
        "names": {"a"},
        "list": ["a", {"b": True}],
        "new": "1 2",
        "bare": "text",
        "strange": {"S": "a", "N": "1"},
    }


# ---- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["local", "", ".local", "system.", None, 7])
def test_a_name_without_keyspace_is_refused_at_once(cluster: Cluster, name: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"system_table\('system.local'\)"):
        cluster.system_table(name)


def test_wrong_conditions_are_refused_at_once(cluster: Cluster) -> None:
    with pytest.raises(errors.ConfigurationError, match="one value at most"):
        cluster.system_table("system.config", name="a", type="b")
    with pytest.raises(errors.ConfigurationError, match="a string, a number or bytes"):
        cluster.system_table("system.config", name=["a"])


def test_denied_access_says_what_to_grant(denied: LocalCluster) -> None:
    with Cluster(denied.url) as cluster:
        rows = cluster.system_table("system.local")
        with pytest.raises(errors.SystemTableError, match=r"GRANT SELECT ON system\.local TO") as caught:
            next(rows)
    assert isinstance(caught.value.__cause__, ClientError)
    assert isinstance(caught.value, errors.AlternatorError)


def test_a_table_that_is_missing_and_a_column_that_is_no_key(cluster: Cluster) -> None:
    with pytest.raises(errors.SystemTableError, match=r"There is no system table system\.nothing"):
        list(cluster.system_table("system.nothing"))
    with pytest.raises(errors.SystemTableError, match=r"system\.config cannot be read: ValidationException"):
        list(cluster.system_table("system.config", type="string"))


# ---- where the nodes are ----------------------------------------------------------------------------------------


def test_nodes_know_their_datacenter_and_rack(two_datacenters: LocalCluster) -> None:
    seeds = ",".join(node.host for node in two_datacenters.nodes)
    with Cluster(f"http://{seeds}:{two_datacenters.port}") as cluster:
        assert [(node.datacenter, node.rack) for node in cluster.nodes()] == [
            ("dc1", "rack1"),
            ("dc1", "rack1"),
            ("dc2", "rack1"),
        ]
        # Once: both tables at one node.
        cluster.nodes()
        assert sorted(map(len, asked(two_datacenters))) == [0, 0, 2]


def test_they_are_read_again_when_a_node_joins(local: LocalCluster, cluster: Cluster) -> None:
    cluster.nodes()
    local.add_node(rack="r7")
    assert cluster.refresh()
    assert {node.rack for node in cluster.nodes()} == {"rack1", "r7"}
    assert sum(map(len, asked(local))) == 4


def test_requests_do_not_ask(local: LocalCluster, cluster: Cluster) -> None:
    cluster.client.list_tables()
    assert cluster.topology.ring
    assert asked(local) == [[], [], []]


def test_denied_leaves_them_unknown_and_is_not_asked_again(denied: LocalCluster) -> None:
    with Cluster(denied.url) as cluster:
        for _ in range(3):
            assert [(node.datacenter, node.rack) for node in cluster.nodes()] == [(None, None), (None, None)]
    assert sum(map(len, asked(denied))) == 1


def test_what_the_scope_says_holds_where_the_tables_are_denied(denied: LocalCluster) -> None:
    with Cluster(denied.url + "/?datacenter=datacenter1") as cluster:
        assert {node.datacenter for node in cluster.nodes()} == {"datacenter1"}


def test_a_node_that_hangs_costs_a_second_at_most(local: LocalCluster, cluster: Cluster) -> None:
    _ = cluster.topology
    for node in local.nodes:
        node.delay(30, operation="Scan")
    nodes = cluster.nodes()
    assert [node.datacenter for node in nodes] == [None, None, None]
    # It rests now, instead of costing a second each time.
    count = sum(map(len, asked(local)))
    cluster.nodes()
    assert sum(map(len, asked(local))) == count


def test_a_receiver_of_signals_may_ask_for_the_nodes(cluster: Cluster) -> None:
    seen = []

    def receive(sender: Cluster, **_: Any) -> None:
        seen.append(sender.nodes())

    with signals.request_completed.connected_to(receive, cluster):
        nodes = cluster.nodes()
    assert {node.datacenter for node in nodes} == {"datacenter1"}
    assert seen


def test_an_address_translator_is_followed(local: LocalCluster) -> None:
    to_public = {"127.0.0.1": "127.0.0.2", "127.0.0.2": "127.0.0.1", "127.0.0.3": "127.0.0.3"}
    local.add_node(rack="r2")
    local.remove_node(local.nodes[2])
    to_public["127.0.0.4"] = "127.0.0.4"
    with Cluster({"url": local.url, "address_translator": to_public.get}) as cluster:
        cluster.refresh()
        racks = {node.address.partition(":")[0]: node.rack for node in cluster.nodes()}
    assert racks == {"127.0.0.1": "rack1", "127.0.0.2": "rack1", "127.0.0.4": "r2"}


def test_places_of_odd_rows() -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "system.local": [{"rpc_address": "10.0.0.1", "data_center": "dc1"}],
        "system.peers": [
            {"peer": "10.0.0.2", "data_center": "dc1", "rack": "r1"},  # just joining: without rpc_address
            {"peer": "10.0.0.3", "rpc_address": "1.1.1.3", "data_center": "dc2", "rack": "r2"},
            {"peer": "10.0.0.4"},
            {"rack": 7, "data_center": None},
        ],
    }
    assert read_locations(lambda table: rows[table]) == {
        "10.0.0.1": ("dc1", None),
        "10.0.0.2": ("dc1", "r1"),
        "1.1.1.3": ("dc2", "r2"),
    }
