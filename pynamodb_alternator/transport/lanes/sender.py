"""The sender of the requests of all lanes: the cluster's pools, signers, headers and compression."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...errors import MalformedAnswerError
from ...routing.idempotence import ITEM_WRITES
from ...settings.config import ClusterConfig
from ...settings.options import NO_OPTIONS, NOT_GIVEN, RequestOptions
from ...settings.values import Credentials, Timeouts
from ...topology.node import Node
from ..attempts import Attempts
from ..compression import accepts, coding_of, compress, pieces
from ..credentials import Signers
from ..http1 import MAX_ERROR, Answer, Steps
from ..large_answers import Watch
from ..loads import Loads
from ..pool import Pools
from ..request import MAX_BODY, build_head, lines_of, start_of
from ..signing import Signer

__all__ = ["Sender"]

_MAX_OF_ITEM_WRITE = 32 * 1024 * 1024
"""Bytes of the answer to a write of one item. A request has at most 16 MiB, and so has the item in the answer."""
_MOST_SIGNERS = 1_000
"""Pairs of credentials and region whose signers are kept: more than a process has models."""


class Sender:
    """What all requests of a cluster need to reach a node: pools, signers, and the headers of each request."""

    def __init__(self, config: ClusterConfig, pools: Pools, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self.pools = pools
        self.has_room: Callable[[Node], bool] = pools.has_room
        """Whether a request can get a connection to a node without waiting for one that is in use."""
        self.any_has_room: Callable[[Iterable[Node]], bool] = pools.any_has_room
        """Like `has_room`, for any of several nodes."""
        self._wall_clock = wall_clock
        self._signers = Signers(config.credentials, config.region)
        self._signers_of: dict[tuple[Credentials | None, str | None], Signers] = {}
        self._headers = tuple(_headers_of(config))
        self._lines = lines_of(self._headers)
        self._most = dict.fromkeys(ITEM_WRITES, min(_MAX_OF_ITEM_WRITE, config.max_answer))
        self.key: object = object()
        """Stands for the cluster in the context variable of ``with cluster.options(...)``."""

    def send(
        self,
        node: Node,
        head: bytes,
        body: bytes,
        operation: str,
        timeouts: Timeouts,
        deadline: float | None,
        pool_wait: float,
        patient: bool = False,
        loads: Loads | None = None,
    ) -> Answer:
        """Send one request on a connection of the node's pool, and return its answer, which is not unpacked.

        `deadline`: on the monotonic clock. `pool_wait`: seconds in which a connection of a full pool must become free.
        `patient`: see `Attempts`. `loads`: records how long the answer took.
        """
        pools, answer = self.pools, None
        connection = pools.acquire(node, timeouts.connect, deadline, pool_wait)
        began = 0.0 if loads is None else loads.clock()
        try:
            answer = connection.exchange(
                head,
                body,
                read_timeout=timeouts.read,
                deadline=deadline,
                patient=patient,
                max_body=self.max_body(operation),
            )
        finally:
            pools.release(connection)
            if loads is not None:
                loads.ended(node, operation, began, None if answer is None else answer.status)
        return answer

    def exchange(self, node: Node, head: bytes, body: bytes, attempts: Attempts) -> Answer:
        """Send one request, and return its answer, unpacked."""
        answer = self.send(
            node,
            head,
            body,
            attempts.operation,
            attempts.timeouts,
            attempts.deadline,
            attempts.pool_wait,
            attempts.patient,
            attempts.environment.loads,
        )
        return self.plain(node, head, answer, attempts)

    def exchange_in_steps(self, node: Node, head: bytes, body: bytes, attempts: Attempts) -> Steps[Answer]:
        """The same as `exchange`, in steps: see `http1.steps`. Only for reads, which are never patient."""
        timeouts, pools = attempts.timeouts, self.pools
        connection = yield from pools.acquire_in_steps(node, timeouts.connect, attempts.deadline, attempts.pool_wait)
        loads, answer = attempts.environment.loads, None
        began = 0.0 if loads is None else loads.clock()
        try:
            answer = yield from connection.exchange_in_steps(
                head,
                body,
                read_timeout=timeouts.read,
                deadline=attempts.deadline,
                max_body=self.max_body(attempts.operation),
            )
        finally:
            pools.release(connection)
            if loads is not None:
                loads.ended(node, attempts.operation, began, None if answer is None else answer.status)
        return self.plain(node, head, answer, attempts)

    def plain(self, node: Node, head: bytes, answer: Answer, attempts: Attempts) -> Answer:
        """The answer, unpacked. `head`: of the request."""
        if "content-encoding" not in answer.headers:
            return answer
        look, plain = self.watch(node, attempts).look, []
        for piece in self.unpacked(node, head, answer, attempts.operation):
            plain.append(piece)
            look()
        return Answer(answer.status, answer.headers, b"".join(plain))

    def max_body(self, operation: str) -> int:
        """Bytes that the answer to an operation may have."""
        return self._most.get(operation, self._config.max_answer)

    def watch(self, node: Node, attempts: Attempts) -> Watch:
        """A watch that ends the reading of a large answer of `node` at the deadline."""
        return Watch(node, attempts.deadline, attempts.environment.clock)

    def unpacked(self, node: Node, head: bytes, answer: Answer, operation: str) -> Iterator[bytes]:
        """The unpacked body of an answer, in pieces.

        `head`: of the request. Raises `MalformedAnswerError`, as `compression.pieces` does, and also for a body that is
        compressed although the request did not ask for that.
        """
        coding = answer.headers["content-encoding"]
        name = coding_of(coding)
        if name in ("gzip", "deflate") and not accepts(head, name):
            raise MalformedAnswerError(
                f"Node {node} answered with the content coding {name!r}, which the request did not ask for: set "
                "response_compression to have compressed answers."
            )
        most = self.max_body(operation)
        if answer.status >= 300:
            most = min(most, MAX_ERROR)
        return pieces(answer.body, coding, most, who=f"Node {node}")

    def encoded(self, body: bytes, options: RequestOptions) -> tuple[bytes, str | None]:
        """The body as it is sent in every attempt, and its Content-Encoding, if it has one."""
        how = options.request_compression
        if how is NOT_GIVEN:
            how = self._config.request_compression
        # A body that is too long is not compressed, and is refused later: the server's limit holds for both forms.
        return (body, None) if how is None or len(body) > MAX_BODY else compress(how, body)

    def extra_headers(self, options: RequestOptions) -> list[tuple[str, str]]:
        """The cluster's headers, and those of the model or block, which have priority."""
        accepted = options.response_compression
        if not options.extra_headers and accepted is None:
            return list(self._headers)
        of_request = list((options.extra_headers or {}).items())
        own = {name.lower() for name, _ in of_request}
        if accepted is not None:
            own.add("accept-encoding")
            of_request += _accept_encoding(accepted)
        return [*(pair for pair in self._headers if pair[0].lower() not in own), *of_request]

    def head(
        self, node: Node, target: str, body: bytes, signer: Signer | None, options: RequestOptions = NO_OPTIONS
    ) -> bytes:
        """The head of a request that is not compressed, signed for `node`. The caller has checked the body's length."""
        host = node.host_header
        if options.extra_headers:
            headers = self.extra_headers(options) + self.signature(signer, node, target, body)
            return build_head(target, host, len(body), headers)
        signature = b"" if signer is None else signer.lines(host, target, body, self._wall_clock())
        return b"%b%d\r\n%b%b\r\n" % (start_of(target, host), len(body), self._lines, signature)

    def is_signed(self, options: RequestOptions) -> bool:
        return (options.credentials or self._config.credentials) is not None

    def region_of(self, options: RequestOptions) -> str:
        return options.region or self._config.region

    def signature(self, signer: Signer | None, node: Node, target: str, body: bytes) -> list[tuple[str, str]]:
        """The headers with which `signer` signs the request for `node`; none without a signer."""
        if signer is None:
            return []
        return signer.headers(node.host_header, target, body, self._wall_clock())

    def signers(self, options: RequestOptions) -> Signers:
        """The source of the signer for a request with these options."""
        if options.credentials is None and options.region is None:
            return self._signers
        # Mostly one for each model. But a connection that is made for one request may bring new credentials each time.
        key = (options.credentials, options.region)
        signers = self._signers_of.get(key)
        if signers is None:
            signers = Signers(options.credentials or self._config.credentials, self.region_of(options))
            if len(self._signers_of) >= _MOST_SIGNERS:
                self._signers_of.clear()
            self._signers_of[key] = signers
        return signers


def _headers_of(config: ClusterConfig) -> list[tuple[str, str]]:
    headers = list(config.extra_headers.items())
    if config.user_agent_sent is not None:
        headers.append(("User-Agent", config.user_agent_sent))
    return headers + _accept_encoding(config.response_compression)


def _accept_encoding(codings: Any) -> list[tuple[str, str]]:
    return [("Accept-Encoding", ", ".join(codings))] if codings else []
