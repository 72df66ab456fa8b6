"""Query and Scan: what they select, what the server refuses, and which items of a page are returned.

An engine in process returns pages of whole items, selected only by key; filters, projections and Select are applied
here. An engine with a URL does all of this itself: its requests are only checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import keys
from .answers import Answer, json_answer, validation
from .catalogue import Catalogue, TableInfo
from .engine_client import EngineClient
from .expressions import conditions, key_conditions, legacy, parser, projections
from .expressions.key_conditions import Keys, Selection
from .expressions.projections import Projection
from .expressions.references import References
from .expressions.tree import Condition
from .items import flag, table_of
from .parsing import Parsed

_SELECTS = ("ALL_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT")
_MOST_SEGMENTS = 1_000_000


class Reads:
    """One for each cluster. All methods may be called from any thread."""

    def __init__(self, client: EngineClient, catalogue: Catalogue, in_process: bool) -> None:
        self._client = client
        self._catalogue = catalogue
        self._in_process = in_process

    def read(self, parsed: Parsed) -> Answer:
        """The answer to a Query or Scan. Raises `DialectError`."""
        info = table_of(self._catalogue, parsed)
        request = _Request(parsed, info)
        if not self._in_process:
            return self._client.call(parsed.operation, parsed.parameters)
        answer = self._client.call(parsed.operation, request.of_engine())
        return answer if answer.is_error or request.is_plain else request.answer(answer)


class _Request:
    """A Query or Scan that passed the server's checks."""

    def __init__(self, parsed: Parsed, info: TableInfo) -> None:
        self._parsed = parsed
        self._parameters = parameters = parsed.parameters
        self._keys = self._keys_of(info)
        self._table_keys = info.keys
        self._kept_as_written = info.kept_as_written
        self._limit = _whole(parameters, "Limit")
        if self._limit is not None and self._limit <= 0:
            raise validation("Limit must be greater than 0")
        references = References(parameters)
        self._selection: Selection | None = None
        if parsed.operation == "Query":
            self._selection = key_conditions.of_request(parameters, self._keys, references)
            self._check_key_values(self._selection)
        else:
            _check_segments(parameters)
        self._filter = _Filter(parsed.operation, parameters, references)
        if parsed.operation == "Query":
            flag(parameters, "ScanIndexForward")
            self._filter.check_keys(self._keys.partition, self._first_sort_key())
        select = self._select()
        self._counts = select == "COUNT"
        self._projection = None if self._counts else self._projected(references)
        references.check_all_used(parsed.operation)
        self._check_start()

    def _keys_of(self, info: TableInfo) -> Keys:
        name = self._parameters.get("IndexName")
        consistent = flag(self._parameters, "ConsistentRead")
        if name is None:
            return info.keys
        if not isinstance(name, str):
            raise validation(f"Non-string IndexName '{name}'")
        index = info.indexes.get(name)
        if index is None:
            table = self._parameters.get("TableName")
            raise validation(f"Requested resource not found: Index '{name}' for table '{table}'")
        if consistent and not index.is_local:
            raise validation("Consistent reads are not allowed on global indexes (GSI)")
        return index.keys

    def _first_sort_key(self) -> str | None:
        """The first sort key that the server has for the table or index that is read.

        In an index, the server adds those keys of the table that are not keys of the index, as sort keys. If the index
        itself has no sort key, the first of them is the answer.
        """
        if self._keys.sort is not None:
            return self._keys.sort
        added = (self._table_keys.partition, self._table_keys.sort)
        return next((name for name in added if name != self._keys.partition), None)

    def _check_key_values(self, selection: Selection) -> None:
        for restriction in (selection.partition, selection.sort):
            if restriction is None:
                continue
            for value in restriction.values:
                keys.check_key_value(restriction.name, value, self._keys.types[restriction.name])

    def _select(self) -> str:
        chosen = [
            name for name in ("ProjectionExpression", "AttributesToGet") if self._parameters.get(name) is not None
        ]
        select = self._parameters.get("Select")
        if select is None:
            return "SPECIFIC_ATTRIBUTES" if chosen else "ALL_ATTRIBUTES"
        if not isinstance(select, str):
            raise validation("Select parameter must be a string")
        if select not in _SELECTS:
            raise validation(f"Unknown Select value '{select}'. Allowed choices: {', '.join(_SELECTS)}")
        if select == "SPECIFIC_ATTRIBUTES":
            if not chosen:
                raise validation("Select=SPECIFIC_ATTRIBUTES requires AttributesToGet or ProjectionExpression")
        elif chosen:
            raise validation(
                "AttributesToGet or ProjectionExpression require Select to be either SPECIFIC_ATTRIBUTES or missing"
            )
        elif select == "ALL_PROJECTED_ATTRIBUTES" and self._parameters.get("IndexName") is None:
            raise validation("ALL_PROJECTED_ATTRIBUTES only allowed for indexes")
        return select

    def _projected(self, references: References) -> Projection | None:
        return projections.of_request(self._parameters, references)

    def _check_start(self) -> None:
        start = self._parameters.get("ExclusiveStartKey")
        if start is None:
            return
        types = {**self._table_keys.types, **self._keys.types}
        if not isinstance(start, dict):
            raise validation("ExclusiveStartKey must be an object")
        for name, kind in types.items():
            if name not in start:
                raise validation(f"The provided starting key is invalid: Key column {name} not found")
            keys.check_key_value(name, start[name], kind)
        if len(start) != len(types):
            raise validation("The provided starting key is invalid: Given key attribute not in schema")
        if self._keys is self._table_keys:
            self._check_segment(keys.token_of_value(start[self._keys.partition]))

    def _check_segment(self, start: int | None) -> None:
        """Raises `DialectError` if the token of ExclusiveStartKey is not in the segment."""
        segment, total = self._parameters.get("Segment"), self._parameters.get("TotalSegments")
        if segment is None or total is None or start is None or keys.segment_of(start, total) == segment:
            return
        raise validation(
            "The provided starting key is invalid: ExclusiveStartKey must be in the Segment of the request. "
            f"TotalSegments: {total} Segment: {segment}"
        )

    @property
    def is_plain(self) -> bool:
        """Whether the engine's answer can be returned without a change."""
        return not (
            self._filter.is_set
            or self._projection is not None
            or self._counts
            or self._limit is not None
            or self._kept_as_written
        )

    def of_engine(self) -> dict[str, Any]:
        """The request to the engine, for whole items, selected only by key."""
        copied = ("TableName", "IndexName", "ExclusiveStartKey", "ConsistentRead", "Limit", "ScanIndexForward")
        request = {
            name: self._parameters[name] for name in (*copied, "Segment", "TotalSegments") if name in self._parameters
        }
        if self._selection is not None:
            request["KeyConditions"] = _key_conditions(self._selection)
        return request

    def answer(self, answer: Answer) -> Answer:
        """The answer, made from the engine's page `answer`: only the items and attributes that the request asks for."""
        page = answer.value()
        every = [keys.as_read(item, self._kept_as_written) for item in page.get("Items", ())]
        items = [item for item in every if self._filter.keeps(item)]
        result: dict[str, Any] = {"Count": len(items), "ScannedCount": page["ScannedCount"]}
        if not self._counts:
            result["Items"] = [projections.apply(self._projection, item) for item in items]
        last = page.get("LastEvaluatedKey") or self._last_of_full(page)
        if last:
            result["LastEvaluatedKey"] = last
        return json_answer(result)

    def _last_of_full(self, page: Mapping[str, Any]) -> dict[str, Any] | None:
        """The key of the last item, if the page has as many items as Limit says; None for a page with fewer.

        The server does not check whether another item follows.
        """
        items = page.get("Items")
        if not items or self._limit is None or page["ScannedCount"] < self._limit:
            return None
        return {name: items[-1][name] for name in {**self._table_keys.types, **self._keys.types}}


