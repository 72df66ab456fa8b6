"""Checks of CreateTable and UpdateTable: names, keys, attribute definitions, indexes, billing.

The functions have no side effects: they get parameters, and return them in the form for the engine, or raise
`DialectError`. As in the server, indexes always project every attribute, also if the request has another projection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .answers import DialectError, validation
from .catalogue import TableInfo

LONGEST_TABLE_NAME = 192
_LONGEST_VIEW_NAME = {"GlobalSecondaryIndexes": 221, "LocalSecondaryIndexes": 220}
"""The longest table name and index name together: the server's name of an index has both."""

_LONGEST_KEY_NAME = 255
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_KEY_TYPES = ("S", "N", "B")
_RESERVED = ":attrs"
_STREAM_VIEWS = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
_PROJECTION = {"ProjectionType": "ALL"}


def check_table_name(name: object, least: int = 3) -> str:
    """`name`, if it can be the name of a table. Raises `DialectError` if it cannot."""
    if not isinstance(name, str):
        raise validation(
            "Missing TableName field in request" if name is None else "Non-string TableName field in request"
        )
    if not least <= len(name) <= LONGEST_TABLE_NAME:
        raise validation(
            f"TableName must be at least {least} characters long and at most {LONGEST_TABLE_NAME} characters long"
        )
    if not _NAME.fullmatch(name):
        raise validation("TableName must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    return name


def check_create(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a CreateTable for the engine. Raises `DialectError`."""
    name = check_table_name(parameters.get("TableName"))
    types = _definitions(parameters.get("AttributeDefinitions"), "CreateTable")
    keys = _key_schema(parameters, "")
    _check_billing(parameters)
    _check_streams(parameters)
    _check_encryption(parameters.get("SSESpecification"))
    used = set(_checked_keys(keys, types))
    names: set[str] = set()
    for kind, index in _indexes(parameters):
        index_keys = _check_index(name, kind, index, names)
        used |= set(_checked_keys(index_keys, types))
        if kind == "LocalSecondaryIndexes":
            _check_local(index_keys, keys)
    unused = sorted(set(types) - used)
    if unused:
        raise validation(
            f"AttributeDefinitions defines spurious attributes not used by any KeySchema: {', '.join(unused)}"
        )
    engine = dict(parameters)
    for kind in _LONGEST_VIEW_NAME:
        if parameters.get(kind):
            engine[kind] = [{**index, "Projection": _PROJECTION} for index in parameters[kind]]
        else:
            engine.pop(kind, None)
    return engine


def _definitions(definitions: object, context: str) -> dict[str, str]:
    """The types of attributes by name."""
    if definitions is None:
        raise validation(f"Missing AttributeDefinitions in {context} request")
    if not isinstance(definitions, list):
        raise validation("AttributeDefinitions must be an array")
    types: dict[str, str] = {}
    for definition in definitions:
        name = _member(definition, "AttributeName", "AttributeDefinitions")
        check_key_name(name, f"{context} in AttributeDefinitions - ")
        if name in types:
            raise validation(f"Duplicate AttributeName={name} in AttributeDefinitions")
        types[name] = _member(definition, "AttributeType", "AttributeDefinitions")
    return types


def _member(definition: object, name: str, where: str) -> str:
    value = definition.get(name) if isinstance(definition, dict) else None
    if value is None:
        raise validation(f"{name} missing in {where}")
    if not isinstance(value, str):
        raise validation(f"{name} in {where} must be a string")
    return value


def check_key_name(name: str, context: str) -> None:
    """Raises `DialectError` if the name of a key attribute is empty or too long."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if size == 0:
        raise validation(f"{context}Empty attribute name")
    if size > _LONGEST_KEY_NAME:
        raise validation(f"{context}Attribute name is too large, must be less than {_LONGEST_KEY_NAME + 1} bytes")


def _key_schema(of: object, context: str) -> list[str]:
    """The names of the partition key and, perhaps, the sort key."""
    schema = of.get("KeySchema") if isinstance(of, dict) else None
    if schema is None:
        raise validation("Missing KeySchema member")
    if not isinstance(schema, list) or not 1 <= len(schema) <= 2:
        raise validation("KeySchema must list exactly one or two key columns")
    names: list[str] = []
    for element, kind, word in zip(schema, ("HASH", "RANGE"), ("First", "Second"), strict=False):
        if not isinstance(element, dict):
            raise validation(f"{word} element of KeySchema must be an object")
        if element.get("KeyType") != kind:
            raise validation(f"{word} key in KeySchema must be a {kind} key")
        name = element.get("AttributeName")
        if not isinstance(name, str):
            raise validation(f"{word} key in KeySchema must have string AttributeName")
        check_key_name(name, f"{kind} key in KeySchema - {f'in {context} - ' if context else ''}")
        if name in names:
            raise validation(f"KeySchema has the same attribute '{name}' as HASH and RANGE key")
        names.append(name)
    return names


def _checked_keys(names: Sequence[str], types: Mapping[str, str]) -> Sequence[str]:
    """`names`. Raises `DialectError` for a key that has no definition, or has a type that cannot be a key."""
    for name in names:
        if name == _RESERVED:
            raise validation(f"Column name '{name}' is currently reserved. FIXME.")
        if name not in types:
            raise validation(f"KeySchema key '{name}' missing in AttributeDefinitions")
        if types[name] not in _KEY_TYPES:
            raise validation(f"Invalid key type '{types[name]}', can only be S, B or N.")
    return names


def _check_billing(parameters: Mapping[str, Any]) -> None:
    mode, throughput = parameters.get("BillingMode", "PROVISIONED"), parameters.get("ProvisionedThroughput")
    if mode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise validation("When BillingMode=PAY_PER_REQUEST, ProvisionedThroughput cannot be specified.")
    elif mode != "PROVISIONED":
        raise validation(f"Unknown BillingMode={mode}. Must be PAY_PER_REQUEST or PROVISIONED.")
    elif throughput is None:
        raise validation("When BillingMode=PROVISIONED, ProvisionedThroughput must be specified.")
    else:
        for name in ("readCapacityUnits", "writeCapacityUnits"):
            units = throughput.get(name[0].upper() + name[1:]) if isinstance(throughput, dict) else None
            if units is None:
                raise validation(
                    f"provisionedThroughput.{name} is missing, when BillingMode=PROVISIONED, ProvisionedThroughput "
                    "must be specified."
                )
            if isinstance(units, bool) or not isinstance(units, int):
                raise validation(f"Expected integer value for attribute {name}, got: {units}")


def _check_streams(parameters: Mapping[str, Any]) -> None:
    """Tables with streams can be made and described, but the operations that read a stream do not exist."""
    specification = parameters.get("StreamSpecification")
    if specification is None:
        return
    if not isinstance(specification, dict) or not isinstance(specification.get("StreamEnabled"), bool):
        raise validation("StreamSpecification needs boolean StreamEnabled")
    view = specification.get("StreamViewType")
    if specification["StreamEnabled"] and view is not None and view not in _STREAM_VIEWS:
        raise validation(f"Unknown StreamViewType {view}. Must be one of {', '.join(_STREAM_VIEWS)}.")


def _check_encryption(specification: object) -> None:
    if not isinstance(specification, dict):
        return
    enabled = specification.get("Enabled")
    if not isinstance(enabled, bool):
        raise validation("SSESpecification needs boolean Enabled")
    if enabled:
        raise validation("SSESpecification: configuring encryption-at-rest is not yet supported.")


def _indexes(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        indexes = parameters.get(kind)
        if indexes is None:
            continue
        if not isinstance(indexes, list):
            raise validation(f"{kind} must be an array.")
        for index in indexes:
            yield kind, index


def _check_index(table: str, kind: str, index: object, names: set[str]) -> list[str]:
    """The keys of an index. Its name is added to `names`. Raises `DialectError` for mistakes in the request."""
    name = index.get("IndexName") if isinstance(index, dict) else None
    if not isinstance(name, str):
        raise validation(f"{kind} IndexName must be a string.")
    if name in names:
        raise validation(f"Duplicate IndexName '{name}', ")
    names.add(name)
    check_index_name(table, kind, name)
    return _key_schema(index, kind)


def check_index_name(table: str, kind: str, name: str) -> None:
    """Raises `DialectError` if `name` cannot be the name of an index, or is too long together with the table's name."""
    if len(name) < 3:
        raise validation("IndexName must be at least 3 characters long")
    if not _NAME.fullmatch(name):
        raise validation(f"IndexName '{name}' must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    longest = _LONGEST_VIEW_NAME[kind]
    if len(table) + len(name) > longest:
        raise validation(
            f"The total length of TableName ('{table}') and IndexName ('{name}') cannot exceed {longest} characters"
        )


def _check_local(index_keys: Sequence[str], keys: Sequence[str]) -> None:
    if len(keys) < 2:
        raise validation("LocalSecondaryIndex requires that the base table have a range key")
    if index_keys[0] != keys[0]:
        raise validation("LocalSecondaryIndex hash key must match the base table hash key")
    if len(index_keys) < 2:
        raise validation("LocalSecondaryIndex must specify a sort key")


def check_update(parameters: Mapping[str, Any], info: TableInfo) -> dict[str, Any]:
    """The parameters of an UpdateTable for the engine. Raises `DialectError`."""
    for unsupported in ("ProvisionedThroughput", "ReplicaUpdates", "SSESpecification"):
        if unsupported in parameters:
            raise validation(f"UpdateTable: {unsupported} not supported")
    if "BillingMode" in parameters:
        _check_billing(parameters)
    _check_streams(parameters)
    updates = parameters.get("GlobalSecondaryIndexUpdates")
    if updates is None:
        if not any(name in parameters for name in ("StreamSpecification", "BillingMode")):
            raise _nothing()
        return dict(parameters)
    if not isinstance(updates, list):
        raise validation("GlobalSecondaryIndexUpdates must be an array")
    if not updates:
        raise _nothing()
    if len(updates) > 1:
        raise DialectError(
            "LimitExceededException", "GlobalSecondaryIndexUpdates only allows one index creation or deletion"
        )
    if not isinstance(updates[0], dict) or len(updates[0]) != 1:
        raise validation(
            "GlobalSecondaryIndexUpdates array must contain one object with a Create, Delete or Update operation"
        )
    ((operation, change),) = updates[0].items()
    if not isinstance(change, dict):
        raise validation("GlobalSecondaryIndexUpdates entries must be objects")
    name = change.get("IndexName")
    if not isinstance(name, str):
        raise validation("GlobalSecondaryIndexUpdates operation must have IndexName")
    table = str(parameters.get("TableName"))
    check_index_name(table, "GlobalSecondaryIndexes", name)
    if operation == "Create":
        return _check_new_index(parameters, info, change)
    if operation == "Delete":
        if name not in info.indexes or info.indexes[name].is_local:
            raise DialectError("ResourceNotFoundException", f"No GSI {name} in table {table}")
        return dict(parameters)
    if operation == "Update":
        raise validation("GlobalSecondaryIndexUpdates Update not yet supported")
    raise validation(f"GlobalSecondaryIndexUpdates supports a Create, Delete or Update operation, saw '{operation}'")


def _nothing() -> DialectError:
    return validation(
        "UpdateTable requires one of GlobalSecondaryIndexUpdates, VectorIndexUpdates, StreamSpecification or "
        "BillingMode to be specified"
    )


def _check_new_index(parameters: Mapping[str, Any], info: TableInfo, index: Mapping[str, Any]) -> dict[str, Any]:
    if "AttributeDefinitions" not in parameters:
        raise validation("GlobalSecondaryIndexUpdates Create needs AttributeDefinitions")
    types = _definitions(parameters["AttributeDefinitions"], "GlobalSecondaryIndexUpdates")
    known = {**info.keys.types, **info.index_types}
    for attribute, kind in types.items():
        if known.get(attribute, kind) != kind:
            raise validation(
                f"AttributeDefinitions redefined {attribute} to {kind} already a key attribute of type "
                f"{known[attribute]} in this table"
            )
    index_name, table = index["IndexName"], parameters.get("TableName")
    if index_name in info.indexes:
        is_local = info.indexes[index_name].is_local
        word, hint = ("LSI", ", can't use same name for GSI") if is_local else ("GSI", "")
        raise validation(f"{word} {index_name} already exists in table {table}{hint}")
    used = _checked_keys(_key_schema(index, "GlobalSecondaryIndexUpdates"), types)
    unused = sorted(set(types) - set(used))
    if unused:
        raise validation(
            f"AttributeDefinitions defines spurious attributes not used by any KeySchema: {', '.join(unused)}"
        )
    everything = [{"AttributeName": name, "AttributeType": kind} for name, kind in {**known, **types}.items()]
    create = {"Create": {**index, "Projection": _PROJECTION}}
    return {**parameters, "AttributeDefinitions": everything, "GlobalSecondaryIndexUpdates": [create]}
