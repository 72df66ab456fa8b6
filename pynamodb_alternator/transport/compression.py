"""Compression of request bodies and of answers.

ScyllaDB takes and gives gzip and deflate since 2026.1; deflate means the zlib format (RFC 1950), as RFC 9110 has it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from ..errors import MalformedAnswerError
from ..settings.compression import Compression, Deflate, Gzip

__all__ = ["PIECE", "STEP", "Deflate", "Gzip", "accepts", "coding_of", "compress", "decompress", "pieces"]

PIECE = 256 * 1024
"""Bytes that are unpacked at once, at most: about a millisecond."""
STEP = 16 * 1024
"""Bytes that zlib is given at once, at most. Even bytes that unpack to nothing take time: so many of the worst ones
take about a millisecond. The rest that zlib leaves, because a piece is full, is copied."""
_WBITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""What tells zlib which of the two formats it shall write or expect."""
_NEVER = r"q\s*=\s*0(\.0*)?"
"""The weight of a coding that is not to be used."""


def compress(how: Compression, body: bytes) -> tuple[bytes, str | None]:
    """The body to send, and its Content-Encoding; None where it stays as it is, being small or not compressible.

    The same body always gives the same bytes: a gzip header here has no time and no name in it.
    """
    if len(body) < how.min_size:
        return body, None
    smaller = zlib.compress(body, how.level, wbits=_WBITS[how.coding])
    return (smaller, how.coding) if len(smaller) < len(body) else (body, None)


def accepts(head: bytes, coding: str) -> bool:
    """Whether a request with this head has asked for answers in `coding`."""
    for line in head.decode("latin-1").lower().split("\r\n"):
        name, _, text = line.partition(":")
        if name == "accept-encoding":
            for choice in text.split(","):
                word, _, weight = choice.partition(";")
                if word.strip() in (coding, "*") and not re.fullmatch(_NEVER, weight.strip()):
                    return True
    return False


def decompress(body: bytes, content_encoding: str | None, limit: int, *, who: str = "A node") -> bytes:
    """The body of an answer, as it was before the server compressed it; as `pieces`, but in one piece."""
    return b"".join(pieces(body, content_encoding, limit, who=who))


def pieces(body: bytes, content_encoding: str | None, limit: int, *, who: str = "A node") -> Iterator[bytes]:
    """The body of an answer, as it was before the server compressed it, and at most `limit` bytes of it. Nothing beyond
    them is unpacked. Each piece is a step of the work: at most `PIECE` bytes, made of at most `STEP`. It may be empty.

    `who`: what errors call the node.

    Raises `MalformedAnswerError` for a coding that is neither gzip nor deflate, for a body that is damaged, cut short
    or followed by something, and for one that grows beyond `limit`. gzip's and zlib's checksums are checked.
    """
    coding = coding_of(content_encoding)
    if coding == "identity":
        yield body
        return
    wbits = _WBITS.get(coding)
    if wbits is None:
        raise MalformedAnswerError(
            f"{who} answered with the content coding {coding[:40]!r}; only gzip and deflate are known."
        )
    reader = zlib.decompressobj(wbits)
    place, left, tail = 0, limit, b""
    try:
        while not reader.eof:
            if not tail:
                tail = body[place : place + STEP]
                place += len(tail)
            at_end = not tail  # zlib may still hold some of what it has unpacked
            # One byte more than allowed tells that there is more, without unpacking it.
            piece = reader.decompress(tail, min(PIECE, left + 1))
            tail = reader.unconsumed_tail
            left -= len(piece)
            if left < 0:
                raise MalformedAnswerError(
                    f"{who} answered with {coding} data that unpacks to more than the {limit} bytes allowed."
                )
            if at_end and not piece and not reader.eof:
                raise MalformedAnswerError(f"{who} answered with {coding} data that is cut short.")
            yield piece
    except zlib.error as wrong:
        raise MalformedAnswerError(f"{who} answered with damaged {coding} data ({wrong}).") from None
    if reader.unused_data or place < len(body):
        raise MalformedAnswerError(f"{who} answered with {coding} data that has something after its end.")


def coding_of(content_encoding: str | None) -> str:
    """The name of the coding, in lower case; ``identity`` if there is none."""
    return (content_encoding or "identity").strip().lower()
