"""`Tls`, the settings for https: a frozen value, and the OpenSSL contexts that are made from it.

A `Tls` reads its files when it is made, so that a wrong path is noticed before the first connection. The files are read
again for each context.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigurationError
from . import checks, client_cert
from .client_cert import PEM_BEGIN, ClientCert, Pair, openssl_reason, text_of

__all__ = ["InsecureTlsWarning", "Tls", "openssl_reason"]

_log = logging.getLogger("pynamodb_alternator.transport")

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


class InsecureTlsWarning(UserWarning):
    """`Tls(insecure=True)` is used: any machine between this process and a node can read and change all data."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How nodes are reached by https.

    `ca`: the authorities that may have signed the nodes' certificates: a file, a directory of files, or PEM text; None
    for those that the system trusts. `system_ca`: whether the authorities of the system are trusted in addition to
    `ca`. `client_cert`: the certificate that we show to the node (mutual TLS): one file with certificate and key, or a
    pair of files; the same as bytes of PEM; or a function without arguments that returns one of these. The key must not
    have a password. Files are read again when they change. The function is called when a connection is opened, at most
    once a second, so it must be fast.
    `verify_hostname`: whether a node's certificate must be issued for the node: for the name of the source that listed
    it, for the name that resolved to it, or for its address. `insecure`: True checks no certificate.
    `minimum_version`: ``"TLSv1.2"`` or ``"TLSv1.3"``. `session_resumption`: whether the next connection to a node
    resumes its last session, without another check of the certificate. `key_log`: a file to which the secrets of
    sessions are appended, so that Wireshark can read recorded traffic. Raises `ConfigurationError`. The files are read
    when this object is made; the function is not called then.
    """

    ca: str | os.PathLike[str] | None = field(default=None, repr=False)
    client_cert: ClientCert | None = None
    verify_hostname: bool = True
    insecure: bool = False
    minimum_version: str = "TLSv1.2"
    key_log: str | os.PathLike[str] | None = None
    system_ca: bool = False
    session_resumption: bool = True

    def __post_init__(self) -> None:
        checks.each(self, "Tls", ("verify_hostname", "insecure", "system_ca", "session_resumption"), checks.flag)
        if self.minimum_version not in _VERSIONS:
            raise ConfigurationError(
                f"Tls: minimum_version must be one of {', '.join(_VERSIONS)} (got {self.minimum_version!r}); "
                "older versions are broken."
            )
        if self.ca is not None and not isinstance(self.ca, str | os.PathLike):
            raise ConfigurationError(f"Tls: ca must be a path or PEM text (got {type(self.ca).__name__}).")
        if self.client_cert is not None:
            object.__setattr__(self, "client_cert", client_cert.checked(self.client_cert))
        trial = _new_context()
        if self.ca is not None:
            _load_ca(trial, self.ca)
        if self.client_cert is not None and not callable(self.client_cert):
            client_cert.load(trial, client_cert.current(self.client_cert))
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

    def current_client_cert(self) -> Pair | None:
        """The present certificate to show, and its key. Raises `ConfigurationError`."""
        return None if self.client_cert is None else client_cert.current(self.client_cert)

    def files(self, shown: Pair | None) -> Iterator[Path]:
        """All files and directories from which a context is made. `shown`: see `current_client_cert`."""
        if self.ca is not None and not _is_pem(self.ca):
            yield Path(self.ca)
            yield from _files_in(Path(self.ca))
        if shown is not None:
            yield from client_cert.files(shown)

    def make_context(self, shown: Pair | None) -> ssl.SSLContext:
        """A context with these settings, which shows the certificate `shown`. Raises `ConfigurationError` if a file
        cannot be used any more, or `shown` cannot be used."""
        context = _new_context()
        # As in Python from 3.13 on, a certificate that the user names as a CA is trusted, even if it is not the root of
        # its chain.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.minimum_version = _VERSIONS[self.minimum_version]
        context.check_hostname = self.verify_hostname and not self.insecure
        context.verify_mode = ssl.CERT_NONE if self.insecure else ssl.CERT_REQUIRED
        if self.ca is not None:
            _load_ca(context, self.ca)
        if (self.ca is None or self.system_ca) and not self.insecure:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if shown is not None:
            client_cert.load(context, shown)
        if self.key_log is not None:
            _set_key_log(context, self.key_log)
        return context


# ---- OpenSSL ---------------------------------------------------------------------------------------------------

_first_context = threading.Lock()
"""Held while OpenSSL is initialized, and during each fork."""
_is_set_up = False

if hasattr(os, "register_at_fork"):
    # OpenSSL is initialized by the first context of a process. A child that another thread forks meanwhile would wait
    # for ever for the end of this. So the fork waits instead, for a millisecond at most.
    os.register_at_fork(
        before=_first_context.acquire, after_in_parent=_first_context.release, after_in_child=_first_context.release
    )


def _new_context() -> ssl.SSLContext:
    global _is_set_up
    # The class is looked up at each call, because gevent replaces it.
    if not _is_set_up:
        with _first_context:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            _is_set_up = True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


# ---- files -----------------------------------------------------------------------------------------------------


def _is_pem(ca: str | os.PathLike[str]) -> bool:
    return isinstance(ca, str) and PEM_BEGIN in ca


def _files_in(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_file())
    except OSError:
        return []


def _load_ca(context: ssl.SSLContext, ca: str | os.PathLike[str]) -> None:
    if _is_pem(ca):
        _trust(context, str(ca), "the PEM text")
        return
    path = Path(ca)
    if not path.is_dir():
        _trust(context, text_of("ca", path), f"the file {str(path)!r}")
        return
    # OpenSSL itself finds only files that `openssl rehash` has named.
    texts = [(file, text_of("ca", file)) for file in _files_in(path)]
    certificates = [(file, text) for file, text in texts if PEM_BEGIN in text]
    if not certificates:
        raise ConfigurationError(
            f"Tls: ca: the directory {str(path)!r} has no PEM certificate in it. Put the CA's certificate there, or "
            "name its file."
        )
    for file, text in certificates:
        _trust(context, text, f"the file {str(file)!r}")


def _trust(context: ssl.SSLContext, text: str, what: str) -> None:
    try:
        if PEM_BEGIN not in text:
            raise ssl.SSLError(0, "no certificate found")
        # Comments between the certificates may be in any encoding; OpenSSL skips them.
        context.load_verify_locations(cadata=text.encode("ascii", "ignore").decode())
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"Tls: ca: {what} is not a certificate ({openssl_reason(error)}). "
            f"It must be PEM, which begins with {PEM_BEGIN}."
        ) from None


def _set_key_log(context: ssl.SSLContext, path: str | os.PathLike[str]) -> None:
    try:
        context.keylog_filename = os.fspath(path)
    except OSError as error:
        raise ConfigurationError(
            f"Tls: key_log: the file {os.fspath(path)!r} cannot be written ({error.strerror})."
        ) from None
