"""What the commands of Flask and Django show of a cluster, as the shell shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..orm._pynamodb import partition_key_of
from ..settings import values
from ..shell.render import NodeLine, show_finding, show_nodes, show_route, show_total
from ..shell.tables import key_value
from ._tables import models_of

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..shell.screen import Screen

__all__ = ["check", "nodes", "route"]


def nodes(cluster: Cluster, screen: Screen) -> None:
    """Show the nodes as this process knows them."""
    lines = [NodeLine.of(node) for node in cluster.nodes()]
    show_nodes(screen, lines, str(cluster.topology.scope))


def check(cluster: Cluster, screen: Screen) -> bool:
    """Show what the doctor says. True if it has found no error."""
    findings = cluster.check()
    for finding in findings:
        show_finding(screen, finding, cluster.name)
    show_total(screen, findings)
    return all(finding.severity != "error" for finding in findings)


def route(cluster: Cluster, table: str, key: str, screen: Screen) -> None:
    """Show where the writes of a key go. What is known of the table is what its model says."""
    value: Any = key
    for model in models_of():
        meta: Any = getattr(model, "Meta", None)
        if meta.table_name != table:
            continue
        attribute = partition_key_of(model)
        mode = getattr(meta, "key_route_affinity", None)
        if mode is not None:
            mode = values.affinity(f"{model.__qualname__}: Meta.key_route_affinity", mode)
        cluster.register_table(table, attribute.attr_name, mode)
        value = key_value(key, attribute.attr_type)
        break
    show_route(screen, cluster.route(table, value), key)
