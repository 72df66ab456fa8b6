"""TLS in an event loop: names, sessions and client certificates are judged as in threads."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from pynamodb_alternator import ClusterConfig, Tls
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.aio.connection import AsyncConnection
from pynamodb_alternator.errors import ConnectTimeoutError, NodeUnreachableError, TlsError
from pynamodb_alternator.local import LocalCluster, LocalTls, TlsFiles
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.request import build_head
from pynamodb_alternator.transport.tls import TlsContexts
from tests.transport.servers import Server, silent_after_a_handshake

from .support import PATIENCE, run, until

NAMES: dict[str, Any] = {"server_name": "source.test", "other_names": ("own.test", "127.0.0.1")}
HOST = "127.0.0.1"


@pytest.fixture
def files() -> Iterator[TlsFiles]:
    files = TlsFiles(LocalTls(), [HOST])
    yield files
    files.close()


@contextlib.asynccontextmanager
async def opened(node: Node, contexts: TlsContexts) -> AsyncIterator[AsyncConnection]:
    connection = AsyncConnection(node, asyncio.get_running_loop())
    try:
        await connection.connect(connect_timeout=5, tls=contexts)
        yield connection
    finally:
        connection.close()
        await connection.wait_closed()


async def send(connection: AsyncConnection) -> bytes:
    return (await connection.exchange(build_head("a.B", "h", 2), b"{}", read_timeout=5)).body


@pytest.mark.parametrize(("issued_for", "handshakes"), [("source.test", 1), ("own.test", 2), (HOST, 3)])
def test_names_are_tried_in_order_and_the_one_that_fits_is_remembered(
    files: TlsFiles, issued_for: str, handshakes: int
) -> None:
    files.present_names(HOST, issued_for)
    contexts = TlsContexts(Tls(ca=files.ca_file))
    with Server(tls=files.context_of(HOST)) as server:

        async def main() -> None:
            for again in range(3):
                async with opened(server.node(**NAMES), contexts) as connection:
                    assert await send(connection) == b"{}"
                    secured = connection._transport.get_extra_info("ssl_object")
                    assert secured.session_reused is (again > 0)
                assert server.accepted == handshakes + again

        run(main)


def test_a_certificate_for_none_of_the_names(files: TlsFiles) -> None:
    files.present_names(HOST, "elsewhere.test")
    contexts = TlsContexts(Tls(ca=files.ca_file))
    with Server(tls=files.context_of(HOST)) as server:

        async def main() -> None:
            with pytest.raises(TlsError, match=r"valid for none of 'source\.test', 'own\.test', '127\.0\.0\.1'"):
                async with opened(server.node(**NAMES), contexts):
                    pass
            assert server.accepted == 3

        run(main)


def test_only_the_name_leads_to_another_handshake(files: TlsFiles) -> None:
    files.present("expired")
    contexts = TlsContexts(Tls(ca=files.ca_file))
    with Server(tls=files.context_of(HOST)) as server:

        async def main() -> None:
            with pytest.raises(TlsError, match="expired"):
                async with opened(server.node(server_name="localhost", other_names=("127.0.0.1",)), contexts):
                    pass
            assert server.accepted == 1

        run(main)


def test_a_renewed_certificate_may_have_another_of_the_names(files: TlsFiles) -> None:
    contexts = TlsContexts(Tls(ca=files.ca_file, session_resumption=False))
    files.present_names(HOST, "own.test")
    with Server(tls=files.context_of(HOST)) as server:

        async def main() -> None:
            accepted = []
            for name in ("own.test", HOST, HOST):
                files.present_names(HOST, name)
                async with opened(server.node(**NAMES), contexts) as connection:
                    assert await send(connection) == b"{}"
                accepted.append(server.accepted)
            assert accepted == [2, 5, 6]

        run(main)


@pytest.mark.parametrize("end", ["timeout", "cut", "cancelled"])
def test_the_second_handshake_ends_as_the_first_would(files: TlsFiles, end: str) -> None:
    files.present_names(HOST, "own.test")
    contexts = TlsContexts(Tls(ca=files.ca_file))
    with silent_after_a_handshake(files.context_of(HOST)) as server:
        node = Node("https", HOST, server.port, **NAMES)

        async def main() -> None:
            connection = AsyncConnection(node, asyncio.get_running_loop())
            began = time.monotonic()
            timeout = 0.3 if end == "timeout" else 60.0
            task = asyncio.ensure_future(connection.connect(connect_timeout=timeout, tls=contexts))
            await until(lambda: server.accepted == 2)
            if end == "cut":
                connection.cut()
            elif end == "cancelled":
                task.cancel()
            kinds: dict[str, type[BaseException]] = {
                "timeout": ConnectTimeoutError,
                "cut": NodeUnreachableError,
                "cancelled": asyncio.CancelledError,
            }
            with pytest.raises(kinds[end]):
                await task
            assert time.monotonic() - began < 10
            await connection.wait_closed()

        run(main)


def test_certificates_per_node_and_a_client_certificate_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: data, discovery and probes, with certificates that have each node's own name or address."""
    tls = LocalTls(per_node=True, client_certificates="required", maximum=ssl.TLSVersion.TLSv1_3)
    with LocalCluster(3, tls=tls) as local:
        pair = local.tls.client()
        client_cert = Path(pair.certificate).read_bytes(), Path(pair.key).read_bytes()
        real = socket.getaddrinfo
        names = {f"n{number}.test": node.host for number, node in enumerate(local.nodes, 1)}
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *more, **most: real(names.get(host, host), *more, **most)
        )
        local.tls.present_names(local.nodes[0].host, "n1.test")
        local.tls.present_names(local.nodes[1].host, "n2.test")
        config = ClusterConfig(
            ["n1.test", "n2.test"],
            port=local.port,
            scheme="https",
            tls=Tls(ca=local.tls.ca_file, client_cert=lambda: client_cert),
        )

        async def main() -> None:
            async with AsyncCluster(config) as cluster:
                client = await cluster.client()
                end = time.monotonic() + PATIENCE
                while [node.state.value for node in await cluster.nodes()] != ["active"] * 3:
                    assert time.monotonic() < end, await cluster.nodes()
                    await asyncio.sleep(0.01)
                for _ in range(9):
                    await client.list_tables()
                assert [node.operations["ListTables"] for node in local.nodes] == [3, 3, 3]
                assert all(node.tls_resumed for node in local.nodes)

        run(main)
