"""The shell commands: ``pynamodb-alternator <command>``, or ``python -m pynamodb_alternator <command>``.

Exit status: 0 for success, 1 if the command found a problem or failed, 2 for a mistake in options or settings.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .._version import __version__
from ..errors import AlternatorError, ConfigurationError
from ..settings.checks import did_you_mean
from . import bench, check, clients, completion, create_tables, local, nodes, route, tables
from .output import ends_quietly

__all__ = ["main", "make_parser"]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors say what to write instead."""

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice is not None:
            known = [name.strip(" '") for name in choice[2].split(",")]
            meant = did_you_mean(choice[1], known) or f"Write one of: {', '.join(known)}."
            message = f"{message.partition(':')[0]}: {choice[1]!r} is not known. {meant}"
        text = message if message.endswith((".", "?", ")")) else message + "."
        self.exit(2, f"error: {text}\nTry: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit status."""
    options = make_parser().parse_args(arguments)
    # The command itself reports what goes wrong.
    logging.getLogger("pynamodb_alternator").addHandler(logging.NullHandler())
    try:
        with ends_quietly():
            return int(options.run(options))
    except AlternatorError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        is_a_mistake = isinstance(wrong, ConfigurationError) or options.command == "local"
        return 2 if is_a_mistake else 1
    except KeyboardInterrupt:
        return 130


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line. Each command's module adds its own options."""
    parser = _Parser(
        prog="pynamodb-alternator",
        description="Look at a ScyllaDB Alternator cluster as an application sees it.",
        epilog="The cluster is given by --url or ALTERNATOR_URL. Colours and charts need the extra [cli].",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands: Any = parser.add_subparsers(dest="command", required=True, metavar="command")
    for module in (nodes, clients, route, check, tables, create_tables, bench, local, completion):
        module.add(commands)
    return parser
