"""Rings as the server's system tables tell of them: ``system.token_ring`` and ``system_schema.keyspaces``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from .members import Member
from .replicas import Ring
from .system_reads import Row, row

TOKEN_RING_KEY = ("keyspace_name", "table_name", "start_token", "endpoint")
OLD_TOKEN_RING_KEY = ("keyspace_name", "start_token", "endpoint")
"""Its key before ScyllaDB 2024.2, which has no tablets: the ring is that of the keyspace."""

KEYSPACE = "alternator_"
"""The prefix of the names of tables' keyspaces."""


def ring_rows(
    keyspace: str, table: str | None, ring: Ring, endpoint: Callable[[Member], str], *, open_ended: bool = False
) -> list[Row]:
    """The rows of one ring: one for each replica of each range, not sorted yet.

    `table`: None before ScyllaDB 2024.2, whose rows do not name one. `endpoint`: a node's address as its peers know it.
    `open_ended`: a range that wraps comes as two, one without a start and one without an end, as some versions tell it.
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
    """A keyspace and its replication, which is a map, as the text that the server makes of it."""
    replication = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy"}
    for datacenter, nodes in Counter(member.datacenter for member in members).items():
        replication[datacenter] = str(min(replication_factor, nodes))
    text = ", ".join(f"{{{key} : {value}}}" for key, value in replication.items())
    return row(keyspace_name=keyspace, replication=f"({text})")
