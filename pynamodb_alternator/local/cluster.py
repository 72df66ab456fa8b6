"""The embedded cluster: N nodes on loopback addresses, one port, one engine, one thread."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import errno
import logging
import os
import random
import ssl
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from ..errors import AlternatorError, ConfigurationError
from ..settings import checks
from . import isolation
from .dialect import Dialect
from .engine import Engine, lock_of
from .node import LocalNode
from .options import COMPRESSION_THRESHOLD, MAX_BODY, Options, version
from .placement import Place, host_of, places
from .tls import LocalTls, TlsFiles
from .virtual_tables import VirtualTables

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_START_SECONDS = 30.0
_PORTS = (10_240, 32_000)
"""Below the ports that the kernel gives to outgoing connections, which could otherwise take a killed node's port."""


class LocalCluster:
    """A cluster of nodes that speak ScyllaDB Alternator's dialect, inside this process.

    The nodes listen on 127.0.0.1, 127.0.0.2, … at one port, stand in front of one engine, and are served by one
    thread. Use it in a ``with``, or call `start` and `close`.

    `nodes`: how many (3, or as many as `datacenters` and `racks` name).
    `datacenters`, `racks`: who stands where; see `placement.places` for the forms that they take.
    `port`: by default one that is free on every address.
    `engine`: ``"moto"`` (in process, empty, of this cluster alone), the URL of a DynamoDB endpoint, or an `Engine`.
    `credentials`: access keys and their secrets; with them, requests must be signed as under the server's
    ``alternator_enforce_authorization``.
    `tls`: True for https with a certificate of the cluster's own authority (see `tls`), or a `LocalTls`.
    `version`: the ScyllaDB version to be like: before 2026.1 no compression in either direction, before 2025.1 no
    ``dc`` and ``rack`` in ``/localnodes``, before 2026.3 a ``Server`` header.
    `write_isolation`: that of tables without the tag ``system:write_isolation``.
    `max_body`: the longest request body in bytes, compressed and uncompressed; longer ones get a 413.
    `response_compression`: compress answers from `compression_threshold` bytes on for clients that accept it.
    `chunk_threshold`: Query, Scan and BatchGetItem answers longer than so many bytes are sent in chunks.
    `deny_virtual_tables`: refuse ``.scylla.alternator.…`` with AccessDeniedException.
    `processes`: each node in a process of its own (`ProcessNode`), which can be frozen with SIGSTOP.

    Raises `ConfigurationError` for settings that contradict each other, here; for what the system lacks, in `start`.
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
        tls: bool | LocalTls = False,
        processes: bool = False,
    ) -> None:
        self._options = _options(
            version, write_isolation, max_body, response_compression, compression_threshold, chunk_threshold
        )
        self._options.credentials = _credentials(credentials)
        self._options.deny_virtual_tables = deny_virtual_tables
        self._places = places(
            3 if nodes is None and datacenters is None and racks is None else nodes, datacenters, racks
        )
        if port is not None:
            checks.whole("LocalCluster: port", port, 1, 65535)
        self._wanted_port = port
        self._wanted_engine = engine
        if not isinstance(tls, bool | LocalTls):
            raise ConfigurationError(f"LocalCluster: tls must be True, False or a LocalTls (got {tls!r}).")
        self._wanted_tls = LocalTls() if tls is True else tls or None
        self._options.certificate_is_login = self._wanted_tls is not None and self._wanted_tls.certificate_is_login
        self._kind: type[LocalNode] = _process_node() if processes else LocalNode
        self._ssl: ssl.SSLContext | None = None
        self._tls: TlsFiles | None = None
        self._nodes: tuple[LocalNode, ...] = ()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lifecycle = threading.Lock()
        self._placed = 0
        self._queued = 0
        self.failures: list[BaseException] = []
        """What went wrong inside the cluster itself. Empty, or there is a defect to report."""

    # The life of a cluster

    def start(self) -> Self:
        """Start all nodes, and return when they listen. A cluster that runs already stays as it is.

        Raises `ConfigurationError` where moto is missing or the addresses cannot be bound, with the remedy.
        """
        with self._lifecycle:
            if self._thread is None:
                self._start()
        return self

    def _start(self) -> None:
        engine = _engine(self._wanted_engine)
        self._engine = engine
        self._engine_lock = lock_of(engine)
        virtual = VirtualTables(self._options, lambda: [node._member() for node in self._nodes])
        self._dialect = Dialect(engine, self._options, virtual)
        if self._wanted_tls is not None:
            hosts = dict.fromkeys(
                [host_of(number) for number in range(1, 255)] + [place.host for place in self._places]
            )
            self._tls = TlsFiles(self._wanted_tls, list(hosts))
            self._ssl = self._tls.context
        try:
            nodes = _reserve(self, self._places, self._wanted_port)
        except BaseException:
            self._give_up()
            raise
        self._pid = os.getpid()
        self._placed = len(self._places)
        self._helpers = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="local-alternator-helper")
        self._workers = concurrent.futures.ThreadPoolExecutor(
            1 if self._engine_lock is not None else 32, thread_name_prefix="local-alternator-engine"
        )
        self._loop = asyncio.new_event_loop()
        # Not with `python -X dev` either: it would log each slow answer of the engine.
        self._loop.set_debug(False)
        self._thread = threading.Thread(target=self._run, name="local-alternator", daemon=True)
        self._thread.start()
        _running.add(self)
        self._nodes = nodes
        try:
            self._in_loop(self._listen_all)
            for node in nodes:
                node._await_child()
        except BaseException:
            self._close()
            raise

    def _listen_all(self) -> None:
        for node in self._nodes:
            node._listen()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._loop_failed)
        try:
            self._loop.run_forever()
        finally:
            asyncio.set_event_loop(None)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(str(context.get("message")))
        if not isinstance(error, OSError | ssl.SSLError):
            self._report(error)

    def close(self) -> None:
        """Stop all nodes and give up every socket, thread and file. Calling it again does nothing.

        In a forked child it does nothing either: the cluster belongs to the process that started it.
        """
        with self._lifecycle:
            if self._thread is not None and self._pid == os.getpid():
                self._close()

    def _close(self) -> None:
        thread, self._thread = self._thread, None
        assert thread is not None
        _running.discard(self)
        future = asyncio.run_coroutine_threadsafe(self._shut(), self._loop)
        try:
            future.result(_START_SECONDS)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(_START_SECONDS)
            self._workers.shutdown(wait=True, cancel_futures=True)
            self._helpers.shutdown(wait=True, cancel_futures=True)
            self._loop.close()
            self._give_up()

    def _give_up(self) -> None:
        tls, self._tls, self._ssl = self._tls, None, None
        if tls is not None:
            tls.close()
        close = getattr(self._engine, "close", None)
        if close is not None and self._engine is not self._wanted_engine:
            close()

    async def _shut(self) -> None:
        for node in self._nodes:
            node._shut()
        current = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Aborted transports are closed a few turns of the loop later, those of TLS after more than one.
        for _ in range(10):
            await asyncio.sleep(0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._thread is None:
            return f"<LocalCluster of {len(self._places)} nodes, not running>"
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
        return "http" if self._wanted_tls is None else "https"

    @property
    def tls(self) -> TlsFiles:
        """The authority and its files. Raises `AlternatorError` for a cluster without TLS, or that does not run."""
        if self._tls is None:
            raise AlternatorError("LocalCluster has no certificates: it needs tls=True, and must be running.")
        return self._tls

    @property
    def port(self) -> int:
        return self._running()[0].port

    @property
    def url(self) -> str:
        """The URL of the first node."""
        return self._running()[0].url

    @property
    def addresses(self) -> list[str]:
        """``"host:port"`` of each node."""
        return [node.address for node in self._nodes]

    # Growing and shrinking

    def add_node(self, datacenter: str | None = None, rack: str | None = None) -> LocalNode:
        """Start one more node on the next free address, and list it. By default it stands beside the first.

        Raises `ConfigurationError` where the address cannot be bound.
        """
        with self._lifecycle:
            first = self._running()[0]
            host = host_of(self._placed + 1)
            node = self._kind(self, Place(host, datacenter or first.datacenter, rack or first.rack), first.port)
            try:
                node._bind()
            except OSError as wrong:
                raise _cannot_bind(node, wrong) from wrong
            self._placed += 1
            self._in_loop(node._listen)
            node._await_child()
            self._nodes = (*self._nodes, node)
            return node

    def remove_node(self, node: LocalNode) -> None:
        """Decommission a node: it leaves the topology, closes its connections and is forgotten.

        Raises `ConfigurationError` for the last node, and for one that is not of this cluster.
        """
        with self._lifecycle:
            if node not in self._running():
                raise ConfigurationError(f"LocalCluster.remove_node: {node!r} is not of this cluster.")
            if len(self._nodes) == 1:
                raise ConfigurationError("LocalCluster.remove_node: the last node cannot be removed; close() instead.")
            self._nodes = tuple(other for other in self._nodes if other is not node)
            node.leave()
            self._in_loop(node._shut)

    def _running(self) -> tuple[LocalNode, ...]:
        if not self._nodes:
            raise AlternatorError("LocalCluster is not running: call start(), or use it in a `with`.")
        return self._nodes

    # For nodes

    def _in_loop(self, function: Callable[[], _T]) -> _T:
        """Run `function` in the event loop's thread and hand back what it returns."""
        if self._thread is None:
            raise AlternatorError("LocalCluster is not running: call start(), or use it in a `with`.")
        if threading.current_thread() is self._thread:
            return function()
        done: concurrent.futures.Future[_T] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(function())
            except BaseException as wrong:
                done.set_exception(wrong)

        self._loop.call_soon_threadsafe(run)
        return done.result(_START_SECONDS)

    def _report(self, wrong: BaseException) -> None:
        self.failures.append(wrong)
        _log.error("the embedded cluster failed", exc_info=wrong)


