from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from pynamodb_alternator.registry import get_cluster

from ...._commands import tables
from ._base import ClusterCommand, told


class Command(ClusterCommand):
    help = "Show the tables of a cluster, and which models use them. The exit status is 1 if one is missing."

    def handle(self, **options: Any) -> None:
        with told():
            well = tables(get_cluster(options["cluster"]), self.screen(options), timeout=options["timeout"])
        if not well:
            raise CommandError("Not every table is there and can be looked at.")
