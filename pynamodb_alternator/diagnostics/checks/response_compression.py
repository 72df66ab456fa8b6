"""Does the server compress its answers, if that is configured?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..values import Finding
from ..words import some_of

if TYPE_CHECKING:
    from ...transport.http1 import Answer
    from ..examination import Examination

__all__ = ["check"]

_ID = "response_compression"
_OPTION = "alternator_response_gzip_compression_level"


def check(examination: Examination) -> Iterator[Finding]:
    config = examination.config
    accepted = config.response_compression
    codings = ", ".join(accepted if isinstance(accepted, tuple) and accepted else ("gzip", "deflate"))
    answers = examination.ask_each("Scan", {"TableName": ".scylla.alternator.system.config"}, accept=codings)
    compresses = {node.address: _compresses(answer) for node, answer in answers.items()}
    without = [address for address, able in compresses.items() if able is False]
    if without:
        yield Finding(
            _ID,
            "warning" if accepted else "ok",
            some_of(without),
            "The server does not compress its answers" + ("." if accepted else " (and you have not asked for it)."),
            f"Set {_OPTION} in the nodes' scylla.yaml (since ScyllaDB 2026.1), or leave out response_compression."
            if accepted
            else "",
        )
    elif any(compresses.values()):
        asked = "and is asked for it" if accepted else "if response_compression asks for it"
        yield Finding(_ID, "ok", config.name, f"The server compresses long answers, {asked}.")
    elif accepted:
        yield Finding(
            _ID,
            "ok",
            config.name,
            "Whether the server compresses its answers cannot be told: it does not let us read system.config.",
        )


def _compresses(answer: Answer | Exception) -> bool | None:
    """Whether the node compresses answers, by its table of options; None if this may not be read."""
    if isinstance(answer, Exception) or answer.status >= 400:
        return None
    if answer.headers.get("content-encoding"):
        return True
    try:
        rows: Iterable[Any] = json.loads(answer.body)["Items"]
        for row in rows:
            if row["name"] == {"S": _OPTION}:
                return int(json.loads(row["value"]["S"])) > 0
    except (ValueError, TypeError, KeyError):
        return None
    return False
