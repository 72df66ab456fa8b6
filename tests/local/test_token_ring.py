"""The system tables that tell where replicas are, over the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.replicas import tablet_ring, vnode_ring
from pynamodb_alternator.local.token_ring import ring_rows

from .test_replicas import nodes
from .wire import BY_K, Wire, botocore_client, create, ok, s

TOKEN_RING = ".scylla.alternator.system.token_ring"
KEYSPACES = ".scylla.alternator.system_schema.keyspaces"
COLUMNS = {"keyspace_name", "table_name", "start_token", "end_token", "endpoint", "dc", "rack"}

INDEXED: dict[str, Any] = {
    "KeySchema": [*BY_K["KeySchema"], {"AttributeName": "r", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("k", "r", "g")],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by_kg",
            "KeySchema": [*BY_K["KeySchema"], {"AttributeName": "g", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


def question(table: str, ring: str | None = None, **more: Any) -> dict[str, Any]:
    """A Query for the rings of a table's keyspace, or for one of them."""
    values = {":k": s(f"alternator_{table}")} | ({":t": s(ring)} if ring is not None else {})
    condition = "keyspace_name = :k" + (" AND table_name = :t" if ring is not None else "")
    return {
        "TableName": TOKEN_RING,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
        **more,
    }


def rows(local: LocalCluster, table: str, ring: str | None = None) -> list[dict[str, str]]:
    return [plain(row) for row in ok(local.nodes[0], "Query", question(table, ring))["Items"]]


def plain(row: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: value["S"] for name, value in row.items()}


def replicas_by_tablet(local: LocalCluster, table: str, ring: str) -> list[set[str]]:
    """The endpoints of each tablet, in the order of the tokens."""
    tablets: dict[int, set[str]] = {}
    for row in rows(local, table, ring):
        tablets.setdefault(int(row["start_token"]), set()).add(row["endpoint"])
    return [tablets[start] for start in sorted(tablets)]


@pytest.fixture(scope="module")
def indexed() -> Iterator[LocalCluster]:
    """Nodes of two datacenters, and a table with indexes of both kinds."""
    with LocalCluster(racks={"dc1": {"r1": 2, "r2": 1}, "dc2": {"r1": 1}}, replication_factor=2, tablets=4) as local:
        create(local, "idx", **INDEXED)
        create(local, "other")
        yield local
    assert local.failures == []


def test_each_table_and_each_index_has_a_ring(indexed: LocalCluster) -> None:
    emitted = rows(indexed, "idx")
    assert all(row.keys() == COLUMNS for row in emitted)
    assert {row["keyspace_name"] for row in emitted} == {"alternator_idx"}
    # Four tablets; two replicas in dc1, and one in dc2, which has one node.
    assert Counter(row["table_name"] for row in emitted) == {"idx": 12, "idx:by_g": 12, "idx!:by_kg": 12}
    places = {node.host: (node.datacenter, node.rack) for node in indexed.nodes}
    assert {(row["endpoint"], row["dc"], row["rack"]) for row in emitted} == {
        (host, *place) for host, place in places.items()
    }


def test_the_ranges_are_the_tablets(indexed: LocalCluster) -> None:
    ranges = sorted({(int(row["start_token"]), int(row["end_token"])) for row in rows(indexed, "idx", "idx:by_g")})
    assert ranges == [
        (-9223372036854775808, -4611686018427387905),
        (-4611686018427387905, -1),
        (-1, 4611686018427387903),
        (4611686018427387903, 9223372036854775807),
    ]


def test_rows_are_clustered_by_texts(indexed: LocalCluster) -> None:
    emitted = rows(indexed, "idx")
    assert emitted == sorted(emitted, key=lambda row: (row["table_name"], row["start_token"], row["endpoint"]))
    assert rows(indexed, "other")[0]["start_token"] == "-1"


def test_any_node_answers_alike(indexed: LocalCluster) -> None:
    answers = [ok(node, "Query", question("idx")) for node in indexed.nodes]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("limit", [1, 5, 12, 35, 36, 100])
def test_pages_have_every_row_once(indexed: LocalCluster, limit: int) -> None:
    with botocore_client(indexed.url) as client:
        pages = list(client.get_paginator("query").paginate(**question("idx", Limit=limit)))
    assert all(page["Count"] <= limit for page in pages)
    assert all(
        page["LastEvaluatedKey"].keys() == {"keyspace_name", "table_name", "start_token", "endpoint"}
        for page in pages[:-1]
    )
    assert [plain(row) for page in pages for row in page["Items"]] == rows(indexed, "idx")


def test_a_scan_has_the_rings_of_all_tables(indexed: LocalCluster) -> None:
    with botocore_client(indexed.url) as client:
        pages = client.get_paginator("scan").paginate(TableName=TOKEN_RING, Limit=7)
        scanned = [plain(row) for page in pages for row in page["Items"]]
    assert Counter(row["keyspace_name"] for row in scanned) == {"alternator_idx": 36, "alternator_other": 12}
    assert [row for row in scanned if row["keyspace_name"] == "alternator_idx"] == rows(indexed, "idx")


