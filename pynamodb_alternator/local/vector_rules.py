"""The rules for vectors, which are applied before and after the dialect's other rules.

The other rules do not handle vectors. The vector indexes are removed from a request before the other rules get it, and
added to their description of a table. So everything that a server with vector search does differently is here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from .answers import Answer, DialectError, json_answer, validation
from .engine_client import EngineClient
from .options import Options
from .parsing import Parsed, Rule
from .vector_indexes import VectorIndexForms, with_filtered
from .vector_search import VectorSearch
from .vector_tables import VectorTables
from .vector_writes import VectorWrites

_UPDATES = "VectorIndexUpdates"


class VectorRules:
    """One for each cluster, shared by its nodes and threads."""

    def __init__(self, client: EngineClient, options: Options) -> None:
        self._options = options
        self._dialects = options.vector_dialects
        self._tables = VectorTables(client)
        self._forms = VectorIndexForms(self._dialects, has_tablets=options.tablets is not None)
        self._search = VectorSearch(client, self._tables)
        self._writes = VectorWrites(self._tables)
        self._rules: dict[str, Callable[[Parsed, Rule], Answer]] = {
            "CreateTable": self._create,
            "DeleteTable": self._delete,
            "DescribeTable": self._describe,
            "UpdateTable": self._update,
            "PutItem": self._write,
            "UpdateItem": self._write,
            "BatchWriteItem": self._write_batch,
            "Query": self._query,
            "Scan": self._read,
            "SearchVectors": self._search_vectors,
        }

    def execute(self, parsed: Parsed, others: Rule) -> Answer:
        """The answer to a request. `others`: the dialect's other rules. Raises `DialectError` for a refusal."""
        rule = self._rules.get(parsed.operation)
        return others(parsed) if rule is None else rule(parsed, others)

    # ---- tables ------------------------------------------------------------------------------------------------

    def _create(self, parsed: Parsed, others: Rule) -> Answer:
        indexes = self._forms.created(parsed.parameters)
        answer = others(parsed)
        if answer.is_error:
            return answer
        if not indexes:
            self._tables.forget(str(parsed.table))
            return answer
        described = orjson.loads(answer.body)["TableDescription"]
        self._tables.enter(described, indexes)
        return self._told("TableDescription", described, set(indexes))

    def completed(self, creation: dict[str, Any]) -> dict[str, Any]:
        """The CreateTable that makes a table again, completed with the table's vector indexes."""
        table = self._tables.known(creation["TableName"])
        return creation if table is None else {**creation, **self._forms.requested(table, creation)}

    def _delete(self, parsed: Parsed, others: Rule) -> Answer:
        answer = others(parsed)
        if not answer.is_error:
            self._tables.forget(str(parsed.table))
        return answer

    def _describe(self, parsed: Parsed, others: Rule) -> Answer:
        answer = others(parsed)
        if answer.is_error or self._tables.known(parsed.table) is None:
            return answer
        return self._told("Table", orjson.loads(answer.body)["Table"])

    def _update(self, parsed: Parsed, others: Rule) -> Answer:
        parameters = parsed.parameters
        if not self._dialects and parameters.keys() <= {"TableName", _UPDATES, "AttributeDefinitions"}:
            raise validation(
                "UpdateTable requires one of GlobalSecondaryIndexUpdates, StreamSpecification or BillingMode to be "
                "specified"
            )
        updates = parameters.pop(_UPDATES, None)
        if not self._dialects:
            return others(parsed)
        known = self._tables.known(parsed.table)
        if updates is None:
            if known is not None:
                self._forms.check_others(known, parameters)
            answer = others(parsed)
            if known is None or answer.is_error:
                return answer
            return self._told("TableDescription", orjson.loads(answer.body)["TableDescription"])
        return self._update_indexes(parsed, updates, others)

    def _update_indexes(self, parsed: Parsed, updates: Any, others: Rule) -> Answer:
        table = self._tables.existing(str(parsed.table))
        indexes = self._forms.updated(table, updates, parsed.parameters)
        if parsed.parameters.keys() <= {"TableName", "AttributeDefinitions"}:
            looking = replace(parsed, operation="DescribeTable", parameters={"TableName": parsed.table})
            answer = others(looking)
        else:
            answer = others(parsed)
        if answer.is_error:
            return answer
        (described,) = orjson.loads(answer.body).values()
        self._tables.enter(described, indexes)
        return self._told("TableDescription", described, indexes.keys() - table.indexes.keys())

    def _told(self, member: str, described: dict[str, Any], new: set[str] | frozenset[str] = frozenset()) -> Answer:
        """The answer with a table's description and its vector indexes. Those in `new` are not ACTIVE yet."""
        table = self._tables.known(described["TableName"])
        if table is not None:
            described["VectorIndexes"] = self._forms.described(table.indexes, new, described["TableName"])
            described["AttributeDefinitions"] = with_filtered(table, described["AttributeDefinitions"])
        return json_answer({member: described})

    # ---- items -------------------------------------------------------------------------------------------------

    def _write(self, parsed: Parsed, others: Rule) -> Answer:
        self._writes.check(parsed.operation, parsed.table, parsed.parameters)
        return others(parsed)

    def _write_batch(self, parsed: Parsed, others: Rule) -> Answer:
        self._writes.check_batch(parsed.parameters.get("RequestItems"))
        return others(parsed)

    # ---- searches ----------------------------------------------------------------------------------------------

    def _query(self, parsed: Parsed, others: Rule) -> Answer:
        if "alternator" in self._dialects and "VectorSearch" in parsed.parameters:
            return self._searched(self._search.query(str(parsed.table), parsed.parameters))
        return self._read(parsed, others)

    def _read(self, parsed: Parsed, others: Rule) -> Answer:
        known, name = self._tables.known(parsed.table), parsed.parameters.get("IndexName")
        if known is not None and isinstance(name, str) and name in known.indexes:
            hint = "VectorSearch" if "alternator" in self._dialects else "SearchVectors"
            raise validation(f"{parsed.operation} does not support this index type: '{name}' needs {hint}")
        return others(parsed)

    def _search_vectors(self, parsed: Parsed, others: Rule) -> Answer:
        if "aws" not in self._dialects:
            raise DialectError("UnknownOperationException", f"Unsupported operation {parsed.operation}")
        return self._searched(self._search.search_vectors(str(parsed.table), parsed.parameters))

    def _searched(self, answer: Answer) -> Answer:
        answer.chunked = len(answer.body) > self._options.chunk_threshold
        return answer
