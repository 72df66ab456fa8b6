"""The hash of a partition key, by which ScyllaDB's Alternator drivers choose the coordinator.

It is MurmurHash3 x64 128-bit with seed 0 of one byte for the key's type and the bytes of its value. The first 64 bits
are used, as a signed number. It is checked against the vectors in ``affinity-hash.tsv``. `token` uses the same hash, in
Cassandra's variant.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

__all__ = ["KEPT_KEYS", "KEY_TYPES", "key_hash", "murmur3"]

KEPT_KEYS: Final = 2048
"""The number of keys whose hash is cached. Most programs use some keys again and again, and to compute a hash takes
longer than all other work of routing."""

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_C1 = 0x87C3_7B91_1142_53D5
_C2 = 0x4CF5_AD43_2745_937F

_LOWEST_BITS = 0x0101_0101_0101_0101
_EACH_BYTE_ABOVE = _LOWEST_BITS - 1
_SIGN_BITS = (_LOWEST_BITS << 64 | _LOWEST_BITS) << 7

KEY_TYPES = {"S": b"\x01", "N": b"\x02", "B": b"\x03"}
"""For each type that a partition key can have, the byte that is hashed before the value."""


@lru_cache(maxsize=KEPT_KEYS)
def key_hash(kind: str, value: str | bytes) -> int:
    """The signed 64-bit hash of one partition key's value.

    `kind`: ``"S"``, ``"N"`` or ``"B"``. `value`: text for S, the exact text of the number for N (``"1"`` and ``"1.0"``
    hash differently, in all drivers), the raw bytes for B.

    Raises KeyError for another kind, and UnicodeEncodeError for text that UTF-8 does not have (lone surrogates).
    """
    return murmur3(KEY_TYPES[kind] + (value.encode() if isinstance(value, str) else value))


def murmur3(data: bytes, signed_tail: bool = False) -> int:
    """The first 64 bits, as a signed number, of MurmurHash3 x64 128-bit with seed 0.

    `signed_tail`: Cassandra's variant, which differs in the tail (the last ``len % 16`` bytes): there each byte is
    taken as a signed number, so that one from 0x80 on changes all bits above its own place too.
    """
    length = len(data)
    h1 = h2 = 0
    start = 0
    if length > 15:
        start = length & ~15
        for offset in range(0, start, 16):
            k1 = int.from_bytes(data[offset : offset + 8], "little") * _C1 & _MASK
            k1 = ((k1 << 31) | (k1 >> 33)) * _C2 & _MASK
            h1 ^= k1
            h1 = ((h1 << 27 | h1 >> 37) + h2) * 5 + 0x52DC_E729 & _MASK
            k2 = int.from_bytes(data[offset + 8 : offset + 16], "little") * _C2 & _MASK
            k2 = ((k2 << 33) | (k2 >> 31)) * _C1 & _MASK
            h2 ^= k2
            h2 = ((h2 << 31 | h2 >> 33) + h1) * 5 + 0x3849_5AB5 & _MASK
    # The tail is one little-endian number of up to 15 bytes: the low 8 bytes are k1, the rest is k2. A zero does not
    # change the hash, so the cases by length of the reference implementation are not needed. The next mask removes bits
    # above 64.
    rest = int.from_bytes(data[start:], "little")
    if signed_tail and rest & _SIGN_BITS:
        rest = _signed(rest & _MASK) | _signed(rest >> 64) << 64
    if rest > _MASK:
        k2 = (rest >> 64) * _C2 & _MASK
        h2 ^= (k2 << 33 | k2 >> 31) * _C1 & _MASK
    k1 = (rest & _MASK) * _C1 & _MASK
    h1 ^= (k1 << 31 | k1 >> 33) * _C2 & _MASK

    h2 ^= length
    h1 = (h1 ^ length) + h2 & _MASK
    h2 = h2 + h1 & _MASK

    h1 = (h1 ^ h1 >> 33) * 0xFF51_AFD7_ED55_8CCD & _MASK
    h1 = (h1 ^ h1 >> 33) * 0xC4CE_B9FE_1A85_EC53 & _MASK
    h2 = (h2 ^ h2 >> 33) * 0xFF51_AFD7_ED55_8CCD & _MASK
    h2 = (h2 ^ h2 >> 33) * 0xC4CE_B9FE_1A85_EC53 & _MASK
    h1 = (h1 ^ h1 >> 33) + (h2 ^ h2 >> 33) & _MASK
    return h1 - (1 << 64) if h1 >> 63 else h1


def _signed(word: int) -> int:
    """The XOR of the word's 8 bytes, each shifted to its own place and extended by its sign above it.

    So each byte is inverted once for each negative byte below it. The multiplication counts, in each byte, how many
    bytes below it are negative. It only matters whether this count is odd.
    """
    return word ^ ((word >> 7 & _LOWEST_BITS) * _EACH_BYTE_ABOVE & _LOWEST_BITS) * 0xFF
