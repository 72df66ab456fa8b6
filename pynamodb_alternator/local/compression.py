"""Compression in both directions, by the server's rules (alternator-server.md, "Requests and answers")."""

from __future__ import annotations

import contextlib
import zlib

from .answers import DialectError

_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
_WINDOW = {"gzip": _GZIP, "deflate": _ZLIB}


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """A request's body without its Content-Encoding.

    Raises `DialectError`, as the server does: 413 if the result has more than `limit` bytes, and 500
    InternalServerError if the body cannot be decoded.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    window = _WINDOW.get(encoding)
    if window is None:
        raise DialectError("InternalServerError", f"Unsupported Content-Encoding: {encoding}")
    parts: list[bytes] = []
    size = 0
    while body:
        # The body may have several gzip members, one after the other: the server decodes all of them.
        decompressor = zlib.decompressobj(window)
        try:
            part = decompressor.decompress(body, limit - size + 1)
        except zlib.error as wrong:
            raise DialectError("InternalServerError", f"Failed to decompress the request: {wrong}") from None
        size += len(part)
        if size > limit:
            raise DialectError("PayloadTooLarge", f"Request content length limit exceeded: {limit} bytes", 413)
        parts.append(part)
        if not decompressor.eof:
            raise DialectError("InternalServerError", "Failed to decompress the request: it ends too early")
        body = decompressor.unused_data
    if not parts:
        raise DialectError("InternalServerError", "Failed to decompress the request: it is empty")
    return b"".join(parts)


def chosen_encoding(accept_encoding: str) -> str | None:
    """gzip, deflate or None, by the qualities in an Accept-Encoding header. If both have the same, the first one is
    used."""
    quality: dict[str, float] = {}
    for entry in accept_encoding.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        name = name.lower()
        if name not in ("gzip", "deflate", "identity", "*") or name in quality:
            continue
        quality[name] = 1.0
        for parameter in parameters:
            key, _, value = (part.strip() for part in parameter.partition("="))
            if key.lower() == "q":
                with contextlib.suppress(ValueError):
                    quality[name] = min(max(float(value), 0.0), 1.0)
                break
    best, best_quality = None, 0.0
    for name, weight in quality.items():
        if name == "*":
            name = next((other for other in _WINDOW if other not in quality), "")
        if name and weight > best_quality:
            best, best_quality = (None if name == "identity" else name), weight
    return best


def compress(body: bytes, encoding: str) -> bytes:
    compressor = zlib.compressobj(wbits=_WINDOW[encoding])
    return compressor.compress(body) + compressor.flush()
