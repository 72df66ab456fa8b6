"""What an answer means for the request: is it final, or should another node be asked?

The table is that of the server's errors: which of them were never executed, and which leave the outcome unknown.
"""

from __future__ import annotations

import enum

import orjson

__all__ = ["Verdict", "error_type", "judge"]


class Verdict(enum.Enum):
    FINAL = "final"
    """The caller gets this answer."""
    NEVER_EXECUTED = "never executed"
    """The request was shed before it began: any request may go elsewhere."""
    UNKNOWN = "unknown"
    """The request may have been executed, with a timestamp of now at the latest: only what may be repeated goes
    elsewhere."""
    FOREIGN = "foreign"
    """Not Alternator's answer: a proxy's, perhaps, which speaks for a silent node. The request may still be executed
    later, on top of newer writes."""


_SHED = frozenset({"RequestLimitExceeded", "ThrottlingException", "ProvisionedThroughputExceededException"})


def error_type(body: bytes) -> str:
    """The error's name, without its namespace; empty if the body has none."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    kind = content.get("__type", "") if isinstance(content, dict) else ""
    return kind.rpartition("#")[2].partition(":")[0] if isinstance(kind, str) else ""


def judge(status: int, body: bytes) -> Verdict:
    if status < 400:
        return Verdict.FINAL
    if status == 500 and error_type(body):
        return Verdict.UNKNOWN
    if status in (500, 502, 503, 504):
        return Verdict.FOREIGN
    if status in (400, 429) and error_type(body) in _SHED:
        return Verdict.NEVER_EXECUTED
    return Verdict.FINAL
