from __future__ import annotations

from typing import Any

from pynamodb_alternator.registry import get_cluster

from ...._commands import nodes
from ._base import ClusterCommand, told


class Command(ClusterCommand):
    help = "Show the nodes of a cluster, their datacenters and racks, and their state."

    def handle(self, **options: Any) -> None:
        with told():
            nodes(get_cluster(options["cluster"]), self.screen(options))
