"""Compression of request bodies and of answers.

ScyllaDB accepts and sends gzip and deflate since 2026.1. Deflate means the zlib format (RFC 1950), as in RFC 9110.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from ..errors import MalformedAnswerError
from ..settings.compression import Compression, Deflate, Gzip

__all__ = ["PIECE", "STEP", "Deflate", "Gzip", "accepts", "coding_of", "compress", "decompress", "pieces"]

PIECE = 256 * 1024
"""The largest number of bytes that are unpacked in one step, which takes about a millisecond."""
STEP = 16 * 1024
"""The largest number of bytes that zlib gets in one step. Even bytes that unpack to nothing take time: in the worst
case, so many bytes take about a millisecond. If a piece is full, the bytes that zlib has not used are copied."""
_WBITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""The argument by which zlib writes or expects one of the two formats."""
_NEVER = r"q\s*=\s*0(\.0*)?"
"""The weight of a coding that must not be used."""


def compress(how: Compression, body: bytes) -> tuple[bytes, str | None]:
    """The body to send, and its Content-Encoding. This is None if the body is not compressed, because it is small or
    would not become smaller.

    The same body always gives the same bytes, because the gzip header has no time and no name.
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
    """The whole unpacked body of an answer. For the arguments and errors see `pieces`."""
    return b"".join(pieces(body, content_encoding, limit, who=who))


def pieces(body: bytes, content_encoding: str | None, limit: int, *, who: str = "A node") -> Iterator[bytes]:
    """The unpacked body of an answer in pieces, with at most `limit` bytes in total: no more bytes are unpacked. Each
    piece is one step of the work: at most `PIECE` bytes, which are made from at most `STEP` bytes. A piece may be
    empty.

    `who`: the name of the node in errors.

    Raises `MalformedAnswerError` for a coding that is not gzip or deflate, for a body that is damaged, is cut short, or
    has bytes after its end, and for a body that is larger than `limit`. The checksums of gzip and zlib are checked.
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
            at_end = not tail  # zlib may still have unpacked bytes
            # One byte more than allowed shows that the body is too large.
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
