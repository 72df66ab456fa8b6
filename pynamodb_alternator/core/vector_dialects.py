"""The two dialects of vector search: makes requests from values, and values from answers.

AWS's dialect has the operation SearchVectors. In Alternator's older dialect, a search is a Query with the member
VectorSearch: a key condition, which can only have keys, filters before the search, and a filter expression filters
after it. The dialects have different scores. This module makes these numbers of both:

| distance | `Match.distance`, the lower the nearer | `Match.score`, the higher the nearer |
|---|---|---|
| cosine | 1 - cosine of the angle, 0 to 2 | the cosine, -1 to 1 |
| euclidean | the Euclidean distance | 1 / (1 + distance), 0 to 1 |
| dot_product | the negative dot product | the dot product |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from ..errors import VectorError
from .vector_values import wire_numbers

__all__ = [
    "AWS",
    "DISTANCES",
    "LARGEST_LIMIT",
    "OLDER",
    "Call",
    "Dialect",
    "Distance",
    "IndexDefinition",
    "Match",
    "Search",
    "Term",
    "aws_matches",
    "aws_refusal",
    "aws_search",
    "described",
    "filters_before",
    "older_matches",
    "older_search",
    "status_of",
    "with_indexes",
]

Distance = Literal["cosine", "euclidean", "dot_product"]
DISTANCES: tuple[Distance, ...] = ("cosine", "euclidean", "dot_product")
LARGEST_LIMIT = 1000
"""The largest number of items that the older dialect searches for."""
_OF_KEYS = frozenset({"=", "<", "<=", ">", ">=", "IN", "BETWEEN"})
"""The operators that the older dialect can use to filter before the search."""
Call = tuple[str, dict[str, Any]]
"""An operation, and its parameters."""


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """A vector index. `projection`, `search_schema`: only AWS's dialect has them. All names are attribute names of the
    table.

    `search_types`: the types of the attributes of the search schema, except those of the table's key.
    """

    name: str
    attribute: str
    dimensions: int
    distance: Distance
    projection: Mapping[str, Any] = field(default_factory=lambda: {"ProjectionType": "ALL"})
    search_schema: Mapping[str, str] = field(default_factory=dict)
    search_types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a filter; all conditions of the filter must hold. `attribute`: the attribute that it compares
    with values; None if it compares something else. `kinds`: the types of the values. `text`: the condition as an
    expression."""

    attribute: str | None
    operator: str
    kinds: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the `k` nearest items. `where`: the place that errors name. `keys`: the attributes of the table's
    key.

    `projection`: the expression for the attributes that are read. `names`, `values`: the placeholders of all
    expressions.
    """

    where: str
    table: str
    index: IndexDefinition
    vector: tuple[float, ...]
    k: int
    keys: frozenset[str]
    projection: str
    terms: tuple[Term, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """An item that a search has found, as attribute values. The module's docstring explains its numbers."""

    item: dict[str, Any]
    score: float
    distance: float


@dataclass(frozen=True, slots=True)
class Dialect:
    """One dialect. `index`: the form of an index in CreateTable and UpdateTable. `attributes`: which
    AttributeDefinitions the index needs there, in addition to those of the table's key."""

    name: str
    index: Callable[[IndexDefinition], dict[str, Any]]
    attributes: Callable[[IndexDefinition], list[dict[str, str]]]


# ---- AWS's -------------------------------------------------------------------------------------------------------


def _aws_index(index: IndexDefinition) -> dict[str, Any]:
    form: dict[str, Any] = {
        "IndexName": index.name,
        "VectorAttribute": {"AttributeName": index.attribute},
        "Dimensions": index.dimensions,
        "DistanceFunction": index.distance.upper(),
        "Projection": dict(index.projection),
    }
    if index.search_schema:
        form["SearchSchema"] = [
            {"AttributeName": name, "SearchSchemaElementType": kind} for name, kind in index.search_schema.items()
        ]
    return form


def _aws_attributes(index: IndexDefinition) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in index.search_types.items()]


def aws_search(search: Search) -> Call:
    """The request in AWS's dialect. Raises `VectorError` for a filter that this dialect does not have."""
    refusal = aws_refusal(search)
    if refusal is not None:
        raise refusal
    parameters = {
        "TableName": search.table,
        "IndexName": search.index.name,
        "SearchVector": wire_numbers(search.vector),
        "TopK": search.k,
    }
    if search.terms:
        parameters["SearchConditionExpression"] = " AND ".join(term.text for term in search.terms)
    return "SearchVectors", parameters | _of_expressions(search)


def aws_refusal(search: Search) -> VectorError | None:
    """The error for a filter that AWS's dialect does not have; None if it has the filter."""
    schema = search.index.search_schema
    named = {term.attribute for term in search.terms if term.operator == "="}
    for name, kind in schema.items():
        if kind == "HASH" and name not in named:
            return VectorError(
                f"{search.where}: the index is divided by {name!r}, which is HASH in its search_schema. Filter by one "
                "value of it, with ==."
            )
    for term in search.terms:
        if term.operator != "=" or term.attribute not in schema:
            about = "" if term.attribute is None else f" on {term.attribute!r}"
            return VectorError(
                f"{search.where}: this server filters by nothing but equality of attributes in the index's search "
                f"schema, joined by & (the schema has: {', '.join(schema) or 'none'}; got a condition with "
                f"{term.operator!r}{about}). Make the index with the attribute in its search_schema, or filter the "
                "results."
            )
    return None


