"""The gauges of connections for Prometheus, which are set at each scrape.

In prometheus_client's multi-process mode the registry of a worker is not scraped. There the gauges are set at each
reading of the node list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import Gauge, Metric
from prometheus_client.registry import Collector

from ..transport.pool_core import PoolStats
from ._watch import NO_CONNECTIONS

__all__ = ["PoolGauges"]


class PoolGauges(Collector):
    """Shows the result of `pools`: the connections of each cluster by its name, and by node.

    `by_node`: whether the gauges have a label for the node.
    """

    def __init__(self, pools: Callable[[], Mapping[str, Mapping[str, PoolStats]]], *, by_node: bool) -> None:
        self._pools, self._by_node = pools, by_node
        self._seen: set[tuple[str, ...]] = set()
        self._open = self._gauge("connections_open", "Connections to the nodes.")
        self._in_use = self._gauge("connections_in_use", "Connections that a request uses now.")
        self._waiting = self._gauge("requests_waiting", "Requests that wait for a connection.")

    def _gauge(self, name: str, text: str) -> Gauge:
        """A gauge that only this collector collects."""
        labels = ("cluster_name", "node") if self._by_node else ("cluster_name",)
        return Gauge(f"alternator_client_{name}", text, labels, registry=None, multiprocess_mode="livesum")

    def describe(self) -> Iterable[Metric]:
        for gauge in (self._open, self._in_use, self._waiting):
            yield from gauge.describe()

    def collect(self) -> Iterable[Metric]:
        self.update()
        for gauge in (self._open, self._in_use, self._waiting):
            yield from gauge.collect()

    def update(self) -> None:
        """Set the gauges to the present values. For a closed cluster, or a node that has left, they become 0, because
        in multi-process mode a series cannot be removed."""
        figures = self._figures()
        self._seen.update(figures)
        for labels in list(self._seen):
            stats = figures.get(labels, NO_CONNECTIONS)
            self._open.labels(*labels).set(stats.open)
            self._in_use.labels(*labels).set(stats.in_use)
            self._waiting.labels(*labels).set(stats.waiting)

    def _figures(self) -> dict[tuple[str, ...], PoolStats]:
        """The connections by the labels of their gauges."""
        figures: dict[tuple[str, ...], PoolStats] = {}
        for cluster_name, nodes in self._pools().items():
            if not self._by_node:
                figures[cluster_name,] = NO_CONNECTIONS
            for node, stats in nodes.items():
                labels = (cluster_name, node) if self._by_node else (cluster_name,)
                figures[labels] = stats.plus(figures.get(labels, NO_CONNECTIONS))
        return figures
