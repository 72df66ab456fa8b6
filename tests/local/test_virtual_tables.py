"""The system tables of the embedded cluster."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster, LocalNode

from .wire import Wire, botocore_client, ok, post, s, until

SYSTEM = ".scylla.alternator.system."


@pytest.fixture(scope="module")
def racks() -> Iterator[LocalCluster]:
    with LocalCluster(racks={"dc1": {"r1": 1, "r2": 1}, "dc2": {"r1": 1}}, write_isolation="always") as cluster:
        yield cluster
    assert cluster.failures == []


def text(row: dict[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(row[name]["S"] for name in names)


def test_system_local_and_peers(racks: LocalCluster) -> None:
    for node in racks.nodes:
        (local,) = ok(node, "Scan", {"TableName": SYSTEM + "local"})["Items"]
        assert text(local, "key", "rpc_address", "data_center", "rack") == (
            "local",
            node.host,
            node.datacenter,
            node.rack,
        )
        peers = ok(node, "Scan", {"TableName": SYSTEM + "peers"})["Items"]
        assert {text(peer, "peer", "rpc_address", "data_center", "rack") for peer in peers} == {
            (other.host, other.host, other.datacenter, other.rack) for other in racks.nodes if other is not node
        }
        assert len({peer["host_id"]["S"] for peer in [*peers, local]}) == 3


def test_the_write_isolation_option_can_be_read(racks: LocalCluster) -> None:
    answer = ok(
        racks.nodes[0],
        "Query",
        {
            "TableName": SYSTEM + "config",
            "KeyConditionExpression": "#n = :n",
            "ExpressionAttributeNames": {"#n": "name"},
            "ExpressionAttributeValues": {":n": s("alternator_write_isolation")},
        },
    )
    assert [item["value"] for item in answer["Items"]] == [s('"always_use_lwt"')]
    legacy = {"name": {"ComparisonOperator": "EQ", "AttributeValueList": [s("alternator_write_isolation")]}}
    again = ok(
        racks.nodes[0],
        "Query",
        {"TableName": SYSTEM + "config", "KeyConditions": legacy, "ProjectionExpression": "value"},
    )
    assert again["Items"] == [{"value": s('"always_use_lwt"')}]


def test_the_table_cluster_status_lists_nodes(racks: LocalCluster) -> None:
    def status() -> dict[str, tuple[str, ...]]:
        rows = ok(racks.nodes[0], "Scan", {"TableName": SYSTEM + "cluster_status"})["Items"]
        return {row["peer"]["S"]: text(row, "up", "status", "dc") for row in rows}

    third = racks.nodes[2]
    assert status()[third.host] == ("true", "NORMAL", "dc2")
    third.kill()
    assert status()[third.host] == ("false", "NORMAL", "dc2")
    third.revive()
    third.leave()
    assert status()[third.host] == ("true", "LEFT", "dc2")
    third.join()
    filtered = {
        "TableName": SYSTEM + "cluster_status",
        "FilterExpression": "dc = :d AND up = :u",
        "ExpressionAttributeValues": {":d": s("dc1"), ":u": s("true")},
    }
    answer = ok(racks.nodes[0], "Scan", filtered)
    assert (answer["Count"], answer["ScannedCount"]) == (2, 3)
    assert ok(racks.nodes[0], "Scan", {**filtered, "Select": "COUNT"}) == {"Count": 2, "ScannedCount": 3}


def clients_of(node: LocalNode) -> list[dict[str, Any]]:
    with Wire(node) as wire:
        body = json.dumps({"TableName": SYSTEM + "clients"}).encode()
        answer = wire.raw("Scan", body, {"User-Agent": "the-reader/1"})[2]
    return list(json.loads(answer)["Items"])


def test_clients_are_the_requests_that_a_node_is_answering(racks: LocalCluster) -> None:
    first = racks.nodes[0]
    (own,) = clients_of(first)
    assert text(own, "address", "client_type", "connection_stage") == ("127.0.0.1", "alternator", "ESTABLISHED")
    assert text(own, "driver_name", "ssl_enabled", "username") == ("the-reader/1", "false", "")
    assert int(own["port"]["S"]) > 0
    first.delay(60, times=1, operation="ListTables")
    waiting = post("ListTables", {}).replace(b"Host: x", b"Host: x\r\nUser-Agent: someone/2")
    with socket.create_connection((first.host, first.port)) as other:
        other.sendall(waiting)
        until(lambda: len(clients_of(first)) == 2)
        rows = {row["driver_name"]["S"]: row for row in clients_of(first)}
        assert set(rows) == {"the-reader/1", "someone/2"}
        assert text(rows["someone/2"], "address", "port") == ("127.0.0.1", str(other.getsockname()[1]))
        assert [row["driver_name"]["S"] for row in clients_of(racks.nodes[1])] == ["the-reader/1"]
    first.kill()
    first.revive()
    until(lambda: len(clients_of(first)) == 1)


def test_a_client_that_signs_has_a_name() -> None:
    with (
        LocalCluster(1, credentials={"alice": "wonder"}, tls=True) as cluster,
        botocore_client(cluster.url, verify=str(cluster.tls.ca_file)) as client,
    ):
        (row,) = client.scan(TableName=SYSTEM + "clients")["Items"]
    assert text(row, "username", "ssl_enabled") == ("alice", "true")
    assert "Botocore" in row["driver_name"]["S"]


def test_pages_of_system_tables(racks: LocalCluster) -> None:
    seen = []
    start: dict[str, Any] = {}
    while True:
        page = ok(racks.nodes[0], "Scan", {"TableName": SYSTEM + "cluster_status", "Limit": 2, **start})
        seen += [row["peer"]["S"] for row in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert seen == [node.host for node in racks.nodes]


@pytest.mark.parametrize(
    ("operation", "parameters", "kind"),
    [
        ("Scan", {"TableName": SYSTEM + "nothing"}, "ResourceNotFoundException"),
        ("GetItem", {"TableName": SYSTEM + "local", "Key": {"key": s("local")}}, "ResourceNotFoundException"),
        ("PutItem", {"TableName": SYSTEM + "local", "Item": {"key": s("local")}}, "ResourceNotFoundException"),
        ("Query", {"TableName": SYSTEM + "config"}, "ValidationException"),
        ("Scan", {"TableName": SYSTEM + "config", "FilterExpression": "name > :x"}, "ValidationException"),
        ("Scan", {"TableName": SYSTEM + "config", "FilterExpression": "name = :x"}, "ValidationException"),
        ("Scan", {"TableName": SYSTEM + "config", "FilterExpression": " " * 1_000_000}, "ValidationException"),
        ("Scan", {"TableName": SYSTEM + "config", "FilterExpression": 5}, "ValidationException"),
        ("Scan", {"TableName": SYSTEM + "config", "AttributesToGet": [{}]}, "ValidationException"),
        ("Scan", {"TableName": SYSTEM + "peers", "ExclusiveStartKey": {"peer": {"S": 5}}}, "ValidationException"),
        ("Query", {"TableName": SYSTEM + "config", "KeyConditions": 5}, "ValidationException"),
        ("Query", {"TableName": SYSTEM + "config", "KeyConditions": {"name": 5}}, "ValidationException"),
        (
            "Query",
            {
                "TableName": SYSTEM + "config",
                "KeyConditionExpression": "#n = :x",
                "ExpressionAttributeNames": 5,
                "ExpressionAttributeValues": 5,
            },
            "ValidationException",
        ),
    ],
)
def test_wrong_reads_of_system_tables(
    racks: LocalCluster, operation: str, parameters: dict[str, Any], kind: str
) -> None:
    with Wire(racks.nodes[0]) as wire:
        assert wire.refused(operation, parameters)[0] == kind


def test_system_tables_may_be_denied() -> None:
    with LocalCluster(1, deny_virtual_tables=True) as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.refused("Scan", {"TableName": SYSTEM + "local"})[0] == "AccessDeniedException"
