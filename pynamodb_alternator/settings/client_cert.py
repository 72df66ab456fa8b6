"""The certificate that a client shows to the nodes (mutual TLS): checks its forms, and loads it.

Each of its parts, the certificate and the key, is a file or PEM text. OpenSSL reads both only from files.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import ConfigurationError
from .secrets import SecretBytes

__all__ = ["PEM_BEGIN", "ClientCert", "Pair", "checked", "current", "files", "load", "openssl_reason", "text_of"]

Part: TypeAlias = str | os.PathLike[str] | bytes
Pair: TypeAlias = tuple[Path | bytes, Path | bytes]
"""The certificate and its key, which may be the same file or text."""
ClientCert: TypeAlias = Part | tuple[Part, Part] | Callable[[], Any]

PEM_BEGIN = "-----BEGIN CERTIFICATE-----"
_KEY_BEGIN = "PRIVATE KEY-----"
_ANY_BEGIN = "-----BEGIN "
_FORMS = (
    "a file with certificate and key, a pair of files such as ('/path/client.pem', '/path/client.key'), the same as "
    "bytes of PEM, or a function that gives one of these"
)


def checked(value: Any) -> ClientCert:
    """The setting in the form that is stored. The repr of a PEM text is hidden. Raises `ConfigurationError`."""
    if callable(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, tuple | list) and len(value) == 2:
        return _part(value[0]), _part(value[1])
    return _part(value)


def _part(value: Any) -> Part:
    if isinstance(value, bytes | bytearray):
        return SecretBytes(value)
    if isinstance(value, str) and _ANY_BEGIN in value:
        return SecretBytes(value.encode())
    if isinstance(value, str | os.PathLike):
        return value
    raise ConfigurationError(f"Tls: client_cert must be {_FORMS}.")


def current(setting: ClientCert) -> Pair:
    """The present certificate and its key. If the setting is a callable, it is called. Raises `ConfigurationError`."""
    value: Any = checked(_asked(setting)) if callable(setting) else setting
    if callable(value):
        raise ConfigurationError(f"Tls: client_cert: its function gave another function. It must give {_FORMS}.")
    first, second = value if isinstance(value, tuple) else (value, value)
    return _as_path(first), _as_path(second)


def _asked(function: Callable[[], Any]) -> Any:
    failure = ""
    try:
        value = function()
    except ConfigurationError:
        raise
    except Exception as error:
        failure = type(error).__name__
    if failure:
        # Raised outside of the handler, so that the original error, whose text may contain a secret, is not its
        # context.
        raise ConfigurationError(f"Tls: client_cert: its function failed with {failure}.")
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise ConfigurationError("Tls: client_cert is an async function. Give an ordinary one.")
    return value


def _as_path(part: Part) -> Path | bytes:
    return part if isinstance(part, bytes) else Path(part)


def files(pair: Pair) -> Iterator[Path]:
    """The parts of the pair that are files."""
    for part in pair:
        if isinstance(part, Path):
            yield part


def load(context: ssl.SSLContext, pair: Pair) -> None:
    """Have `context` show this certificate. Raises `ConfigurationError`."""
    cert, key = pair
    for part, word, kind in ((cert, PEM_BEGIN, "certificate"), (key, _KEY_BEGIN, "private key")):
        # The text is not stored in a variable, because error trackers show variables.
        if not (word in text_of("client_cert", part) if isinstance(part, Path) else word.encode() in part):
            raise ConfigurationError(
                f"Tls: client_cert: {_shown(part)} has no {kind} in PEM format. Give client_cert=(certificate, key), "
                "or both in one."
            )
    try:
        with _as_file(cert) as cert_file, _as_file(key) as key_file:
            context.load_cert_chain(cert_file, key_file, password=lambda: _no_password(key))
    except ssl.SSLError as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(
                f"Tls: client_cert: the key in {_shown(key)} does not belong to the certificate in {_shown(cert)}. "
                "Give the key that this certificate was made for."
            ) from None
        raise ConfigurationError(
            f"Tls: client_cert: {_shown(cert)} with {_shown(key)} cannot be used ({openssl_reason(error)})."
        ) from None


def _shown(part: Path | bytes) -> str:
    return f"the file {str(part)!r}" if isinstance(part, Path) else "the PEM text"


def _no_password(key: Path | bytes) -> str:
    name = key if isinstance(key, Path) else "client.key"
    raise ConfigurationError(
        f"Tls: client_cert: the key in {_shown(key)} has a password. Write it without: openssl pkey -in {name} -out ..."
    )


@contextlib.contextmanager
def _as_file(part: Path | bytes) -> Iterator[str]:
    """A file with this part, which exists as long as the ``with`` block.

    PEM text is written to a file in memory if the system has these, else to a file that only this user can read.
    """
    if isinstance(part, Path):
        yield str(part)
    elif hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with open(os.memfd_create("client_cert"), "wb") as file:
            file.write(part)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.TemporaryDirectory(prefix="pynamodb-alternator-") as directory:
            path = Path(directory, "client_cert")
            path.touch(mode=0o600)
            path.write_bytes(part)
            yield str(path)


def text_of(setting: str, path: Path) -> str:
    """The content of a file. Raises `ConfigurationError`."""
    try:
        return path.read_text("latin-1")
    except OSError as error:
        raise ConfigurationError(
            f"Tls: {setting}: the file {str(path)!r} cannot be read ({error.strerror}). Check the path and its "
            "permissions."
        ) from None


def openssl_reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason, without the place in its source."""
    reason: str = getattr(error, "reason", None) or ""  # the ssl module's own errors have none
    return reason.replace("_", " ").lower() or error.strerror or str(error)
