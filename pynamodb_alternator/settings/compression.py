"""The compression of request bodies, and of the answers that we ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from ..errors import ConfigurationError
from . import checks

__all__ = ["Compression", "Deflate", "Gzip", "codings_in", "request_compression", "response_compression"]


@dataclass(frozen=True, slots=True)
class Compression:
    """The common base of `Gzip` and `Deflate`."""

    level: int = 6
    min_size: int = 1024

    coding: ClassVar[str]
    """Its name in Content-Encoding."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        checks.whole(f"{name}: level", self.level, 1, 9)
        checks.whole(f"{name}: min_size", self.min_size, 0, 1 << 30)


class Gzip(Compression):
    """Compress request bodies with gzip.

    `level`: 1 is the fastest, and 9 gives the smallest bodies; above 6, it takes much more time for little gain.
    `min_size`: bytes; a body of this size or more is compressed, and a smaller one is sent uncompressed. Raises
    `ConfigurationError`.
    """

    __slots__ = ()
    coding: ClassVar[str] = "gzip"


class Deflate(Compression):
    """Compress request bodies with deflate (in the zlib format). See `Gzip` for its fields."""

    __slots__ = ()
    coding: ClassVar[str] = "deflate"


_CODINGS: dict[str, type[Gzip | Deflate]] = {"gzip": Gzip, "deflate": Deflate}


def request_compression(where: str, value: object) -> Gzip | Deflate | None:
    """The compression that `value` means: None, a `Gzip` or `Deflate`, or the name of one. Raises
    `ConfigurationError`."""
    if value is None or isinstance(value, Gzip | Deflate):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in ("none", "false", "off"):
        return None
    if word in _CODINGS:
        return _CODINGS[word]()
    raise ConfigurationError(f"{where} must be Gzip(), Deflate() or None (got {checks.shown(value)}).")


def response_compression(where: str, value: object) -> tuple[str, ...]:
    """The codings that `value` means, the preferred one first. Raises `ConfigurationError`."""
    if value is True:
        return tuple(_CODINGS)
    if value is False or value is None:
        return ()
    if isinstance(value, str):
        value = codings_in(value)
    if isinstance(value, Iterable):
        codings = tuple(value)
        if all(isinstance(coding, str) and coding in _CODINGS for coding in codings):
            return tuple(dict.fromkeys(codings))
    raise ConfigurationError(
        f"{where} must be True, False, or some of 'gzip' and 'deflate', such as ('gzip',) (got {checks.shown(value)})."
    )


def codings_in(text: str) -> tuple[str, ...]:
    """The codings that a text names, separated by commas. They are not checked."""
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())
