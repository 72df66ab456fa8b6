"""TLS: the one context that data, discovery and probes share.

Certificates are read again when their files change, so that a renewed one needs no restart. Each node's last session
is offered to it again at the next connection, which saves most of the handshake.
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
from ..settings.tls import InsecureTlsWarning, Tls, openssl_reason
from .http1 import Clock
from .http1.sockets import self_closing

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["InsecureTlsWarning", "Tls", "TlsContexts"]

_log = logging.getLogger("pynamodb_alternator.transport")

_LOOK_AT_FILES_EVERY = 1.0
_MOST_SESSIONS = 10_000


class TlsContexts:
    """Makes sockets TLS sockets, with one context for all of a cluster. Threads may share it.

    `clock` tells when the files are to be looked at again: at most once a second, when a connection is opened.
    """

    def __init__(self, tls: Tls, *, clock: Clock = time.monotonic) -> None:
        self._tls = tls
        self._clock = clock
        # Made at the first connection, and not here: loading the system's CAs takes long.
        self._context: ssl.SSLContext | None = None
        self._state: tuple[object, ...] = ()
        self._looked_at = 0.0
        self._sessions: dict[tuple[str, str], tuple[ssl.SSLContext, ssl.SSLSession]] = {}

    def context(self) -> ssl.SSLContext:
        """The context in use, made anew if a file has changed. If the new files cannot be used, the old one stays.

        Two threads may both make one; that costs time and harms nothing, and no thread waits for another's disk.
        """
        now = self._clock()
        context = self._context
        if context is not None and now - self._looked_at < _LOOK_AT_FILES_EVERY:
            return context
        self._looked_at = now
        state = tuple(map(_state_of, self._tls.files()))
        if context is not None and state == self._state:
            return context
        # Before the files are read: what changes while they are read is seen next time.
        self._state = state
        try:
            fresh = self._tls.make_context()
        except ConfigurationError as error:
            if context is None:
                raise
            _log.warning("The changed TLS files cannot be used, going on with what was loaded before: %s", error)
            return context
        if context is None and self._context is not None:
            # Another thread was quicker. One context for all: sessions are resumed only in the one they were made in.
            return self._context
        of_python_or_gevent: Any = fresh.sslsocket_class
        fresh.sslsocket_class = cast(Any, self_closing(of_python_or_gevent))
        if context is not None:
            _log.info("TLS certificates were loaded again: their files have changed.")
        self._context = fresh
        return fresh

    def wrap(self, sock: socket.socket, node: Node, keep: Callable[[socket.socket], None]) -> ssl.SSLSocket:
        """The TLS socket that takes the place of `sock`, after its handshake. See `http1.TlsSource`."""
        context, name, session = self._for(node)
        try:
            secured = context.wrap_socket(
                sock,
                server_hostname=name,
                do_handshake_on_connect=False,
                # An end without TLS's own farewell may be an attacker's: an answer that lasts until the connection
                # ends must not be cut short by it.
                suppress_ragged_eofs=False,
                session=session,
            )
            keep(secured)
            secured.do_handshake()
        except ssl.SSLError as error:
            raise self.failed(node, error) from error
        return secured

    def for_event_loop(self, node: Node) -> tuple[ssl.SSLContext, str]:
        """What an event loop takes for a connection to `node`: a context, which offers the node's last session, and
        the name that the certificate is checked against. Raises `TlsError`."""
        context, name, session = self._for(node)
        offering: Any = context if session is None else _Offering(context, session)
        return offering, name

    def _for(self, node: Node) -> tuple[ssl.SSLContext, str, ssl.SSLSession | None]:
        """What a handshake with `node` takes: a context, the name for its certificate, and its last session, if any."""
        try:
            context = self.context()
        except ConfigurationError as error:
            raise TlsError(f"Node {node}: {error}", node=node.address) from error
        key = _session_key(node)
        # A session belongs to the context it was made in.
        made_in, session = self._sessions.get(key, (None, None))
        return context, key[1], session if made_in is context else None

    def failed(self, node: Node, error: ssl.SSLError) -> OSError:
        """What to raise for an `error` of the handshake."""
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return ConnectionResetError("it closed the connection during the TLS handshake")
        self._sessions.pop(_session_key(node), None)
        return _handshake_failed(node, error)

    def remember(self, node: Node, sock: ssl.SSLSocket | ssl.SSLObject) -> None:
        """Keep the socket's session for the node's next connection. To be called when an answer has been read: the
        tickets of TLS 1.3 come after the handshake."""
        session = sock.session
        if session is None or not session.has_ticket:
            return
        if len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.clear()
        self._sessions[_session_key(node)] = (sock.context, session)

    def refused(self, node: Node, error: ssl.SSLError) -> TlsError | None:
        """The error to raise if `error`, met while the first answer was awaited, is the node's refusal of our
        certificate, for which TLS 1.3 leaves it until after our handshake; else None."""
        reason: str = getattr(error, "reason", None) or ""
        if "ALERT" in reason and any(word in reason for word in _CERTIFICATE_ALERTS):
            return _handshake_failed(node, error)
        return None


class _Offering:
    """Stands where an event loop takes a context. asyncio has no other way to offer a session."""

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
        self._context = context
        self._session = session

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **settings: Any) -> ssl.SSLObject:
        return self._context.wrap_bio(incoming, outgoing, **{**settings, "session": self._session})


def _state_of(path: Path) -> tuple[object, ...]:
    """What changes when a file does: replaced by another, or written anew."""
    try:
        found = path.stat()
    except OSError:
        return (path, None)
    return (path, found.st_mtime_ns, found.st_size, found.st_ino)


# ---- handshakes ------------------------------------------------------------------------------------------------


def _session_key(node: Node) -> tuple[str, str]:
    """A session resumed under another name would not be checked against it."""
    return node.endpoint, _server_name(node)


def _server_name(node: Node) -> str:
    """What the node's certificate is checked against. An address has no scope there, and a name no dot at its end."""
    return (node.server_name or node.host).partition("%")[0].rstrip(".")


