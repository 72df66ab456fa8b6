"""A table's write isolation: which of its writes use a lightweight transaction.

It is a tag of the table, ``system:write_isolation``. For a table without the tag, the node's option
``alternator_write_isolation`` is used. Source: ``get_write_isolation_for_schema`` in the server's
``alternator/executor.cc``.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from botocore.exceptions import ClientError

from ..settings import write_isolation
from .permanent import is_permanent
from .system_tables import key_query

__all__ = [
    "TAG",
    "read_write_isolation",
    "set_write_isolation",
    "unparsed_isolation",
]

TAG = "system:write_isolation"
_OPTION = "alternator_write_isolation"


def table_arn(table_name: str) -> str:
    """The table's name in the form that the tag operations need."""
    return f"arn:scylla:alternator:alternator_{table_name}:scylla:table/{table_name}"


def read_write_isolation(client: Any, table_name: str) -> str | None:
    """The write isolation of the table: its tag, else the node's option; None if neither may be read.

    Raises botocore's errors, such as `ResourceNotFoundException` for a table that does not exist.
    """
    try:
        return write_isolation.parse(unparsed_isolation(client, table_name))
    except ClientError as error:
        # Only the option is read by a Query. So the tag may be read, but the option may not.
        if error.operation_name == "Query" and is_permanent(error):
            return None
        raise


def unparsed_isolation(client: Any, table_name: str) -> str | None:
    """The write isolation of the table as the server spells it: its tag, else the node's option; None if it has
    neither.

    Raises botocore's errors.
    """
    tag = _tag(client, table_name)
    return _node_option(client) if tag is None else tag


def _tag(client: Any, table_name: str) -> str | None:
    """The table's tag, unchanged; None if it has none."""
    for tag in client.list_tags_of_resource(ResourceArn=table_arn(table_name)).get("Tags", ()):
        if tag["Key"] == TAG:
            return str(tag["Value"])
    return None


def _node_option(client: Any) -> str | None:
    """The option of the node that is asked. It is used for tables without the tag."""
    answer = client.query(**key_query("system.config", {"name": {"S": _OPTION}}))
    for item in answer.get("Items", ()):
        value = item.get("value", {}).get("S", "")
        with contextlib.suppress(ValueError):  # for a server that does not quote the value
            value = json.loads(value)
        return str(value)
    return None


def set_write_isolation(client: Any, table_name: str, value: str) -> None:
    """Tag the table. Raises `ConfigurationError` for an unknown isolation, and botocore's errors."""
    isolation = write_isolation.check("write_isolation", value)
    client.tag_resource(ResourceArn=table_arn(table_name), Tags=[{"Key": TAG, "Value": isolation}])
