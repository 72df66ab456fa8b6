"""``pynamodb-alternator clients``: who is on the cluster."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from pynamodb_alternator.diagnostics.clients import SeenClient, summed_up
from pynamodb_alternator.local import LocalCluster, LocalNode
from tests.local.wire import post, until

from .support import Run


@pytest.fixture
def waiting(local: LocalCluster) -> Iterator[LocalNode]:
    """A node of which a client waits for an answer."""
    node = local.nodes[1]
    node.delay(60, times=1, operation="ListTables")
    request = post("ListTables", {}).replace(b"Host: x", b"Host: x\r\nUser-Agent: shop/2.1")
    with socket.create_connection((node.host, node.port)) as other:
        other.sendall(request)
        until(node.under_way)
        yield node


def test_who_is_on_the_cluster(waiting: LocalNode, at: Run) -> None:
    status, out, _ = at("clients", "--seconds", "0")
    assert status == 0
    lines = out.splitlines()
    assert lines[0].split() == ["address", "program", "user", "protocol", "connections", "nodes"]
    assert lines[1].split() == ["127.0.0.1", "shop/2.1", "–", "alternator", "1", "1"]
    assert lines[3] == "1 client seen at one moment. An idle one is not seen."


def test_the_command_clients_prints_json(waiting: LocalNode, at: Run) -> None:
    status, out, _ = at("clients", "--seconds", "0.2", "--json")
    document = json.loads(out)
    assert status == 0
    assert document["refusals"] == {}
    (client,) = document["clients"]
    assert client == {
        "address": "127.0.0.1",
        "program": "shop/2.1",
        "user": "",
        "protocol": "alternator",
        "tls": False,
        "connections": 1,
        "nodes": [waiting.address],
    }


def test_the_command_leaves_itself_out(at: Run) -> None:
    assert "no clients seen in 0.1 s." in at("clients", "--seconds", "0.1")[1]


def test_tables_that_may_not_be_read(run: Run) -> None:
    with LocalCluster(nodes=1, deny_virtual_tables=True) as local:
        status, out, _ = run("clients", "--seconds", "5", "--url", local.url)
    assert status == 1
    assert f"{local.addresses[0]} does not tell its clients: AccessDeniedException" in out


def test_a_node_that_is_dead_does_not_hide_the_others(waiting: LocalNode, local: LocalCluster, at: Run) -> None:
    local.nodes[2].kill(still_listed=True)
    status, out, _ = at("clients", "--seconds", "0")
    assert status == 0
    assert "shop/2.1" in out
    assert f"{local.addresses[2]} does not tell its clients: " in out


def test_a_node_that_is_frozen_does_not_use_up_the_time(waiting: LocalNode, local: LocalCluster, at: Run) -> None:
    """The others are asked again and again, also where one question takes as long as the command may look."""
    well, frozen = local.nodes[0], local.nodes[2]
    frozen.hang()
    try:
        status, out, _ = at("clients", "--seconds", "1", "--timeout", "1")
    finally:
        frozen.resume()
    assert status == 0
    assert f"{frozen.address} does not tell its clients: " in out
    questions = [request for request in well.requests if "system.clients" in (request.table or "")]
    assert len(questions) >= 3


def test_nothing_is_said_of_clients_where_no_node_tells(run: Run) -> None:
    with LocalCluster(nodes=1, deny_virtual_tables=True) as local:
        _, out, _ = run("clients", "--seconds", "5", "--url", local.url)
    assert " seen " not in out


def row(**columns: str) -> dict[str, str]:
    return {"address": "10.1.1.1", "port": "5", "client_type": "alternator", **columns}


def test_rows_of_the_same_program_are_one_client() -> None:
    rows = [
        ("a:1", row(driver_name="x/1", username="anonymous", ssl_enabled="true")),
        ("b:1", row(driver_name="x/1", username="", ssl_enabled="true")),
        ("b:1", row(driver_name="x/1", username="", ssl_enabled="true", port="6")),
        ("a:1", row(driver_name="Java", driver_version="4.1", client_type="cql", username="ann", ssl_enabled="false")),
        ("a:1", row()),
    ]
    assert summed_up(rows) == (
        SeenClient("10.1.1.1", "", "", "alternator", None, 1, ("a:1",)),
        SeenClient("10.1.1.1", "Java 4.1", "ann", "cql", False, 1, ("a:1",)),
        SeenClient("10.1.1.1", "x/1", "", "alternator", True, 3, ("a:1", "b:1")),
    )
