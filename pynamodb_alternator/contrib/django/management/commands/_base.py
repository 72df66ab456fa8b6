"""What the commands have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pynamodb.exceptions import PynamoDBException

from .....errors import AlternatorError
from .....shell.screen import Screen


class ClusterCommand(BaseCommand):
    """A command about one cluster, whose errors are lines, not tracebacks."""

    requires_system_checks: Sequence[str] = ()

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--cluster", default="default", metavar="ALIAS", help="The cluster's alias (default).")

    def screen(self, options: Mapping[str, Any], *, as_json: bool = False) -> Screen:
        """Where the command writes: without colours under ``--no-color``."""
        return Screen(as_json=as_json, plain=bool(options.get("no_color")), out=self.stdout)


@contextmanager
def told() -> Iterator[None]:
    try:
        yield
    except (AlternatorError, PynamoDBException) as wrong:
        raise CommandError(str(wrong)) from wrong
