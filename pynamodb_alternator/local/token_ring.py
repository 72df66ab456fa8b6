"""Rings in the form of the server's system tables ``system.token_ring`` and ``system_schema.keyspaces``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from .members import Member
from .replicas import Ring
from .system_reads import Row, row

TOKEN_RING_KEY = ("keyspace_name", "table_name", "start_token", "endpoint")
OLD_TOKEN_RING_KEY = ("keyspace_name", "start_token", "endpoint")
"""The key of ``token_ring`` before ScyllaDB 2024.2. Without tablets, all tables of a keyspace have the same ring."""

KEYSPACE = "alternator_"
"""The name of a table's keyspace is this prefix and the name of the table."""


def ring_rows(
    keyspace: str, table: str | None, ring: Ring, endpoint: Callable[[Member], str], *, open_ended: bool = False
) -> list[Row]:
    """The rows of one ring: one row for each replica of each range, not sorted yet.

    `table`: None before ScyllaDB 2024.2, where rows do not name a table. `endpoint`: gives a node's address as its
    peers know it. `open_ended`: a range that wraps becomes two, one without a start and one without an end, as in some
    versions of the server.
    """
    rows = []
    for start, end, replicas in _ranges(ring, open_ended):
        for member in replicas:
            address = endpoint(member)
            rows.append(
                row(
                    keyspace_name=keyspace,
                    table_name=table,
                    start_token=start,
                    endpoint=address,
                    end_token=end,
                    dc=member.datacenter,
                    rack=member.rack,
                )
            )
    return rows


def _ranges(ring: Ring, open_ended: bool) -> list[tuple[str, str, Sequence[Member]]]:
    ranges: list[tuple[str, str, Sequence[Member]]] = []
    for number, (start, end, replicas) in enumerate(zip(ring.starts(), ring.ends, ring.replicas, strict=True)):
        if open_ended and ring.wraps and number == 0:
            ranges += [("", str(end), replicas), (str(start), "", replicas)]
        else:
            ranges.append((str(start), str(end), replicas))
    return ranges


def keyspace_row(keyspace: str, members: Sequence[Member], replication_factor: int) -> Row:
    """The row of a keyspace. Its replication is a map, which the server returns as text."""
    replication = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy"}
    for datacenter, nodes in Counter(member.datacenter for member in members).items():
        replication[datacenter] = str(min(replication_factor, nodes))
    text = ", ".join(f"{{{key} : {value}}}" for key, value in replication.items())
    return row(keyspace_name=keyspace, replication=f"({text})")
