"""ScyllaDB's system tables, which Alternator shows as ``.scylla.alternator.<keyspace>.<table>``.

They support only Query and Scan. This module makes the rows; `system_reads` selects from them. As in the server, values
that are not text, number or blob are returned as strings.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from . import auth, system_reads, token_ring
from .answers import DialectError
from .catalogue import Catalogue, TableInfo
from .members import Member, Members, host_id, internal_address
from .options import Options
from .rings import ALL_TABLES, Rings, ring_name
from .system_reads import Row, row

PREFIX = ".scylla.alternator."


@dataclass(frozen=True, slots=True)
class _Table:
    key: Sequence[str]
    """The partition key, then the clustering columns."""
    rows: Callable[[str, str | None], list[Row]]
    """Gives the sorted rows, by the host of the asked node and a partition. If the partition is None, all rows are
    needed."""


class VirtualTables:
    """The system tables. Each read makes the rows from the cluster's members, tables and rings."""

    def __init__(self, options: Options, members: Members, catalogue: Catalogue, rings: Rings) -> None:
        self._options = options
        self._members = members
        self._catalogue = catalogue
        self._rings = rings
        self._tables = {
            "system.local": _Table(("key",), self._local),
            "system.peers": _Table(("peer",), self._peers),
            "system.config": _Table(("name",), self._config),
            "system.cluster_status": _Table(("peer",), self._cluster_status),
            "system.clients": _Table(("address", "port", "client_type"), self._clients),
            "system_schema.keyspaces": _Table(("keyspace_name",), self._keyspaces),
        }
        if options.token_ring:
            key = token_ring.TOKEN_RING_KEY if options.token_ring_names_tables else token_ring.OLD_TOKEN_RING_KEY
            self._tables["system.token_ring"] = _Table(key, self._token_ring)

    def read(self, name: str, parameters: Mapping[str, Any], asked: str, operation: str) -> dict[str, Any]:
        """The answer to a Query or Scan of the table called `name`, by the node whose host is `asked`."""
        table = self._tables.get(name.removeprefix(PREFIX))
        if self._options.deny_virtual_tables:
            raise DialectError("AccessDeniedException", f"SELECT access on table {name.removeprefix(PREFIX)} is denied")
        if table is None:
            raise DialectError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        if operation == "Query":
            conditions = system_reads.key_conditions(parameters, table.key)
            partition = conditions[table.key[0]]
            rows = table.rows(asked, str(partition.get("S")) if isinstance(partition, dict) else "")
            rows = system_reads.matching(rows, conditions)
        else:
            rows = table.rows(asked, None)
        return system_reads.answer(rows, table.key, parameters)

    def _location(self, member: Member) -> Row:
        return row(
            data_center=member.datacenter,
            rack=member.rack,
            host_id=host_id(member),
            rpc_address=member.host,
            preferred_ip=None,
            release_version="3.0.8",
            schema_version=str(uuid.UUID(int=1)),
        )

    def _local(self, asked: str, partition: str | None) -> list[Row]:
        member = next(member for member in self._members() if member.host == asked)
        address = row(
            key="local",
            broadcast_address=self._internal(member),
            listen_address=self._internal(member),
            cluster_name="local",
            partitioner="org.apache.cassandra.dht.Murmur3Partitioner",
            bootstrapped="COMPLETED",
        )
        return [address | self._location(member)]

    def _peers(self, asked: str, partition: str | None) -> list[Row]:
        return [
            row(peer=self._internal(member)) | self._location(member)
            for member in self._members()
            if member.host != asked and member.joined
        ]

    def _config(self, asked: str, partition: str | None) -> list[Row]:
        options = self._options
        settings: dict[str, tuple[str, object]] = {
            "alternator_write_isolation": ("string", options.write_isolation),
            "alternator_enforce_authorization": ("bool", options.credentials is not None),
            "alternator_response_gzip_compression_level": ("integer", 6 if options.response_compression else 0),
            "alternator_response_compression_threshold_in_bytes": ("integer", options.compression_threshold),
            "cluster_name": ("string", "local"),
        }
        if options.ttl_period is not None:
            settings["alternator_ttl_period_in_seconds"] = ("double", options.ttl_period)
        return [
            row(name=name, source="config", type=kind, value=orjson.dumps(value).decode())
            for name, (kind, value) in settings.items()
        ]

    def _cluster_status(self, asked: str, partition: str | None) -> list[Row]:
        return [
            row(
                peer=self._internal(member),
                dc=member.datacenter,
                rack=member.rack,
                host_id=host_id(member),
                status="NORMAL" if member.joined else "LEFT",
                up=str(member.up).lower(),
                tokens="256",
                load="0",
                owns=str(1.0),
            )
            for member in self._members()
        ]

    def _clients(self, asked: str, partition: str | None) -> list[Row]:
        """The requests that the node is answering, including this one. The server does not list idle connections."""
        member = next(member for member in self._members() if member.host == asked)
        rows = [
            row(
                address=request.client[0],
                port=str(request.client[1]),
                client_type="alternator",
                connection_stage="ESTABLISHED",
                driver_name=request.headers.get("user-agent", ""),
                shard_id=str(request.shard),
                scheduling_group="statement",
                ssl_enabled=str(request.secure).lower(),
                username=auth.access_key(request.headers) if self._options.credentials is not None else "",
            )
            for request in member.under_way()
        ]
        return system_reads.in_order(rows, self._tables["system.clients"].key)

    # Tables and rings

    def _token_ring(self, asked: str, partition: str | None) -> list[Row]:
        rows = [row for name, info in self._named(partition) for row in self._ring_rows(name, info)]
        return system_reads.in_order(rows, self._tables["system.token_ring"].key)

    def _ring_rows(self, table: str, info: TableInfo) -> list[Row]:
        keyspace = token_ring.KEYSPACE + table
        if self._options.tablets is None:
            name = ALL_TABLES if self._options.token_ring_names_tables else None
            return token_ring.ring_rows(keyspace, name, self._rings.ring(table), self._internal)
        names = [table] + [ring_name(table, name, is_local=index.is_local) for name, index in info.indexes.items()]
        rings = [(name, self._rings.ring(name)) for name in names]
        return [row for name, ring in rings for row in token_ring.ring_rows(keyspace, name, ring, self._internal)]

    def _keyspaces(self, asked: str, partition: str | None) -> list[Row]:
        joined = [member for member in self._members() if member.joined]
        return [
            token_ring.keyspace_row(token_ring.KEYSPACE + name, joined, self._options.replication_factor)
            for name, _ in self._named(partition)
        ]

    def _named(self, keyspace: str | None) -> list[tuple[str, TableInfo]]:
        """The table with this keyspace, if there is one; for None, all tables."""
        names: Iterable[str] = ()
        if keyspace is None:
            names = self._catalogue.tables()
        elif keyspace.startswith(token_ring.KEYSPACE):
            names = [keyspace.removeprefix(token_ring.KEYSPACE)]
        known = ((name, self._catalogue.info(name)) for name in names)
        return [(name, info) for name, info in known if info is not None]

    def _internal(self, member: Member) -> str:
        return internal_address(member) if self._options.internal_addresses else member.host
