"""What a web application answers when a request of its own to the cluster has failed.

The rule follows the two questions of `errors`. Where no node can have seen the request that failed, the answer is 503:
the caller may call again. Where the outcome is open, it is 504, which proxies and clients do not repeat by themselves.
Neither says what the application did before that, or in other tasks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import NotSentError, OutcomeUnknownError, RequestRefusedError, TransportError

__all__ = ["Answer", "answer_to"]


class Answer(NamedTuple):
    """`body`: for JSON. It names no node, because it goes to strangers. `error`: the error of ours that it is about."""

    status: int
    headers: dict[str, str]
    body: dict[str, str]
    error: TransportError


def answer_to(error: BaseException) -> Answer | None:
    """What to answer for an error of this library, or for one of PynamoDB's around it; None for any other.

    A group of exceptions is answered if each of them is. If the outcome of one of them is open, that of the group is.

    The result is also None for a request that no server would take (`RequestRefusedError`) and for an error answer of
    the server: the application must treat these itself.
    """
    if isinstance(error, BaseExceptionGroup):
        answers = [answer for answer in map(answer_to, error.exceptions) if answer is not None]
        return max(answers, key=lambda answer: answer.status) if len(answers) == len(error.exceptions) else None
    inner = _ours(error)
    if isinstance(inner, RequestRefusedError):
        return None
    if isinstance(inner, NotSentError):
        body = {
            "detail": "The database cannot be reached now. Try again in a moment.",
            "code": "database_unavailable",
        }
        return Answer(503, {"Retry-After": "1"}, body, inner)
    if isinstance(inner, OutcomeUnknownError):
        body = {
            "detail": "The database did not answer. If this was a change, it may have been made.",
            "code": "outcome_unknown",
        }
        return Answer(504, {}, body, inner)
    return None


def _ours(error: BaseException) -> Any:
    """The error of this library inside: PynamoDB keeps it as `cause`."""
    return error if isinstance(error, TransportError) else getattr(error, "cause", None)
