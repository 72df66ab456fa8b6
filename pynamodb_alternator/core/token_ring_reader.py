"""Reads the token ring of a table, which tells which nodes hold which keys.

Any node tells it, in the virtual table ``system.token_ring`` (ScyllaDB's ``db/virtual_tables.cc``). If a keyspace has
tablets, each table has a ring of its own, and so has each index, as ``table:index`` or, for a local index,
``table!:index``. With vnodes, all tables of a keyspace share one ring, called ``<ALL>``, which is the same for all
keyspaces of equal replication. Servers before 6.0 and 2024.2 know only the ring of a keyspace.

The server names replicas by their addresses inside the cluster. If it lists other addresses for clients,
``system.local`` and ``system.peers`` have the pairs of both addresses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from ..errors import SystemTableError, error_code
from ..topology.replicas import ANY_PORT, Address, TokenRange, TokenRing, make_ring
from .system_tables import known_address

__all__ = ["LargeTokenRingError", "NoTokenRingError", "Query", "TokenRingReader", "UnusableTokenRingError"]

_TABLE = "system.token_ring"
_ALL = "<ALL>"
_BYTES_OF_ROW = 234
"""About how many bytes a row of the token ring has as JSON, with the names of its columns, two tokens, an address, a
datacenter and a rack."""
_BYTES_OF_QUESTION = 300
"""About how many bytes a question and its answer have without the rows."""
_FRESH = 30.0
"""Seconds for which a ring that was read for one keyspace is also used for others of equal replication."""

Query = Callable[[str, Mapping[str, Any]], Iterator[Mapping[str, Any]]]
"""Returns the rows of a system table whose columns have these values, all from one node."""


class NoTokenRingError(Exception):
    """The server does not tell a token ring, or it is too large."""


class LargeTokenRingError(NoTokenRingError):
    """The token ring has more rows than may be read."""


class UnusableTokenRingError(Exception):
    """The token ring that the server tells is not complete. Perhaps it is just changing."""


class TokenRingReader:
    """Reads token rings. Threads may share it. If two threads read the same ring at the same time, both ask for it.

    `one_node`: picks a node, and returns a function that queries its system tables. `hosts`: the hosts of the known
    nodes. `translate`: the configuration's `address_translator`. `port`: of nodes for which the translator names none.
    """

    def __init__(
        self,
        one_node: Callable[[], Query],
        *,
        hosts: Callable[[], Collection[str]],
        translate: Callable[[str], str | None] | None,
        port: int,
        clock: Callable[[], float],
    ) -> None:
        self._of_thread = threading.local()
        self._one_node = one_node
        self._hosts = hosts
        self._translate = translate
        self._port = port
        self._clock = clock
        self._clients: dict[str, str] = {}
        """By the address inside the cluster: the address for clients, if they differ."""
        self._looked_for: tuple[Collection[str], Collection[str]] = ((), ())
        """The replicas that were not known when `_clients` was read, and the nodes that were known then."""
        self._only_keyspaces = False
        """Whether the server does not have the column ``table_name`` yet."""
        self._shared: dict[str, tuple[TokenRing, Collection[str]]] = {}
        """Rings of vnodes by the replication of their keyspaces, with the nodes that were known when they were read."""

    @property
    def bytes_read(self) -> int:
        """About how many bytes the last call of `read` has read in this thread."""
        count: int = getattr(self._of_thread, "bytes", 0)
        return count

    def read(self, name: str, most: int | None) -> TokenRing:
        """The ring of a table, or of an index (``table:index``). `most`: how many rows may be read; None for any
        number.

        Raises `NoTokenRingError`, `UnusableTokenRingError`, `SystemTableError` and transport errors.
        """
        self._of_thread.bytes = 0
        query = self._counting(self._one_node())
        table, colon, index = name.partition(":")
        keyspace = f"alternator_{table}"
        if not self._only_keyspaces:
            try:
                for spelled in (name, f"{table}!:{index}") if colon else (name,):
                    rows = _at_most(query(_TABLE, {"keyspace_name": keyspace, "table_name": spelled}), most)
                    if rows:
                        return self._ring(query, rows)
            except SystemTableError as error:
                if error.__cause__ is None or error_code(error.__cause__) != "ValidationException":
                    raise
                # The server's table does not have the column, so it has only the rings of keyspaces.
                self._only_keyspaces = True
        return self._ring_of_keyspace(query, most, keyspace)

    def _ring_of_keyspace(self, query: Query, most: int | None, keyspace: str) -> TokenRing:
        replication = _replication(query, keyspace)
        hosts = self._hosts()
        shared, known = (None, ()) if replication is None else self._shared.get(replication, (None, ()))
        if shared is not None and known == hosts and self._clock() - shared.read_at < _FRESH:
            return shared
        of_all = {} if self._only_keyspaces else {"table_name": _ALL}
        rows = _at_most(query(_TABLE, {"keyspace_name": keyspace, **of_all}), most)
        if not rows:
            raise NoTokenRingError("the server tells no token ring for it")
        if self._only_keyspaces and "table_name" in rows[0]:
            self._only_keyspaces = False
            raise UnusableTokenRingError(
                "the server was upgraded just now, and tells the token rings of tables from now on"
            )
        ring = self._ring(query, rows)
        if replication is not None:
            self._shared[replication] = ring, hosts
        return ring

    def _counting(self, query: Query) -> Query:
        """`query`, with a count of the bytes that it reads. All rows of a ring have about the same size."""

        def counted(name: str, equals: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
            self._of_thread.bytes += _BYTES_OF_QUESTION
            for row in query(name, equals):
                self._of_thread.bytes += _BYTES_OF_ROW if name == _TABLE else len(repr(row))
                yield row

        return counted

    def _ring(self, query: Query, rows: list[Mapping[str, Any]]) -> TokenRing:
        try:
            ends = [(_token(row["start_token"]), _token(row["end_token"]), str(row["endpoint"])) for row in rows]
        except (KeyError, TypeError, ValueError) as wrong:
            raise UnusableTokenRingError(f"its token ring cannot be read ({wrong!r})") from wrong
        addresses = self._addresses(query, {endpoint for _, _, endpoint in ends})
        ring = make_ring((TokenRange(start, end, addresses[of]) for start, end, of in ends), self._clock())
        if ring is None:
            raise UnusableTokenRingError("its token ring has gaps, or has one token in two ranges")
        return ring

    def _addresses(self, query: Query, endpoints: Collection[str]) -> dict[str, Address]:
        """The host and port that are used here for each replica.

        If no known node has the address of a replica, the address stays unchanged: this may be a node that has just
        died, or a node in a datacenter whose list is not read. The table of addresses is read when a replica is not
        known. It is read again when other replicas are not known, or when the nodes have changed. If this fails, the
        error is raised only if none of the replicas is known.
        """
        hosts = self._hosts()
        addresses = self._of_clients(endpoints)
        unknown = frozenset(endpoint for endpoint, (host, _) in addresses.items() if host not in hosts)
        if unknown and self._looked_for != (unknown, hosts):
            try:
                self._clients = dict(_addresses_for_clients(query))
            except SystemTableError:
                if len(unknown) == len(addresses):
                    raise
            self._looked_for = unknown, hosts
            addresses = self._of_clients(endpoints)
        return addresses

    def _of_clients(self, endpoints: Collection[str]) -> dict[str, Address]:
        return {endpoint: self._known(self._clients.get(endpoint, endpoint)) for endpoint in endpoints}

    def _known(self, listed: str) -> Address:
        host, port = known_address(listed, self._translate, self._port)
        return host, port or ANY_PORT


def _addresses_for_clients(query: Query) -> Iterator[tuple[str, str]]:
    """For each node: its address inside the cluster, and its address for clients."""
    for table, key, columns in (
        ("system.local", {"key": "local"}, ("broadcast_address", "listen_address")),
        ("system.peers", {}, ("peer",)),
    ):
        for row in query(table, key):
            for column in columns:
                if isinstance(row.get(column), str) and isinstance(row.get("rpc_address"), str):
                    yield row[column], row["rpc_address"]


def _replication(query: Query, keyspace: str) -> str | None:
    """A text that is equal for keyspaces of equal replication; None if the server does not tell it."""
    try:
        for row in query("system_schema.keyspaces", {"keyspace_name": keyspace}):
            return repr(row.get("replication"))
    except SystemTableError:
        pass  # perhaps not granted: then the ring of each keyspace is read
    return None


def _at_most(rows: Iterable[Mapping[str, Any]], most: int | None) -> list[Mapping[str, Any]]:
    read: list[Mapping[str, Any]] = []
    for row in rows:
        if most is not None and len(read) >= most:
            raise LargeTokenRingError(f"its token ring has more than {most:,} rows")
        read.append(row)
    return read


def _token(text: object) -> int | None:
    """A token; None for the open end of the ring."""
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is not text")
    return int(text) if text else None
