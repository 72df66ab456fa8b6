from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from pynamodb_alternator.registry import get_cluster

from ...._commands import check
from ._base import ClusterCommand, told


class Command(ClusterCommand):
    help = "Ask all nodes of a cluster, and say what is wrong. The exit status is 1 if anything is."

    def handle(self, **options: Any) -> None:
        with told():
            well = check(get_cluster(options["cluster"]), self.screen(options))
        if not well:
            raise CommandError("The cluster has errors.")
