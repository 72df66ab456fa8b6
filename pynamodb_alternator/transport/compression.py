"""Compression of request bodies and of answers.

ScyllaDB takes and gives gzip and deflate since 2026.1; deflate means the zlib format (RFC 1950), as RFC 9110 has it.
"""

from __future__ import annotations

import zlib

from ..errors import MalformedAnswerError
from ..settings.compression import Compression, Deflate, Gzip

__all__ = ["MAX_PLAIN", "Deflate", "Gzip", "compress", "decompress"]

MAX_PLAIN = 256 * 1024 * 1024
"""Bytes of an answer, unpacked, at most."""

_WBITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""What tells zlib which of the two formats it shall write or expect."""


def compress(how: Compression, body: bytes) -> tuple[bytes, str | None]:
    """The body to send, and its Content-Encoding; None where it stays as it is, being small or not compressible.

    The same body always gives the same bytes: a gzip header here has no time and no name in it.
    """
    if len(body) < how.min_size:
        return body, None
    smaller = zlib.compress(body, how.level, wbits=_WBITS[how.coding])
    return (smaller, how.coding) if len(smaller) < len(body) else (body, None)


def decompress(body: bytes, content_encoding: str | None, limit: int, *, who: str = "A node") -> bytes:
    """The body of an answer, as it was before the server compressed it; at most `limit` bytes.

    `who`: what errors call the node.

    Raises `MalformedAnswerError` for a coding that is neither gzip nor deflate, for a body that is damaged, cut short
    or followed by something, and for one that grows beyond `limit`. gzip's and zlib's checksums are checked.
    """
    coding = (content_encoding or "identity").strip().lower()
    if coding == "identity":
        return body
    wbits = _WBITS.get(coding)
    if wbits is None:
        raise MalformedAnswerError(
            f"{who} answered with the content coding {coding[:40]!r}; only gzip and deflate are known."
        )
    reader = zlib.decompressobj(wbits)
    try:
        # One byte more than allowed tells that there is more, without unpacking it.
        plain = reader.decompress(body, limit + 1)
    except zlib.error as wrong:
        raise MalformedAnswerError(f"{who} answered with damaged {coding} data ({wrong}).") from None
    if len(plain) > limit:
        raise MalformedAnswerError(
            f"{who} answered with {coding} data that unpacks to more than the {limit} bytes allowed."
        )
    if not reader.eof:
        raise MalformedAnswerError(f"{who} answered with {coding} data that is cut short.")
    if reader.unused_data:
        raise MalformedAnswerError(f"{who} answered with {coding} data that has something after its end.")
    return plain
