"""Small servers on 127.0.0.1 for the tests of transport. Each is a context manager whose threads end with it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from pynamodb_alternator.topology.node import Node

Handler = Callable[[socket.socket], None]

EMPTY_BLOCKS = bytes.fromhex(
    "04c081000000000090ff6b100007020000000040feaf41001c080000000000f9bf060170200000000000e4ff1a"
)
"""4 blocks of deflate with dynamic Huffman codes and no data: what takes zlib longest for the least output."""


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition, and fail if it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.002)


def ok(body: bytes = b"{}", extra: bytes = b"", *, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), extra, body)


def read_request(sock: socket.socket) -> tuple[bytes, bytes] | None:
    """Head and body of the next request; None when the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            return None
        body += more
    return head, body


def answer_all(sock: socket.socket) -> None:
    """Answers each request with its own body."""
    while (request := read_request(sock)) is not None:
        sock.sendall(ok(request[1]))


def silent(sock: socket.socket) -> None:
    """Reads a request, and never answers it."""
    read_request(sock)
    sock.recv(1)


class Server:
    """Runs `handler` in a thread for each connection. `accepted` counts them."""

    def __init__(self, handler: Handler = answer_all, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"):
        self.handler = handler
        self._tls = tls
        self._host = host
        self.accepted = 0
        self.sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def __enter__(self) -> Server:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, 0), family=family, backlog=512)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def node(self, *, host: str | None = None, **names: Any) -> Node:
        return Node("https" if self._tls else "http", host or self._host, self.port, **names)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._closing:
                sock.close()
                return
            self.accepted += 1
            self.sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                self.handler(sock)
                return
            with self._tls.wrap_socket(sock, server_side=True) as secured:
                self.sockets.append(secured)
                self.handler(secured)

    def hang_up(self) -> None:
        """Close all connections that are open now."""
        sockets, self.sockets = self.sockets, []
        for sock in sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def __exit__(self, *exc: object) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            # Wakes `accept`, which closing the listener would not.
            socket.create_connection((self._host, self.port), timeout=1).close()
        self._acceptor.join(5)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


def silent_after_a_handshake(context: ssl.SSLContext) -> Server:
    """A node that shakes hands once, and then does not answer any more."""

    def serve(sock: socket.socket) -> None:
        if server.accepted == 1:
            with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True):
                pass
        while sock.recv(1000):
            pass

    server = Server(serve)
    return server


class FullListener:
    """A listener whose queue is full: connections to it are neither accepted nor refused."""

    def __enter__(self) -> Node:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        address = self._listener.getsockname()
        self._fill = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            self._fill.append(sock)
        return Node("http", *address)

    def __exit__(self, *exc: object) -> None:
        for sock in [*self._fill, self._listener]:
            sock.close()
