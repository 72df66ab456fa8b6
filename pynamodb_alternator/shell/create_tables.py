"""``pynamodb-alternator create-tables``: creates the tables of models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from ..diagnostics import said
from . import models, settings
from .screen import GOOD, PLAIN, WARN, Screen

__all__ = ["add", "create", "message_of", "run"]

_STYLES = {"created": GOOD, "exists": PLAIN, "is missing": WARN}


def add(commands: Any) -> None:
    command = commands.add_parser(
        "create-tables",
        help="create the tables of models that do not exist",
        description="Creates the tables of all models of some modules. Tables that exist are left as they are.",
    )
    models.add(command, "create the tables of the models in these modules, such as shop.models", required=True)
    command.add_argument("--dry-run", action="store_true", help="say which tables are missing; create none")
    settings.add(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    with models.open_cluster(options) as (_, chosen):
        from ..orm.model_tables import ERRORS  # here, because commands without models do not need PynamoDB

        try:
            create(chosen, Screen(as_json=options.json), dry_run=options.dry_run)
        except ERRORS as wrong:
            print(f"error: {message_of(wrong)}", file=sys.stderr)
            return 1
    return 0


def message_of(error: Exception) -> str:
    """What to tell the user of an error of models."""
    return said(error) if isinstance(error, ClientError) else str(error)


def create(chosen: Sequence[Any], screen: Screen, *, dry_run: bool = False, quiet: bool = False) -> None:
    """Create the tables of these models, and report it. `dry_run`: only show which are missing. `quiet`: show nothing.

    Raises the errors of PynamoDB, and `AlternatorError`.
    """
    done: list[dict[str, str]] = []
    for number, model in enumerate(chosen, 1):
        table, name = model.Meta.table_name, models.name_of(model)
        with screen.waiting(f"looking at {table}"):
            state = _state(model, dry_run=dry_run)
        done.append({"table": table, "model": name, "state": state})
        if not quiet and not screen.as_json:
            screen.line((f"[{number}/{len(chosen)}] {table} ({name}) ... ", PLAIN), (state, _STYLES[state]))
    changed = sum(entry["state"] != "exists" for entry in done)
    if screen.as_json:
        screen.document({"tables": done})
    elif not quiet:
        what = "missing" if dry_run else "created"
        screen.line((f"{changed} {what}, {len(done) - changed} there already", PLAIN))


def _state(model: Any, *, dry_run: bool) -> str:
    from ..orm.model_tables import create_table

    if dry_run:
        return "exists" if model.exists() else "is missing"
    return "created" if create_table(model) else "exists"
