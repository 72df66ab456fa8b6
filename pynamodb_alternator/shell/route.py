"""``pynamodb-alternator route TABLE KEY``."""

from __future__ import annotations

import argparse
import base64
import difflib
from decimal import Decimal, InvalidOperation
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..client import Cluster
from ..diagnostics import ping
from ..errors import ConfigurationError
from ..isolation import read_write_isolation
from . import settings
from .screen import DIM, GOOD, HEAD, PLAIN, WARN, Screen

_LABELS = 15
_MOST_NODES = 20


def add(commands: Any) -> None:
    command = commands.add_parser(
        "route",
        help="which nodes the writes of a key go to, and why",
        description="The hash of a partition key, and the nodes that its writes go to, in order. The table's "
        "definition is asked of the cluster, unless --partition-key says what it needs. Nothing is written.",
    )
    command.add_argument("table", metavar="TABLE")
    command.add_argument("key", metavar="KEY", help="the partition key's value; binary ones in base64")
    command.add_argument("--type", choices=("S", "N", "B"), help="the key's type (default: as the table has it, or S)")
    command.add_argument("--partition-key", metavar="NAME", help="the partition key's name; the cluster is not asked")
    settings.add(command)
    command.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    screen = Screen(as_json=given.json)
    with settings.open_cluster(given) as cluster:
        kind, notes = given.type, []
        isolation: str | None = None
        if given.partition_key is not None:
            if not given.partition_key:
                raise ConfigurationError("--partition-key: write the name of the table's partition key, such as id.")
            cluster.register_table(given.table, given.partition_key)
        else:
            try:
                with screen.waiting("asking for the table"):
                    name, kind_of_table = partition_key_of(cluster, given.table)
                    isolation = read_write_isolation(cluster.client, given.table)
            except (BotoCoreError, ClientError) as error:
                notes.append(f"The table's definition could not be read ({error}). Name its key with --partition-key.")
            else:
                cluster.register_table(given.table, name)
                if isolation is not None:
                    cluster.learn_write_isolation(given.table, isolation)
                if kind is not None and kind != kind_of_table:
                    raise ConfigurationError(
                        f"--type {kind}: the partition key {name} of {given.table} is of type {kind_of_table}. "
                        "Leave out --type."
                    )
                kind = kind_of_table
        found = cluster.route(given.table, key_value(given.key, kind or "S"))
        with screen.waiting("asking the nodes"):
            answered = ping(cluster, timeout=given.timeout)
        silent = [address for address in found.ring if not isinstance(answered.get(address), float)]
    if screen.as_json:
        screen.document(
            {
                "table": found.table,
                "partition_key": found.partition_key,
                "type": next(iter(found.key)),
                "key": given.key,
                "hash": found.hash,
                "affinity": found.affinity.value,
                "write_isolation": isolation,
                "nodes": list(found.nodes),
                "ring": list(found.ring),
                "reason": found.reason,
                "explanation": found.explanation,
                "not_answering": silent,
                "notes": notes,
            }
        )
        return 0

    def field(name: str, text: str, style: str = PLAIN) -> None:
        screen.paragraph(text, style, first=(name, DIM), indent=_LABELS)

    key_name = found.partition_key or "(name not known)"
    field("table", found.table + (f", write isolation {isolation}" if isolation else ""))
    field("key", f"{key_name} = {given.key} ({next(iter(found.key))})")
    field("hash", str(found.hash) if found.hash is not None else "none")
    field("affinity", found.affinity.value, GOOD if found.reason is None else WARN)
    field("why", found.explanation)
    screen.line()
    if found.nodes:
        title = "the plan of its writes" if found.reason is None else "what the plan would be with affinity"
        screen.line((title, HEAD))
        for number, address in enumerate(found.nodes[:_MOST_NODES], start=1):
            is_silent = address in silent
            style = WARN if is_silent else GOOD if number == 1 and found.reason is None else PLAIN
            screen.line((f"{number:4}  ", DIM), (address, style), ("  does not answer now" if is_silent else "", WARN))
        if len(found.nodes) > _MOST_NODES:
            screen.line((f"      and {len(found.nodes) - _MOST_NODES} more", DIM))
    for address in silent:
        if address not in found.nodes:
            screen.paragraph(f"{address} does not answer, and has no place in the plan until it does.", WARN)
    for note in notes:
        screen.paragraph(note, WARN)
    return 0


def partition_key_of(cluster: Cluster, table: str) -> tuple[str, str]:
    """Name and type of the table's partition key.

    Raises `ConfigurationError` for a table that the cluster does not have, and botocore's errors.
    """
    found = describe(cluster, table)
    types = {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]}
    name = next(one["AttributeName"] for one in found["KeySchema"] if one["KeyType"] == "HASH")
    return name, types[name]


def describe(cluster: Cluster, table: str) -> dict[str, Any]:
    """The table's description; otherwise as `partition_key_of`."""
    try:
        description: dict[str, Any] = cluster.client.describe_table(TableName=table)["Table"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code not in ("ResourceNotFoundException", "ValidationException"):
            raise
        raise ConfigurationError(_no_such_table(cluster, table)) from None
    return description


def _no_such_table(cluster: Cluster, table: str) -> str:
    text = f"The cluster has no table {table!r}."
    try:
        names: list[str] = cluster.client.list_tables()["TableNames"]
    except (BotoCoreError, ClientError):
        return text + " Correct its name."
    close = difflib.get_close_matches(table, names, n=1, cutoff=0.5)
    if close:
        return f"{text} Did you mean {close[0]!r}?"
    if not names:
        return text + " It has no table at all; create one first."
    return f"{text} It has: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}."


def key_value(text: str, kind: str) -> dict[str, Any]:
    """The attribute value that the command line's word means. Raises `ConfigurationError`."""
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
        raise ConfigurationError("KEY: this is no UTF-8 text. For binary keys use --type B and base64.") from None
    return {"S": text}
