from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from pynamodb_alternator.registry import get_cluster

from .....shell.settings import number
from ...._commands import EVERY, nodes
from ._base import ClusterCommand, told


class Command(ClusterCommand):
    help = "Show the nodes of a cluster, their datacenters and racks, their state and latency."

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--watch",
            nargs="?",
            const=EVERY,
            type=number(0.1, 3600),
            metavar="SECONDS",
            help=f"Look again every so many seconds ({EVERY:g}), until Ctrl-C.",
        )

    def handle(self, **options: Any) -> None:
        with told():
            cluster, screen = get_cluster(options["cluster"]), self.screen(options)
            well = nodes(cluster, screen, timeout=options["timeout"], every=options["watch"])
        if not well:
            raise CommandError("No node answers.")
