"""Does the server accept compressed requests, if they are configured?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...settings.compression import Gzip
from ..values import Finding
from ..words import some_of

if TYPE_CHECKING:
    from ..examination import Examination

__all__ = ["check"]

_ID = "request_compression"


def check(examination: Examination) -> Iterator[Finding]:
    config = examination.config
    configured = config.request_compression is not None
    how = config.request_compression or Gzip()
    answers = examination.ask_each(
        "ListTables",
        # The name is so long that the request is compressed. The request fails before it reaches a table.
        {"Limit": 1, "ExclusiveStartTableName": "a" * 190},
        compression=type(how)(how.level, 0),
    )
    statuses = {node.address: answer.status for node, answer in answers.items() if not isinstance(answer, Exception)}
    refusing = [address for address, status in statuses.items() if status >= 400]
    if refusing:
        yield Finding(
            _ID,
            "error" if configured else "ok",
            some_of(refusing),
            f"The server does not take requests compressed with {how.coding}: it is older than ScyllaDB 2026.1"
            + ("." if configured else " (and yours are not compressed)."),
            "Set request_compression=None, or upgrade the server." if configured else "",
        )
    elif statuses:
        used = "and gets them" if configured else "and yours are not compressed"
        yield Finding(_ID, "ok", config.name, f"The server takes compressed requests, {used}.")