def _options(
    wanted_version: str,
    write_isolation: str,
    max_body: int,
    response_compression: bool,
    compression_threshold: int,
    chunk_threshold: int,
) -> Options:
    checks.whole("LocalCluster: max_body", max_body, 1, 2**40)
    checks.whole("LocalCluster: compression_threshold", compression_threshold, 0, 2**40)
    checks.whole("LocalCluster: chunk_threshold", chunk_threshold, 0, 2**40)
    checks.one_of("LocalCluster: write_isolation", write_isolation, tuple(isolation.MODES))
    return Options(
        max_body=max_body,
        version=version(wanted_version),
        response_compression=response_compression,
        compression_threshold=compression_threshold,
        chunk_threshold=chunk_threshold,
        write_isolation=isolation.MODES[write_isolation],
    )


def _credentials(given: object) -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or not all(
        isinstance(text, str) and text for pair in given.items() for text in pair
    ):
        raise ConfigurationError("LocalCluster: credentials must map access keys to secrets, all of them strings.")
    return dict(given)


def _close_all() -> None:
    """At the interpreter's end: clusters that nobody has closed."""
    for cluster in list(_running):
        with contextlib.suppress(Exception):
            cluster.close()


_running: weakref.WeakSet[LocalCluster] = weakref.WeakSet()
atexit.register(_close_all)


