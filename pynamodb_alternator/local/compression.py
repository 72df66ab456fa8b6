"""Compression in both directions, by the server's rules (alternator-server.md, "Requests and answers")."""

from __future__ import annotations

import contextlib
import zlib

from .answers import DialectError

_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
_WINDOW = {"gzip": _GZIP, "deflate": _ZLIB}


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """A request's body without its Content-Encoding.

    Raises `DialectError`: 413 where more than `limit` bytes would come out, 500 InternalServerError for what cannot
    be decoded, as the server has it.
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
        # There may be several members, one after the other: the server decodes them all.
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
    """gzip, deflate, or None, by the qualities of an Accept-Encoding header; of equals, the one that is named first."""
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
