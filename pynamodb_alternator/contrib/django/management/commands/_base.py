"""What the commands have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pynamodb.exceptions import PynamoDBException

from .....errors import AlternatorError


class ClusterCommand(BaseCommand):
    """A command about one cluster, whose errors are lines and no tracebacks."""

    requires_system_checks: Sequence[str] = ()

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--cluster", default="default", metavar="ALIAS", help="The cluster's alias (default).")


@contextmanager
def told() -> Iterator[None]:
    try:
        yield
    except (AlternatorError, PynamoDBException) as wrong:
        raise CommandError(str(wrong)) from wrong
