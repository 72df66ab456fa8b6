"""The embedded cluster: N nodes on loopback addresses, one port, one engine, one thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import logging
import os
import random
import ssl
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from .. import _checks as checks
from ..errors import AlternatorError, ConfigurationError
from . import isolation
from .dialect import Dialect
from .engine import Engine, lock_of
from .node import LocalNode
from .options import COMPRESSION_THRESHOLD, MAX_BODY, Options, version
from .placement import Place, places
from .virtual_tables import VirtualTables

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_START_SECONDS = 30.0
_PORTS = (10_240, 32_000)
"""Below the ports that the kernel gives to outgoing connections, which could otherwise take a killed node's port."""


class LocalCluster:
    """A cluster of nodes that speak ScyllaDB Alternator's dialect, inside this process."""

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
    ) -> None:
        self._options = _options(
            version, write_isolation, max_body, response_compression, compression_threshold, chunk_threshold
        )
        self._options.credentials = dict(credentials) if credentials is not None else None
        self._options.deny_virtual_tables = deny_virtual_tables
        self._places = places(3 if nodes is None and datacenters is None and racks is None else nodes, datacenters, racks)
        if port is not None:
            checks.whole("LocalCluster: port", port, 1, 65535)
        self._wanted_port = port
        self._wanted_engine = engine
        self._ssl: ssl.SSLContext | None = None
        self._nodes: tuple[LocalNode, ...] = ()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lifecycle = threading.Lock()
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
        virtual = VirtualTables(self._options)
        self._dialect = Dialect(engine, self._options, virtual)
        nodes = _reserve(self, self._places, self._wanted_port)
        self._pid = os.getpid()
        self._workers = concurrent.futures.ThreadPoolExecutor(
            1 if self._engine_lock is not None else 32, thread_name_prefix="local-alternator-engine"
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="local-alternator", daemon=True)
        self._thread.start()
        self._nodes = nodes
        try:
            self._in_loop(self._listen_all)
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
        future = asyncio.run_coroutine_threadsafe(self._shut(), self._loop)
        try:
            future.result(_START_SECONDS)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(_START_SECONDS)
            self._workers.shutdown(wait=True, cancel_futures=True)
            self._loop.close()
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
        await asyncio.sleep(0)  # connection_lost() of the aborted transports

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
        return "http" if self._ssl is None else "https"

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
                nodes.append(LocalNode(cluster, place, candidate))
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
