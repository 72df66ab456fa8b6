"""A server for the shop: with threads for WSGI, with an event loop for ASGI."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from .applications import Shop
from .customers import PATIENCE, Customers, CustomersInTasks, CustomersInThreads

__all__ = ["HOST", "Served", "served", "why_not_open"]

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Served:
    """A shop that is open on `port`. `loop`: the event loop of its server, if it has one."""

    shop: Shop
    port: int
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def customers(self, pause: float, interrupted: threading.Event | None = None) -> Customers:
        """Customers of the same kind as the shop: threads, or tasks of the server's event loop."""
        looks = self.shop.board.looks
        if self.loop is not None:
            return CustomersInTasks(pause, self.loop, looks=looks, interrupted=interrupted)
        return CustomersInThreads(pause, context=self.shop.context, looks=looks, interrupted=interrupted)


def served(shop: Shop, port: int = 0) -> AbstractContextManager[Served]:
    """The shop, open until the block ends. `port`: 0 for any free port."""
    return _in_a_loop(shop, port) if shop.is_async else _in_threads(shop, port)


@contextlib.contextmanager
def _in_threads(shop: Shop, port: int) -> Iterator[Served]:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        timeout = 30.0  # a visitor who does not read what is sent must not keep a thread for ever

        def log(self, type: str, message: str, *args: Any) -> None:
            """Logs no requests: the output of the demo itself must be readable."""

    server = make_server(HOST, port, shop.app, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="shop", daemon=True)
    thread.start()
    try:
        yield Served(shop, server.port)
    finally:
        shop.board.close()
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


@contextlib.contextmanager
def _in_a_loop(shop: Shop, port: int) -> Iterator[Served]:
    import uvicorn

    listener = socket.create_server((HOST, port))
    config = uvicorn.Config(shop.app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    running: Future[asyncio.AbstractEventLoop] = Future()

    async def serve() -> None:
        running.set_result(asyncio.get_running_loop())
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="shop", daemon=True)
    thread.start()
    try:
        loop = running.result(PATIENCE)
        _wait_until_open(server, thread)
        yield Served(shop, listener.getsockname()[1], loop)
    finally:
        shop.board.close()
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


def _wait_until_open(server: Any, thread: threading.Thread) -> None:
    """An attribute of uvicorn says when the application has started."""
    deadline = time.monotonic() + PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("The shop's server did not start.")
        time.sleep(0.01)


def why_not_open(port: int) -> str | None:
    """Why the shop cannot open there, such as ``is in use``; None if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror}"
    return None