def test_a_page_continues_after_a_removed_row() -> None:
    with LocalCluster(nodes=2, tablets=2) as local:
        create(local)
        (*_, fourth) = rows(local, "tab")
        first = ok(local.nodes[0], "Query", question("tab", Limit=3))
        local.nodes[0].leave()
        second = ok(local.nodes[0], "Query", question("tab", ExclusiveStartKey=first["LastEvaluatedKey"]))
        assert [plain(row) for row in second["Items"]] == [fourth]


def test_a_page_has_a_megabyte_at_most() -> None:
    with LocalCluster(nodes=3, tablets=2048) as local, botocore_client(local.url) as client:
        create(local)
        pages = list(client.get_paginator("query").paginate(**question("tab", "tab")))
    keys = [(row["start_token"]["S"], row["endpoint"]["S"]) for page in pages for row in page["Items"]]
    assert len(pages) == 2
    assert len(keys) == len(set(keys)) == 2048 * 3


@pytest.mark.parametrize(
    "condition",
    [
        question("tab", "other"),
        question("tab", "<ALL>"),
        question("nothing"),
        question("nothing", "nothing"),
        {**question("tab"), "ExpressionAttributeValues": {":k": s("tab")}},
    ],
)
def test_what_does_not_exist_has_no_rows(indexed: LocalCluster, condition: dict[str, Any]) -> None:
    answer = ok(indexed.nodes[0], "Query", condition)
    assert (answer["Items"], answer["Count"]) == ([], 0)
    assert "LastEvaluatedKey" not in answer


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"KeyConditionExpression": "table_name = :k"}, "missed key schema element: keyspace_name"),
        ({"KeyConditionExpression": "keyspace_name = :k AND endpoint = :k"}, "not part of the key: endpoint"),
        ({"ExclusiveStartKey": {"keyspace_name": s("alternator_idx")}}, "Key column table_name not found"),
    ],
)
def test_what_is_refused(indexed: LocalCluster, parameters: dict[str, Any], message: str) -> None:
    with Wire(indexed.nodes[0]) as wire:
        kind, text = wire.refused("Query", {**question("idx"), **parameters})
    assert kind == "ValidationException"
    assert message in text


def test_an_index_that_is_added_gets_a_ring() -> None:
    with LocalCluster(tablets=1) as local:
        create(local)
        assert {row["table_name"] for row in rows(local, "tab")} == {"tab"}
        change: dict[str, Any] = {"Create": INDEXED["GlobalSecondaryIndexes"][0]}
        definitions = [{"AttributeName": "g", "AttributeType": "S"}]
        ok(
            local.nodes[0],
            "UpdateTable",
            {"TableName": "tab", "AttributeDefinitions": definitions, "GlobalSecondaryIndexUpdates": [change]},
        )
        assert {row["table_name"] for row in rows(local, "tab")} == {"tab", "tab:by_g"}
        ok(local.nodes[0], "DeleteTable", {"TableName": "tab"})
        assert rows(local, "tab") == []


# ---- vnodes, and servers that are older --------------------------------------------------------------------------


def test_with_vnodes_a_keyspace_has_one_ring() -> None:
    with LocalCluster(nodes=3, tablets=None, replication_factor=2) as local:
        create(local, "idx", **INDEXED)
        create(local, "other")
        emitted = rows(local, "idx")
        assert {row["table_name"] for row in emitted} == {"<ALL>"}
        assert len(emitted) == 16 * 3 * 2
        ranges = sorted({(int(row["start_token"]), int(row["end_token"])) for row in emitted})
        assert sum(start > end for start, end in ranges) == 1
        assert rows(local, "idx", "<ALL>") == emitted
        assert rows(local, "idx", "idx") == []
        assert [{**row, "keyspace_name": "alternator_idx"} for row in rows(local, "other")] == emitted


def test_an_old_server_knows_no_table_names() -> None:
    with LocalCluster(nodes=3, version="2024.1") as local, botocore_client(local.url) as client:
        create(local)
        pages = list(client.get_paginator("query").paginate(**question("tab", Limit=10)))
        emitted = [plain(row) for page in pages for row in page["Items"]]
        assert len(emitted) == 16 * 3 * 3
        assert all(row.keys() == COLUMNS - {"table_name"} for row in emitted)
        assert pages[0]["LastEvaluatedKey"].keys() == {"keyspace_name", "start_token", "endpoint"}
        with Wire(local.nodes[0]) as wire:
            assert wire.refused("Query", question("tab", "tab"))[0] == "ValidationException"


def test_a_server_without_the_table() -> None:
    with LocalCluster(1, token_ring=False) as local, Wire(local.nodes[0]) as wire:
        assert wire.refused("Query", question("tab"))[0] == "ResourceNotFoundException"


