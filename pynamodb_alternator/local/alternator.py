"""The handler of a cluster's nodes: everything that an Alternator server does between its sockets and its data.

`AlternatorHandler` is the `handler.Handler` of all nodes of one cluster. It has no rules of the server, which are in
other modules: signatures in `auth`, Content-Encoding in `compression`, operations in `dialect`, ``/localnodes`` in
`members`. This module decides their order, and which thread does the work. The event loop may not wait: the runtime's
helpers parse and compress long bodies, and its workers call the engine. Only a quick operation is executed in the event
loop: an engine with a lock is in process, and needs less time for one item than a change of threads takes.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import orjson

from . import auth, compression, saved
from .answers import JSON, Answer, DialectError, error_answer
from .catalogue import LONG, Catalogue
from .coordination import Coordination
from .dialect import Dialect
from .engine import Engine, lock_of
from .engine_client import EngineClient
from .faults import HEALTH, LOCALNODES
from .float_vectors import with_float_vectors
from .http import Request
from .members import Member, Members, listed_hosts
from .options import Options
from .parsing import Parsed
from .rings import Rings
from .runtime import Runtime
from .virtual_tables import VirtualTables


class AlternatorHandler:
    """One for each cluster, shared by its nodes. `members`: gives the nodes that ``/localnodes`` and the system tables
    list."""

    def __init__(self, runtime: Runtime, engine: Engine, options: Options, members: Members) -> None:
        self._runtime = runtime
        self._options = options
        self._members = members
        self._lock = lock_of(engine)
        engine = with_float_vectors(engine, options.vector_dialects)
        rings = Rings(options, members)
        self._client = client = EngineClient(engine)
        self._catalogue = Catalogue(client, rings.forget)
        virtual_tables = VirtualTables(options, members, self._catalogue, rings)
        self._dialect = Dialect(client, self._catalogue, options, virtual_tables, self._lock)
        self.coordination: Coordination = Coordination(self._catalogue, rings)
        """Finds the replicas of a key, also for the methods of `LocalCluster`."""
        self._queued = 0

    async def read(self, request: Request, asked: str) -> Parsed:
        if len(request.body) < LONG and "content-encoding" not in request.headers:
            return self._parse(request, asked)
        return await self._runtime.help(self._parse, request, asked)

    def _parse(self, request: Request, asked: str) -> Parsed:
        options, headers, body = self._options, request.headers, request.body
        if options.credentials is not None and not (request.certified and options.certificate_is_login):
            # The signature is that of the body as it came over the wire, compressed or not.
            auth.verify(options.credentials, request.method, headers, body)
        encoding = headers.get("content-encoding")
        if encoding is not None and options.request_compression:
            body = compression.decompress(body, encoding, options.max_body)
        return self._dialect.parse(headers.get("x-amz-target"), body, asked, headers.get("host"))

    def load(self, path: str | os.PathLike[str]) -> int:
        """Like `LocalCluster.load`. For any thread that may wait."""
        return saved.load(self._execute_directly, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Like `LocalCluster.save`. For any thread that may wait."""
        saved.save(self._client, self._catalogue, self._dialect.vectors.completed, path)

    def _execute_directly(self, operation: str, parameters: dict[str, Any]) -> Any:
        return self._dialect.execute(self._dialect.request(operation, parameters))

    def expire(self, table: str | None, now: float | None) -> int:
        """Like `LocalCluster.expire`. For any thread that may wait."""
        return self._dialect.expiry.sweep(table, now)

    @property
    def hop_delay(self) -> float:
        return self._options.hop_delay

    async def is_replica(self, parsed: Parsed, asked: Member) -> bool | None:
        unknown = self.coordination.unknown_table(parsed)
        if unknown is not None:
            # The table was not made through these nodes, or does not exist. If the engine fails here, it fails again
            # when it executes the request, and the answer to the request has the error.
            with contextlib.suppress(Exception):
                await self._runtime.work(self._catalogue.info, unknown)
        return self.coordination.is_replica(parsed, asked)

    def token(self, parsed: Parsed) -> int | None:
        return self.coordination.token(parsed)

    async def execute(self, parsed: Parsed) -> Answer:
        lock = self._lock
        if lock is not None and not self._queued and self._dialect.is_quick(parsed) and lock.acquire(blocking=False):
            try:
                return self._executed(parsed)
            finally:
                lock.release()
        # A request that may take long must not stop the other nodes from answering. While such requests are in the
        # queue, quick requests go into the queue too: otherwise they would overtake them again and again.
        self._queued += 1
        try:
            return await self._runtime.work(self._executed, parsed)
        finally:
            self._queued -= 1

    def _executed(self, parsed: Parsed) -> Answer:
        try:
            return self._dialect.execute(parsed)
        except DialectError as refused:
            return refused.answer()
        except Exception as wrong:
            self._runtime.report(wrong)
            return error_answer("InternalServerError", f"the engine failed ({type(wrong).__name__}: {wrong})")

    async def encode(self, request: Request, answer: Answer) -> tuple[bytes, str | None]:
        encoding = self._encoding(request, answer)
        if encoding is None:
            return answer.body, None
        if len(answer.body) < LONG:
            return compression.compress(answer.body, encoding), encoding
        return await self._runtime.help(compression.compress, answer.body, encoding), encoding

    def _encoding(self, request: Request, answer: Answer) -> str | None:
        """The Content-Encoding for the answer's body, or None. Errors and the answers to GET are never compressed."""
        options = self._options
        if not options.compresses_answers or answer.is_error or answer.content_type != JSON:
            return None
        if len(answer.body) < options.compression_threshold and not answer.chunked:
            return None
        return compression.chosen_encoding(request.headers.get("accept-encoding", ""))

    def get(self, request: Request, asked: Member) -> Answer:
        if request.method == "GET" and request.path == HEALTH:
            return Answer(200, f"healthy: {request.headers.get('host', '')}".encode("latin-1"), "text/plain")
        if request.method == "GET" and request.path == LOCALNODES:
            query = request.query if self._options.rack_parameters else b""
            return Answer(200, orjson.dumps(listed_hosts(self._members(), asked, query)), "application/json")
        return Answer(404, b'{"message": "Not found", "code": 404}', "application/json")
