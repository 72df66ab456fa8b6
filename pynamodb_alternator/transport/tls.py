"""TLS: the one context that data, discovery and probes share, and the handshakes with each node.

Theory of operation. A node's certificate may be issued for one of a few names (`Node.certificate_names`). OpenSSL
compares it with one name per handshake, its `server_hostname`. So a new connection has a `Handshakes`: if a handshake
fails only because of the name, and there is another name, another socket is connected for that name. The name that
fits is remembered for the node. From then on it is tried first, so that no other name is needed. If a certificate is
renewed for another name, that name is found in the same way.

Certificates are read again when their files change, so that a renewed one needs no restart. Each node's last session
is offered to the node again at the next connection, which saves most of the handshake.

There is no lock: sessions and names are kept in dicts, and each access to a dict is one step.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import ConfigurationError, TlsError
from ..settings.tls import InsecureTlsWarning, Tls
from .http1 import Clock
from .http1.sockets import self_closing
from .tls_errors import handshake_failed, is_about_our_certificate, is_about_the_name

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["Handshakes", "InsecureTlsWarning", "Tls", "TlsContexts"]

_log = logging.getLogger("pynamodb_alternator.transport")

_LOOK_AT_FILES_EVERY = 1.0
_MOST_REMEMBERED = 10_000
"""Nodes whose sessions and names are kept."""


class TlsContexts:
    """The context, the sessions and the names of all nodes of a cluster. Threads may share it.

    `clock`: decides when the files are checked again: at most once a second, when a connection is opened.
    """

    def __init__(self, tls: Tls, *, clock: Clock = time.monotonic) -> None:
        self._tls = tls
        self._clock = clock
        # Made at the first connection, and not here: loading the system's CAs takes long.
        self._context: ssl.SSLContext | None = None
        self._state: tuple[object, ...] = ()
        self._looked_at = 0.0
        self._complaint = ""
        self._sessions: dict[tuple[str, str], tuple[ssl.SSLContext, ssl.SSLSession]] = {}
        self._names: dict[str, str] = {}

    # ---- the context -------------------------------------------------------------------------------------------

    def context(self) -> ssl.SSLContext:
        """The context in use. It is made anew if a file, or the result of a callable, has changed. If the new files
        cannot be used, the old context stays. Raises `ConfigurationError` if there is none yet.

        Two threads may both make one. That costs time but is harmless, and no thread waits for another's disk.
        """
        now = self._clock()
        context = self._context
        if context is not None and now - self._looked_at < _LOOK_AT_FILES_EVERY:
            return context
        self._looked_at = now
        try:
            return self._fresh_context(context)
        except ConfigurationError as error:
            if context is None:
                raise
            self._complain(str(error))
            return context

    def _fresh_context(self, context: ssl.SSLContext | None) -> ssl.SSLContext:
        """`context`, if nothing has changed since it was made, or another one."""
        client_cert = self._tls.current_client_cert()
        state = (client_cert, *map(_state_of, self._tls.files(client_cert)))
        if context is not None and state == self._state:
            self._complaint = ""
            return context
        # Before the files are read, so that a change during the reading is seen next time.
        self._state = state
        fresh = self._tls.make_context(client_cert)
        if context is None and self._context is not None:
            # Another thread was quicker. All use one context, because a session is resumed only in its own context.
            return self._context
        of_python_or_gevent: Any = fresh.sslsocket_class
        fresh.sslsocket_class = cast(Any, self_closing(of_python_or_gevent))
        if context is not None:
            _log.info("TLS certificates were loaded again: they have changed.")
        self._context, self._complaint = fresh, ""
        return fresh

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            _log.warning("The changed TLS certificates cannot be used, going on with those loaded before: %s", text)

    # ---- connections -------------------------------------------------------------------------------------------

    def handshakes(self, node: Node) -> Handshakes:
        """The handshakes that turn a new connection to `node` into a TLS one. Raises `TlsError`."""
        try:
            context = self.context()
        except ConfigurationError as error:
            raise TlsError(f"Node {node}: {error}", node=node.address) from error
        return Handshakes(self, node, context, self._names_to_try(node))

    def _names_to_try(self, node: Node) -> tuple[str, ...]:
        names = node.certificate_names
        if self._tls.insecure or not self._tls.verify_hostname:
            return names[:1]  # for SNI, if it is not an address
        last = self._names.get(node.endpoint)
        # The name that fitted counts only as long as it is one of the node's names.
        return names if last not in names else (last, *(name for name in names if name != last))

    def remember(self, node: Node, sock: ssl.SSLSocket | ssl.SSLObject) -> None:
        """Keep the socket's session for the node's next connection. Call it when an answer has been read, because the
        tickets of TLS 1.3 come after the handshake."""
        session = sock.session if self._tls.session_resumption else None
        if session is None or not session.has_ticket or sock.server_hostname is None:
            return
        _keep(self._sessions, _session_key(node, sock.server_hostname), (sock.context, session))

    def refused(self, node: Node, error: ssl.SSLError) -> TlsError | None:
        """The error to raise if `error`, which came instead of the first answer, is the node's refusal of our
        certificate; else None. With TLS 1.3 a node may refuse it after our handshake."""
        return handshake_failed(node, error, ()) if is_about_our_certificate(error) else None

    # ---- what handshakes remember ------------------------------------------------------------------------------

    def session(self, node: Node, name: str, context: ssl.SSLContext) -> ssl.SSLSession | None:
        """The last session with `node` under `name`. A session belongs to the context it was made in."""
        made_in, session = self._sessions.get(_session_key(node, name), (None, None))
        return session if made_in is context else None

    def fitted(self, node: Node, name: str) -> None:
        """A handshake under `name` has succeeded."""
        if self._names.get(node.endpoint) != name:
            _keep(self._names, node.endpoint, name)

    def failed(self, node: Node, name: str, *, forget_name: bool) -> None:
        """A handshake under `name` has failed: its session is not offered again."""
        self._sessions.pop(_session_key(node, name), None)
        if forget_name and self._names.get(node.endpoint) == name:
            self._names.pop(node.endpoint, None)


class Handshakes:
    """The handshakes of one new connection: one for each name, until one fits.

    Each handshake needs a new socket. `name`: for the next handshake. One thread, or one task, uses the object.
    """

    def __init__(self, contexts: TlsContexts, node: Node, context: ssl.SSLContext, names: tuple[str, ...]) -> None:
        self.name: str = names[0]
        self._contexts = contexts
        self._node = node
        self._context = context
        self._names = names
        self._tried = 0

    def wrap(self, sock: socket.socket, keep: Callable[[socket.socket], None]) -> ssl.SSLSocket | None:
        """The TLS socket that takes the place of `sock`, after its handshake. See `http1.protocol.Handshakes`."""
        try:
            secured = self.begin(sock, keep)
            secured.do_handshake()
        except ssl.SSLError as error:
            failure = self.failed(error)
            if failure is not None:
                raise failure from error
            return None
        self.succeeded()
        return secured

    def begin(self, sock: socket.socket, keep: Callable[[socket.socket], None]) -> ssl.SSLSocket:
        """The TLS socket that takes the place of `sock`, before its handshake."""
        secured = self._context.wrap_socket(
            sock,
            server_hostname=self.name,
            do_handshake_on_connect=False,
            # An end without a `close_notify` of TLS may come from an attacker, and must not shorten an answer that
            # lasts until the connection ends.
            suppress_ragged_eofs=False,
            session=self._contexts.session(self._node, self.name, self._context),
        )
        keep(secured)
        return secured

    def for_event_loop(self) -> ssl.SSLContext:
        """The context for the next handshake, which offers the node's last session under `name`."""
        session = self._contexts.session(self._node, self.name, self._context)
        offering: Any = self._context if session is None else _Offering(self._context, session)
        return cast(ssl.SSLContext, offering)

    def succeeded(self) -> None:
        self._contexts.fitted(self._node, self.name)

    def failed(self, error: ssl.SSLError) -> OSError | None:
        """The error to raise for the `error` of a handshake; None if the next name must be tried."""
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return ConnectionResetError("it closed the connection during the TLS handshake")
        for_the_name = is_about_the_name(error)
        self._contexts.failed(self._node, self.name, forget_name=for_the_name)
        self._tried += 1
        if for_the_name and self._tried < len(self._names):
            self.name = self._names[self._tried]
            return None
        return handshake_failed(self._node, error, self._names[: self._tried])


class _Offering:
    """Passed to an event loop as its context: asyncio has no other way to offer a session."""

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
        self._context = context
        self._session = session

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **settings: Any) -> ssl.SSLObject:
        return self._context.wrap_bio(incoming, outgoing, **{**settings, "session": self._session})


def _state_of(path: Path) -> tuple[object, ...]:
    """A value that changes when the file is replaced, or written anew."""
    try:
        status = path.stat()
    except OSError:
        return (path, None)
    return (path, status.st_mtime_ns, status.st_size, status.st_ino)


def _session_key(node: Node, name: str) -> tuple[str, str]:
    """The name is a part of it: a session that is resumed for another name would not be checked against that name."""
    return node.endpoint, name


def _keep(memory: dict[Any, Any], key: object, value: object) -> None:
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[key] = value
