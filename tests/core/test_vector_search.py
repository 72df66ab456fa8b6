"""What is asked of a server, and in which order, until its dialect is known and the nearest items are found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pynamodb_alternator.core.vector_dialects import AWS, OLDER, Dialect, IndexDefinition, Search, Term
from pynamodb_alternator.core.vector_search import (
    LearntDialect,
    Steps,
    creating,
    deleting,
    learning,
    run,
    run_async,
    searching,
)
from pynamodb_alternator.errors import VectorError

SCHEMA = {"language": "INLINE_FILTER"}
INDEX = IndexDefinition("near", "v", 2, "cosine", search_schema=SCHEMA, search_types={"language": "S"})
SEARCH = Search("search", "docs", INDEX, (1.0, 0.5), 2, frozenset({"id"}), "id")
FILTERED = replace(SEARCH, terms=(Term("year", ">", frozenset("N"), "#y > :y"),))
BY_KEY = replace(SEARCH, terms=(Term("id", "=", frozenset("S"), "#i = :i"),))
ITEM = {"id": {"S": "a"}}
FOUND = {"SearchResults": [{"Item": ITEM, "Score": 0.5}]}


class Server:
    """Answers by the operation, and keeps what it was asked. Answers are results, or codes of errors."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, operation: str, parameters: dict[str, Any]) -> Any:
        self.asked.append((operation, parameters))
        answer = self.answers[operation]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": "so it says"}}, operation)
        return answer

    async def call_async(self, operation: str, parameters: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        return self.call(operation, parameters)

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.asked]


def of_older(count: int, scanned: int | None = None) -> dict[str, Any]:
    scanned = count if scanned is None else scanned
    return {"Items": [ITEM] * count, "Scores": [1.0] * count, "ScannedCount": scanned}


Runner = Callable[[Steps[Any], Server], Any]


@pytest.fixture(params=["threads", "event loop"])
def perform(request: pytest.FixtureRequest) -> Runner:
    if request.param == "threads":
        return lambda steps, server: run(steps, server.call)
    return lambda steps, server: asyncio.run(run_async(steps, server.call_async))


def learnt(dialect: Dialect | None = None) -> LearntDialect:
    of_cluster = LearntDialect()
    of_cluster.dialect = dialect
    return of_cluster


def test_awss_dialect_is_learnt_by_the_first_search(perform: Runner) -> None:
    server, of_cluster = Server(SearchVectors=FOUND), learnt()
    for _ in range(2):
        (match,) = perform(searching(of_cluster, SEARCH), server)
        assert (match.item, match.distance) == (ITEM, 0.5)
    assert of_cluster.dialect is AWS
    assert server.operations == ["SearchVectors"] * 2


def test_the_older_dialect_is_learnt_once(perform: Runner) -> None:
    server, of_cluster = Server(SearchVectors="UnknownOperationException", Query=of_older(2)), learnt()
    for _ in range(2):
        assert len(perform(searching(of_cluster, SEARCH), server)) == 2
    assert of_cluster.dialect is OLDER
    assert server.operations == ["SearchVectors", "Query", "Query"]


def test_errors_of_the_server_come_through(perform: Runner) -> None:
    server, of_cluster = Server(SearchVectors="ResourceNotFoundException"), learnt()
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        perform(searching(of_cluster, SEARCH), server)
    assert of_cluster.dialect is None
    assert server.operations == ["SearchVectors"]


def test_a_filter_that_one_dialect_has_not_is_told_when_the_dialect_is_known(perform: Runner) -> None:
    """Otherwise the first search of a process would fail where the second one works."""
    server, of_cluster = Server(SearchVectors="UnknownOperationException", Query=of_older(2)), learnt()
    assert len(perform(searching(of_cluster, FILTERED), server)) == 2
    assert server.operations == ["SearchVectors", "Query"]

    server, of_cluster = Server(SearchVectors="ResourceNotFoundException"), learnt()
    with pytest.raises(VectorError, match="equality"):
        perform(searching(of_cluster, FILTERED), server)
    assert of_cluster.dialect is AWS
    with pytest.raises(VectorError, match="equality"):
        perform(searching(of_cluster, FILTERED), server)
    assert server.operations == ["SearchVectors"]


def test_a_cluster_that_was_upgraded_since(perform: Runner) -> None:
    server, of_cluster = Server(Query="ValidationException", SearchVectors=FOUND), learnt(OLDER)
    assert len(perform(searching(of_cluster, SEARCH), server)) == 1
    assert of_cluster.dialect is AWS
    assert server.operations == ["Query", "SearchVectors"]


