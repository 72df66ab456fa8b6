"""What the end of an attempt means: for the request (is it final, may the request go elsewhere?) and for the node.

| the attempt ends with | for the request | for the node |
|---|---|---|
| an answer below 300, or a refusal by Alternator | `FINAL` | it is well |
| an error of Alternator's that says "not begun" (400 or 429) | `NEVER_EXECUTED` | it is well |
| 500 with an error of Alternator's | `UNKNOWN` | a failed answer, of reads and of writes that may be repeated |
| 502, 503, 504 with one | `FOREIGN` | the same |
| 300 or more without an error of Alternator's | `FOREIGN` | a failed answer |
| 200 that is not Alternator's (`is_foreign`) | see `attempts.Attempts.failed` | a failed answer; a probe looks at it |
| no answer, because of the node | the same | it is suspect, and most failures count |
| no answer, because of us | the same | nothing |

So no status of an answer to a request makes a node suspect: there was an answer, if not always from the node. Beside
failures, three things make a node suspect: another status than 200 of ``/localnodes`` (`topology.discovery`), a request
that waits for long (`topology.monitor`), and a task that is cancelled while it waits (`aio.endpoint`,
`aio.happy_path`). A node goes down through failures without an answer, and through probes (`topology.membership`),
which need status 200 of ``GET /``. It is set aside for failed answers, if it has far more of them than the others
(`topology.set_aside`).

Alternator's errors are JSON with a ``__type``, whatever their status is. Any other error was made by a proxy, or by
another server that has got the node's address. An answer that a handler of botocore's events has made (a stub, a
recorder) is the caller's own: see `HandlerAnswer`.
"""

from __future__ import annotations

import enum
import re
from typing import Any

import orjson

from ..errors import (
    ClusterClosedError,
    ConnectionLostError,
    ConnectTimeoutError,
    CredentialsError,
    MalformedAnswerError,
    OutcomeUnknownError,
    PoolTimeoutError,
    RequestRefusedError,
    TransportError,
)
from .http1 import Answer
from .large_answers import LARGE

__all__ = [
    "HandlerAnswer",
    "Verdict",
    "complaint",
    "counts_against_node",
    "counts_as_slow",
    "ends_the_call",
    "error_type",
    "is_foreign",
    "is_silent",
    "judge",
    "makes_suspect",
    "speaks_of_the_item",
]


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

    @property
    def leaves_it_open(self) -> bool:
        """Whether the request may have been executed, and the answer does not tell."""
        return self is Verdict.UNKNOWN or self is Verdict.FOREIGN


_OF_THE_ITEM = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})
_SHED = frozenset({"RequestLimitExceeded", "ThrottlingException", "ProvisionedThroughputExceededException"})


_TYPE = rb'"__type"\s*:\s*"([^"\\]*)"'
_NEAR = 4096
"""Bytes at either end of a large error in which its name stands."""


# ---- answers -----------------------------------------------------------------------------------------------------


def error_type(body: bytes) -> str:
    """The error's name, without its namespace; empty if the body has none."""
    if len(body) > LARGE:
        # With an item, perhaps; it stands before the error's name or behind it, and no value has such a member.
        match = re.search(_TYPE, body[:_NEAR]) or re.search(_TYPE, body[-_NEAR:])
        kind: Any = match[1].decode("latin-1") if match else ""
    else:
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            return ""
        kind = content.get("__type", "") if isinstance(content, dict) else ""
    return kind.rpartition("#")[2].partition(":")[0] if isinstance(kind, str) else ""


class HandlerAnswer(Answer):
    """An answer that no node gave: a handler of botocore's events did, such as a stub. It says nothing of the node."""

    __slots__ = ()


def judge(answer: Answer) -> Verdict:
    """What an answer means."""
    status = answer.status
    if status < 300:
        return Verdict.FINAL
    kind = error_type(answer.body)
    if status == 500 and kind:
        return Verdict.UNKNOWN
    if status in (500, 502, 503, 504):
        return Verdict.FOREIGN
    if status in (400, 429) and kind in _SHED:
        return Verdict.NEVER_EXECUTED
    return Verdict.FINAL if kind or isinstance(answer, HandlerAnswer) else Verdict.FOREIGN


def speaks_of_the_item(answer: Answer) -> bool:
    """Whether an error answer tells how the item is now, after an earlier attempt may have changed it."""
    return error_type(answer.body) in _OF_THE_ITEM


def complaint(answer: Answer, *, repeatable: bool) -> str | None:
    """The complaint in an answer about its node, in a few words: many complaints set the node aside. None if there is
    none.

    `answer`: one whose verdict is `UNKNOWN` or `FOREIGN`. `repeatable`: the request is a read, or a write whose second
    application equals the first. A conditional write or an increment may fail with an error of Alternator's because
    others write the same item, which is not about the node.
    """
    if isinstance(answer, HandlerAnswer):
        return None
    kind = error_type(answer.body)
    if not kind:
        return f"status {answer.status} without an error of Alternator's"
    return f"status {answer.status}, {kind}" if repeatable else None


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
    kept-alive connection that turned out to be dead, nor a timeout that we noticed late. A whole answer that is not
    Alternator's is a failed answer, which may set the node aside.
    """
    if out_of_time or is_foreign(error):
        return False
    if isinstance(error, ConnectionLostError):
        return not error.was_idle
    return not (isinstance(error, ConnectTimeoutError) and error.late)


def counts_as_slow(by: Answer | TransportError) -> bool:
    """Whether a failure, or an answer whose verdict is not `FINAL`, counts as a slow answer of its node.

    A failure that is about us does not count, and neither does a kept-alive connection that turned out to be dead, or a
    timeout that we noticed late. A failure at the deadline of a call does count.
    """
    if isinstance(by, Answer):
        return not isinstance(by, HandlerAnswer)
    return makes_suspect(by) and (is_foreign(by) or counts_against_node(by, out_of_time=False))


def is_foreign(error: TransportError) -> bool:
    """Whether a whole HTTP answer came that is not Alternator's, such as a page with status 200."""
    return isinstance(error, MalformedAnswerError) and error.is_whole


def is_silent(error: TransportError) -> bool:
    """Whether the node may execute the request later: it went silent after the request had begun to leave.

    An unknown kind of error counts as silent.
    """
    return not isinstance(error, OutcomeUnknownError) or error.may_still_execute