def test_the_table_may_be_denied() -> None:
    with LocalCluster(1, deny_virtual_tables=True) as local, Wire(local.nodes[0]) as wire:
        assert wire.refused("Query", question("tab"))[0] == "AccessDeniedException"


def test_a_range_that_wraps_may_come_as_two() -> None:
    (node,) = nodes("dc1/r1")
    ring = vnode_ring([node], 2, 1)
    low, high = map(str, ring.ends)

    def ranges(open_ended: bool) -> set[tuple[str, str]]:
        emitted = map(plain, ring_rows("ks", "<ALL>", ring, lambda member: member.host, open_ended=open_ended))
        return {(row["start_token"], row["end_token"]) for row in emitted}

    assert ranges(False) == {(high, low), (low, high)}
    assert ranges(True) == {("", low), (low, high), (high, "")}
    tablets = tablet_ring(1, [node], 1, seed="t")
    assert len(ring_rows("ks", "t", tablets, lambda member: member.host, open_ended=True)) == 1


def test_keyspaces_show_their_replication(indexed: LocalCluster) -> None:
    emitted = {
        row["keyspace_name"]["S"]: row["replication"]["S"]
        for row in ok(indexed.nodes[0], "Scan", {"TableName": KEYSPACES})["Items"]
    }
    text = "({class : org.apache.cassandra.locator.NetworkTopologyStrategy}, {dc1 : 2}, {dc2 : 1})"
    assert emitted == {"alternator_idx": text, "alternator_other": text}
    asked = ok(indexed.nodes[0], "Query", {**question("idx"), "TableName": KEYSPACES})
    assert [plain(row)["replication"] for row in asked["Items"]] == [text]
    assert ok(indexed.nodes[0], "Query", {**question("nothing"), "TableName": KEYSPACES})["Items"] == []


# ---- addresses and the topology ----------------------------------------------------------------------------------


def test_internal_addresses_lead_to_those_of_localnodes() -> None:
    with LocalCluster(nodes=3, internal_addresses=True) as local:
        create(local)
        internal = [f"10.0.0.{number}" for number in (1, 2, 3)]
        assert {row["endpoint"] for row in rows(local, "tab")} == {*internal}
        first = local.nodes[0]
        (mine,) = ok(first, "Scan", {"TableName": ".scylla.alternator.system.local"})["Items"]
        assert [mine[name]["S"] for name in ("listen_address", "broadcast_address", "rpc_address")] == [
            "10.0.0.1",
            "10.0.0.1",
            "127.0.0.1",
        ]
        peers = ok(first, "Scan", {"TableName": ".scylla.alternator.system.peers"})["Items"]
        assert {(peer["peer"]["S"], peer["rpc_address"]["S"]) for peer in peers} == {
            ("10.0.0.2", "127.0.0.2"),
            ("10.0.0.3", "127.0.0.3"),
        }
        with Wire(first) as wire:
            assert wire.get("/localnodes") == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


def test_nodes_that_leave_hand_their_tablets_on_and_nodes_that_are_down_keep_theirs() -> None:
    with LocalCluster(nodes=4, replication_factor=2, tablets=8) as local:
        create(local)
        _, second, third, _ = local.nodes

        def endpoints() -> set[str]:
            tablets = replicas_by_tablet(local, "tab", "tab")
            assert all(len(replicas) == 2 for replicas in tablets)
            return set().union(*tablets)

        before = rows(local, "tab")
        second.kill()
        third.hang()
        assert rows(local, "tab") == before
        second.revive()
        third.resume()
        second.leave()
        assert endpoints() == {node.host for node in local.nodes if node is not second}
        second.join()
        local.remove_node(third)
        assert endpoints() == {node.host for node in local.nodes}
        added = local.add_node()
        assert added.host in endpoints()


def test_fewer_nodes_than_replicas() -> None:
    with LocalCluster(nodes=2, tablets=1) as local:
        create(local)
        assert len(rows(local, "tab")) == 2
        local.add_node()
        local.add_node()
        assert len(rows(local, "tab")) == 3


# ---- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tablets": 3}, "tablets must be a power of two such as 16, at most 65536, or None for vnodes (got 3)"),
        ({"tablets": 0}, "(got 0)"),
        ({"tablets": -4}, "(got -4)"),
        ({"tablets": True}, "(got True)"),
        ({"tablets": 131072}, "(got 131072)"),
        ({"replication_factor": 0}, "replication_factor must be a whole number from 1"),
        ({"replication_factor": None}, "replication_factor must be a whole number from 1"),
        ({"hop_delay": -1}, "hop_delay must be a number of seconds"),
        ({"internal_addresses": 1}, "internal_addresses must be True or False"),
        ({"token_ring": "table"}, "token_ring must be True or False"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        LocalCluster(**settings)
    assert says in str(refused.value)
