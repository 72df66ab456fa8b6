"""The common base of the commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from .....orm.model_tables import ERRORS
from .....shell.output import ends_quietly
from .....shell.screen import Screen
from .....shell.settings import number
from ...._commands import TIMEOUT, exit_status, message_of


class ClusterCommand(BaseCommand):
    """A command for one cluster. Its errors are lines, and not tracebacks."""

    requires_system_checks: Sequence[str] = ()
    cluster_help = "The cluster's alias (default)."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--cluster", default="default", metavar="ALIAS", help=self.cluster_help)
        parser.add_argument(
            "--timeout",
            type=number(0.001, 3600),
            default=TIMEOUT,
            metavar="SECONDS",
            help=f"For each question ({TIMEOUT:g}).",
        )
        parser.add_argument("--json", action="store_true", help="One JSON document, for machines.")

    def screen(self, options: Mapping[str, Any], *, as_json: bool = False) -> Screen:
        """The screen to which the command writes, without colours if ``--no-color`` is given."""
        # If Python has no standard output, Django's wrapper of it cannot be used.
        out = None if sys.stdout is None else self.stdout
        return Screen(as_json=as_json or bool(options.get("json")), plain=bool(options.get("no_color")), out=out)


@contextmanager
def told() -> Iterator[None]:
    """A context manager: errors become lines on the terminal, and not tracebacks. They have the exit status of the
    shell's commands."""
    try:
        with ends_quietly():
            yield
    except ERRORS as wrong:
        raise CommandError(message_of(wrong), returncode=exit_status(wrong)) from wrong
