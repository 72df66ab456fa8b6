"""Finds the tables and keys that a command line names."""

from __future__ import annotations

import base64
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import ConfigurationError, error_code
from ..settings.checks import did_you_mean

if TYPE_CHECKING:
    from ..cluster import Cluster

__all__ = ["describe", "key_value"]


def describe(cluster: Cluster, table: str) -> dict[str, Any]:
    """The table's description.

    Raises `ConfigurationError` for a table that the cluster does not have, and botocore's errors.
    """
    try:
        answer: Any = cluster.client.describe_table(TableName=table)
    except ClientError as error:
        if error_code(error) not in ("ResourceNotFoundException", "ValidationException"):
            raise
        raise ConfigurationError(_no_such_table(cluster, table)) from None
    description: dict[str, Any] = answer["Table"]
    return description


def _no_such_table(cluster: Cluster, table: str) -> str:
    text = f"The cluster has no table {table!r}."
    try:
        names: list[str] = cluster.client.list_tables()["TableNames"]
    except (BotoCoreError, ClientError):
        return text + " Correct its name."
    meant = did_you_mean(table, names)
    if meant:
        return f"{text} {meant}"
    if not names:
        return text + " It has no table at all; create one first."
    return f"{text} It has: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}."


def key_value(text: str, kind: str) -> dict[str, Any]:
    """The attribute value for a word of the command line. `kind`: S, N, or B for a word in base64.

    Raises `ConfigurationError`.
    """
    if kind == "N":
        try:
            fine = Decimal(text).is_finite()
        except InvalidOperation:
            fine = False
        if not fine:
            raise ConfigurationError(f"KEY: the partition key is a number; write it in digits (got {text!r}).")
        return {"N": text}
    if kind == "B":
        try:
            return {"B": base64.b64decode(text, validate=True)}
        except ValueError:
            raise ConfigurationError(
                f"KEY: the partition key is binary; write it in base64, such as aGVsbG8= (got {text!r})."
            ) from None
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError("KEY: this is not UTF-8 text. For binary keys use base64 (and --type B).") from None
    return {"S": text}
