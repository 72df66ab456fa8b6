"""Reads the models' tables from the cluster: keys, indexes, write isolation and the attribute of TTL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ...core.table_description import attribute_types_of
from ...core.vector_dialects import described
from ...core.write_isolation import read_write_isolation
from ...errors import error_code
from ..words import said
from .facts import IndexFacts, KeyFacts, TableFacts

__all__ = ["keys_of", "read_tables"]


def read_tables(client: Any, names: Iterable[str]) -> dict[str, TableFacts]:
    """The tables of these names, read by a botocore client. Nothing is changed.

    An error becomes the `problem` of the table. If the cluster does not answer for the first table, it is not asked
    again.
    """
    tables: dict[str, TableFacts] = {}
    silent = ""
    for name in dict.fromkeys(names):
        if silent:
            tables[name] = TableFacts(problem=silent)
            continue
        try:
            tables[name] = _read(client, name)
        except ClientError as error:
            missing = error_code(error) == "ResourceNotFoundException"
            tables[name] = TableFacts(exists=False) if missing else TableFacts(problem=said(error))
        except (BotoCoreError, LookupError, ValueError) as error:
            tables[name] = TableFacts(problem=said(error))
            silent = said(error) if isinstance(error, BotoCoreError) else ""
    return tables


def _read(client: Any, name: str) -> TableFacts:
    description = client.describe_table(TableName=name)["Table"]
    types = attribute_types_of(description)
    return TableFacts(
        keys=keys_of(description["KeySchema"], types),
        indexes=tuple(
            IndexFacts(
                str(index["IndexName"]),
                is_local,
                keys_of(index["KeySchema"], types),
                index.get("Projection", {}).get("ProjectionType", "ALL"),
            )
            for kind, is_local in (("GlobalSecondaryIndexes", False), ("LocalSecondaryIndexes", True))
            for index in description.get(kind) or ()
        ),
        vector_indexes=tuple(described(description)),
        write_isolation=_write_isolation(client, name),
        ttl_attribute=_ttl_attribute(client, name),
    )


def keys_of(schema: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> tuple[KeyFacts, ...]:
    """The attributes of a key schema, in the form of the API, with their types; the partition key first."""
    keys = [KeyFacts(str(key["AttributeName"]), key["KeyType"], types.get(key["AttributeName"], "?")) for key in schema]
    return tuple(sorted(keys, key=lambda key: key.role))


def _write_isolation(client: Any, name: str) -> str | None:
    try:
        return read_write_isolation(client, name)
    except ClientError:  # it may not be read, or the table was deleted
        return None


def _ttl_attribute(client: Any, name: str) -> str | None:
    try:
        answer = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    except (ClientError, LookupError):
        return None
    is_on = answer.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return str(answer.get("AttributeName", "")) if is_on else ""
