"""Searches for vectors, and makes vector indexes, in the dialect of the cluster.

Each function is a generator that yields requests, and gets their answers by `send`. So a thread (`run`) and an event
loop (`run_async`) make the same requests in the same order: AWS's dialect first, and the older dialect if the server
does not know SearchVectors. A cluster's dialect is learnt once, and again when an index is made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from ..errors import VectorError, error_code
from .vector_dialects import (
    AWS,
    LARGEST_LIMIT,
    OLDER,
    Call,
    Dialect,
    IndexDefinition,
    Match,
    Search,
    aws_matches,
    aws_refusal,
    aws_search,
    filters_before,
    older_matches,
    older_search,
)

__all__ = [
    "NO_VECTOR_SEARCH",
    "LearntDialect",
    "Steps",
    "creating",
    "deleting",
    "learning",
    "run",
    "run_async",
    "searching",
]

_T = TypeVar("_T")
Steps = Generator[Call, Any, _T]
_UNKNOWN = "UnknownOperationException"
_KNOWN = frozenset({"AccessDeniedException", "ResourceNotFoundException", "ValidationException"})
"""The errors of a server that knows SearchVectors, if the table or index does not exist."""
NO_VECTOR_SEARCH = (
    "This server does not know vector indexes. ScyllaDB has them from 2026.2 on, where vector search is enabled."
)
_MORE = 4
"""By which factor the number of candidates is larger than `k`, if a filter comes after the search."""


class LearntDialect:
    """The dialect of a cluster, which is learnt from its answers; None until it is known. Threads may share it."""

    def __init__(self) -> None:
        self.dialect: Dialect | None = None


def searching(learnt: LearntDialect, search: Search) -> Steps[list[Match]]:
    """The nearest items, nearest first. Raises the server's errors, and `VectorError`."""
    if learnt.dialect is None and aws_refusal(search) is not None:
        yield from learning(learnt)  # the older dialect may take this filter
    was_learnt = learnt.dialect is OLDER
    if not was_learnt:
        try:
            answer = yield aws_search(search)
        except ClientError as error:
            if error_code(error) != _UNKNOWN:
                raise
            learnt.dialect = OLDER
        else:
            learnt.dialect = AWS
            return aws_matches(search, answer)
    try:
        return (yield from _older_searching(search))
    except ClientError as refused:
        _explain(refused)
        if not was_learnt or error_code(refused) != "ValidationException":
            raise
        # The servers may have been upgraded since.
        try:
            answer = yield aws_search(search)
        except (ClientError, VectorError):
            raise refused from None
    learnt.dialect = AWS
    return aws_matches(search, answer)


def _older_searching(search: Search) -> Steps[list[Match]]:
    """If a filter comes after the search, more candidates are requested, so that enough of them pass the filter. If too
    few pass, as many candidates as possible are requested."""
    if search.k > LARGEST_LIMIT:
        raise VectorError(f"{search.where}: k must be at most {LARGEST_LIMIT} for this server (got {search.k}).")
    is_filtered_after = not all(filters_before(search, term) for term in search.terms)
    limit = min(LARGEST_LIMIT, search.k * _MORE) if is_filtered_after else search.k
    answer = yield older_search(search, limit)
    matches = older_matches(search, answer)
    if len(matches) < search.k and is_filtered_after and answer.get("ScannedCount", 0) >= limit < LARGEST_LIMIT:
        matches = older_matches(search, (yield older_search(search, LARGEST_LIMIT)))
    return matches[: search.k]


def learning(learnt: LearntDialect) -> Steps[Dialect]:
    """Find out the cluster's present dialect, by a search in a table that does not exist. An error that does not show
    the dialect is raised, unless the dialect was known before.
    """
    probe = {"TableName": "no.such.table", "IndexName": "no.such.index", "SearchVector": [{"N": "0"}], "TopK": 1}
    dialect = AWS
    try:
        yield "SearchVectors", probe
    except ClientError as error:
        if error_code(error) == _UNKNOWN:
            dialect = OLDER
        elif error_code(error) not in _KNOWN:
            if learnt.dialect is None:
                raise
            dialect = learnt.dialect
    learnt.dialect = dialect
    return dialect


def creating(learnt: LearntDialect, table: str, index: IndexDefinition) -> Steps[Any]:
    """Add an index to a table that exists."""
    dialect = yield from learning(learnt)
    request = {"TableName": table, "VectorIndexUpdates": [{"Create": dialect.index(index)}]}
    attributes = dialect.attributes(index)
    return (yield from _updating({**request, "AttributeDefinitions": attributes} if attributes else request))


def deleting(table: str, index: str) -> Steps[Any]:
    """Delete an index. The request is the same in both dialects."""
    return (yield from _updating({"TableName": table, "VectorIndexUpdates": [{"Delete": {"IndexName": index}}]}))


def _updating(request: dict[str, Any]) -> Steps[Any]:
    try:
        return (yield "UpdateTable", request)
    except ClientError as error:
        _explain(error)
        raise


def _explain(error: ClientError) -> None:
    """Add a sentence to the text of an error that comes from a server without vector search."""
    text = str(error)
    is_of_search = "Requested resource not found: Index" in text
    is_of_update = "UpdateTable requires one of" in text and "VectorIndexUpdates" not in text
    if is_of_search or is_of_update:
        error.args = (f"{text.rstrip('.')}. {NO_VECTOR_SEARCH}",)


def run(steps: Steps[_T], call: Callable[[str, dict[str, Any]], Any]) -> _T:
    """Run the steps in a thread, and return their result. `call`: makes a request."""
    try:
        request = next(steps)
        while True:
            try:
                answer = call(*request)
            except ClientError as error:
                request = steps.throw(error)
            else:
                request = steps.send(answer)
    except StopIteration as end:
        result: _T = end.value
        return result


async def run_async(steps: Steps[_T], call: Callable[[str, dict[str, Any]], Awaitable[Any]]) -> _T:
    """Run the steps in an event loop, and return their result. `call`: makes a request."""
    try:
        request = next(steps)
        while True:
            try:
                answer = await call(*request)
            except ClientError as error:
                request = steps.throw(error)
            else:
                request = steps.send(answer)
    except StopIteration as end:
        result: _T = end.value
        return result
