"""The two dialects of vector search: the requests that they have, and what their answers mean."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pynamodb_alternator.core.vector_dialects import (
    AWS,
    OLDER,
    Distance,
    IndexDefinition,
    Search,
    Term,
    aws_matches,
    aws_refusal,
    aws_search,
    described,
    older_matches,
    older_search,
    status_of,
    with_indexes,
)
from pynamodb_alternator.errors import VectorError

INDEX = IndexDefinition("near", "v", 2, "cosine")
WITH_SCHEMA = replace(INDEX, search_schema={"language": "INLINE_FILTER"})
READ = {"#9": "id"}
SEARCH = Search("Doc: search", "docs", INDEX, (1.0, 0.5), 3, frozenset({"id"}), "#9", names=READ)
LANGUAGE = Term("language", "=", frozenset("S"), "#0 = :0")
YEAR = Term("year", ">", frozenset("N"), "#1 > :1")
KEY = Term("id", "BETWEEN", frozenset("S"), "#2 BETWEEN :2 AND :3")
EITHER = Term(None, "OR", frozenset("S"), "(#0 = :0 OR #0 = :1)")
NUMBERS = [{"N": "1.0"}, {"N": "0.5"}]


def test_the_forms_of_an_index() -> None:
    assert AWS.index(INDEX) == {
        "IndexName": "near",
        "VectorAttribute": {"AttributeName": "v"},
        "Dimensions": 2,
        "DistanceFunction": "COSINE",
        "Projection": {"ProjectionType": "ALL"},
    }
    assert AWS.index(WITH_SCHEMA)["SearchSchema"] == [
        {"AttributeName": "language", "SearchSchemaElementType": "INLINE_FILTER"}
    ]
    assert OLDER.index(replace(WITH_SCHEMA, distance="dot_product")) == {
        "IndexName": "near",
        "VectorAttribute": {"AttributeName": "v", "Dimensions": 2},
        "SimilarityFunction": "DOT_PRODUCT",
    }


def test_a_search_of_awss() -> None:
    assert aws_search(SEARCH) == (
        "SearchVectors",
        {
            "TableName": "docs",
            "IndexName": "near",
            "SearchVector": NUMBERS,
            "TopK": 3,
            "ProjectionExpression": "#9",
            "ExpressionAttributeNames": READ,
        },
    )
    search = replace(
        SEARCH,
        index=WITH_SCHEMA,
        terms=(LANGUAGE, LANGUAGE),
        projection="#1",
        names={"#0": "language"},
        values={":0": 1},
    )
    _, parameters = aws_search(search)
    assert parameters["SearchConditionExpression"] == "#0 = :0 AND #0 = :0"
    assert parameters["ProjectionExpression"] == "#1"
    assert parameters["ExpressionAttributeNames"] == {"#0": "language"}
    assert parameters["ExpressionAttributeValues"] == {":0": 1}


@pytest.mark.parametrize(
    ("term", "says"),
    [
        (YEAR, "(the schema has: language; got a condition with '>' on 'year')"),
        (replace(LANGUAGE, operator="<"), "got a condition with '<' on 'language')"),
        (replace(YEAR, operator="="), "got a condition with '=' on 'year')"),
        (EITHER, "got a condition with 'OR')"),
    ],
)
def test_filters_that_awss_does_not_have(term: Term, says: str) -> None:
    search = replace(SEARCH, index=WITH_SCHEMA, terms=(LANGUAGE, term))
    with pytest.raises(VectorError) as raised:
        aws_search(search)
    assert str(raised.value).startswith("Doc: search: this server filters by nothing but equality")
    assert says in str(raised.value)
    assert aws_refusal(replace(search, terms=(LANGUAGE,))) is None


def test_an_index_that_is_divided_is_searched_in_one_part() -> None:
    index = replace(INDEX, search_schema={"tenant": "HASH", "language": "INLINE_FILTER"})
    tenant = Term("tenant", "=", frozenset("S"), "#0 = :0")
    for terms in ((), (LANGUAGE,), (replace(tenant, operator="<"),)):
        refusal = aws_refusal(replace(SEARCH, index=index, terms=terms))
        assert "the index is divided by 'tenant', which is HASH in its search_schema" in str(refusal)
    assert aws_refusal(replace(SEARCH, index=index, terms=(tenant,))) is None
    assert aws_refusal(replace(SEARCH, index=index, terms=(LANGUAGE, tenant))) is None


def test_what_a_table_needs_for_its_indexes() -> None:
    other = replace(INDEX, name="other", search_types={"language": "S", "year": "N"})
    create = {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}], "KeySchema": []}
    assert with_indexes(AWS, [replace(INDEX, search_types={"year": "N"}), other], create) == {
        "VectorIndexes": [AWS.index(INDEX), AWS.index(other)],
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "year", "AttributeType": "N"},
            {"AttributeName": "language", "AttributeType": "S"},
        ],
    }
    assert with_indexes(OLDER, [other], create) == {
        "VectorIndexes": [OLDER.index(other)],
        "AttributeDefinitions": create["AttributeDefinitions"],
    }


def test_a_search_of_the_older_one() -> None:
    operation, parameters = older_search(SEARCH, 7)
    assert (operation, parameters) == (
        "Query",
        {
            "TableName": "docs",
            "IndexName": "near",
            "Limit": 7,
            "VectorSearch": {"QueryVector": {"L": NUMBERS}, "ReturnScores": "SIMILARITY"},
            "ProjectionExpression": "#9",
            "ExpressionAttributeNames": READ,
        },
    )
    _, parameters = older_search(replace(SEARCH, terms=(LANGUAGE, KEY, EITHER), projection="#0"), 7)
    assert parameters["KeyConditionExpression"] == KEY.text
    assert parameters["FilterExpression"] == f"{LANGUAGE.text} AND {EITHER.text}"
    assert parameters["ProjectionExpression"] == "#0"


@pytest.mark.parametrize(
    ("term", "is_before"),
    [
        (KEY, True),
        (replace(KEY, operator="="), True),
        (replace(KEY, operator="<>"), False),
        (replace(KEY, operator="begins_with"), False),
        (replace(KEY, kinds=frozenset("B")), False),
        (LANGUAGE, False),
    ],
)
def test_what_the_older_one_filters_by_before_the_search(term: Term, is_before: bool) -> None:
    _, parameters = older_search(replace(SEARCH, terms=(term,)), 3)
    assert ("KeyConditionExpression" in parameters) == is_before
    assert ("FilterExpression" in parameters) != is_before


# The scores that a server of each dialect gives to a vector at this distance: AWS's first.
@pytest.mark.parametrize(
    ("distance", "of_aws", "of_older", "score", "meant"),
    [
        ("cosine", 0.0, 1.0, 1.0, 0.0),
        ("cosine", 1.0, 0.5, 0.0, 1.0),
        ("cosine", 2.0, 0.0, -1.0, 2.0),
        ("euclidean", 0.0, 1.0, 1.0, 0.0),
        ("euclidean", 3.0, 0.1, 0.25, 3.0),
        ("dot_product", 5.0, 3.0, 5.0, -5.0),
        ("dot_product", -5.0, -2.0, -5.0, 5.0),
    ],
)
def test_scores_mean_the_same(distance: Distance, of_aws: float, of_older: float, score: float, meant: float) -> None:
    search = replace(SEARCH, index=replace(INDEX, distance=distance))
    item = {"id": {"S": "a"}}
    (of_new,) = aws_matches(search, {"SearchResults": [{"Item": item, "Score": of_aws}]})
    (of_old,) = older_matches(search, {"Items": [item], "Scores": [of_older]})
    assert (of_new.item, of_new.score, of_new.distance) == (item, score, meant)
    assert (of_old.item, of_old.score, of_old.distance) == (item, score, meant)


@pytest.mark.parametrize(("of_aws", "of_older", "score"), [(-1.2e-7, 1 + 6e-8, 1.0), (2.0000002, -6e-8, -1.0)])
def test_a_cosine_that_was_rounded_is_one_of_an_angle(of_aws: float, of_older: float, score: float) -> None:
    search = replace(SEARCH, index=IndexDefinition("near", "v", 2, "cosine"))
    (newer,) = aws_matches(search, {"SearchResults": [{"Item": {}, "Score": of_aws}]})
    (older,) = older_matches(search, {"Items": [{}], "Scores": [of_older]})
    assert (newer.score, newer.distance) == (older.score, older.distance) == (score, 1 - score)


def test_a_euclidean_similarity_of_zero_is_infinitely_far() -> None:
    search = replace(SEARCH, index=replace(INDEX, distance="euclidean"))
    (match,) = older_matches(search, {"Items": [{}], "Scores": [0.0]})
    assert (match.score, match.distance) == (0.0, math.inf)


@pytest.mark.parametrize(
    "matches",
    [aws_matches(SEARCH, {"SearchResults": [{"Item": {}}]}), older_matches(SEARCH, {"Items": [{}]})],
    ids=["aws", "older"],
)
def test_a_server_may_return_no_scores(matches: Any) -> None:
    assert math.isnan(matches[0].score)
    assert math.isnan(matches[0].distance)


def test_answers_without_items() -> None:
    assert aws_matches(SEARCH, {}) == older_matches(SEARCH, {}) == []


def test_what_a_table_says_of_its_indexes() -> None:
    """Both forms, and that of a server which tells both at once."""
    index = IndexDefinition("near", "v", 3, "euclidean")
    older, newer = OLDER.index(index), AWS.index(index)
    for form in (older, newer, {**newer, **older}):
        assert described({"VectorIndexes": [form]}) == [index]
    del older["SimilarityFunction"]
    assert described({"VectorIndexes": [older]}) == [IndexDefinition("near", "v", 3, "cosine")]
    assert described({"VectorIndexes": None}) == described({}) == []


def test_the_status_of_an_index() -> None:
    table: Any = {"VectorIndexes": [{"IndexName": "other", "IndexStatus": "ACTIVE"}, {"IndexName": "near"}]}
    assert status_of(table, "near") == "ACTIVE"
    assert status_of(table, "missing") is None
    assert status_of({}, "near") is None
    table["VectorIndexes"][1]["IndexStatus"] = "CREATING"
    assert status_of(table, "near") == "CREATING"
