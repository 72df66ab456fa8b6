"""Decides how a web application answers when its own request to the cluster has failed.

The rule follows the two questions of `errors`. If no node can have seen the failed request, the answer is 503: the
caller may try again. If the outcome is open, the answer is 504: proxies and clients do not send the request again on
their own. Neither answer says what the application did before, or in other tasks.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple
from urllib.parse import quote

from ..errors import NotSentError, OutcomeUnknownError, RequestRefusedError, TransportError

__all__ = ["Answer", "answer_to", "answer_to_request"]


class Answer(NamedTuple):
    """The answer. `body`: for JSON. It names no node, because anybody may read it. `error`: this library's error."""

    status: int
    headers: dict[str, str]
    body: dict[str, str]
    error: TransportError


def answer_to(error: BaseException) -> Answer | None:
    """The answer for an error of this library, or for an error of PynamoDB with such a cause; None for any other error.

    A group of exceptions has an answer if each of its exceptions has one. If the outcome of one of them is open, the
    outcome of the group is open.

    The result is also None for a request that no server would accept (`RequestRefusedError`) and for an error answer of
    the server: the application must handle these itself.
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


def answer_to_request(log: logging.Logger, method: str | None, path: str, error: BaseException) -> Answer | None:
    """As `answer_to`, for an error of the application's request `method` `path`. The error itself is logged."""
    answer = answer_to(error)
    if answer is not None:
        # The path comes from the client.
        log.warning("%s %s is answered with %d: %s", method, quote(path), answer.status, answer.error)
    return answer


def _ours(error: BaseException) -> Any:
    """The error of this library: PynamoDB's errors have it as `cause`."""
    return error if isinstance(error, TransportError) else getattr(error, "cause", None)
