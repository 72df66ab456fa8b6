"""What the end of an attempt means for the request (is it final, or may the request be sent again?) and for the node.

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

So no status of an answer to a request makes a node suspect. In addition to failures, these things make a node suspect:
another status than 200 of ``/localnodes`` (`topology.discovery`), a request that waits for a long time
(`topology.monitor`), a read that is hedged (`transport.hedged_attempts`), and a task that is cancelled while it waits
(`aio.endpoint`, `aio.happy_path`). A node goes down because of failures without an answer, or of failed probes
(`topology.membership`): a probe needs status 200 of ``GET /``. A node is set aside because of failed answers, if it has
far more of them than the others (`topology.set_aside`).

Alternator's errors are JSON with a ``__type``, whatever their status is. Any other error comes from a proxy, or from
another server that now has the node's address. An answer that a handler of botocore's events has made (a stub, a
recorder) does not come from a node: see `HandlerAnswer`.
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
    """The server refused the request before it began: any request may go to another node."""
    UNKNOWN = "unknown"
    """The request may have been executed, but will not be executed later: only a request that may be repeated goes to
    another node."""
    FOREIGN = "foreign"
    """The answer is not Alternator's, but perhaps that of a proxy in front of a silent node. The request may still be
    executed later, on top of newer writes."""

    @property
    def leaves_it_open(self) -> bool:
        """Whether the request may have been executed, and the answer does not tell whether it was."""
        return self is Verdict.UNKNOWN or self is Verdict.FOREIGN


_OF_THE_ITEM = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})
_SHED = frozenset({"RequestLimitExceeded", "ThrottlingException", "ProvisionedThroughputExceededException"})


_TYPE = rb'"__type"\s*:\s*"([^"\\]*)"'
_NEAR = 4096
"""The name of a large error is in the first or the last so many bytes of its body."""


# ---- answers -----------------------------------------------------------------------------------------------------


def error_type(body: bytes) -> str:
    """The error's name, without its namespace; empty if the body has none."""
    if len(body) > LARGE:
        # The error may contain an item, before or after its name. No attribute value has a member `__type`.
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
    """An answer that a handler of botocore's events has made, such as a stub. It says nothing about the node."""

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
    """Why an answer counts as a failed answer of its node, in a few words; None if it does not count. A node with many
    failed answers is set aside.

    `answer`: an answer with the verdict `UNKNOWN` or `FOREIGN`. `repeatable`: whether the request is a read, or a write
    whose second application equals the first. A conditional write or an increment may fail with an error of Alternator
    because other clients write the same item, which says nothing about the node.
    """
    if isinstance(answer, HandlerAnswer):
        return None
    kind = error_type(answer.body)
    if not kind:
        return f"status {answer.status} without an error of Alternator's"
    return f"status {answer.status}, {kind}" if repeatable else None


# ---- failures ----------------------------------------------------------------------------------------------------


def makes_suspect(error: TransportError) -> bool:
    """Whether a failure of an exchange may be caused by the node, so that the node must be probed.

    A full pool, a closed cluster, a request that breaks the protocol, and missing credentials are caused by this
    process. An attempt that was cut does not count either: the node is known to be down already.
    """
    return not (error.was_cut or isinstance(error, PoolTimeoutError) or ends_the_call(error))


def ends_the_call(error: TransportError) -> bool:
    """Whether a failure is caused by this process or this request, so that another node cannot help."""
    return isinstance(error, ClusterClosedError | RequestRefusedError | CredentialsError)


def counts_against_node(error: TransportError, *, out_of_time: bool) -> bool:
    """Whether a failure that makes its node suspect also counts as a failure of the node's health. If not, only the
    probe decides.

    `out_of_time`: whether the deadline of the call ended the exchange. Such an end says little about the node. The same
    is true of a kept-alive connection that was dead, and of a timeout that we noticed late. A whole answer that is not
    Alternator's does not count here: it counts as a failed answer.
    """
    if out_of_time or is_foreign(error):
        return False
    if isinstance(error, ConnectionLostError):
        return not error.was_idle
    return not (isinstance(error, ConnectTimeoutError) and error.late)


def counts_as_slow(by: Answer | TransportError) -> bool:
    """Whether a failure, or an answer whose verdict is not `FINAL`, counts as a slow answer of its node.

    A failure that this process has caused does not count. A kept-alive connection that was dead, and a timeout that we
    noticed late, do not count either. A failure at the deadline of a call counts.
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
