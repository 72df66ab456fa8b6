"""The tables that have vector indexes, with the facts about a table that the rules for vectors need."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .engine_client import EngineClient
from .vectors import VectorIndex


@dataclass(frozen=True, slots=True)
class VectorTable:
    """One table. `keys`: the attributes of its key, with their types. `types`: the types of all its keys, and of the
    keys of its secondary indexes; `other_names`: the names of these indexes."""

    keys: Mapping[str, str]
    types: Mapping[str, str]
    other_names: frozenset[str]
    indexes: Mapping[str, VectorIndex] = field(default_factory=dict)


class VectorTables:
    """The tables of a cluster. An entry is immutable: readers take no lock."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._tables: dict[str, VectorTable] = {}
        self._lock = threading.Lock()

    def known(self, name: str | None) -> VectorTable | None:
        """The table, if it has vector indexes; else None. The engine is not asked."""
        return None if name is None else self._tables.get(name)

    def existing(self, name: str) -> VectorTable:
        """Any table. The engine is asked. Raises `DialectError` if there is no such table."""
        described = self._client.result("DescribeTable", {"TableName": name})["Table"]
        known = self._tables.get(name)
        return _table(described, {} if known is None else known.indexes)

    def enter(self, described: Mapping[str, Any], indexes: Mapping[str, VectorIndex]) -> None:
        """Set the vector indexes of a table."""
        table = _table(described, indexes)
        with self._lock:
            if indexes:
                self._tables[described["TableName"]] = table
            else:
                self._tables.pop(described["TableName"], None)

    def forget(self, name: str) -> None:
        with self._lock:
            self._tables.pop(name, None)


def _table(described: Mapping[str, Any], indexes: Mapping[str, VectorIndex]) -> VectorTable:
    types = {
        definition["AttributeName"]: definition["AttributeType"] for definition in described["AttributeDefinitions"]
    }
    others = (*(described.get("GlobalSecondaryIndexes") or ()), *(described.get("LocalSecondaryIndexes") or ()))
    return VectorTable(
        {key["AttributeName"]: types[key["AttributeName"]] for key in described["KeySchema"]},
        types,
        frozenset(index["IndexName"] for index in others),
        indexes,
    )
