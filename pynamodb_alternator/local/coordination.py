"""Finds the replicas of the partition that a request uses, or that a test asks for.

The counters of hits and misses, and the delay of a miss, depend on whether a request came to a replica. A request for
one item, or a Query of one partition, has a key. The key has a token, and the token has replicas, in the table or in
the index that the request reads. Batches and Scan have no single key: their coordinator asks many nodes anyway.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from ..routing.attribute_value import attribute_value
from ..settings import checks
from .catalogue import Catalogue, TableInfo
from .expressions.tokens import MOST_BYTES
from .keys import token_of_value
from .members import Member
from .parsing import Parsed
from .replicas import Replicas
from .rings import Rings, ring_name
from .virtual_tables import PREFIX as VIRTUAL

KEYED = frozenset(["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query"])
"""The operations that read or write one partition."""

_EQUAL = re.compile(r"(?<![\w#:])(?:(#?\w+)\s*=\s*(:\w+)|(:\w+)\s*=\s*(#?\w+))")
"""A comparison of a name with a value for equality. <= and >= do not match, and a condition on a key cannot have <>."""


class Coordination:
    """One for each cluster. All methods may be called from any thread."""

    def __init__(self, catalogue: Catalogue, rings: Rings) -> None:
        self._catalogue = catalogue
        self._rings = rings

    def is_replica(self, parsed: Parsed, asked: Member) -> bool | None:
        """Whether the node `asked` is a replica of the partition that a request reads or writes.

        None for a request that does not use exactly one partition, for a request that the engine will refuse, and while
        the table is not known.
        """
        name, token = self._ring_and_token(parsed)
        return None if token is None else asked in self._rings.ring(name).replicas_of(token)

    def token(self, parsed: Parsed) -> int | None:
        """The token of the partition that a request reads or writes; None in the same cases as for `is_replica`."""
        return self._ring_and_token(parsed)[1]

    def _ring_and_token(self, parsed: Parsed) -> tuple[str, int | None]:
        if parsed.operation not in KEYED or parsed.table is None:
            return "", None
        info = self._catalogue.known(parsed.table)
        if info is None:
            return "", None
        name, value = _ring_and_key(parsed, parsed.table, info)
        return name, token_of_value(value)

    def unknown_table(self, parsed: Parsed) -> str | None:
        """The table of a request, if it must be looked up before `is_replica` can decide; else None."""
        table = parsed.table
        if table is None or parsed.operation not in KEYED or self._catalogue.known(table) is not None:
            return None
        return None if table.startswith(VIRTUAL) else table

    # For tests

    def replicas(self, table: str, key: object, index: str | None) -> Replicas:
        """The nodes that hold a key. Raises LookupError for an unknown table or index, and `ConfigurationError` for a
        value that cannot be a key."""
        return self._rings.ring(self._name(table, index)).replicas_of(_token_of_key(key))

    def tablet_of(self, table: str, key: object, index: str | None) -> int:
        """The number of the tablet that has a key. Raises as `replicas` does."""
        return self._rings.ring(self._name(table, index)).range_of(_token_of_key(key))

    def move_tablet(self, table: str, tablet: int, source: Member, target: Member, index: str | None) -> None:
        """Move one replica of a tablet. Raises LookupError for an unknown table or index, and `ConfigurationError` for
        a move that is not possible."""
        self._rings.move(self._name(table, index), tablet, source, target)

    def _name(self, table: str, index: str | None) -> str:
        info = self._catalogue.info(table)
        if info is None:
            raise LookupError(f"LocalCluster has no table {table!r}.")
        if index is None:
            return table
        if index not in info.indexes:
            known = ", ".join(info.indexes) or "none"
            raise LookupError(f"The table {table} has no index {index!r}; its indexes: {known}.")
        return _ring_of_index(table, info, index)[0]


def _ring_and_key(parsed: Parsed, table: str, info: TableInfo) -> tuple[str, object]:
    """The name of the ring of the table or index, and the value of the request's partition key; None if it has none."""
    parameters = parsed.parameters
    if parsed.operation != "Query":
        key = parameters.get("Item" if parsed.operation == "PutItem" else "Key")
        return table, key.get(info.partition_key) if isinstance(key, dict) else None
    index = parameters.get("IndexName")
    if index is None:
        return table, _queried_value(parameters, info.partition_key)
    if not isinstance(index, str) or index not in info.indexes:
        return table, None
    name, partition_key = _ring_of_index(table, info, index)
    return name, _queried_value(parameters, partition_key)


def _ring_of_index(table: str, info: TableInfo, index: str) -> tuple[str, str]:
    """The name of an index's ring, and the index's partition key."""
    known = info.indexes[index]
    return ring_name(table, index, is_local=known.is_local), known.partition_key


def _token_of_key(key: object) -> int:
    token = token_of_value(_as_on_the_wire(key))
    if token is None:
        raise ConfigurationError(
            "LocalCluster: a key must be a string, a number, bytes, or an attribute value such as {'S': 'alice'} "
            f"(got {checks.shown(key)})."
        )
    return token


def _as_on_the_wire(key: object) -> object:
    value = key if isinstance(key, dict) else attribute_value(key)
    if value is not None and isinstance(value.get("B"), bytes):
        return {"B": base64.b64encode(value["B"]).decode()}
    return value


def _queried_value(parameters: Mapping[str, Any], partition_key: str) -> Any:
    """The value of the partition key in the conditions of a Query."""
    expression = parameters.get("KeyConditionExpression")
    if isinstance(expression, str):
        if len(expression) > MOST_BYTES:
            return None  # the engine will refuse it
        names, values = parameters.get("ExpressionAttributeNames"), parameters.get("ExpressionAttributeValues")
        for name, value in _equalities(expression):
            if isinstance(names, dict) and name.startswith("#"):
                name = names.get(name, name)
            if name == partition_key:
                return values.get(value) if isinstance(values, dict) else None
        return None
    conditions = parameters.get("KeyConditions")
    condition = conditions.get(partition_key) if isinstance(conditions, dict) else None
    listed = condition.get("AttributeValueList") if isinstance(condition, dict) else None
    return listed[0] if isinstance(listed, list) and listed else None


@functools.lru_cache(1024)
def _equalities(expression: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a name and a value that an expression compares for equality."""
    return tuple((left or right, value or other) for left, value, other, right in _EQUAL.findall(expression))
