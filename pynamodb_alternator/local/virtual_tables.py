"""ScyllaDB's own tables, seen through Alternator as ``.scylla.alternator.<keyspace>.<table>``.

Query and Scan only. Of conditions they understand what is asked of such tables: comparisons for equality, joined by
AND. Values that are neither text, number nor blob come as strings, as the server has them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from .answers import DialectError, validation
from .members import Member, Members, host_id
from .options import Options

PREFIX = ".scylla.alternator."

Row = dict[str, dict[str, str]]

_EQUAL = re.compile(r"\(?\s*(#?[A-Za-z_]\w*)\s*=\s*(:\w+)\s*\)?")


class VirtualTables:
    """Rows made at each read from the cluster's members."""

    def __init__(self, options: Options, members: Members) -> None:
        self._options = options
        self._members = members
        self._rows: dict[str, tuple[str, Callable[[str], list[Row]]]] = {
            "system.local": ("key", self._local),
            "system.peers": ("peer", self._peers),
            "system.config": ("name", self._config),
            "system.cluster_status": ("peer", self._cluster_status),
        }

    def read(self, name: str, parameters: Mapping[str, Any], asked: str, operation: str) -> dict[str, Any]:
        """The answer to a Query or Scan of the table called `name`, by the node whose host is `asked`."""
        key, rows = self._rows.get(name.removeprefix(PREFIX), (None, None))
        if self._options.deny_virtual_tables:
            raise DialectError("AccessDeniedException", f"SELECT access on table {name.removeprefix(PREFIX)} is denied")
        if key is None or rows is None:
            raise DialectError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        selected = rows(asked)
        if operation == "Query":
            conditions = _key_conditions(parameters)
            if key not in conditions:
                raise validation(f"Query condition missed key schema element: {key}")
            selected = _matching(selected, conditions)
        selected, last = _page(selected, key, parameters)
        scanned = len(selected)
        selected = _matching(selected, _equalities(parameters, "FilterExpression"))
        answer: dict[str, Any] = {"Count": len(selected), "ScannedCount": scanned}
        if parameters.get("Select") != "COUNT":
            kept = _projected(parameters)
            answer["Items"] = [
                row if kept is None else {name: value for name, value in row.items() if name in kept}
                for row in selected
            ]
        if last is not None:
            answer["LastEvaluatedKey"] = last
        return answer

    def _location(self, member: Member) -> Row:
        return _row(
            data_center=member.datacenter,
            rack=member.rack,
            host_id=host_id(member),
            rpc_address=member.host,
            preferred_ip=None,
            release_version="3.0.8",
            schema_version=str(uuid.UUID(int=1)),
        )

    def _local(self, asked: str) -> list[Row]:
        member = next(member for member in self._members() if member.host == asked)
        address = _row(
            key="local",
            broadcast_address=member.host,
            listen_address=member.host,
            cluster_name="local",
            partitioner="org.apache.cassandra.dht.Murmur3Partitioner",
            bootstrapped="COMPLETED",
        )
        return [address | self._location(member)]

    def _peers(self, asked: str) -> list[Row]:
        return [
            _row(peer=member.host) | self._location(member)
            for member in self._members()
            if member.host != asked and member.joined
        ]

    def _config(self, asked: str) -> list[Row]:
        options = self._options
        settings: dict[str, tuple[str, object]] = {
            "alternator_write_isolation": ("string", options.write_isolation),
            "alternator_enforce_authorization": ("bool", options.credentials is not None),
            "alternator_response_gzip_compression_level": ("integer", 6 if options.response_compression else 0),
            "alternator_response_compression_threshold_in_bytes": ("integer", options.compression_threshold),
            "cluster_name": ("string", "local"),
        }
        return [
            _row(name=name, source="config", type=kind, value=orjson.dumps(value).decode())
            for name, (kind, value) in settings.items()
        ]

    def _cluster_status(self, asked: str) -> list[Row]:
        return [
            _row(
                peer=member.host,
                dc=member.datacenter,
                rack=member.rack,
                host_id=host_id(member),
                status="NORMAL" if member.joined else "LEFT",
                up=str(member.up).lower(),
                tokens="256",
                load="0",
                owns=str(1.0),
            )
            for member in self._members()
        ]


def _row(**values: str | None) -> Row:
    return {name: {"S": value} for name, value in values.items() if value is not None}


def _matching(rows: list[Row], conditions: Mapping[str, Any]) -> list[Row]:
    return [row for row in rows if all(row.get(name) == value for name, value in conditions.items())]


def _key_conditions(parameters: Mapping[str, Any]) -> dict[str, Any]:
    legacy = parameters.get("KeyConditions")
    if legacy is None:
        return _equalities(parameters, "KeyConditionExpression")
    conditions = {}
    for name, condition in legacy.items():
        if condition.get("ComparisonOperator") != "EQ":
            raise validation("The embedded cluster knows only EQ for system tables")
        conditions[name] = condition["AttributeValueList"][0]
    return conditions


def _equalities(parameters: Mapping[str, Any], kind: str) -> dict[str, Any]:
    expression = parameters.get(kind)
    if expression is None:
        return {}
    conditions = {}
    for part in re.split(r"\s+and\s+", str(expression).strip(), flags=re.IGNORECASE):
        match = _EQUAL.fullmatch(part.strip())
        if match is None:
            raise validation(f"The embedded cluster cannot read this {kind} for a system table: {expression}")
        values = parameters.get("ExpressionAttributeValues") or {}
        if match[2] not in values:
            raise validation(f"{kind} refers to {match[2]}, which is not in ExpressionAttributeValues")
        conditions[_name(parameters, match[1])] = values[match[2]]
    return conditions


def _name(parameters: Mapping[str, Any], name: str) -> str:
    if not name.startswith("#"):
        return name
    names = parameters.get("ExpressionAttributeNames") or {}
    if name not in names:
        raise validation(f"{name} is not in ExpressionAttributeNames")
    return str(names[name])


def _projected(parameters: Mapping[str, Any]) -> set[str] | None:
    expression = parameters.get("ProjectionExpression")
    if isinstance(expression, str):
        return {_name(parameters, name.strip()) for name in expression.split(",")}
    names = parameters.get("AttributesToGet")
    return set(names) if names is not None else None


def _page(rows: list[Row], key: str, parameters: Mapping[str, Any]) -> tuple[list[Row], Row | None]:
    start = parameters.get("ExclusiveStartKey")
    if start is not None:
        matches = [index for index, row in enumerate(rows) if row[key] == start.get(key)]
        rows = rows[matches[0] + 1 :] if matches else []
    limit = parameters.get("Limit")
    if isinstance(limit, int) and 0 < limit < len(rows):
        rows = rows[:limit]
        return rows, {key: rows[-1][key]}
    return rows, None
