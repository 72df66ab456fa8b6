"""The embedded cluster: N nodes on loopback addresses, one port, one engine, one thread.

`LocalCluster` makes the parts, connects them, and ends them again. It does not handle requests itself. `start` takes
the addresses (`addresses`), makes the engine (`engines`) and the certificates (`tls`), starts the event loop
(`runtime`), and gives each node the loop and the handler that all nodes share (`alternator`). The parts do not import
this module: it imports the nodes (`node`, `process`), they import their sockets (`server`, `http`) and faults, and the
handler imports the dialect. `close` undoes the steps of `start` in the opposite order. If `start` fails, its finished
steps are undone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Literal, Self

from ..errors import AlternatorError, ConfigurationError
from ..settings import checks
from . import isolation, options
from .addresses import host_of, reserve, take
from .alternator import AlternatorHandler
from .coordination import Coordination
from .engine import Engine, lock_of
from .engines import close_engine, engine_of
from .node import LocalNode
from .options import COMPRESSION_THRESHOLD, MAX_BODY, Options
from .placement import Location, locations
from .running import began, ended
from .runtime import Runtime, not_running
from .server import ServerSettings
from .tls import LocalTls, TlsFiles

_ENGINE_THREADS = 32
"""Threads that call an engine without a lock: its calls may wait for a network. An engine with a lock has one."""


class LocalCluster:
    """A cluster of nodes that speak ScyllaDB Alternator's dialect, inside this process.

    The nodes listen on 127.0.0.1, 127.0.0.2, … at one port. They share one engine and one thread. Use the cluster in a
    ``with``, or call `start` and `close`.

    `nodes`: how many nodes. The default is 3, or the number in `datacenters` and `racks`.
    `datacenters`: the datacenters of the nodes, with counts (``{"dc1": 3, "dc2": 2}``) or in turn (``["dc1", "dc2"]``).
    `racks`: the same for the racks of each datacenter, or for each by its name (``{"dc1": {"r1": 2, "r2": 1}}``).
    `port`: the port of all nodes; by default one that is free on every address.
    `engine`: ``"moto"`` (in process, empty, only for this cluster), the URL of a DynamoDB endpoint, or an `Engine`.
    `credentials`: access keys and their secrets. If they are given, requests must be signed, as with the server's
    option ``alternator_enforce_authorization``.
    `tls`: True for https with a certificate of the cluster's own authority (`LocalCluster.tls`), or a `LocalTls`.
    `version`: the ScyllaDB version that the nodes imitate: before 2026.1 without compression in either direction,
    before 2025.1 without ``dc`` and ``rack`` in ``/localnodes``, before 2026.3 with a ``Server`` header.
    `write_isolation`: the write isolation of tables without the tag ``system:write_isolation``.
    `max_body`: the longest request body in bytes, compressed and uncompressed. Longer ones get the status 413.
    `response_compression`: compress answers for clients that accept it.
    `compression_threshold`: from how many bytes of an answer on.
    `chunk_threshold`: in bytes. Longer answers to Query, Scan and BatchGetItem are sent in chunks.
    `deny_virtual_tables`: refuse reads of ``.scylla.alternator.…`` with AccessDeniedException.
    `replication_factor`: how many nodes of each datacenter hold each key; fewer if the datacenter has fewer nodes.
    `tablets`: how many tablets each table and each index has, a power of two; None for vnodes. Before version 2024.2
    there are only vnodes, and ``token_ring`` does not name tables.
    `hop_delay`: how many seconds longer a read or write of one item, or a Query of one partition, takes at a node that
    has no replica of it.
    `internal_addresses`: the system tables ``token_ring`` and ``peers`` have other addresses of the nodes than
    ``/localnodes``: 10.0.0.1 for 127.0.0.1.
    `vector_dialect`: which vector search the nodes support: ``"aws"`` (SearchVectors), ``"alternator"`` (Query with
    VectorSearch), ``"both"``, or None, as before version 2026.2. It is exact, and a new index is ACTIVE at once.
    `token_ring`: False for a server without the table ``system.token_ring``.
    `ttl_period`: the least seconds between two sweeps of a table with time to live. A sweep deletes expired items,
    before the next request to the table. None: only `expire` deletes them. The server's default is a day.
    `processes`: each node has its own process (`ProcessNode`), which a test can freeze with SIGSTOP.
    `shards`: for how many cores a node counts connections and requests; see `LocalNode.shard_requests`.

    Raises `ConfigurationError` for wrong settings, and for settings that contradict each other. `start` raises it if
    the system lacks something.
    """

    def __init__(
        self,
        nodes: int | None = None,
        *,
        datacenters: Mapping[str, int] | Sequence[str] | None = None,
        racks: Mapping[str, Mapping[str, int]] | Mapping[str, int] | Sequence[str] | None = None,
        port: int | None = None,
        engine: Literal["moto"] | str | Engine = "moto",
        credentials: Mapping[str, str] | None = None,
        version: str = "2026.3",
        write_isolation: str = isolation.ONLY_RMW,
        max_body: int = MAX_BODY,
        response_compression: bool = False,
        compression_threshold: int = COMPRESSION_THRESHOLD,
        chunk_threshold: int = 100 * 1024,
        deny_virtual_tables: bool = False,
        replication_factor: int = 3,
        tablets: int | None = 16,
        hop_delay: float = 0.0,
        vector_dialect: Literal["both", "aws", "alternator"] | None = "both",
        internal_addresses: bool = False,
        token_ring: bool = True,
        ttl_period: float | None = 1.0,
        tls: bool | LocalTls = False,
        processes: bool = False,
        shards: int = 8,
    ) -> None:
        like = options.version(version)
        self._options = Options(
            max_body=max_body,
            version=like,
            credentials=options.credentials(credentials),
            response_compression=response_compression,
            compression_threshold=compression_threshold,
            chunk_threshold=chunk_threshold,
            write_isolation=options.write_isolation(write_isolation),
            deny_virtual_tables=deny_virtual_tables,
            replication_factor=replication_factor,
            tablets=options.tablets_of(tablets, like),
            hop_delay=hop_delay,
            vector_dialects=options.vector_dialects_of(vector_dialect, like),
            internal_addresses=internal_addresses,
            token_ring=token_ring,
            ttl_period=ttl_period,
            shards=shards,
            certificate_is_login=isinstance(tls, LocalTls) and tls.certificate_is_login,
        )
        self._locations = locations(
            3 if nodes is None and datacenters is None and racks is None else nodes, datacenters, racks
        )
        if port is not None:
            checks.whole("LocalCluster: port", port, 1, 65535)
        self._port_setting = port
        self._engine_setting = engine
        if not isinstance(tls, bool | LocalTls):
            raise ConfigurationError(f"LocalCluster: tls must be True, False or a LocalTls (got {tls!r}).")
        self._tls_setting = LocalTls() if tls is True else tls or None
        self._node_type: type[LocalNode] = _process_node() if processes else LocalNode
        self._lifecycle = threading.Lock()
        self._undo: contextlib.ExitStack | None = None
        """The steps of `close`; None while the cluster does not run."""
        self._tls: TlsFiles | None = None
        self._runtime: Runtime | None = None
        self._nodes: tuple[LocalNode, ...] = ()
        self._placed = 0
        """How many addresses nodes have had so far, including the nodes that were removed."""
        self.failures: list[BaseException] = []
        """Errors inside the cluster itself. If there is one, the cluster has a defect: please report it."""

    # The life of a cluster

    def start(self) -> Self:
        """Start all nodes, and return when they listen. A cluster that runs already is not changed.

        Raises `ConfigurationError`, which says what to do, if moto is missing or the addresses cannot be bound.
        """
        with self._lifecycle:
            if self._undo is None:
                with contextlib.ExitStack() as undo:
                    self._start(undo)
                    self._undo = undo.pop_all()
        return self

    def _start(self, undo: contextlib.ExitStack) -> None:
        engine = engine_of(self._engine_setting)
        if engine is not self._engine_setting:
            undo.callback(close_engine, engine)
        hosts = [host_of(number) for number in range(1, len(self._locations) + 1)]
        if self._tls_setting is not None:
            # The certificate is also valid for nodes that may be added later.
            named = dict.fromkeys([host_of(number) for number in range(1, 255)] + hosts)
            self._tls = TlsFiles(self._tls_setting, list(named))
            undo.callback(self._end_tls, self._tls)
        placeholders = reserve(hosts, self._port_setting)
        for placeholder in placeholders:
            undo.callback(placeholder.close)
        self._placed = len(hosts)
        self._nodes = ()  # nodes of an earlier start are dropped: their event loop is closed
        runtime = Runtime(_ENGINE_THREADS if lock_of(engine) is None else 1, self.failures)
        undo.callback(self._stop, runtime)
        began(self)
        self._handler = AlternatorHandler(runtime, engine, self._options, lambda: self._nodes)
        self._runtime = runtime
        self._nodes = tuple(
            self._new_node(runtime, location, placeholder)
            for location, placeholder in zip(self._locations, placeholders, strict=True)
        )
        runtime.in_loop(self._listen)
        for node in self._nodes:
            node.server.await_ready()

    def _new_node(self, runtime: Runtime, location: Location, placeholder: socket.socket) -> LocalNode:
        context = None if self._tls is None else self._tls.context_of(placeholder.getsockname()[0])
        settings = ServerSettings(self._options.max_body, self._options.server_header, context, self._options.shards)
        return self._node_type(runtime, self._handler, settings, location, placeholder)

    def _listen(self) -> None:
        for node in self._nodes:
            node.server.listen()

    def close(self) -> None:
        """Stop all nodes, and end or delete every socket, thread and file. A second call does nothing.

        A call in a forked child does nothing: the cluster belongs to the process that started it.
        """
        with self._lifecycle:
            if self._undo is not None and self._runtime is not None and not self._runtime.forked:
                undo, self._undo = self._undo, None
                undo.close()

    def delete_files(self) -> None:
        """The interpreter ends, and nobody has closed the cluster: see `running`. The files are those of TLS."""
        if self._tls is not None and self._runtime is not None and not self._runtime.forked:
            self._tls.close()

    def _stop(self, runtime: Runtime) -> None:
        ended(self)
        runtime.stop(self._shut)

    def _shut(self) -> None:
        for node in self._nodes:
            node.server.shut()

    def _end_tls(self, files: TlsFiles) -> None:
        self._tls = None
        files.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._undo is None:
            return f"<LocalCluster of {len(self._locations)} nodes, not running>"
        up = sum(node.up for node in self._nodes)
        return f"<LocalCluster of {len(self._nodes)} nodes, {up} up, port {self.port}>"

    # What it is

    @property
    def nodes(self) -> tuple[LocalNode, ...]:
        return self._nodes

    def __getitem__(self, index: int) -> LocalNode:
        return self._nodes[index]

    def node(self, address: str) -> LocalNode:
        """The node with that address, ``"127.0.0.2"`` or ``"127.0.0.2:8000"``."""
        for node in self._nodes:
            if address in (node.host, node.address):
                return node
        raise LookupError(f"LocalCluster has no node {address}; it has {', '.join(self.addresses)}.")

    @property
    def scheme(self) -> str:
        return "http" if self._tls_setting is None else "https"

    @property
    def credentials(self) -> Mapping[str, str] | None:
        """The access keys and secrets with which requests must be signed; None if they need no signature."""
        return self._options.credentials

    @property
    def tls(self) -> TlsFiles:
        """The authority and its files. Raises `AlternatorError` for a cluster that has no TLS or does not run."""
        if self._tls is None:
            raise AlternatorError("LocalCluster has no certificates: it needs tls=True, and must be running.")
        return self._tls

    @property
    def port(self) -> int:
        return self._started()[0].port

    @property
    def url(self) -> str:
        """The URL of the first node."""
        return self._started()[0].url

    @property
    def addresses(self) -> list[str]:
        """``"host:port"`` of each node."""
        return [node.address for node in self._nodes]

    # Growing and shrinking

    def add_node(self, datacenter: str | None = None, rack: str | None = None) -> LocalNode:
        """Start another node on the next free address, and list it. By default it is in the datacenter and rack of the
        first.

        Raises `ConfigurationError` if the address cannot be bound.
        """
        with self._lifecycle:
            first = self._started()[0]
            runtime = self._loop_runtime()
            location = Location(datacenter or first.datacenter, rack or first.rack)
            placeholder = take(host_of(self._placed + 1), first.port)
            node = self._new_node(runtime, location, placeholder)
            self._placed += 1
            runtime.in_loop(node.server.listen)
            node.server.await_ready()
            self._nodes = (*self._nodes, node)
            return node

    def remove_node(self, node: LocalNode) -> None:
        """Decommission a node: it leaves the topology, closes its connections, and is not a node of the cluster any
        more.

        Raises `ConfigurationError` for the last node, and for a node that is not of this cluster.
        """
        with self._lifecycle:
            if node not in self._started():
                raise ConfigurationError(f"LocalCluster.remove_node: {node!r} is not of this cluster.")
            if len(self._nodes) == 1:
                raise ConfigurationError("LocalCluster.remove_node: the last node cannot be removed; close() instead.")
            runtime = self._loop_runtime()
            self._nodes = tuple(other for other in self._nodes if other is not node)
            node.leave()
            runtime.in_loop(node.server.shut)

    # Its data

    def load(self, path: str | os.PathLike[str]) -> int:
        """Make the tables and put the items of a file of JSON lines (see `saved`). Returns how many items it had.

        Raises `ConfigurationError` if the file or a line of it cannot be read; the error has the line's number.
        """
        self._loop_runtime()
        return self._handler.load(path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all tables and items to a file that `load` reads. Raises `AlternatorError` if it cannot be written."""
        self._loop_runtime()
        self._handler.save(path)

    def expire(self, table: str | None = None, *, now: float | None = None) -> int:
        """Delete the expired items of a table, or of all tables with time to live. Returns how many were deleted.

        `now`: items that have expired at this Unix time are deleted; by default the present time. A test that passes a
        later time does not have to wait. Raises LookupError for a table that does not exist.
        """
        self._loop_runtime()
        return self._handler.expire(table, now)

    # Replicas

    def replicas(self, table: str, key: object, *, index: str | None = None) -> tuple[LocalNode, ...]:
        """The nodes that hold a partition key of a table, or of one of its indexes, at this moment.

        `key`: a string, a number, bytes, or an attribute value such as ``{"S": "alice"}``. A number is hashed as it is
        written, so 1 and Decimal("1.0") are two keys. Raises LookupError for a table or index that does not exist, and
        `ConfigurationError` for any other `key`.
        """
        holders = self._coordination().replicas(table, key, index)
        return tuple(node for node in self._nodes if node in holders)

    def tablet_of(self, table: str, key: object, *, index: str | None = None) -> int:
        """The number of the tablet that has a partition key, counted from 0; with vnodes, the number of the token
        range. Raises as `replicas` does."""
        return self._coordination().tablet_of(table, key, index)

    def move_tablet(
        self, table: str, tablet: int, source: LocalNode, target: LocalNode, *, index: str | None = None
    ) -> None:
        """Move the replica of a tablet from `source` to `target`, at once. An `index` has its own tablets.

        It stays there until nodes join or leave. Raises LookupError for a table or index that does not exist, and
        `ConfigurationError` for a move that is not possible, for example to a node that already has a replica.
        """
        self._coordination().move_tablet(table, tablet, source, target, index)

    def _coordination(self) -> Coordination:
        self._loop_runtime()
        return self._handler.coordination

    def _started(self) -> tuple[LocalNode, ...]:
        if not self._nodes:
            raise not_running()
        return self._nodes

    def _loop_runtime(self) -> Runtime:
        if self._undo is None or self._runtime is None:
            raise not_running()
        self._runtime.check_owner()
        return self._runtime


def _process_node() -> type[LocalNode]:
    if not hasattr(os, "fork"):
        raise ConfigurationError(
            "LocalCluster: processes=True needs a POSIX system, for SIGSTOP and inherited sockets."
        )
    from .process import ProcessNode

    return ProcessNode
