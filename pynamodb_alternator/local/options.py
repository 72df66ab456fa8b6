"""The settings of a cluster that its nodes use for each request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ConfigurationError
from ..settings import checks
from . import isolation

MAX_BODY = 16 * 1024 * 1024
COMPRESSION_THRESHOLD = 4096
_FIRST_WITH_TABLETS = (2024, 2)
_TABLETS = [1 << bits for bits in range(17)]


@dataclass(frozen=True, slots=True)
class Options:
    """`LocalCluster` explains each of them. Raises `ConfigurationError` for impossible numbers."""

    max_body: int = MAX_BODY
    version: tuple[int, int] = (2026, 3)
    credentials: Mapping[str, str] | None = None
    response_compression: bool = False
    compression_threshold: int = COMPRESSION_THRESHOLD
    chunk_threshold: int = 100 * 1024
    write_isolation: str = isolation.ONLY_RMW
    deny_virtual_tables: bool = False
    certificate_is_login: bool = False
    replication_factor: int = 3
    tablets: int | None = 16
    """None with vnodes; see `tablets_of`."""
    hop_delay: float = 0.0
    vector_dialects: frozenset[str] = frozenset({"aws", "alternator"})
    """See `vector_dialects_of`."""
    internal_addresses: bool = False
    token_ring: bool = True
    ttl_period: float | None = 1.0
    shards: int = 8

    def __post_init__(self) -> None:
        checks.whole("LocalCluster: max_body", self.max_body, 1, 2**40)
        checks.whole("LocalCluster: compression_threshold", self.compression_threshold, 0, 2**40)
        checks.whole("LocalCluster: chunk_threshold", self.chunk_threshold, 0, 2**40)
        checks.whole("LocalCluster: replication_factor", self.replication_factor, 1, 2**16)
        checks.whole("LocalCluster: shards", self.shards, 1, 1024)
        checks.not_negative("LocalCluster: hop_delay", self.hop_delay)
        if self.ttl_period is not None:
            checks.not_negative("LocalCluster: ttl_period", self.ttl_period)
        checks.flag("LocalCluster: internal_addresses", self.internal_addresses)
        checks.flag("LocalCluster: token_ring", self.token_ring)

    @property
    def request_compression(self) -> bool:
        return self.version >= (2026, 1)

    @property
    def compresses_answers(self) -> bool:
        return self.response_compression and self.version >= (2026, 1)

    @property
    def rack_parameters(self) -> bool:
        return self.version >= (2025, 1)

    @property
    def token_ring_names_tables(self) -> bool:
        return self.version >= _FIRST_WITH_TABLETS

    @property
    def server_header(self) -> bool:
        return self.version < (2026, 3)


def version(text: str) -> tuple[int, int]:
    """``"2026.3"`` as a pair that can be compared. Raises `ConfigurationError` for another form."""
    match = re.fullmatch(r"(20\d\d)\.(\d{1,2})(?:\.\d+)?", text) if isinstance(text, str) else None
    if match is None:
        raise ConfigurationError(
            f"LocalCluster: version must be a ScyllaDB version such as '2026.3' or '2024.2' (got {text!r})."
        )
    return int(match[1]), int(match[2])


def tablets_of(setting: object, version: tuple[int, int]) -> int | None:
    """The number of tablets of each table, or None for vnodes: older versions have only vnodes.

    Raises `ConfigurationError` for a number that is not a power of two.
    """
    if setting is None:
        return None
    if isinstance(setting, bool) or not isinstance(setting, int) or setting not in _TABLETS:
        raise ConfigurationError(
            f"LocalCluster: tablets must be a power of two such as 16, at most {_TABLETS[-1]}, or None for vnodes "
            f"(got {checks.shown(setting)})."
        )
    return setting if version >= _FIRST_WITH_TABLETS else None


_DIALECTS: Mapping[object, frozenset[str]] = {
    "both": frozenset({"aws", "alternator"}),
    "aws": frozenset({"aws"}),
    "alternator": frozenset({"alternator"}),
    None: frozenset(),
}
_FIRST_WITH_VECTORS = (2026, 2)


def vector_dialects_of(setting: object, version: tuple[int, int]) -> frozenset[str]:
    """The dialects of vector search for this setting and this version of the server; older versions have none.

    Raises `ConfigurationError` for another word.
    """
    if not isinstance(setting, str | None) or setting not in _DIALECTS:
        raise ConfigurationError(
            "LocalCluster: vector_dialect must be 'both', 'aws', 'alternator' or None for a server without vector "
            f"search (got {checks.shown(setting)})."
        )
    return _DIALECTS[setting] if version >= _FIRST_WITH_VECTORS else _DIALECTS[None]


def write_isolation(text: str) -> str:
    """The mode that ``"a"``, ``"always"`` or another spelling means. Raises `ConfigurationError` for other words."""
    checks.one_of("LocalCluster: write_isolation", text, tuple(isolation.MODES))
    return isolation.MODES[text]


def credentials(setting: object) -> Mapping[str, str] | None:
    """Access keys and their secrets, or None. Raises `ConfigurationError` for anything else."""
    if setting is None:
        return None
    if not isinstance(setting, Mapping) or not all(
        isinstance(text, str) and text for pair in setting.items() for text in pair
    ):
        raise ConfigurationError("LocalCluster: credentials must map access keys to secrets, all of them strings.")
    return dict(setting)
