"""Compression of request bodies and of answers.

ScyllaDB takes and gives gzip and deflate since 2026.1; deflate means the zlib format (RFC 1950), as RFC 9110 has it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import ClassVar

from .. import _checks as checks
from ..errors import MalformedAnswerError

__all__ = ["Deflate", "Gzip", "decompress"]

_WBITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""What tells zlib which of the two formats it shall write or expect."""


@dataclass(frozen=True, slots=True)
class _Compression:
    """What `Gzip` and `Deflate` share."""

    level: int = 6
    min_size: int = 1024

    coding: ClassVar[str]
    """Its name in Content-Encoding."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        checks.whole(f"{name}: level", self.level, 1, 9)
        checks.whole(f"{name}: min_size", self.min_size, 0, 1 << 30)

    def compress(self, body: bytes) -> tuple[bytes, str | None]:
        """The body to send, and its Content-Encoding; None where it stays as it is, being small or not compressible.

        The same body always gives the same bytes: a gzip header here has no time and no name in it.
        """
        if len(body) < self.min_size:
            return body, None
        smaller = zlib.compress(body, self.level, wbits=_WBITS[self.coding])
        return (smaller, self.coding) if len(smaller) < len(body) else (body, None)


@dataclass(frozen=True, slots=True)
class Gzip(_Compression):
    """Compress request bodies with gzip.

    `level`: 1 is fastest, 9 smallest; above 6 time grows fast for little. `min_size`: bytes; a body of this size or
    more is compressed, and a smaller one is sent as it is. Raises `ConfigurationError`.
    """

    coding: ClassVar[str] = "gzip"


@dataclass(frozen=True, slots=True)
class Deflate(_Compression):
    """Compress request bodies with deflate (in the zlib format). See `Gzip` for its fields."""

    coding: ClassVar[str] = "deflate"


def decompress(body: bytes, content_encoding: str | None, limit: int) -> bytes:
    """The body of an answer, as it was before the server compressed it; at most `limit` bytes.

    Raises `MalformedAnswerError` for a coding that is neither gzip nor deflate, for a body that is damaged, cut short
    or followed by something, and for one that grows beyond `limit`. gzip's and zlib's checksums are checked.
    """
    coding = (content_encoding or "identity").strip().lower()
    if coding == "identity":
        return body
    wbits = _WBITS.get(coding)
    if wbits is None:
        raise MalformedAnswerError(
            f"A node answered with the content coding {coding[:40]!r}; only gzip and deflate are known."
        )
    reader = zlib.decompressobj(wbits)
    try:
        # One byte more than allowed tells that there is more, without unpacking it.
        plain = reader.decompress(body, limit + 1)
    except zlib.error as wrong:
        raise MalformedAnswerError(f"A node answered with damaged {coding} data ({wrong}).") from None
    if len(plain) > limit:
        raise MalformedAnswerError(
            f"A node answered with {coding} data that unpacks to more than the {limit} bytes allowed."
        )
    if not reader.eof:
        raise MalformedAnswerError(f"A node answered with {coding} data that is cut short.")
    if reader.unused_data:
        raise MalformedAnswerError(f"A node answered with {coding} data that has something after its end.")
    return plain
