"""Receivers of signals in a user's application."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, assert_type

from pynamodb_alternator import Cluster, signals

slow: list[str] = []
by_node: Counter[tuple[str, str]] = Counter()


@signals.request_completed.connect
def on_completed(sender: Cluster, *, event: signals.RequestCompleted, **extra: object) -> None:
    assert_type(event.cluster_name, str)
    assert_type(event.table_name, str | None)
    assert_type(event.node, str | None)
    assert_type(event.status, int | None)
    assert_type(event.error, BaseException | None)
    assert_type(event.duration, float)
    if event.duration > 1 and event.node is not None:
        slow.append(event.node.upper())


@signals.request_routed.connect
def on_routed(sender: Cluster, *, node: str, operation: str, **extra: object) -> None:
    by_node[node, operation] += 1


def on_trouble(sender: Cluster, *, event: signals.NodeDown | signals.NodeQuarantined, **extra: object) -> None:
    assert_type(event.node, str)
    assert_type(event.failures, int)
    assert_type(event.error, str | None)


class Dashboard:
    def __init__(self, cluster: Cluster) -> None:
        self.nodes: tuple[str, ...] = ()
        signals.topology_refreshed.connect(self.refreshed, sender=cluster)

    def refreshed(self, sender: Cluster, *, event: signals.TopologyRefreshed, **extra: object) -> None:
        self.nodes = tuple(event.nodes)


def everything(receiver: Callable[..., Any]) -> list[str]:
    for signal in signals.EVENTS:
        signal.connect(receiver, weak=False)
    signals.node_down.connect(on_trouble)
    signals.node_quarantined.connect(on_trouble)
    # A decorated receiver is still the function.
    on_routed(Cluster("http://10.0.0.1"), node="10.0.0.1:8000", operation="GetItem")
    return [event.__name__ for event in signals.EVENTS.values()]
