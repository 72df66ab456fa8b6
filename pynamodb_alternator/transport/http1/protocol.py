"""The rules of HTTP/1.1 for an answer, for threads and event loops, and the texts of the errors.

`ResponseRules` is the base class of both kinds of connection (`transport.http1.connection`, `aio.connection`). It
checks what `reader` has parsed, and writes the errors. Nothing here waits or touches a socket.

Source: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade

from ...errors import (
    ConnectionLostError,
    ConnectTimeoutError,
    DeadlineBeforeSendError,
    MalformedAnswerError,
    NodeUnreachableError,
    ReadTimeoutError,
    TlsError,
)
from .reader import Answer, AnswerReader, Refused, parser_words
from .sockets import words_of

if TYPE_CHECKING:
    from ...topology.node import Node

__all__ = ["MAX_BODY", "MAX_ERROR", "Answer", "AnswerReader", "Clock", "ResponseRules", "TlsSource"]

Clock = Callable[[], float]
"""Seconds that only grow, as `time.monotonic` gives them."""

MAX_BODY = 256 * 1024 * 1024
"""The most bytes that the body of an answer may have, unless an exchange says otherwise."""
MAX_ERROR = 32 * 1024 * 1024
"""The most bytes that the body of an answer with status 300 or above may have: no error contains more than one item."""
_MAX_HEAD = 64 * 1024
_BY_THE_NODE = (ConnectionResetError, BrokenPipeError, ssl.SSLError)
"""Errors of a connection that the node has closed, or reset, or ended with an alert of TLS."""


class Handshakes(Protocol):
    """The handshakes of one new connection: see `transport.tls`."""

    def wrap(self, sock: socket.socket, keep: Callable[[socket.socket], None]) -> ssl.SSLSocket | None:
        """The TLS socket that takes the place of `sock`, after its handshake.

        None if the node's certificate is not issued for the name that was tried, and there is another name: then the
        caller connects another socket for that name. `sock` has a timeout, which limits the handshake. `keep` is called
        with the new socket before the handshake. Raises `TlsError`, TimeoutError, and OSError if the connection broke.
        """

    def begin(self, sock: socket.socket, keep: Callable[[socket.socket], None]) -> ssl.SSLSocket:
        """The TLS socket that takes the place of `sock`, before its handshake. The caller does the handshake, and then
        calls `succeeded` or `failed`."""

    def succeeded(self) -> None: ...

    def failed(self, error: ssl.SSLError) -> OSError | None:
        """The error to raise for the `error` of a handshake; None if the next name must be tried."""


class TlsSource(Protocol):
    """Turns connected sockets into TLS sockets: see `transport.tls`."""

    def handshakes(self, node: Node) -> Handshakes:
        """The handshakes of one new connection to `node`. Raises `TlsError`."""

    def remember(self, node: Node, sock: ssl.SSLSocket) -> None:
        """Keep the socket's session for the node's next connection."""

    def refused(self, node: Node, error: ssl.SSLError) -> TlsError | None:
        """The error to raise if `error`, which came instead of the first answer, refuses our certificate; else None."""


class ResponseRules:
    """What the connections of threads and of event loops have in common: state, rules for an answer, texts of errors.

    `reusable`: whether another request may follow. It is False from the moment an exchange begins until it has ended
    well. So a connection is not used again after any error in an exchange, KeyboardInterrupt included.
    `busy_since`: when the exchange or the connecting that is under way began; None in between.
    `connected`: whether it has ever been ready for requests.
    `idle_since`, `lent_by`, `renew_at`, `predecessor`: for the pool's own use; see `transport.pooled.PooledConnection`.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_cut_reason",
        "_ended_by_node",
        "_exchanges",
        "_max_body",
        "_patient",
        "_reader",
        "_received",
        "_tls",
        "busy_since",
        "connected",
        "idle_since",
        "lent_by",
        "node",
        "predecessor",
        "renew_at",
        "reusable",
    )

    def __init__(self, node: Node, clock: Clock) -> None:
        self.node: Node = node
        self.reusable: bool = False
        self.connected: bool = False
        self.busy_since: float | None = None
        self.idle_since: float = 0.0
        self.lent_by: object = None
        self.renew_at: float = math.inf
        self.predecessor: Any = None
        self._clock = clock
        self._max_body = MAX_BODY
        self._tls: TlsSource | None = None
        self._cut_reason: str | None = None
        self._ended_by_node = False
        self._patient = False
        self._exchanges = 0
        self._reader: AnswerReader | None = None
        self._received = 0

    @property
    def has_begun(self) -> bool:
        """Whether a byte of the answer has come, while an exchange is under way."""
        return self._received > 0

    def close(self) -> None:
        raise NotImplementedError

    def _let_go(self) -> None:
        """No more bytes are read on this connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.let_go()

    def reclaim(self) -> bool:
        """Close it, unless an exchange or connecting is under way. Returns whether it was closed.

        This is for a connection that its holder has lost. If the holder still begins an exchange at this moment, then
        either this method sees `busy_since`, or the exchange sees that the connection is not `reusable`: an exchange
        sets `busy_since` before it reads `reusable`.
        """
        self.reusable = False
        if self.busy_since is not None:
            return False
        self.close()
        return True

    def _bytes_unsent(self) -> int:
        raise NotImplementedError

    def _take(self, reader: AnswerReader, data: bytes, received: int) -> bool:
        """Take the next bytes of the answer. `received`: its bytes so far, with these. True if it is complete.

        Raises `MalformedAnswerError`.
        """
        is_first = received == len(data) <= _MAX_HEAD
        if is_first and reader.feed_known(data):
            return True
        try:
            reader.feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if isinstance(error, HttpParserCallbackError) and not isinstance(error.__context__, Refused):
                # A KeyboardInterrupt, or gevent's Timeout, that came while a callback ran.
                raise (error.__context__ or error) from None
            # The answer is complete, and only the bytes after it are wrong.
            reader.reusable = False
            if not reader.complete:
                raise self._malformed(parser_words(error)) from error
        if reader.complete:
            if received > _MAX_HEAD:
                self._check_size(reader, received)
            if is_first:
                reader.remember_head(data)
            return True
        self._check_size(reader, received)
        reader.tidy()
        return False

    def _check_size(self, reader: AnswerReader, received: int) -> None:
        """Raise `MalformedAnswerError` if the answer is too large, or says that it will be."""
        if not reader.head_is_complete:
            if received > _MAX_HEAD:
                raise self._malformed(f"more than {_MAX_HEAD} bytes of headers")
            return
        most = self._max_body if reader.status < 300 else min(self._max_body, MAX_ERROR)
        problem = reader.problem(most)
        if problem:
            raise self._malformed(problem)
        # The bytes that frame the chunks count too: a node may send any number of them.
        if received > most and (received > most + most // 8 + _MAX_HEAD or reader.size > most):
            raise self._malformed(f"a body of more than {most} bytes")

    def _too_late(self) -> DeadlineBeforeSendError:
        return DeadlineBeforeSendError(
            f"Node {self.node}: the deadline of the call passed before the request was sent", node=self.node.address
        )

    def _unreachable(self, why: str) -> NodeUnreachableError:
        what, was_cut = f"Node {self.node} cannot be reached: {self._cut_reason or why}", self._cut_reason is not None
        return NodeUnreachableError(what, node=self.node.address, was_cut=was_cut)

    def _connect_timeout(self, seconds: float, deadline: float | None = None) -> ConnectTimeoutError:
        if self._cut_reason is not None:
            what = f"Node {self.node} cannot be reached: {self._cut_reason}"
            return ConnectTimeoutError(what, node=self.node.address, was_cut=True)
        what = f"Node {self.node} did not accept the connection within {seconds:g} s"
        if deadline is not None and self._clock() >= deadline:
            # The message does not say how long the node had: this thread or event loop may have been blocked.
            what = f"The connection to node {self.node} was not open at the deadline of the call"
        return ConnectTimeoutError(what, node=self.node.address)

    def _read_timeout(self, read_timeout: float, deadline: float | None, received: int) -> ReadTimeoutError:
        at_deadline = deadline is not None and self._clock() >= deadline
        when = "before the deadline of the call" if at_deadline else f"within the read timeout of {read_timeout:g} s"
        unsent = self._bytes_unsent()
        if unsent and not received:
            what = f"took no more of the request ({unsent} bytes are left)"
        elif received:
            how = "did not complete" if at_deadline else "went silent in"  # at the deadline it may be just slow
            what = f"{how} its answer (after {received} bytes)"
        else:
            what = "did not answer"
        error = ReadTimeoutError(f"Node {self.node} {what} {when}", node=self.node.address)
        error.may_still_execute = not received
        return error

    def _lost(self, error: OSError | None, received: int) -> ConnectionLostError | TlsError:
        address = self.node.address
        if isinstance(error, ssl.SSLError) and self._tls is not None and not received and not self._exchanges:
            refused = self._tls.refused(self.node, error)
            if refused is not None:
                return refused
        if self._cut_reason is not None:
            what = f"Node {address}: the connection was cut: {self._cut_reason}"
            cut = ConnectionLostError(what, node=address, was_cut=True)
            ended = self._ended_by_node and (error is None or isinstance(error, _BY_THE_NODE))
            cut.may_still_execute = not (received or ended or isinstance(error, ConnectionResetError))
            return cut
        how = "the node closed it" if error is None else words_of(error)
        when = f"after {received} bytes of the answer" if received else "before the answer"
        lost = ConnectionLostError(f"Node {address}: the connection was lost {when} ({how})", node=address)
        lost.was_idle = self._exchanges > 0 and not received
        # If the error is not known to come from the node, our own kernel raised it after a long silence of the node.
        # If a part of an error answer came, it may come from a proxy in front of a frozen node.
        by_kernel = not received and error is not None and not isinstance(error, _BY_THE_NODE)
        reader = self._reader
        lost.may_still_execute = by_kernel or (reader is not None and reader.head_is_complete and reader.status >= 300)
        return lost

    def _malformed(self, what: str) -> MalformedAnswerError:
        error = MalformedAnswerError(
            f"Node {self.node} answered with something that is not valid HTTP: {what}", node=self.node.address
        )
        error.is_whole = False
        return error