def _process_node() -> type[LocalNode]:
    if not hasattr(os, "fork"):
        raise ConfigurationError(
            "LocalCluster: processes=True needs a POSIX system, for SIGSTOP and inherited sockets."
        )
    from .process import ProcessNode

    return ProcessNode


def _engine(wanted: object) -> Engine:
    if wanted == "moto":
        from .moto_engine import MotoEngine

        return MotoEngine()
    if isinstance(wanted, str) and wanted.startswith(("http://", "https://")):
        from .url_engine import UrlEngine

        return UrlEngine(wanted)
    if isinstance(wanted, Engine):
        return wanted
    raise ConfigurationError(
        "LocalCluster: engine must be 'moto', the URL of a DynamoDB endpoint such as 'http://127.0.0.1:8001', "
        f"or an object with call(headers, body) (got {wanted!r})."
    )


def _reserve(cluster: LocalCluster, wanted: Sequence[Place], port: int | None) -> tuple[LocalNode, ...]:
    """Nodes whose addresses are bound: all on `port`, or on one that is free on every address."""
    attempts = [port] if port is not None else random.sample(range(*_PORTS), 50)
    for number, candidate in enumerate(attempts, start=1):
        nodes: list[LocalNode] = []
        try:
            for place in wanted:
                nodes.append(cluster._kind(cluster, place, candidate))
                nodes[-1]._bind()
            return tuple(nodes)
        except OSError as wrong:
            for node in nodes:
                node._release()
            if wrong.errno != errno.EADDRINUSE or number == len(attempts):
                raise _cannot_bind(nodes[-1], wrong) from wrong
    raise AssertionError("unreachable")


def _cannot_bind(node: LocalNode, wrong: OSError) -> ConfigurationError:
    text = f"LocalCluster: cannot bind {node.address}: {wrong.strerror or wrong}."
    if wrong.errno == errno.EADDRNOTAVAIL:
        # macOS has 127.0.0.1 alone.
        text += f" This system has no such address. Add it: sudo ifconfig lo0 alias {node.host} up"
        if sys.platform.startswith("linux"):
            text += f" (on Linux: sudo ip address add {node.host}/8 dev lo)"
    elif wrong.errno == errno.EADDRINUSE:
        text += " Another program listens there. Leave out `port`, and a free one is found."
    elif wrong.errno == errno.EMFILE:
        text += " Too many open files: raise the limit with `ulimit -n`."
    return ConfigurationError(text)
