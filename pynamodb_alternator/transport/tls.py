"""TLS: what the user may set, and the one context that data, discovery and probes share.

Certificates are read again when their files change, so that a renewed one needs no restart. Each node's last session
is offered to it again at the next connection, which saves most of the handshake.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, TlsError
from .http1 import Clock

if TYPE_CHECKING:
    from ..cluster.node import Node

__all__ = ["InsecureTlsWarning", "Tls", "TlsContexts"]

_log = logging.getLogger("pynamodb_alternator.transport")

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_PEM_BEGIN = "-----BEGIN CERTIFICATE-----"
_LOOK_AT_FILES_EVERY = 1.0
_MOST_SESSIONS = 10_000


class InsecureTlsWarning(UserWarning):
    """`Tls(insecure=True)`: whoever stands between this process and a node can read and change everything."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How nodes are reached by https.

    `ca`: who may have signed the nodes' certificates: a file, a directory of files, or PEM text; None for those that
    the system trusts. `client_cert`: what we show to the node (mutual TLS): one file with certificate and key, or a
    pair of files; the key without a password. Both are read again when they change.
    `verify_hostname`: whether a node's certificate must name the node's address. `insecure`: True checks nothing.
    `minimum_version`: ``"TLSv1.2"`` or ``"TLSv1.3"``. `key_log`: a file to which the sessions' secrets are appended,
    with which Wireshark reads recorded traffic.

    Raises `ConfigurationError`. The files are looked at when this is made.
    """

    ca: str | os.PathLike[str] | None = field(default=None, repr=False)
    client_cert: str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None
    verify_hostname: bool = True
    insecure: bool = False
    minimum_version: str = "TLSv1.2"
    key_log: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        for name in ("verify_hostname", "insecure"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"Tls: {name} must be True or False (got {getattr(self, name)!r}).")
        if self.minimum_version not in _VERSIONS:
            raise ConfigurationError(
                f"Tls: minimum_version must be one of {', '.join(_VERSIONS)} (got {self.minimum_version!r}); "
                "older versions are broken."
            )
        if self.ca is not None and not isinstance(self.ca, str | os.PathLike):
            raise ConfigurationError(f"Tls: ca must be a path or PEM text (got {type(self.ca).__name__}).")
        self._check_client_cert()
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca is not None:
            _load_ca(trial, self.ca)
        if self.client_cert is not None:
            _load_client_cert(trial, *_pair(self.client_cert))
        if self.key_log is not None:
            _set_key_log(trial, self.key_log)
        if self.insecure:
            text = (
                "Tls(insecure=True): the nodes' certificates are not checked, so that anybody in between can read and "
                "change everything. Give the nodes' CA instead: Tls(ca='/path/to/ca.pem')."
            )
            # 3: the line that makes the Tls, and not the dataclass's own __init__.
            warnings.warn(text, InsecureTlsWarning, stacklevel=3)
            _log.warning("%s", text)

    def _check_client_cert(self) -> None:
        given: Any = self.client_cert
        if given is None or isinstance(given, str | os.PathLike):
            return
        if (
            not isinstance(given, tuple | list)
            or len(given) != 2
            or not all(isinstance(one, str | os.PathLike) for one in given)
        ):
            raise ConfigurationError(
                "Tls: client_cert must be a file with certificate and key, or a pair of files: "
                "client_cert=('/path/client.pem', '/path/client.key')."
            )
        object.__setattr__(self, "client_cert", tuple(given))

    def files(self) -> Iterator[Path]:
        """Every file and directory that the context was made from."""
        if self.ca is not None and not _is_pem(self.ca):
            yield Path(self.ca)
            yield from _files_in(Path(self.ca))
        if self.client_cert is not None:
            yield from map(Path, _pair(self.client_cert))

    def make_context(self) -> ssl.SSLContext:
        """A context with these settings. Raises `ConfigurationError` if a file is no longer what it was."""
        # The class is looked up now: gevent puts its own in its place.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # As Python has it from 3.13 on: what the user calls a CA is trusted, be it the root of its chain or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.minimum_version = _VERSIONS[self.minimum_version]
        context.check_hostname = self.verify_hostname and not self.insecure
        context.verify_mode = ssl.CERT_NONE if self.insecure else ssl.CERT_REQUIRED
        if self.ca is not None:
            _load_ca(context, self.ca)
        elif not self.insecure:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if self.client_cert is not None:
            _load_client_cert(context, *_pair(self.client_cert))
        if self.key_log is not None:
            _set_key_log(context, self.key_log)
        return context


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
        if context is not None:
            _log.info("TLS certificates were loaded again: their files have changed.")
        self._context = fresh
        return fresh

    def wrap(self, sock: socket.socket, node: Node, keep: Callable[[socket.socket], None]) -> ssl.SSLSocket:
        """The TLS socket that takes the place of `sock`, after its handshake. See `http1.TlsSource`."""
        try:
            context = self.context()
        except ConfigurationError as error:
            raise TlsError(f"Node {node}: {error}", node=node.address) from error
        key = _session_key(node)
        made_in, session = self._sessions.get(key, (None, None))
        try:
            secured = context.wrap_socket(
                sock,
                server_hostname=key[1],
                do_handshake_on_connect=False,
                # An end without TLS's own farewell may be an attacker's: an answer that lasts until the connection
                # ends must not be cut short by it.
                suppress_ragged_eofs=False,
                # A session belongs to the context it was made in.
                session=session if made_in is context else None,
            )
            keep(secured)
            secured.do_handshake()
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise ConnectionResetError("it closed the connection during the TLS handshake") from error
        except ssl.SSLError as error:
            self._sessions.pop(key, None)
            raise _handshake_failed(node, error) from error
        return secured

    def remember(self, node: Node, sock: ssl.SSLSocket) -> None:
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
        reason = error.reason or ""
        if "ALERT" in reason and any(word in reason for word in _CERTIFICATE_ALERTS):
            return _handshake_failed(node, error)
        return None


# ---- files -----------------------------------------------------------------------------------------------------


def _is_pem(ca: str | os.PathLike[str]) -> bool:
    return isinstance(ca, str) and _PEM_BEGIN in ca


def _pair(client_cert: Any) -> tuple[Path, Path]:
    """The file of the certificate and that of its key, which may be the same."""
    if isinstance(client_cert, tuple):
        return Path(client_cert[0]), Path(client_cert[1])
    return Path(client_cert), Path(client_cert)


def _state_of(path: Path) -> tuple[object, ...]:
    """What changes when a file does: replaced by another, or written anew."""
    try:
        found = path.stat()
    except OSError:
        return (path, None)
    return (path, found.st_mtime_ns, found.st_size, found.st_ino)


def _files_in(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_file())
    except OSError:
        return []


def _text_of(setting: str, path: Path) -> str:
    try:
        return path.read_text("latin-1")
    except OSError as error:
        raise ConfigurationError(
            f"Tls: {setting}: the file {str(path)!r} cannot be read ({error.strerror}). Check the path and its "
            "permissions."
        ) from None


def _load_ca(context: ssl.SSLContext, ca: str | os.PathLike[str]) -> None:
    if _is_pem(ca):
        _trust(context, str(ca), "the PEM text")
        return
    path = Path(ca)
    if not path.is_dir():
        _trust(context, _text_of("ca", path), f"the file {str(path)!r}")
        return
    # OpenSSL itself finds only what `openssl rehash` has given names to.
    texts = [(one, _text_of("ca", one)) for one in _files_in(path)]
    certificates = [(one, text) for one, text in texts if _PEM_BEGIN in text]
    if not certificates:
        raise ConfigurationError(
            f"Tls: ca: the directory {str(path)!r} has no PEM certificate in it. Put the CA's certificate there, or "
            "name its file."
        )
    for one, text in certificates:
        _trust(context, text, f"the file {str(one)!r}")


def _trust(context: ssl.SSLContext, text: str, what: str) -> None:
    try:
        if _PEM_BEGIN not in text:
            raise ssl.SSLError("no certificate found")
        # Comments between the certificates may be in any encoding; OpenSSL skips them.
        context.load_verify_locations(cadata=text.encode("ascii", "ignore").decode())
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"Tls: ca: {what} is not a certificate ({_words(error)}). It must be PEM, which begins with {_PEM_BEGIN}."
        ) from None


def _load_client_cert(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    for path, word, kind in ((cert, _PEM_BEGIN, "certificate"), (key, "PRIVATE KEY-----", "private key")):
        if word not in _text_of("client_cert", path):
            raise ConfigurationError(
                f"Tls: client_cert: the file {str(path)!r} has no {kind} in PEM format. "
                "Give client_cert=(certificate file, key file), or one file with both."
            )
    try:
        context.load_cert_chain(cert, key, password=lambda: _no_password(key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(
                f"Tls: client_cert: the key in {str(key)!r} does not belong to the certificate in {str(cert)!r}. "
                "Give the key that this certificate was made for."
            ) from None
        raise ConfigurationError(
            f"Tls: client_cert: {str(cert)!r} with {str(key)!r} cannot be used ({_words(error)})."
        ) from None


def _no_password(key: Path) -> str:
    raise ConfigurationError(
        f"Tls: client_cert: the key in {str(key)!r} has a password. Write it without: openssl pkey -in {key} -out ..."
    )


def _set_key_log(context: ssl.SSLContext, path: str | os.PathLike[str]) -> None:
    try:
        context.keylog_filename = os.fspath(path)
    except OSError as error:
        raise ConfigurationError(
            f"Tls: key_log: the file {os.fspath(path)!r} cannot be written ({error.strerror})."
        ) from None


# ---- handshakes ------------------------------------------------------------------------------------------------


def _session_key(node: Node) -> tuple[str, str]:
    """A session resumed under another name would not be checked against it."""
    return node.endpoint, _server_name(node)


def _server_name(node: Node) -> str:
    """What the node's certificate is checked against. An address has no scope there, and a name no dot at its end."""
    return (node.server_name or node.host).partition("%")[0].rstrip(".")


def _handshake_failed(node: Node, error: ssl.SSLError) -> TlsError:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate was not accepted: {error.verify_message}"
        remedy = _VERIFICATION_REMEDIES.get(error.verify_code, "Give the nodes' CA: Tls(ca='/path/to/ca.pem').")
        remedy = remedy.format(name=_server_name(node))
    else:
        reason = _words(error)
        remedy = next((text for word, text in _REMEDIES if word in reason.upper().replace(" ", "_")), "")
    return TlsError(f"Node {node}: TLS failed, {reason}.{' ' if remedy else ''}{remedy}", node=node.address)


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's reason, without the place in its source."""
    if error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error)


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
