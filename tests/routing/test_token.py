"""The token of a partition key, against the server's vectors and against a second way of computing it."""

from __future__ import annotations

import base64
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pynamodb_alternator.routing.hashing import murmur3
from pynamodb_alternator.routing.token import LAST_TOKEN, token_of

from .test_plan import rows

_MASK = 2**64 - 1


@pytest.mark.parametrize(("kind", "value", "stored", "token"), rows("partition-token.tsv"))
def test_tokens_equal_the_vectors_of_the_server(kind: str, value: str, stored: str, token: str) -> None:
    assert token_of(kind, base64.b64decode(value) if kind == "B" else value) == int(token)
    assert token_of("B", bytes.fromhex(stored)) == int(token), "the bytes of the key decide alone"


def by_the_letter(data: bytes) -> int:
    """MurmurHash3 as Cassandra's Java code writes it: a tail byte after the other, each a signed number."""

    def rotated(word: int, bits: int) -> int:
        word &= _MASK
        return (word << bits | word >> (64 - bits)) & _MASK

    def mixed(word: int) -> int:
        word = (word ^ word >> 33) * 0xFF51AFD7ED558CCD & _MASK
        word = (word ^ word >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
        return word ^ word >> 33

    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
    h1 = h2 = 0
    blocks = len(data) // 16
    for block in range(blocks):
        k1 = int.from_bytes(data[block * 16 : block * 16 + 8], "little")
        k2 = int.from_bytes(data[block * 16 + 8 : block * 16 + 16], "little")
        h1 ^= rotated(k1 * c1, 31) * c2 & _MASK
        h1 = (rotated(h1, 27) + h2) * 5 + 0x52DCE729 & _MASK
        h2 ^= rotated(k2 * c2, 33) * c1 & _MASK
        h2 = (rotated(h2, 31) + h1) * 5 + 0x38495AB5 & _MASK
    k1 = k2 = 0
    for place, byte in enumerate(data[blocks * 16 :]):
        signed = byte - 256 if byte > 127 else byte
        if place < 8:
            k1 ^= signed << 8 * place
        else:
            k2 ^= signed << 8 * (place - 8)
    h2 ^= rotated(k2 * c2, 33) * c1 & _MASK
    h1 ^= rotated(k1 * c1, 31) * c2 & _MASK
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    h1, h2 = mixed(h1), mixed(h2)
    h1 = h1 + h2 & _MASK
    return h1 - 2**64 if h1 >= 2**63 else h1


@given(st.binary(max_size=80))
@example(b"\x80" * 15)
@example(b"\x80" * 8)
@example(b"\x00" * 7 + b"\x80" + b"\x00" * 7)
def test_binary_keys_have_their_tokens(data: bytes) -> None:
    assert murmur3(data, signed_tail=True) == by_the_letter(data)


@given(st.text(max_size=60))
def test_text_keys_have_their_tokens(text: str) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            token_of("S", text)
        return
    assert token_of("S", text) == by_the_letter(data)


def test_the_smallest_number_is_not_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynamodb_alternator.routing.token.murmur3", lambda data, signed_tail: -(2**63))
    assert token_of("S", "any") == LAST_TOKEN


def as_java_stores(text: str) -> bytes:
    """BigDecimal's scale and unscaled value, found by Python's own Decimal."""
    number = Decimal(text)
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    unscaled = int("".join(map(str, digits))) * (-1 if sign else 1)
    size = 1
    while not -(2 ** (8 * size - 1)) <= unscaled < 2 ** (8 * size - 1):
        size += 1
    return (-exponent & 0xFFFFFFFF).to_bytes(4, "big") + unscaled.to_bytes(size, "big", signed=True)


NUMBERS = st.from_regex(r"\A[+-]?([0-9]{1,20}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,3})?\Z")


@given(NUMBERS)
@example("0")
@example("-0")
@example("0.00")
@example("-128")
@example("9" * 38)
def test_number_keys_have_their_tokens(text: str) -> None:
    assert token_of("N", text) == by_the_letter(as_java_stores(text))


@pytest.mark.parametrize(
    "text", ["", ".", "+", "1_0", " 1", "1 ", "0x1", "NaN", "Infinity", "1e", "١", "²", "1e99999999999"]
)
def test_what_is_not_a_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|literal"):
        token_of("N", text)


@pytest.mark.parametrize("kind", ["BOOL", "NULL", "SS", "M", "", "s"])
def test_what_cannot_be_a_key(kind: str) -> None:
    with pytest.raises(KeyError):
        token_of(kind, "1")