class _Filter:
    """FilterExpression, QueryFilter or ScanFilter."""

    def __init__(self, operation: str, parameters: Mapping[str, Any], references: References) -> None:
        name = f"{operation}Filter"
        expression, self._legacy = parameters.get("FilterExpression"), parameters.get(name)
        self._of_all = legacy.require_all(parameters, name)
        self._condition: Condition | None = None
        if expression is not None:
            if self._legacy is not None:
                raise validation(f"FilterExpression and {name} are not allowed together")
            if parameters.get("AttributesToGet") is not None:
                raise _mixed("FilterExpression", "AttributesToGet")
            self._condition = parser.condition(expression, "FilterExpression", references)
            conditions.check_filter(self._condition)
        if self._legacy is not None:
            if not isinstance(self._legacy, dict):
                raise validation(f"{name} must be an object")
            if parameters.get("ProjectionExpression") is not None:
                raise _mixed(name, "ProjectionExpression")
            for condition in self._legacy.values():
                # Mistakes in the filter are an error, also if there are no items.
                legacy.holds({"": condition}, True, None)

    @property
    def is_set(self) -> bool:
        return self._condition is not None or bool(self._legacy)

    def keeps(self, item: Mapping[str, Any]) -> bool:
        if self._condition is not None:
            return conditions.holds(self._condition, item, "FilterExpression")
        return not self._legacy or legacy.holds(self._legacy, self._of_all, item)

    def check_keys(self, partition: str, sort: str | None) -> None:
        """Raises `DialectError` for a filter on a key of a Query."""
        names = conditions.roots(self._condition) if self._condition is not None else set(self._legacy or ())
        for name, word in ((partition, "Partition"), (sort, "Sort")):
            if name in names:
                raise validation(
                    f"QueryFilter can only contain non-primary key attributes: {word} key attribute: {name}: "
                    "Filter Expression and Filter Condition can only contain non-primary key attributes"
                )


def _mixed(first: str, second: str) -> Exception:
    return validation(f"Cannot use both old-style and new-style parameters in same request: {first} and {second}")


def _key_conditions(selection: Selection) -> dict[str, Any]:
    """The selection as KeyConditions, so that the engine does not have to parse the expression again."""
    return {
        restriction.name: {
            "ComparisonOperator": key_conditions.OPERATOR_OF[restriction.sign],
            "AttributeValueList": list(restriction.values),
        }
        for restriction in (selection.partition, selection.sort)
        if restriction is not None
    }


def _check_segments(parameters: Mapping[str, Any]) -> None:
    segment, total = _whole(parameters, "Segment"), _whole(parameters, "TotalSegments")
    if segment is None and total is None:
        return
    if segment is None or total is None:
        raise validation("Both Segment and TotalSegments attributes need to be present for a parallel scan")
    if not 0 <= segment < total:
        raise validation("Segment must be non-negative and less than TotalSegments")
    if total > _MOST_SEGMENTS:
        raise validation(f"TotalSegments must be non-negative and less or equal to {_MOST_SEGMENTS}")


def _whole(parameters: Mapping[str, Any], name: str) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise validation(f"Expected integer value for attribute {name}, got: {value}")
    return value
