"""What the end of an attempt means: for the request (is it final, may the request go elsewhere?) and for the node.

| the attempt ends with | for the request | for the node |
|---|---|---|
| an answer below 400, or a refusal | `FINAL` | it is well |
| an error of Alternator's that says "not begun" (400 or 429) | `NEVER_EXECUTED` | it is well |
| 500 with an error of Alternator's | `UNKNOWN` | nothing |
| 502, 503, 504, or 500 of somebody else | `FOREIGN` | nothing |
| no answer, because of the node | see `attempts.Attempts.failed` | it is suspect, and most failures count |
| no answer, because of us | the same | nothing |

So no status makes a node suspect: an answer was given, if not always by the node. What takes a node down are failures
without an answer, and probes (`topology.membership`), which want status 200 of ``GET /``.
"""

from __future__ import annotations

import enum

import orjson

from ..errors import (
    ClusterClosedError,
    ConnectionLostError,
    ConnectTimeoutError,
    CredentialsError,
    OutcomeUnknownError,
    PoolTimeoutError,
    RequestRefusedError,
    TransportError,
)

__all__ = ["Verdict", "counts_against_node", "ends_the_call", "error_type", "is_silent", "judge", "makes_suspect"]


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


# ---- answers -----------------------------------------------------------------------------------------------------


def error_type(body: bytes) -> str:
    """The error's name, without its namespace; empty if the body has none."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    kind = content.get("__type", "") if isinstance(content, dict) else ""
    return kind.rpartition("#")[2].partition(":")[0] if isinstance(kind, str) else ""


def judge(status: int, body: bytes) -> Verdict:
    """What an answer means."""
    if status < 400:
        return Verdict.FINAL
    if status == 500 and error_type(body):
        return Verdict.UNKNOWN
    if status in (500, 502, 503, 504):
        return Verdict.FOREIGN
    if status in (400, 429) and error_type(body) in _SHED:
        return Verdict.NEVER_EXECUTED
    return Verdict.FINAL


# ---- failures ----------------------------------------------------------------------------------------------------


def makes_suspect(error: TransportError) -> bool:
    """Whether a failure of an exchange is about the node, so that a probe is to look at it.

    A full pool, a closed cluster, a request that breaks the protocol and credentials that cannot be had are about us.
    So is an attempt that was cut: the reason for the cut has been counted, and would become its own reason.
    """
    return not (error.was_cut or isinstance(error, PoolTimeoutError) or ends_the_call(error))


def ends_the_call(error: TransportError) -> bool:
    """Whether a failure is about this process or this request, so that no other node could do better."""
    return isinstance(error, ClusterClosedError | RequestRefusedError | CredentialsError)


def counts_against_node(error: TransportError, *, out_of_time: bool) -> bool:
    """Whether a failure that makes its node suspect also counts towards taking it down; else the probe alone tells.

    `out_of_time`: the deadline of the call ended the exchange. It says little of the node, and neither does a
    kept-alive connection that turned out to be dead, nor a timeout that we noticed late.
    """
    if out_of_time:
        return False
    if isinstance(error, ConnectionLostError):
        return not error.was_idle
    return not (isinstance(error, ConnectTimeoutError) and error.late)


def is_silent(error: TransportError) -> bool:
    """Whether the node may execute the request later: it went silent after the request had begun to leave.

    What is neither "not sent" nor "unknown" would be a kind that this place does not know: be careful.
    """
    return not isinstance(error, OutcomeUnknownError) or error.may_still_execute
