"""Helpers for tests on the embedded cluster: its settings, healing its nodes, and dropping tables."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..local import LocalCluster

__all__ = ["drop_tables", "heal", "settings_for"]


def settings_for(cluster: LocalCluster) -> dict[str, Any]:
    """The settings with which a client reaches the cluster."""
    settings: dict[str, Any] = {"url": cluster.url}
    credentials = cluster.credentials
    if credentials:
        access_key, secret_key = next(iter(credentials.items()))
        settings["credentials"] = {"access_key": access_key, "secret_key": secret_key}
    if cluster.scheme == "https":
        settings["tls"] = {"ca": str(cluster.tls.ca_file)}
    return settings


def heal(cluster: LocalCluster) -> None:
    """Undo what a test has done to the nodes: faults, `hang` and `freeze`, `kill` and `leave`."""
    for node in cluster.nodes:
        node.clear_faults()
        node.revive()
        node.join()


def drop_tables(cluster: LocalCluster, tables: Iterable[str]) -> None:
    """Drop these tables, if they exist, even if a test has killed every node."""
    from ..cluster import Cluster

    heal(cluster)
    # A new client, which does not know that nodes were down.
    with Cluster({**settings_for(cluster), "monitor": False}) as fresh:
        for table in tables:
            with suppress(fresh.client.exceptions.ResourceNotFoundException):
                fresh.client.delete_table(TableName=table)
