"""Nodes that answer at once, in their own process, so that only the client is measured.

`python -m benchmarks.node SIZE ...` starts a cluster of each size, on loopback addresses that share a port, prints
the ports, and ends when its standard input does. With ``--tls`` first they speak TLS, and the file of the authority
that signed for them is printed before the ports.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import selectors
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

TABLE, PAGES = "bench", {100: "bench-100", 1000: "bench-1000"}
"""The table that has single items, and those whose query pages have so many."""
RICH = "bench-rich"
"""The table whose query pages have 1,000 items with nine attributes, a map and a set among them."""
TABLES = (TABLE, *PAGES.values(), RICH)
TABLETS, REPLICAS = 16, 3
"""Of the token ring, which all tables share: tablets for each node, and the replicas of each."""


def item(number: int) -> dict[str, Any]:
    """An item with six attributes, of about 200 bytes."""
    return {
        "key": {"S": "alice"},
        "number": {"N": str(number)},
        "name": {"S": f"user-{number}"},
        "text": {"S": "x" * 100},
        "flag": {"BOOL": number % 2 == 0},
        "score": {"N": f"{number}.5"},
    }


def rich_item(number: int) -> dict[str, Any]:
    """The same with a date, a set and a map."""
    return {
        **item(number),
        "created": {"S": "2024-05-06T07:08:09.123456+0000"},
        "tags": {"SS": ["blue", "green", f"tag-{number}"]},
        "place": {"M": {"street": {"S": f"street {number}"}, "city": {"S": "Lisbon"}, "number": {"N": str(number)}}},
    }


def _body(content: Any, kind: str = "application/x-amz-json-1.0") -> bytes:
    body = content.encode() if isinstance(content, str) else json.dumps(content, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nServer: Seastar httpd\r\n\r\n"
    return head.encode() + body


_CAPACITY = {"CapacityUnits": 0.5, "TableName": TABLE}
_SCHEMA = {
    "TableName": TABLE,
    "TableStatus": "ACTIVE",
    "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
}
_BY_TARGET = {
    b"getitem": _body({"Item": item(3), "ConsumedCapacity": _CAPACITY}),
    b"putitem": _body({"ConsumedCapacity": _CAPACITY}),
    b"updateitem": _body({"Attributes": item(3), "ConsumedCapacity": _CAPACITY}),
    b"batchwriteitem": _body({"UnprocessedItems": {}, "ConsumedCapacity": [_CAPACITY]}),
    b"batchgetitem": _body({"Responses": {TABLE: [item(n) for n in range(100)]}, "UnprocessedKeys": {}}),
    b"describetable": _body({"Table": _SCHEMA}),
    b"scan": _body({"Items": [], "Count": 0, "ScannedCount": 0}),
}
_PAGES = {size: _body({"Items": [item(n) for n in range(size)], "Count": size, "ScannedCount": size}) for size in PAGES}
_RICH = _body({"Items": [rich_item(n) for n in range(1000)], "Count": 1000, "ScannedCount": 1000})
_EMPTY, _HEALTHY = _body({}), _body("healthy", "text/plain")


class _Nodes:
    """The answers of the nodes of one cluster."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self.listed = _body(json.dumps(names), "application/json")

    @cached_property
    def token_ring(self) -> bytes:
        """The rows of system.token_ring. Made when it is asked for, because it takes long for thousands of nodes."""
        count = TABLETS * len(self._names)
        bounds = ["", *(str((1 << 64) * number // count - (1 << 63)) for number in range(1, count)), ""]
        replicas = min(REPLICAS, len(self._names))
        rows = [
            {"start_token": {"S": start}, "end_token": {"S": end}, "endpoint": {"S": name}}
            for number, (start, end) in enumerate(itertools.pairwise(bounds))
            for name in (self._names[(number + more) % len(self._names)] for more in range(replicas))
        ]
        return _body({"Items": rows, "Count": len(rows), "ScannedCount": len(rows)})


def _answer(head: bytes, body: bytes, nodes: _Nodes) -> bytes:
    if head.startswith(b"get"):
        return nodes.listed if b"/localnodes" in head else _HEALTHY
    start = head.find(b"x-amz-target:") + 13
    target = head[start : head.find(b"\r\n", start)].rpartition(b".")[2].strip()
    if target == b"query":
        return _page(body, nodes)
    return _BY_TARGET.get(target, _EMPTY)


def _page(body: bytes, nodes: _Nodes) -> bytes:
    if b"system.token_ring" in body:
        return nodes.token_ring
    if RICH.encode() in body:
        return _RICH
    return _PAGES[1000 if PAGES[1000].encode() in body else 100]


_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Connection:
    def __init__(self, sock: socket.socket, nodes: _Nodes) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.sock, self._nodes = sock, nodes
        self._is_new = isinstance(sock, ssl.SSLSocket)
        self.unread, self.unsent = b"", b""

    def ready(self, selector: selectors.BaseSelector) -> None:
        if self._is_new:
            self._shake_hands()
            return
        if not self.unsent:
            self._read()
            self._answer_all()
        was_waiting = selector.get_key(self.sock).events & selectors.EVENT_WRITE
        if self.unsent:
            with contextlib.suppress(*_NOT_NOW):
                self.unsent = self.unsent[self.sock.send(self.unsent) :]
        if bool(was_waiting) != bool(self.unsent):
            event = selectors.EVENT_WRITE if self.unsent else selectors.EVENT_READ
            selector.modify(self.sock, event, partial(self.ready, selector))

    def _shake_hands(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)
        with contextlib.suppress(*_NOT_NOW):
            self.sock.do_handshake()
            self._is_new = False

    def _read(self) -> None:
        is_tls = isinstance(self.sock, ssl.SSLSocket)
        with contextlib.suppress(*_NOT_NOW):
            while True:
                data = self.sock.recv(262_144)
                if not data:
                    raise ConnectionError
                self.unread += data
                if not is_tls:
                    return  # a TLS socket may hold more than the selector knows

    def _answer_all(self) -> None:
        while True:
            end = self.unread.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.unread[: end + 2].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self.unread) < end + 4 + length:
                return
            body, self.unread = self.unread[end + 4 : end + 4 + length], self.unread[end + 4 + length :]
            self.unsent += _answer(head, body, self._nodes)


_Wrap = Callable[[socket.socket], socket.socket]


def _as_it_is(sock: socket.socket) -> socket.socket:
    return sock


def hosts(size: int) -> list[str]:
    return [f"127.0.{number // 200}.{number % 200 + 1}" for number in range(size)]


def _serve(sizes: list[int], tls: bool) -> None:
    selector = selectors.DefaultSelector()
    wrap: _Wrap = _as_it_is
    if tls:
        from pynamodb_alternator.local.tls import LocalTls, TlsFiles

        names = hosts(max(sizes))
        files = TlsFiles(LocalTls(), names)
        wrap = partial(files.context_of(names[0]).wrap_socket, server_side=True, do_handshake_on_connect=False)
        print(files.ca_file, flush=True)
    for size in sizes:
        names = hosts(size)
        print(_listen(selector, names, _Nodes(names), wrap), flush=True)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                if tls:
                    files.close()
                return  # the parent process has ended
            try:
                key.data()
            except OSError:
                sock: Any = key.fileobj
                selector.unregister(sock)
                sock.close()


def _listen(selector: selectors.BaseSelector, names: list[str], nodes: _Nodes, wrap: _Wrap) -> int:
    """Listen on all hosts, on one port that is free on each. Returns it."""

    def accept(server: socket.socket) -> None:
        connection = _Connection(wrap(server.accept()[0]), nodes)
        selector.register(connection.sock, selectors.EVENT_READ, partial(connection.ready, selector))

    for _ in itertools.repeat(None, 50):
        servers: list[socket.socket] = []
        port = 0
        try:
            for name in names:
                server = socket.create_server((name, port), backlog=512)
                port = server.getsockname()[1]
                servers.append(server)
        except OSError:
            for server in servers:
                server.close()
            continue
        for server in servers:
            selector.register(server, selectors.EVENT_READ, partial(accept, server))
        return port
    raise SystemExit("no port is free on all loopback addresses")


@contextlib.contextmanager
def running(*sizes: int) -> Iterator[list[int]]:
    """Clusters of these sizes, in one other process: their ports."""
    with _process(*map(str, sizes)) as output:
        yield [int(next(output)) for _ in sizes]


@contextlib.contextmanager
def running_tls(size: int) -> Iterator[tuple[int, str]]:
    """One cluster that speaks TLS: its port, and the file of the authority that signed for it."""
    with _process("--tls", str(size)) as output:
        authority = next(output).strip()
        yield int(next(output)), authority


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[Iterator[str]]:
    command = [sys.executable, "-m", "benchmarks.node", *arguments]
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, text=True) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout.readline, "")
        finally:
            process.communicate(timeout=10)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        has_tls = sys.argv[1] == "--tls"
        _serve([int(size) for size in sys.argv[1 + has_tls :]], has_tls)