def aws_matches(search: Search, answer: Mapping[str, Any]) -> list[Match]:
    """The items that a server has found, nearest first."""
    return [
        _match(search, result.get("Item", {}), _distance_of_aws(search, result.get("Score", math.nan)))
        for result in answer.get("SearchResults") or ()
    ]


def _distance_of_aws(search: Search, score: float) -> float:
    return -score if search.index.distance == "dot_product" else score


AWS = Dialect("aws", _aws_index, _aws_attributes)


# ---- the older one -----------------------------------------------------------------------------------------------


def _older_index(index: IndexDefinition) -> dict[str, Any]:
    # This dialect has no search schema, and its index projects only keys.
    return {
        "IndexName": index.name,
        "VectorAttribute": {"AttributeName": index.attribute, "Dimensions": index.dimensions},
        "SimilarityFunction": index.distance.upper(),
    }


def older_search(search: Search, limit: int) -> Call:
    """The request for `limit` items in the older dialect. After the filter there may be fewer."""
    before = [term.text for term in search.terms if filters_before(search, term)]
    after = [term.text for term in search.terms if not filters_before(search, term)]
    parameters: dict[str, Any] = {
        "TableName": search.table,
        "IndexName": search.index.name,
        "Limit": limit,
        "VectorSearch": {"QueryVector": {"L": wire_numbers(search.vector)}, "ReturnScores": "SIMILARITY"},
    }
    if before:
        parameters["KeyConditionExpression"] = " AND ".join(before)
    if after:
        parameters["FilterExpression"] = " AND ".join(after)
    return "Query", parameters | _of_expressions(search)


def filters_before(search: Search, term: Term) -> bool:
    """Whether the older dialect can use this condition before the search. Then the search finds as many items as were
    requested."""
    return term.attribute in search.keys and term.operator in _OF_KEYS and term.kinds <= {"S", "N"}


def older_matches(search: Search, answer: Mapping[str, Any]) -> list[Match]:
    """The items that a server has found, nearest first. If the server does not tell scores, they are NaN."""
    items = answer.get("Items") or []
    scores = answer.get("Scores") or [math.nan] * len(items)
    return [
        _match(search, item, _distance_of_similarity(search, score)) for item, score in zip(items, scores, strict=False)
    ]


def _distance_of_similarity(search: Search, similarity: float) -> float:
    if search.index.distance == "cosine":
        return 2 - 2 * similarity
    if search.index.distance == "dot_product":
        return 1 - 2 * similarity
    # The server's documentation is wrong here: its vector store uses the square of the distance.
    return math.sqrt(max(0.0, 1 / similarity - 1)) if similarity else math.inf


OLDER = Dialect("alternator", _older_index, lambda index: [])


# ---- of both -----------------------------------------------------------------------------------------------------


def _match(search: Search, item: dict[str, Any], distance: float) -> Match:
    if search.index.distance == "cosine":
        # A server that computes with 32 bits may give a cosine that is slightly larger than 1 or smaller than -1.
        distance = 0.0 if distance < 0 else 2.0 if distance > 2 else distance
        score = 1 - distance
    elif search.index.distance == "euclidean":
        score = 1 / (1 + distance)
    else:
        score = -distance
    return Match(item, score, distance)


def _of_expressions(search: Search) -> dict[str, Any]:
    members = {
        "ProjectionExpression": search.projection,
        "ExpressionAttributeNames": dict(search.names),
        "ExpressionAttributeValues": dict(search.values),
    }
    return {name: value for name, value in members.items() if value}


def with_indexes(dialect: Dialect, indexes: Sequence[IndexDefinition], create: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a CreateTable that change if the table gets these indexes. `create`: the request without them."""
    needed = [attribute for index in indexes for attribute in dialect.attributes(index)]
    defined = {each["AttributeName"]: each for each in (*create["AttributeDefinitions"], *needed)}
    return {
        "VectorIndexes": [dialect.index(index) for index in indexes],
        "AttributeDefinitions": list(defined.values()),
    }


def described(description: Mapping[str, Any]) -> list[IndexDefinition]:
    """The vector indexes in a table's description of either dialect, with what both dialects tell: without `projection`
    and `search_schema`.

    `description`: DescribeTable's answer, under ``Table``.
    """
    return [
        IndexDefinition(
            str(index["IndexName"]),
            str(index["VectorAttribute"]["AttributeName"]),
            int(index.get("Dimensions") or index["VectorAttribute"].get("Dimensions") or 0),
            cast(Distance, str(index.get("DistanceFunction") or index.get("SimilarityFunction") or "COSINE").lower()),
        )
        for index in description.get("VectorIndexes") or ()
    ]


def status_of(description: Mapping[str, Any], index: str) -> str | None:
    """The status of a vector index in a table's description, such as ``ACTIVE``; None if the table has no such index.

    `description`: DescribeTable's answer, under ``Table``.
    """
    for told in description.get("VectorIndexes") or ():
        if told.get("IndexName") == index:
            return str(told.get("IndexStatus", "ACTIVE"))
    return None
