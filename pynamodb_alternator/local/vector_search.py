"""Vector search in both dialects: AWS's SearchVectors, and Alternator's older Query with VectorSearch.

It is an exact search: all items of the table are read from the engine, filtered, and compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .answers import Answer, json_answer, validation
from .engine_client import EngineClient
from .expressions import conditions, parser, projections
from .expressions.references import References
from .expressions.tree import Condition
from .vector_conditions import Compared, comparisons
from .vector_tables import VectorTable, VectorTables
from .vectors import VectorIndex, aws_score, distance, similarity, stored_vector, vector_of

_LARGEST_LIMIT = 1000
_MOST_DIMENSIONS_OF_AWS = 4096
_OF_AWS, _OLDER = "SearchConditionExpression", "KeyConditionExpression"
Item = dict[str, Any]
Match = tuple[float, Item]
"""An item and its distance."""


class VectorSearch:
    """The searches. They are called in threads that may wait for the engine."""

    def __init__(self, client: EngineClient, tables: VectorTables) -> None:
        self._client = client
        self._tables = tables

    def search_vectors(self, name: str, parameters: Mapping[str, Any]) -> Answer:
        """The answer to a SearchVectors in the table of this name. Raises `DialectError`."""
        table = self._tables.existing(name)
        index = _index(table, parameters.get("IndexName"), "SearchVectors: IndexName")
        vector = parameters.get("SearchVector")
        if not isinstance(vector, list) or not 1 <= len(vector) <= _MOST_DIMENSIONS_OF_AWS:
            raise validation(f"SearchVector must be a list of 1 to {_MOST_DIMENSIONS_OF_AWS} numbers")
        target, count = vector_of({"L": vector}, index.dimensions, "SearchVector"), parameters.get("TopK")
        if type(count) is not int or not 1 <= count <= _LARGEST_LIMIT:
            raise validation(f"TopK must be a whole number from 1 to {_LARGEST_LIMIT}")
        references = References(parameters)
        condition = _condition(parameters, _OF_AWS, references)
        _check_condition([] if condition is None else comparisons(condition, _OF_AWS), index)
        projection = projections.of_request(parameters, references)
        references.check_all_used("SearchVectors")
        names = _projected(index, table)
        results = []
        for away, item in self._nearest(name, index, target, condition, _OF_AWS)[:count]:
            shown = projections.apply(projection, item)
            if projection is None:
                shown.pop(index.attribute, None)  # omitted, unless the request asks for it
            known = {each: value for each, value in shown.items() if names is None or each in names}
            results.append({"Item": known, "Score": aws_score(index.function, away)})
        answer: dict[str, Any] = {"SearchResults": results}
        if parameters.get("ReturnConsumedCapacity") in ("TOTAL", "INDEXES"):
            answer["ConsumedCapacity"] = {"VectorSearchRequestBytes": float(max(1024, 4 * index.dimensions))}
        return json_answer(answer)

    def query(self, name: str, parameters: Mapping[str, Any]) -> Answer:
        """The answer to a Query with VectorSearch in the table of this name. Raises `DialectError`."""
        table = self._tables.existing(name)
        index = _index(table, parameters.get("IndexName"), "VectorSearch: IndexName")
        search = parameters["VectorSearch"]
        if not isinstance(search, dict) or "QueryVector" not in search:
            raise validation("VectorSearch requires a QueryVector")
        target = vector_of(search["QueryVector"], index.dimensions, "VectorSearch QueryVector")
        limit = parameters.get("Limit")
        if type(limit) is not int or not 1 <= limit <= _LARGEST_LIMIT:
            raise validation(f"VectorSearch requires a Limit, a whole number from 1 to {_LARGEST_LIMIT}")
        _refuse(bool(parameters.get("ConsistentRead")), "ConsistentRead: consistent reads")
        for refused in ("ExclusiveStartKey", "ScanIndexForward", "QueryFilter", "KeyConditions"):
            _refuse(refused in parameters, refused)
        select, scores = _select(parameters), _scores(search)
        if select == "COUNT" and scores:
            raise validation("VectorSearch ReturnScores=SIMILARITY cannot be had with Select=COUNT")
        references = References(parameters)
        condition = _condition(parameters, _OLDER, references)
        for compared in () if condition is None else comparisons(condition, _OLDER):
            _check_key(compared, table)
        after = _condition(parameters, "FilterExpression", references)
        projection = projections.of_request(parameters, references)
        references.check_all_used("Query")
        candidates = self._nearest(name, index, target, condition, _OLDER)[:limit]
        matches = [match for match in candidates if _holds(after, match[1], "FilterExpression")]
        answer: dict[str, Any] = {"Count": len(matches), "ScannedCount": len(candidates)}
        if select == "ALL_PROJECTED_ATTRIBUTES":
            answer["Items"] = [{each: item[each] for each in table.keys} for _, item in matches]
        elif select != "COUNT":
            answer["Items"] = [projections.apply(projection, item) for _, item in matches]
        if scores:
            answer["Scores"] = [similarity(index.function, away) for away, _ in matches]
        return json_answer(answer)

    def _nearest(
        self, name: str, index: VectorIndex, target: list[float], condition: Condition | None, where: str
    ) -> list[Match]:
        """All items of the index that fulfil the condition, nearest first."""
        matches = []
        for item in self._client.items(name):
            vector = stored_vector(item, index)
            if vector is not None and _holds(condition, item, where):
                matches.append((distance(index.function, target, vector), item))
        return sorted(matches, key=lambda match: match[0])


def _index(table: VectorTable, name: Any, where: str) -> VectorIndex:
    if not isinstance(name, str) or name not in table.indexes:
        raise validation(f"{where} '{name}' is not a vector index of the table")
    return table.indexes[name]


def _condition(parameters: Mapping[str, Any], member: str, references: References) -> Condition | None:
    expression = parameters.get(member)
    return None if expression is None else parser.condition(expression, member, references)


def _holds(condition: Condition | None, item: Item, what: str) -> bool:
    return condition is None or conditions.holds(condition, item, what)


def _check_condition(compared: list[Compared], index: VectorIndex) -> None:
    """Raises `DialectError` if AWS does not allow this SearchConditionExpression for the index."""
    for each in compared:
        if each.operator != "=":
            raise validation(f"{_OF_AWS}: the comparator or operator {each.operator} is not supported, only = is")
        kind = index.types.get(each.attribute)
        if kind is None:
            raise validation(f"{_OF_AWS}: {each.attribute} is not in the SearchSchema of {index.name}")
        if kind not in each.values[0]:
            raise validation(f"{_OF_AWS}: {each.attribute} must be compared with a value of type {kind}")
    named = {each.attribute for each in compared}
    for name, kind in index.schema.items():
        if kind == "HASH" and name not in named:
            raise validation(f"{_OF_AWS} must have a condition on {name}, which is HASH in the SearchSchema")


def _check_key(compared: Compared, table: VectorTable) -> None:
    where = f"VectorSearch {_OLDER}"
    kind = table.keys.get(compared.attribute)
    if kind is None:
        raise validation(f"{where}: {compared.attribute} is not projected into the index; only the table's key is")
    for value in compared.values:
        if not {"S", "N"} >= value.keys():
            raise validation(f"{where}: values must be of type S or N")
        if kind not in value:
            raise validation(f"{where}: Type mismatch, {compared.attribute} is of type {kind}")


def _refuse(is_there: bool, what: str) -> None:
    if is_there:
        raise validation(f"VectorSearch does not support {what}")


def _scores(search: Mapping[str, Any]) -> bool:
    scores = search.get("ReturnScores", "NONE")
    if scores not in ("NONE", "SIMILARITY"):
        raise validation("VectorSearch ReturnScores must be NONE or SIMILARITY")
    return bool(scores == "SIMILARITY")


def _select(parameters: Mapping[str, Any]) -> str:
    names_some = bool(parameters.get("ProjectionExpression") or parameters.get("AttributesToGet"))
    select = parameters.get("Select", "SPECIFIC_ATTRIBUTES" if names_some else "ALL_PROJECTED_ATTRIBUTES")
    if select not in ("ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"):
        raise validation(f"Unknown value of Select: {select!r}")
    if names_some != (select == "SPECIFIC_ATTRIBUTES"):
        raise validation("SPECIFIC_ATTRIBUTES needs a ProjectionExpression or AttributesToGet, and these need it")
    return str(select)


def _projected(index: VectorIndex, table: VectorTable) -> set[str] | None:
    """The attributes that the index has; None for all."""
    if index.projection["ProjectionType"] == "ALL":
        return None
    return {index.attribute, *table.keys, *index.schema, *index.projection.get("NonKeyAttributes", ())}
