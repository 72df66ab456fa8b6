from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from pynamodb_alternator.registry import get_cluster

from ...._commands import route
from ._base import ClusterCommand, told


class Command(ClusterCommand):
    help = "Show to which nodes the requests of a partition key go, and why."

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.add_argument("table", metavar="TABLE")
        parser.add_argument("key", metavar="KEY", help="The partition key's value; binary ones in base64.")
        parser.add_argument("--index", metavar="NAME", help="KEY is one of this index.")
        parser.add_argument(
            "--token-aware", action="store_true", help="Read the table's token ring, and show the key's replicas."
        )

    def handle(self, **options: Any) -> None:
        with told():
            well = route(
                get_cluster(options["cluster"]),
                options["table"],
                options["key"],
                self.screen(options),
                index=options["index"],
                token_aware=options["token_aware"],
                timeout=options["timeout"],
            )
        if not well:
            raise CommandError("No node answers.")
