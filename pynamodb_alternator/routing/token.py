"""The token of a partition key, by which ScyllaDB chooses the replicas of the key.

It is computed as by ScyllaDB's Murmur3Partitioner: Cassandra's variant of MurmurHash3 of the key's bytes, as the server
stores them. It is checked against the vectors in ``partition-token.tsv``, on which two published implementations agree.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .hashing import KEPT_KEYS, murmur3

__all__ = ["LAST_TOKEN", "token_of"]

LAST_TOKEN = (1 << 63) - 1
"""The largest token."""
_BEFORE_ALL = -(1 << 63)

_NUMBER = r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,9}))?"


@lru_cache(maxsize=KEPT_KEYS)
def token_of(kind: str, value: str | bytes) -> int:
    """The token, a signed 64-bit number, of one partition key's value.

    `kind`: ``"S"``, ``"N"`` or ``"B"``. `value`: text for S, the exact text of the number for N (the server stores
    ``"1"`` and ``"1.0"`` as two keys), the raw bytes for B.

    Raises ValueError for text that is not a number, UnicodeEncodeError for text that UTF-8 does not have, and KeyError
    for another kind.
    """
    if kind == "N":
        data = _decimal(value if isinstance(value, str) else value.decode())
    elif kind in ("S", "B"):
        data = value.encode() if isinstance(value, str) else value
    else:
        raise KeyError(kind)
    token = murmur3(data, True)
    # The smallest number is not a token of a key: it means "before all keys".
    return LAST_TOKEN if token == _BEFORE_ALL else token


def _decimal(text: str) -> bytes:
    """A number as ScyllaDB's type ``decimal`` stores it: the scale in 32 bits, then the unscaled number as two's
    complement in as few bytes as possible, both big-endian (``big_decimal`` in ``utils/big_decimal.cc``)."""
    if text.isascii() and text.isdigit():  # nearly always, and fast: the scale is 0
        unscaled = int(text)
        return unscaled.to_bytes(unscaled.bit_length() // 8 + 5, "big")
    match = re.fullmatch(_NUMBER, text)
    if match is None:
        raise ValueError(f"{text!r} is not a number")
    sign, whole, fraction, exponent = match.groups("")
    unscaled = int(f"{sign}{whole}{fraction}")  # raises ValueError if there is no digit
    scale = len(fraction) - int(exponent or 0)
    size = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    return scale.to_bytes(4, "big", signed=True) + unscaled.to_bytes(size, "big", signed=True)
