"""Finds calls of boto3's clients and PynamoDB's connections that Alternator does not have, or answers differently."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ...routing.read_before_write import needs_read_before_write
from .facts import UseKind

__all__ = ["is_none", "service_calls"]

_OPERATIONS: Final[Mapping[UseKind, Mapping[str, str]]] = {
    "transaction": {"transact_get_items": "", "transact_write_items": ""},
    "partiql": {
        "batch_execute_statement": "Statements",
        "execute_statement": "Statement",
        "execute_transaction": "TransactStatements",
    },
    "missing_operation": {
        "create_backup": "TableName",
        "create_global_table": "",
        "delete_backup": "BackupArn",
        "describe_backup": "BackupArn",
        "describe_contributor_insights": "",
        "describe_export": "ExportArn",
        "describe_global_table": "",
        "describe_global_table_settings": "",
        "describe_import": "ImportArn",
        "describe_kinesis_streaming_destination": "",
        "disable_kinesis_streaming_destination": "",
        "enable_kinesis_streaming_destination": "",
        "export_table_to_point_in_time": "",
        "import_table": "S3BucketSource",
        "list_backups": "",
        "list_contributor_insights": "",
        "list_exports": "TableArn",
        "list_global_tables": "",
        "list_imports": "TableArn",
        "restore_table_from_backup": "",
        "restore_table_to_point_in_time": "",
        "update_continuous_backups": "",
        "update_contributor_insights": "",
        "update_global_table": "",
        "update_global_table_settings": "",
    },
}
"""Operations that Alternator does not have by ScyllaDB's documentation, with boto3's names. The text is an argument
that distinguishes the call from a call of another service with the same name; empty if there is none."""
_WRITES: Final = {"delete_item": "DeleteItem", "put_item": "PutItem", "update_item": "UpdateItem"}
_CAPACITY = frozenset({"read_capacity_units", "write_capacity_units", "ProvisionedThroughput"})
_CONNECTIONS = frozenset(
    f"pynamodb.connection{name}" for name in (".Connection", ".TableConnection", ".base.Connection")
) | {"pynamodb.connection.table.TableConnection"}
"""Classes whose instances are clients of Amazon."""
_FACTORIES = frozenset({"client", "create_client", "resource"})
"""The methods of sessions of boto3, botocore and aioboto3 that make clients and resources."""
_INDEXES = "pynamodb.constants.INDEXES"


def service_calls(
    call: ast.Call, arguments: Mapping[str | None, ast.expr], origin: Callable[[ast.expr], str]
) -> Iterator[tuple[UseKind, str]]:
    """Kind and text of the uses in a call. `arguments`: the arguments by name. `origin`: returns the meaning of a
    name."""
    capacity = arguments.get("return_consumed_capacity", arguments.get("ReturnConsumedCapacity"))
    if capacity is not None and (_is_text(capacity, "INDEXES") or origin(capacity) == _INDEXES):
        yield "index_capacity", "INDEXES"
    if "ConditionExpression" in arguments:
        yield "condition", "ConditionExpression"
    client = _client(call, arguments, origin)
    if client:
        yield "plain_client", client
    if not isinstance(call.func, ast.Attribute):
        return
    method = call.func.attr
    if method in _WRITES:
        for name in ("UpdateExpression", "ReturnValues"):
            value = arguments.get(name)
            if isinstance(value, ast.Constant) and needs_read_before_write(_WRITES[method], {name: value.value}):
                yield "update", f"{method}({name}=...)"
    for kind, operations in _OPERATIONS.items():
        if method in operations and operations[method] in ("", *arguments):
            yield kind, method
    if method == "update_table" and not _CAPACITY.isdisjoint(filter(None, arguments)):
        yield "throughput", method


def _client(call: ast.Call, arguments: Mapping[str | None, ast.expr], origin: Callable[[ast.expr], str]) -> str:
    """The shortened call, if it makes a connection of PynamoDB itself, or a client or resource for DynamoDB of another
    library than this one; else empty."""
    name = origin(call.func)
    if name in _CONNECTIONS:
        return f"{ast.unparse(call.func)}()"
    service = next(iter(call.args), arguments.get("service_name"))
    if not _is_text(service, "dynamodb") or name.startswith("pynamodb_alternator."):
        return ""
    if name in ("boto3.client", "boto3.resource"):
        return f"{ast.unparse(call.func)}()"
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return f"{method}('dynamodb')" if method in _FACTORIES else ""


def _is_text(node: ast.expr | None, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def is_none(node: ast.expr | None) -> bool:
    """Whether an argument is not given, or is None."""
    return node is None or (isinstance(node, ast.Constant) and node.value is None)
