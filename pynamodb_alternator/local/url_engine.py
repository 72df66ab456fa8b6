"""Any DynamoDB endpoint as the engine: DynamoDB Local, dynoxide, dynalite, or another embedded cluster."""

from __future__ import annotations

import contextlib
import http.client
import select
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson

from ..errors import ConfigurationError
from ..settings import addresses
from .engine import EngineAnswer

_SECONDS = 30.0
# These engines check at most the form of the signature. Tables with different access keys or regions are separate.
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=local/20250101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)


class UrlEngine:
    """Sends requests to one URL. Each calling thread has one connection, which is kept alive."""

    batch_limit = 25

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ConfigurationError(
                f"LocalCluster: the engine's URL must be like 'http://127.0.0.1:8001' (got {url!r})."
            )
        addresses.check_host(parts.hostname, "LocalCluster: the engine's host")
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[http.client.HTTPConnection] = []

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        connection = self._connection()
        sent = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": headers["x-amz-target"],
            "X-Amz-Date": "20250101T000000Z",
            "Authorization": _AUTHORIZATION,
        }
        try:
            connection.request("POST", "/", body, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except (OSError, http.client.HTTPException) as wrong:
            # The request is not sent again, because the engine may have executed it. Alternator has the status 500 for
            # this, too.
            connection.close()
            gone = isinstance(wrong, ConnectionRefusedError)
            state = "is gone, or was never started" if gone else "failed"
            text = f"the engine at {self._host}:{self._port} {state} ({type(wrong).__name__}: {wrong})"
            return 500, {}, orjson.dumps({"__type": "InternalServerError", "message": text})

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
            connection = self._local.connection = kind(self._host, self._port, timeout=_SECONDS)
            with self._lock:
                self._connections.append(connection)
        elif connection.sock is not None and _readable(connection):
            connection.close()  # the engine has closed it; the next request opens it again
        return connection

    def close(self) -> None:
        """Close all connections. No call may run at this time."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.close()


def _readable(connection: http.client.HTTPConnection) -> bool:
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
