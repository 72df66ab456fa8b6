"""The handler of a cluster's nodes: what an Alternator server does between its sockets and its data.

`AlternatorHandler` is the `handler.Handler` of all nodes of one cluster. Its rules are elsewhere: signatures in `auth`,
Content-Encoding in `compression`, operations in `dialect`, ``/localnodes`` in `members`. Here is their order, and
which thread does the work. The event loop may not wait: long bodies are parsed and compressed by the runtime's
helpers, and the engine is called by its workers, except for an operation that is surely quick: an engine with a lock
is in process, and one item takes it less time than a change of threads.
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
    """One for each cluster, shared by its nodes. `members`: what they answer when they are asked for each other."""

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
        """Who are the replicas, for the cluster."""
        self._queued = 0

    async def read(self, request: Request, asked: str) -> Parsed:
        if len(request.body) < LONG and "content-encoding" not in request.headers:
            return self._parse(request, asked)
        return await self._runtime.help(self._parse, request, asked)

    def _parse(self, request: Request, asked: str) -> Parsed:
        options, headers, body = self._options, request.headers, request.body
        if options.credentials is not None and not (request.certified and options.certificate_is_login):
            # What is signed is what came over the wire, compressed or not.
            auth.verify(options.credentials, request.method, headers, body)
        encoding = headers.get("content-encoding")
        if encoding is not None and options.request_compression:
            body = compression.decompress(body, encoding, options.max_body)
        return self._dialect.parse(headers.get("x-amz-target"), body, asked, headers.get("host"))

    def load(self, path: str | os.PathLike[str]) -> int:
        """As `LocalCluster.load`. From any thread that may wait."""
        return saved.load(self._execute_directly, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """As `LocalCluster.save`. From any thread that may wait."""
        saved.save(self._client, self._catalogue, self._dialect.vectors.completed, path)

    def _execute_directly(self, operation: str, parameters: dict[str, Any]) -> Any:
        return self._dialect.execute(self._dialect.request(operation, parameters))

    def expire(self, table: str | None, now: float | None) -> int:
        """As `LocalCluster.expire`. From any thread that may wait."""
        return self._dialect.expiry.sweep(table, now)

    @property
    def hop_delay(self) -> float:
        return self._options.hop_delay

    async def is_replica(self, parsed: Parsed, asked: Member) -> bool | None:
        unknown = self.coordination.unknown_table(parsed)
        if unknown is not None:
            # Made in another way than through these nodes, or not at all. If the engine fails here, it fails again when
            # it executes the request, which is then answered with what is wrong.
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
        # What may take long must not keep the other nodes from answering. While something is in the queue, quick
        # requests queue up behind it: they would overtake it for ever.
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
        """How the answer's body is to be compressed. Errors, discovery and health never are."""
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
