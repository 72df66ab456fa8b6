"""``pynamodb-alternator tables``: the tables of the cluster, and those that models need."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..core.table_description import hash_key_of, index_keys_of, key_types_of
from ..core.write_isolation import read_write_isolation
from ..diagnostics import at_once, said
from ..errors import error_code
from . import models, settings
from .render import some
from .screen import BAD, DIM, PLAIN, Screen, Text

if TYPE_CHECKING:
    from ..cluster import Cluster

__all__ = ["add", "run", "show"]

_ALL = "(all)"
"""The name that is shown if the tables cannot be listed. No table can have this name."""


def add(commands: Any) -> None:
    command = commands.add_parser(
        "tables",
        help="which tables there are, with their keys, indexes and write isolation",
        description="Every table of the cluster with its keys, indexes and write isolation; with --models, which model "
        "uses it, and which table a model lacks. Exit status 1 if one is missing or cannot be looked at.",
    )
    models.add(command, "say which of the models in these modules use the tables, such as shop.models")
    settings.add(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    with models.open_cluster(options) as (cluster, chosen):
        return int(not show(cluster, screen, None if options.models is None else models.by_table(chosen)))


@dataclass(frozen=True, slots=True)
class _Table:
    """One table as it is shown. `problem`: why nothing else is known of it, for example that it does not exist."""

    name: str
    keys: Mapping[str, str]
    indexes: Mapping[str, str]
    write_isolation: str | None = None
    problem: str = ""


def show(cluster: Cluster, screen: Screen, used_by: Mapping[str, Sequence[str]] | None = None) -> bool:
    """Show the tables. True if all could be read, and none is missing.

    `used_by`: the names of the models of each table; None to show no models. Raises `AlternatorError`.
    """
    try:
        with screen.waiting("looking at the tables"):
            tables = _look(cluster, used_by or ())
    except ClientError as error:
        tables = [_Table(_ALL, {}, {}, problem=f"The tables cannot be listed: {said(error)}")]
    if screen.as_json:
        screen.document({"tables": [_for_machines(table, used_by) for table in tables]})
    else:
        _show(screen, tables, used_by)
    return not any(table.problem for table in tables)


def _look(cluster: Cluster, names: Iterable[str]) -> list[_Table]:
    pages = cluster.client.get_paginator("list_tables").paginate()
    every = sorted({*names, *(name for page in pages for name in page["TableNames"])})
    return at_once(lambda name: _look_at(cluster, name), every)


def _look_at(cluster: Cluster, name: str) -> _Table:
    try:
        description: Any = cluster.client.describe_table(TableName=name)["Table"]
        isolation = read_write_isolation(cluster.client, name)
    except (BotoCoreError, ClientError) as error:
        is_missing = isinstance(error, ClientError) and error_code(error) == "ResourceNotFoundException"
        return _Table(name, {}, {}, problem="is missing" if is_missing else said(error))
    # In the order of the key: the partition key comes first.
    keys = {hash_key_of(description): "", **key_types_of(description)}
    return _Table(name, keys, index_keys_of(description), isolation)


def _show(screen: Screen, tables: Sequence[_Table], used_by: Mapping[str, Sequence[str]] | None) -> None:
    if [table.name for table in tables] == [_ALL]:
        screen.paragraph(tables[0].problem, BAD)
        return
    unknown = screen.char("–", "-")
    rows: list[list[Text]] = []
    for table in tables:
        keys = ", ".join(f"{name} ({kind})" for name, kind in table.keys.items())
        row = [
            (table.name, PLAIN),
            (keys or unknown, PLAIN),
            (", ".join(table.indexes) or unknown, PLAIN),
            (table.write_isolation or unknown, PLAIN),
        ]
        if used_by is not None:
            row.append((", ".join(used_by.get(table.name, ())) or unknown, PLAIN))
        rows.append(row)
    if rows:
        head = ["table", "key", "indexes", "write isolation", *(["models"] if used_by is not None else [])]
        screen.table(head, rows)
        screen.line()
    for table in tables:
        if table.problem:
            screen.paragraph(f"{table.name}: {table.problem}", BAD)
    missing = sum(table.problem == "is missing" for table in tables)
    lacking = f", and lacks {missing} that models use" if missing else ""
    screen.paragraph(f"The cluster has {some(len(tables) - missing, 'table')}{lacking}.", DIM)


def _for_machines(table: _Table, used_by: Mapping[str, Sequence[str]] | None) -> dict[str, Any]:
    return {
        "name": table.name,
        "keys": [{"name": name, "type": kind} for name, kind in table.keys.items()],
        "indexes": list(table.indexes),
        "write_isolation": table.write_isolation,
        "models": None if used_by is None else list(used_by.get(table.name, ())),
        "error": table.problem or None,
    }