@pytest.mark.parametrize("search", [SEARCH, FILTERED])
@pytest.mark.parametrize("code", ["UnknownOperationException", "ValidationException"])
def test_a_search_that_is_refused_by_both_has_the_error_of_the_dialect_that_is_known(
    perform: Runner, search: Search, code: str
) -> None:
    server, of_cluster = Server(Query="ValidationException", SearchVectors=code), learnt(OLDER)
    with pytest.raises(ClientError) as raised:
        perform(searching(of_cluster, search), server)
    assert raised.value.operation_name == "Query"
    assert of_cluster.dialect is OLDER


def test_an_older_server_that_is_overloaded_is_not_asked_otherwise(perform: Runner) -> None:
    server = Server(Query="RequestLimitExceeded")
    with pytest.raises(ClientError, match="RequestLimitExceeded"):
        perform(searching(learnt(OLDER), SEARCH), server)
    assert server.operations == ["Query"]


@pytest.mark.parametrize(
    ("search", "answers", "limits", "count"),
    [
        (SEARCH, [of_older(1)], [2], 1),  # there are no more items
        (BY_KEY, [of_older(1)], [2], 1),  # the filter came before
        (FILTERED, [of_older(5, 8)], [8], 2),  # more than enough candidates passed
        (FILTERED, [of_older(1, 8), of_older(3, 1000)], [8, 1000], 2),
        (FILTERED, [of_older(1, 8), of_older(1, 1000)], [8, 1000], 1),  # nobody gives more than 1,000
        (FILTERED, [of_older(1, 5)], [8], 1),  # all items were looked at
        (replace(FILTERED, k=500), [of_older(1, 1000)], [1000], 1),
    ],
)
def test_a_filter_after_the_search_has_more_candidates(
    perform: Runner, search: Search, answers: list[Any], limits: list[int], count: int
) -> None:
    server = Server(Query=[*answers])
    assert len(perform(searching(learnt(OLDER), search), server)) == count
    assert [parameters["Limit"] for _, parameters in server.asked] == limits


def test_the_older_dialect_finds_a_thousand_at_most(perform: Runner) -> None:
    with pytest.raises(VectorError, match="k must be at most 1000 for this server \\(got 1001\\)"):
        perform(searching(learnt(OLDER), replace(SEARCH, k=1001)), Server())


@pytest.mark.parametrize(
    ("answer", "dialect"),
    [
        ("UnknownOperationException", OLDER),
        ("ResourceNotFoundException", AWS),
        ("ValidationException", AWS),
        ("AccessDeniedException", AWS),
        ({}, AWS),
    ],
)
def test_the_first_answer_shows_the_dialect(perform: Runner, answer: Any, dialect: Dialect) -> None:
    server, of_cluster = Server(SearchVectors=answer), learnt()
    assert perform(learning(of_cluster), server) is dialect
    assert of_cluster.dialect is dialect
    assert len(server.asked) == 1


def test_what_says_nothing_of_the_dialect_is_not_learnt(perform: Runner) -> None:
    server, of_cluster = Server(SearchVectors="UnrecognizedClientException"), learnt()
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        perform(learning(of_cluster), server)
    assert of_cluster.dialect is None
    for known in (AWS, OLDER):
        assert perform(learning(learnt(known)), server) is known


@pytest.mark.parametrize("dialect", [AWS, OLDER])
def test_indexes_are_created_in_the_form_of_the_dialect(perform: Runner, dialect: Dialect) -> None:
    server = Server(UpdateTable={}, SearchVectors={} if dialect is AWS else "UnknownOperationException")
    # Whatever it was: the servers may be others since the cluster's dialect was learnt.
    perform(creating(learnt(OLDER if dialect is AWS else AWS), "docs", INDEX), server)
    perform(deleting("docs", "near"), server)
    create: dict[str, Any] = {"TableName": "docs", "VectorIndexUpdates": [{"Create": dialect.index(INDEX)}]}
    if dialect is AWS:
        create["AttributeDefinitions"] = [{"AttributeName": "language", "AttributeType": "S"}]
    assert server.asked[1:] == [
        ("UpdateTable", create),
        ("UpdateTable", {"TableName": "docs", "VectorIndexUpdates": [{"Delete": {"IndexName": "near"}}]}),
    ]


def test_an_error_of_the_client_does_not_change_the_dialect(perform: Runner) -> None:
    """A lost node is not an answer: it comes through as it is."""

    class Lost(Server):
        def call(self, operation: str, parameters: dict[str, Any]) -> Any:
            raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        perform(searching(learnt(), SEARCH), Lost())
