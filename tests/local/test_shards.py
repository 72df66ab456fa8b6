"""The shards of nodes: which one gets a new connection, and how much each has to do."""

from __future__ import annotations

import contextlib
import socket
import ssl

from pynamodb_alternator.local import LocalCluster, LocalTls
from pynamodb_alternator.local.shards import Shards
from tests.transport.servers import until

from .wire import Wire


def test_the_shard_with_the_fewest_and_of_several_the_first() -> None:
    shards = Shards(3)
    seats = [shards.take() for _ in range(4)]
    assert [seat.shard for seat in seats] == [0, 1, 2, 0]
    for _ in range(2):
        shards.leave(seats[1])
    assert shards.connections == (2, 0, 1)
    assert shards.take().shard == 1


def test_requests_belong_to_the_shard_of_their_connection() -> None:
    with LocalCluster(1, shards=4) as local:
        (node,) = local.nodes
        assert node.shard_connections == node.shard_requests == (0, 0, 0, 0)
        with contextlib.ExitStack() as stack:
            for count in (1, 2, 0, 3, 1):
                wire = stack.enter_context(Wire(node))
                wire.get("/localnodes")  # not counted
                for _ in range(count):
                    wire.ok("ListTables", {})
            assert node.shard_connections == (2, 1, 1, 1)
            assert node.shard_requests == (2, 2, 0, 3)
        until(lambda: node.shard_connections == (0, 0, 0, 0))
        node.forget()
        assert node.shard_requests == (0, 0, 0, 0)


def test_each_end_of_a_connection_counts_once() -> None:
    """Killed, in a handshake, before it, or after a handshake that failed."""
    with LocalCluster(1, tls=LocalTls(), shards=2) as local:
        (node,) = local.nodes
        address = (node.host, node.port)
        with socket.create_connection(address) as failing, socket.create_connection(address):
            until(lambda: node.shard_connections == (1, 1))
            failing.sendall(b"GET / HTTP/1.1\r\n\r\n")
            until(lambda: node.shard_connections == (0, 1))
            node.hang()
            with socket.create_connection(address):
                until(lambda: node.shard_connections == (1, 1))
                node.kill()
                until(lambda: node.shard_connections == (0, 0))
        node.revive()
        with Wire(node, ssl.create_default_context(cafile=local.tls.ca_file)) as wire:
            wire.ok("ListTables", {})
            assert sum(node.shard_connections) == sum(node.shard_requests) == 1
        until(lambda: node.shard_connections == (0, 0))