def _handshake_failed(node: Node, error: ssl.SSLError) -> TlsError:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate was not accepted: {error.verify_message.rstrip('.')}"
        remedy = _VERIFICATION_REMEDIES.get(error.verify_code, "Give the nodes' CA: Tls(ca='/path/to/ca.pem').")
        remedy = remedy.format(name=_server_name(node))
    else:
        reason = openssl_reason(error)
        remedy = next((text for word, text in _REMEDIES if word in reason.upper().replace(" ", "_")), "")
    return TlsError(f"Node {node}: TLS failed, {reason}.{' ' if remedy else ''}{remedy}", node=node.address)


_CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")

_CA_REMEDY = "Give the CA that has signed it: Tls(ca='/path/to/ca.pem')."
_NAME_REMEDY = (
    "Have a certificate issued for {name!r}, name the nodes as their certificates do, or, where the network is "
    "trusted, use Tls(verify_hostname=False)."
)
_VERIFICATION_REMEDIES = {
    2: _CA_REMEDY,
    9: "Check the clocks of this machine and of the node.",
    10: "Renew the node's certificate, and check this machine's clock.",
    18: _CA_REMEDY,
    19: _CA_REMEDY,
    20: _CA_REMEDY,
    21: _CA_REMEDY,
    23: "The certificate was revoked: give the node a new one.",
    62: _NAME_REMEDY,
    64: _NAME_REMEDY,
}
"""By OpenSSL's X509_V_ERR_ numbers (openssl-verification-options(1))."""

_CLIENT_CERT_REMEDY = "The node wants a client certificate that it trusts: Tls(client_cert=('cert.pem', 'key.pem'))."
_REMEDIES = (
    ("CERTIFICATE_REQUIRED", _CLIENT_CERT_REMEDY),
    ("ALERT_UNKNOWN_CA", _CLIENT_CERT_REMEDY),
    ("ALERT_BAD_CERTIFICATE", _CLIENT_CERT_REMEDY),
    ("ALERT_CERTIFICATE", _CLIENT_CERT_REMEDY),
    ("ALERT_ACCESS_DENIED", _CLIENT_CERT_REMEDY),
    ("HANDSHAKE_FAILURE", "The node may want a client certificate, or offers no cipher that is safe."),
    ("WRONG_VERSION_NUMBER", "The port may be one for plain HTTP: use scheme='http', or the port for https."),
    ("RECORD_LAYER_FAILURE", "The port may be one for plain HTTP: use scheme='http', or the port for https."),
    ("HTTP_REQUEST", "The port may be one for plain HTTP: use scheme='http', or the port for https."),
    ("UNSUPPORTED_PROTOCOL", "The node offers only versions of TLS below Tls(minimum_version=...)."),
    ("PROTOCOL_VERSION", "The node offers only versions of TLS below Tls(minimum_version=...)."),
)
"""By words in OpenSSL's reason."""
