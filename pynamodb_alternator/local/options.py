"""The settings of a cluster that its nodes look at for each request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ConfigurationError

MAX_BODY = 16 * 1024 * 1024
COMPRESSION_THRESHOLD = 4096


@dataclass(slots=True)
class Options:
    """See `LocalCluster` for the meaning of each."""

    max_body: int = MAX_BODY
    version: tuple[int, int] = (2026, 3)
    credentials: Mapping[str, str] | None = None
    response_compression: bool = False
    compression_threshold: int = COMPRESSION_THRESHOLD
    chunk_threshold: int = 100 * 1024
    write_isolation: str = "only_rmw_uses_lwt"
    deny_virtual_tables: bool = False
    certificate_is_login: bool = False

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
    def server_header(self) -> bool:
        return self.version < (2026, 3)


def version(text: str) -> tuple[int, int]:
    """``"2026.3"`` as a pair that can be compared; `ConfigurationError` for others."""
    match = re.fullmatch(r"(20\d\d)\.(\d{1,2})(?:\.\d+)?", text) if isinstance(text, str) else None
    if match is None:
        raise ConfigurationError(
            f"LocalCluster: version must be a ScyllaDB version such as '2026.3' or '2024.2' (got {text!r})."
        )
    return int(match[1]), int(match[2])
