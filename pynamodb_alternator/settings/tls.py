"""How nodes are reached by https: a frozen value, and the OpenSSL contexts that are made from it.

A `Tls` looks at its files when it is made, so that a wrong path is known before the first connection. The files are
read again for each context.
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
from typing import Any

from ..errors import ConfigurationError
from . import checks

__all__ = ["InsecureTlsWarning", "Tls", "openssl_reason"]

_log = logging.getLogger("pynamodb_alternator.transport")

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_PEM_BEGIN = "-----BEGIN CERTIFICATE-----"


class InsecureTlsWarning(UserWarning):
    """`Tls(insecure=True)`: anything between this process and a node can read and change everything."""


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
            checks.flag(f"Tls: {name}", getattr(self, name))
        if self.minimum_version not in _VERSIONS:
            raise ConfigurationError(
                f"Tls: minimum_version must be one of {', '.join(_VERSIONS)} (got {self.minimum_version!r}); "
                "older versions are broken."
            )
        if self.ca is not None and not isinstance(self.ca, str | os.PathLike):
            raise ConfigurationError(f"Tls: ca must be a path or PEM text (got {type(self.ca).__name__}).")
        self._check_client_cert()
        trial = _new_context()
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
        files: Any = self.client_cert
        if files is None or isinstance(files, str | os.PathLike):
            return
        if (
            not isinstance(files, tuple | list)
            or len(files) != 2
            or not all(isinstance(file, str | os.PathLike) for file in files)
        ):
            raise ConfigurationError(
                "Tls: client_cert must be a file with certificate and key, or a pair of files: "
                "client_cert=('/path/client.pem', '/path/client.key')."
            )
        object.__setattr__(self, "client_cert", tuple(files))

    def files(self) -> Iterator[Path]:
        """Every file and directory that the context was made from."""
        if self.ca is not None and not _is_pem(self.ca):
            yield Path(self.ca)
            yield from _files_in(Path(self.ca))
        if self.client_cert is not None:
            yield from map(Path, _pair(self.client_cert))

    def make_context(self) -> ssl.SSLContext:
        """A context with these settings. Raises `ConfigurationError` if a file is no longer what it was."""
        context = _new_context()
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


# ---- OpenSSL ---------------------------------------------------------------------------------------------------

_first_context = threading.Lock()
"""Held while OpenSSL is set up, and during each fork."""
_is_set_up = False

if hasattr(os, "register_at_fork"):
    # OpenSSL sets itself up with the first context of a process. A child that is forked meanwhile, by another thread,
    # would wait for the end of that for ever: so the fork waits, a millisecond at most.
    os.register_at_fork(
        before=_first_context.acquire, after_in_parent=_first_context.release, after_in_child=_first_context.release
    )


def _new_context() -> ssl.SSLContext:
    global _is_set_up
    # The class is looked up now: gevent puts its own in its place.
    if not _is_set_up:
        with _first_context:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            _is_set_up = True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


# ---- files -----------------------------------------------------------------------------------------------------


def _is_pem(ca: str | os.PathLike[str]) -> bool:
    return isinstance(ca, str) and _PEM_BEGIN in ca


def _pair(client_cert: Any) -> tuple[Path, Path]:
    """The file of the certificate and that of its key, which may be the same."""
    if isinstance(client_cert, tuple):
        return Path(client_cert[0]), Path(client_cert[1])
    return Path(client_cert), Path(client_cert)


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
    texts = [(file, _text_of("ca", file)) for file in _files_in(path)]
    certificates = [(file, text) for file, text in texts if _PEM_BEGIN in text]
    if not certificates:
        raise ConfigurationError(
            f"Tls: ca: the directory {str(path)!r} has no PEM certificate in it. Put the CA's certificate there, or "
            "name its file."
        )
    for file, text in certificates:
        _trust(context, text, f"the file {str(file)!r}")


def _trust(context: ssl.SSLContext, text: str, what: str) -> None:
    try:
        if _PEM_BEGIN not in text:
            raise ssl.SSLError(0, "no certificate found")
        # Comments between the certificates may be in any encoding; OpenSSL skips them.
        context.load_verify_locations(cadata=text.encode("ascii", "ignore").decode())
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"Tls: ca: {what} is not a certificate ({openssl_reason(error)}). "
            f"It must be PEM, which begins with {_PEM_BEGIN}."
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
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(
                f"Tls: client_cert: the key in {str(key)!r} does not belong to the certificate in {str(cert)!r}. "
                "Give the key that this certificate was made for."
            ) from None
        raise ConfigurationError(
            f"Tls: client_cert: {str(cert)!r} with {str(key)!r} cannot be used ({openssl_reason(error)})."
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


def openssl_reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason, without the place in its source."""
    reason: str = getattr(error, "reason", None) or ""  # the ssl module's own errors have none
    return reason.replace("_", " ").lower() or error.strerror or str(error)
