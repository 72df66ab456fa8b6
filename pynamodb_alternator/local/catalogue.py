"""The nodes' own information about tables, which they do not ask the engine for each time: keys, indexes, tags, ARNs.

Tags are kept here and not in the engine, because engines give tables another ARN, or do not support tags. A table's
entry is immutable: readers take no lock, and a change replaces the entry.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.table_description import attribute_types_of
from .answers import DialectError, validation
from .engine_client import EngineClient, EngineRefusal
from .expressions.key_conditions import Keys

_ARN = "arn:scylla:alternator:alternator_{0}:scylla:table/{0}"
_ARN_PATTERN = re.compile(
    r"arn:scylla:alternator:alternator_(?P<keyspace>[^:]+):scylla:table/(?P<table>[^:/]+)(?P<rest>/.*)?"
)
MOST_TAGS = 50
LONG = 64 * 1024
"""An item or body of this many bytes takes about a millisecond to read and write."""


@dataclass(frozen=True, slots=True)
class Index:
    """The known facts about one index."""

    keys: Keys
    is_local: bool

    @property
    def partition_key(self) -> str:
        return self.keys.partition


@dataclass(frozen=True, slots=True)
class TableInfo:
    """The known facts about one table."""

    keys: Keys
    indexes: Mapping[str, Index] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    ttl_attribute: str | None = None
    """The attribute with the time at which an item expires; None without time to live."""
    kept_as_written: frozenset[str] = frozenset()
    """The attributes that are partition keys of the table or of an index, and numbers. There, 1.0 and 1 are
    different."""

    @property
    def partition_key(self) -> str:
        return self.keys.partition

    @property
    def index_types(self) -> Mapping[str, str]:
        """The types of the attributes that are keys of an index, and not of the table."""
        own = (self.keys.partition, self.keys.sort)
        return {
            name: kind for index in self.indexes.values() for name, kind in index.keys.types.items() if name not in own
        }


class Catalogue:
    """The tables of a cluster, by name. `forgotten`: called with the name of each table that was deleted."""

    def __init__(self, client: EngineClient, forgotten: Callable[[str], None] = lambda table: None) -> None:
        self._client = client
        self._forgotten = forgotten
        self._tables: dict[str, TableInfo] = {}
        self._lock = threading.Lock()
        self._longest: dict[str, int] = {}

    def partition_key(self, table: str) -> str | None:
        """The name of the table's partition key; None if the table is not known yet. The engine is not asked."""
        info = self.known(table)
        return info.partition_key if info is not None else None

    def known(self, table: str) -> TableInfo | None:
        """The entry of a table; None if the table is not known yet. The engine is not asked."""
        return self._tables.get(table)

    def tables(self) -> Iterator[str]:
        """The names of all tables. The engine is asked."""
        parameters: dict[str, Any] = {}
        while True:
            answer = self._client.result("ListTables", parameters)
            yield from answer["TableNames"]
            last = answer.get("LastEvaluatedTableName")
            if last is None:
                return
            parameters["ExclusiveStartTableName"] = last

    def info(self, table: str) -> TableInfo | None:
        """The entry of a table; None if there is no such table. The engine is asked if the table is not known yet."""
        info = self._tables.get(table)
        if info is None:
            try:
                described = self._client.result("DescribeTable", {"TableName": table})["Table"]
            except (EngineRefusal, KeyError):
                return None
            with self._lock:
                info = self._tables.setdefault(table, _info(described, {}))
        return info

    def existing(self, table: str) -> TableInfo:
        """Like `info`, but raises `DialectError` ResourceNotFoundException."""
        info = self.info(table)
        if info is None:
            raise _not_found(table)
        return info

    def add(self, described: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Add a table that was just made; `described` is the engine's TableDescription."""
        with self._lock:
            self._tables[described["TableName"]] = _info(described, tags)

    def update(self, described: Mapping[str, Any]) -> None:
        """Update the indexes of a table. Its tags and its time to live stay."""
        with self._lock:
            known = self._tables.get(described["TableName"])
            info = _info(described, {})
            if known is not None:
                info = replace(info, tags=known.tags, ttl_attribute=known.ttl_attribute)
            self._tables[described["TableName"]] = info

    def forget(self, table: str) -> None:
        with self._lock:
            self._tables.pop(table, None)
            self._longest.pop(table, None)
        self._forgotten(table)

    def note_item(self, table: str, size: int) -> None:
        """Record that an item of `size` bytes was written to a table."""
        if size > self._longest.get(table, 0):
            self._longest[table] = size

    def longest_item(self, table: str | None) -> int:
        """The size in bytes of the longest item that was ever written to the table; 0 if none is known."""
        return self._longest.get(table, 0) if table is not None else 0

    def add_tags(self, table: str, tags: Mapping[str, str]) -> None:
        """Add tags to an `existing` table. Raises `DialectError` if it would have more than 50."""
        with self._lock:
            info = self._entry(table)
            merged = {**info.tags, **tags}
            if len(merged) > MOST_TAGS:
                raise validation("Number of Tags exceed the current limit for the provided ResourceArn")
            self._tables[table] = replace(info, tags=merged)

    def remove_tags(self, table: str, keys: Iterable[str]) -> None:
        """Remove the tags with these keys from an `existing` table; keys that it does not have are ignored."""
        removed = frozenset(keys)
        with self._lock:
            info = self._entry(table)
            kept = {key: value for key, value in info.tags.items() if key not in removed}
            self._tables[table] = replace(info, tags=kept)

    def set_ttl(self, table: str, attribute: str, enabled: bool) -> None:
        """Turn the time to live of an `existing` table on or off. Raises `DialectError` if it is already on or off."""
        with self._lock:
            info = self._entry(table)
            known = info.ttl_attribute
            if enabled == (known is not None):
                raise validation(f"TTL is already {'enabled' if enabled else 'disabled'}")
            if known is not None and known != attribute:
                raise validation(
                    f"Requested to disable TTL on attribute {attribute}, but a different attribute {known} is enabled."
                )
            self._tables[table] = replace(info, ttl_attribute=attribute if enabled else None)

    def _entry(self, table: str) -> TableInfo:
        info = self._tables.get(table)
        if info is None:
            # Another thread has deleted the table in the meantime.
            raise _not_found(table)
        return info


def _info(described: Mapping[str, Any], tags: Mapping[str, str]) -> TableInfo:
    types = attribute_types_of(described)
    indexes = {
        index["IndexName"]: Index(_keys(index, types), is_local)
        for kind, is_local in (("GlobalSecondaryIndexes", False), ("LocalSecondaryIndexes", True))
        for index in described.get(kind) or ()
    }
    keys = _keys(described, types)
    partitions = [keys.partition, *(index.partition_key for index in indexes.values())]
    numbers = frozenset(name for name in partitions if types[name] == "N")
    return TableInfo(keys, indexes, tags, kept_as_written=numbers)


def _keys(described: Mapping[str, Any], types: Mapping[str, str]) -> Keys:
    names = {key["KeyType"]: key["AttributeName"] for key in described["KeySchema"]}
    partition, sort = names["HASH"], names.get("RANGE")
    return Keys(partition, sort, {name: types[name] for name in (partition, sort) if name is not None})


def arn_of(table: str) -> str:
    """The ARN that Alternator gives to a table."""
    return _ARN.format(table)


def table_of(arn: object) -> str:
    """The name of the table with that ARN. Raises `DialectError` AccessDeniedException, as the server does."""
    if not isinstance(arn, str):
        raise DialectError("AccessDeniedException", "Incorrect resource identifier")
    match = _ARN_PATTERN.fullmatch(arn)
    if match is None:
        raise DialectError("AccessDeniedException", f"Incorrect resource identifier: {arn}")
    if match["rest"]:
        raise validation(f"ResourceArn: Invalid table ARN `{arn}` - it must end with the table's name")
    if match["keyspace"] != match["table"]:
        raise DialectError("ResourceNotFoundException", f"ResourceArn: Invalid table ARN `{arn}` - not found")
    return match["table"]


def _not_found(table: str) -> DialectError:
    return DialectError("ResourceNotFoundException", f"Requested resource not found: Table: {table} not found")
