"""Compression gives the same bytes for the same body, and nothing but the whole body back."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.errors import ConfigurationError, MalformedAnswerError
from pynamodb_alternator.transport.compression import PIECE, STEP, Deflate, Gzip, accepts, compress, decompress, pieces

from .servers import EMPTY_BLOCKS

KINDS = [Gzip, Deflate]
LIMIT = 1 << 20

many = settings(deadline=None, max_examples=100)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_compressed_comes_back(kind: Any) -> None:
    @many
    @given(st.binary(max_size=3000) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace") * 20))
    def check(body: bytes) -> None:
        sent, coding = compress(kind(min_size=0), body)
        assert len(sent) <= len(body)
        assert coding in (None, kind.coding)
        assert decompress(sent, coding, LIMIT) == body

    check()


def test_the_formats_are_gzip_and_zlib() -> None:
    body = b"abc" * 1000
    packed, coding = compress(Gzip(), body)
    assert (gzip.decompress(packed), coding) == (body, "gzip")
    assert packed[4:8] == b"\0\0\0\0"  # no time
    packed, coding = compress(Deflate(), body)
    assert (zlib.decompress(packed), coding) == (body, "deflate")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_body_gives_the_same_bytes(kind: Any) -> None:
    body = b"abc" * 1000
    assert compress(kind(level=9), body) == compress(kind(level=9), body)


@pytest.mark.parametrize("kind", KINDS)
def test_the_threshold_is_exact(kind: Any) -> None:
    option = kind(min_size=1000)
    assert compress(option, b"a" * 999) == (b"a" * 999, None)
    assert compress(option, b"a" * 1000)[1] == kind.coding


@pytest.mark.parametrize("kind", KINDS)
def test_what_would_not_get_smaller_is_left(kind: Any) -> None:
    body = os.urandom(5000)
    assert compress(kind(), body) == (body, None)
    assert compress(kind(min_size=0), b"") == (b"", None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong",
    [{"level": 0}, {"level": 10}, {"level": True}, {"level": 6.0}, {"min_size": -1}, {"min_size": "1"}],
)
def test_wrong_settings_are_refused(kind: Any, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{kind.__name__}: {next(iter(wrong))} must be"):
        kind(**wrong)


def test_options_are_values() -> None:
    assert Gzip(level=3) == Gzip(3, 1024)
    assert hash(Gzip()) == hash(Gzip())
    assert Gzip() != Deflate()
    assert repr(Deflate()) == "Deflate(level=6, min_size=1024)"
    with pytest.raises(AttributeError):
        Gzip().level = 2  # type: ignore[misc]


# --- Answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", [None, "", "identity", " Identity "])
def test_a_plain_answer_stays(coding: str | None) -> None:
    assert decompress(b"x", coding, 1) == b"x"


@pytest.mark.parametrize("coding", ["gzip", "GZIP", " deflate "])
def test_the_coding_is_named_in_any_case(coding: str) -> None:
    kind = Gzip if "z" in coding.lower() else Deflate
    body = b"abc" * 500
    assert decompress(compress(kind(), body)[0], coding, LIMIT) == body


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "x" * 500, "compress"])
def test_unknown_codings_are_refused(coding: str) -> None:
    with pytest.raises(MalformedAnswerError, match="only gzip and deflate") as caught:
        decompress(b"x", coding, LIMIT)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_is_exact(kind: Any) -> None:
    packed, coding = compress(kind(), b"a" * 10_000)
    assert decompress(packed, coding, 10_000) == b"a" * 10_000
    for limit in (0, 1, 9_999):
        with pytest.raises(MalformedAnswerError, match=f"more than the {limit} bytes"):
            decompress(packed, coding, limit)


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_every_flip_and_every_addition_is_noticed(kind: Any) -> None:
    body = bytes(range(256)) * 8
    packed, coding = compress(kind(), body)
    for end in range(len(packed)):
        with pytest.raises(MalformedAnswerError):
            decompress(packed[:end], coding, LIMIT)
    for more in (b"\0", b"x", packed):
        with pytest.raises(MalformedAnswerError, match="after its end"):
            decompress(packed + more, coding, LIMIT)
    for place in range(len(packed)):
        damaged = packed[:place] + bytes([packed[place] ^ 0x5A]) + packed[place + 1 :]
        with contextlib.suppress(MalformedAnswerError):
            # Some bytes of a gzip header mean nothing to the data: its time, and which system wrote it.
            assert decompress(damaged, coding, LIMIT) == body


@pytest.mark.parametrize("kind", [Gzip, Deflate])
@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE, 3_000_000])
def test_pieces_are_small_and_together_the_whole(kind: Any, size: int) -> None:
    for body in (b"a" * size, random.Random(size).randbytes(size)):
        packed = zlib.compress(body, 1, wbits=31 if kind is Gzip else 15)
        got = list(pieces(packed, kind().coding, size))
        assert b"".join(got) == body
        assert all(len(piece) <= PIECE for piece in got)
        assert len(got) > len(packed) // STEP


@pytest.mark.parametrize("block", [b"\x00\x00\x00\xff\xff", EMPTY_BLOCKS], ids=["stored", "dynamic"])
def test_a_body_that_unpacks_to_nothing_is_read_in_steps_too(block: bytes) -> None:
    """Seen: a body of empty blocks was read to its end before the first piece."""
    body = b"\x78\x9c" + block * (200_000 // len(block))
    got: list[bytes] = []
    with pytest.raises(MalformedAnswerError, match="cut short"):
        got.extend(pieces(body, "deflate", LIMIT))
    assert len(got) >= len(body) // STEP
    assert not any(got)


def test_nothing_is_unpacked_beyond_the_limit() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    got: list[bytes] = []
    with pytest.raises(MalformedAnswerError, match="more than the 1000000 bytes allowed"):
        got.extend(pieces(bomb, "deflate", 1_000_000))
    assert sum(map(len, got)) <= 1_000_000


@pytest.mark.parametrize(
    ("lines", "gzip_is_accepted"),
    [
        ("Accept-Encoding: gzip", True),
        ("Host: h\r\naccept-encoding: deflate, GZIP;q=0.5", True),
        ("Accept-Encoding: *", True),
        ("Accept-Encoding: deflate", False),
        ("Accept-Encoding: gzip;q=0, deflate", False),
        ("Accept-Encoding: gzip; q=0.00", False),
        ("Content-Encoding: gzip", False),
        ("X-Accept-Encoding: gzip", False),
        ("Host: h", False),
    ],
)
def test_what_a_request_has_asked_for(lines: str, gzip_is_accepted: bool) -> None:
    head = f"POST / HTTP/1.1\r\n{lines}\r\n\r\n".encode()
    assert accepts(head, "gzip") is gzip_is_accepted


def test_one_format_is_not_taken_for_the_other() -> None:
    body = b"abc" * 1000
    raw = zlib.compressobj(wbits=-15)
    for packed, coding in (
        (compress(Gzip(), body)[0], "deflate"),
        (compress(Deflate(), body)[0], "gzip"),
        (raw.compress(body) + raw.flush(), "deflate"),
        (body, "gzip"),
        (b"", "gzip"),
    ):
        with pytest.raises(MalformedAnswerError):
            decompress(packed, coding, LIMIT)
