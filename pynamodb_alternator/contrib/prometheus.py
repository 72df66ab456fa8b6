"""Metrics for Prometheus: a subscriber of the signals.

>>> from pynamodb_alternator.contrib import prometheus
>>> handle = prometheus.instrument()

| metric | labels |
|---|---|
| ``alternator_client_requests_total`` | cluster_name, operation, table_name, status, error |
| ``alternator_client_request_duration_seconds`` | cluster_name, operation, table_name |
| ``alternator_client_outcome_unknown_total`` | cluster_name, operation, table_name, may_still_execute (true, false) |
| ``alternator_client_retries_total`` | cluster_name, operation, error |
| ``alternator_client_hedges_total`` | cluster_name, operation, outcome (won, lost) |
| ``alternator_client_affinity_total`` | cluster_name, outcome (used, fallback), reason |
| ``alternator_client_routed_total`` | cluster_name, operation, policy, reason |
| ``alternator_client_replica_hits_total`` | cluster_name, operation, outcome (hit, miss) |
| ``alternator_client_no_nodes_available_total`` | cluster_name |
| ``alternator_client_set_aside_total`` | cluster_name |
| ``alternator_client_connections_open`` | cluster_name |
| ``alternator_client_connections_in_use`` | cluster_name |
| ``alternator_client_requests_waiting`` | cluster_name |
| ``alternator_client_nodes`` | cluster_name, state (active, quarantined, set_aside, down) |
| ``alternator_client_topology_age_seconds`` | cluster_name |
| ``alternator_client_topology_refreshes_total`` | cluster_name, result (read, failed) |

Labels have few values: `status` is that of HTTP, or ``none``. `error` is the class of an error, or empty. A batch over
more than one table has the table ``several``.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from .. import signals
from ..errors import (
    ConfigurationError,
    ConnectionLostError,
    NodeUnreachableError,
    OutcomeUnknownError,
    ReadTimeoutError,
)
from ..routing.idempotence import is_read
from ..settings import checks
from ._watch import Clusters, Handle, Subscription, error_name, missing, table_of

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.registry import Collector

    from ._pool_gauges import PoolGauges
except ImportError as _cause:
    missing("prometheus", "prometheus_client", _cause)

__all__ = ["BUCKETS", "Prometheus", "instrument"]

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. A request takes about a millisecond; the server gives up after ten seconds."""

_MOST_TABLES = 100
"""The largest number of table names that become labels. Later tables are counted as ``other``."""

_lock = threading.Lock()
_active: weakref.WeakKeyDictionary[CollectorRegistry, Prometheus] = weakref.WeakKeyDictionary()


class Prometheus(Handle):
    """The subscription and the metrics of `instrument`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        node_label: bool,
        table_label: bool,
        buckets: tuple[float, ...],
        own_requests: bool,
    ) -> None:
        # Not the registry itself: it is the key of a weak dictionary, and this reference would keep it alive for ever.
        self._registry = weakref.ref(registry)
        self.settings: tuple[object, ...] = (node_label, table_label, buckets, own_requests)
        self._node_label, self._table_label, self._own_requests = node_label, table_label, own_requests
        self._tables: set[str] = set()
        self._begun: set[tuple[str, ...]] = set()
        self._clusters = Clusters()
        self._clusters.changed = self._nodes_changed
        self._metrics: list[Collector] = []
        try:
            self._register(registry, buckets)
        except ValueError as wrong:
            self._unregister()
            raise ConfigurationError(
                f"prometheus.instrument(): the registry has a metric of this name already: {wrong}. "
                "Give another registry: instrument(registry=CollectorRegistry())."
            ) from None
        self._subscription = Subscription(
            [
                (signals.request_completed, self._completed),
                (signals.request_retried, self._retried),
                (signals.affinity_fallback, self._fell_back),
                (signals.no_nodes_available, self._found_no_node),
                (signals.node_set_aside, self._set_aside),
                (signals.discovery_failed, self._discovery_failed),
                # The receivers that count are connected before the collector, which shows the counts.
                *self._clusters.receivers(),
                (signals.topology_refreshed, self._refreshed),
            ]
        )

    def _register(self, registry: CollectorRegistry, buckets: tuple[float, ...]) -> None:
        """Make all metrics. Raises ValueError if the registry already has a metric of one of these names."""

        def add(kind: Any, name: str, text: str, *labels: str, **more: Any) -> Any:
            metric = kind(f"alternator_client_{name}", text, labels, registry=registry, **more)
            self._metrics.append(metric)
            return metric

        node = ("node",) if self._node_label else ()
        own = ("own",) if self._own_requests else ()
        request = ("cluster_name", "operation", *(("table_name",) if self._table_label else ()))
        text = "Requests that got an answer or an error."
        self._requests = add(Counter, "requests_total", text, *request, "status", "error", *node, *own)
        text = "Time from a request to its answer or error, retries included."
        self._durations = add(Histogram, "request_duration_seconds", text, *request, *node, *own, buckets=buckets)
        text = "Writes of which the caller was told that their outcome is unknown."
        self._unknown = add(Counter, "outcome_unknown_total", text, *request, "may_still_execute")
        text = "Attempts that failed, after which another node took over."
        self._retries = add(Counter, "retries_total", text, "cluster_name", "operation", "error", *node)
        text = "Reads that were sent to a second node as well: whether its answer came first."
        self._hedges = add(Counter, "hedges_total", text, "cluster_name", "operation", "outcome")
        text = "Requests for which key route affinity was wanted: used, or not, and why not."
        self._affinity = add(Counter, "affinity_total", text, "cluster_name", "outcome", "reason")
        text = "Requests by how their nodes were chosen, and why neither by affinity nor by replicas."
        self._routed = add(Counter, "routed_total", text, "cluster_name", "operation", "policy", "reason")
        text = "Requests whose replicas were known: whether one of them was the last node."
        self._replica_hits = add(Counter, "replica_hits_total", text, "cluster_name", "operation", "outcome")
        text = "Requests that found no node to go to."
        self._no_nodes = add(Counter, "no_nodes_available_total", text, "cluster_name")
        text = "Times that a node was set aside, because its answers failed."
        self._asides = add(Counter, "set_aside_total", text, "cluster_name", *node)
        text = "Readings of the node list."
        self._refreshes = add(Counter, "topology_refreshes_total", text, "cluster_name", "result")
        text = "Nodes of the cluster by their state."
        self._nodes = add(Gauge, "nodes", text, "cluster_name", "state", multiprocess_mode="livemax")
        text = "Time since the node list was read."
        self._age = add(Gauge, "topology_age_seconds", text, "cluster_name", multiprocess_mode="livemax")
        self._pools = PoolGauges(self._clusters.pools, by_node=self._node_label)
        registry.register(self._pools)
        self._metrics.append(self._pools)

    def uninstrument(self) -> None:
        """Stop counting, and remove the metrics from the registry. May be called again."""
        with _lock:
            registry = self._registry()
            if registry is not None and _active.get(registry) is self:
                del _active[registry]
            self._subscription.close()
            self._unregister()

    def _unregister(self) -> None:
        registry = self._registry()
        metrics, self._metrics = self._metrics, []
        if registry is not None:
            for metric in metrics:
                registry.unregister(metric)

    # ---- receivers of the signals ------------------------------------------------------------------------------

    def _completed(self, cluster: Any, *, event: signals.RequestCompleted, **_: Any) -> None:
        if event.own and not self._own_requests:
            return
        # Values in the order of the names above. With keywords, prometheus_client would sort them for each request.
        table = (self._table(event.table_name),) if self._table_label else ()
        node = (event.node or "",) if self._node_label else ()
        own = (str(event.own).lower(),) if self._own_requests else ()
        request = (event.cluster_name, event.operation, *table)
        if (*request, *node, *own) not in self._begun:
            self._begin_requests(event.operation, request, (*node, *own))
        self._durations.labels(*request, *node, *own).observe(event.duration)
        status = "none" if event.status is None else str(event.status)
        self._requests.labels(*request, status, error_name(event.error), *node, *own).inc()
        if isinstance(event.error, OutcomeUnknownError) and not is_read(event.operation):
            self._unknown.labels(*request, str(event.error.may_still_execute).lower()).inc()
        if event.hedge is not None:
            self._count_outcome(self._hedges, request[:2], event.hedge, ("won", "lost"))
        if event.on_replica is not None:
            self._count_outcome(self._replica_hits, request[:2], "hit" if event.on_replica else "miss", ("hit", "miss"))
        self._routed.labels(event.cluster_name, event.operation, event.policy, event.reason or "").inc()
        if event.policy.endswith("affinity"):
            self._affinity.labels(event.cluster_name, "used", "").inc()

    # Prometheus sees the increase of a series from its second value on. So what counts troubles begins with 0, as far
    # as its labels are known before the first one.

    def _begin_requests(self, operation: str, request: tuple[str, ...], more: tuple[str, ...]) -> None:
        self._begun.add((*request, *more))
        self._requests.labels(*request, "200", "", *more)
        if not is_read(operation):
            for may_still_execute in ("true", "false"):
                self._unknown.labels(*request, may_still_execute)
        if not self._node_label:
            for error in (NodeUnreachableError, ConnectionLostError, ReadTimeoutError):
                self._retries.labels(*request[:2], error.__name__)

    def _count_outcome(self, counter: Any, request: tuple[str, ...], outcome: str, outcomes: tuple[str, ...]) -> None:
        if (*request, *outcomes) not in self._begun:
            self._begun.add((*request, *outcomes))
            for each in outcomes:
                counter.labels(*request, each)
        counter.labels(*request, outcome).inc()

    def _begin(self, cluster_name: str) -> None:
        if (cluster_name,) in self._begun:
            return
        self._begun.add((cluster_name,))
        self._no_nodes.labels(cluster_name)
        if not self._node_label:
            self._asides.labels(cluster_name)
        for result in ("read", "failed"):
            self._refreshes.labels(cluster_name, result)
        if not _has_several_processes():  # there a function cannot be asked at each scrape
            clusters = self._clusters
            self._age.labels(cluster_name).set_function(lambda: clusters.age(cluster_name))

    def _table(self, table_name: str | None) -> str:
        table = table_of(table_name)
        if table not in self._tables:
            if len(self._tables) >= _MOST_TABLES:
                return "other"
            self._tables.add(table)
        return table

    def _retried(self, cluster: Any, *, event: signals.RequestRetried, **_: Any) -> None:
        node = (event.from_node,) if self._node_label else ()
        self._retries.labels(event.cluster_name, event.operation, error_name(event.error), *node).inc()

    def _fell_back(self, cluster: Any, *, event: signals.AffinityFallback, **_: Any) -> None:
        if not event.own or self._own_requests:
            self._affinity.labels(event.cluster_name, "fallback", event.reason).inc()

    def _found_no_node(self, cluster: Any, *, event: signals.NoNodesAvailable, **_: Any) -> None:
        if not event.own or self._own_requests:
            self._no_nodes.labels(event.cluster_name).inc()

    def _set_aside(self, cluster: Any, *, event: signals.NodeSetAside, **_: Any) -> None:
        node = (event.node,) if self._node_label else ()
        self._asides.labels(event.cluster_name, *node).inc()

    def _discovery_failed(self, cluster: Any, *, event: signals.DiscoveryFailed, **_: Any) -> None:
        self._begin(event.cluster_name)
        self._refreshes.labels(event.cluster_name, "failed").inc()

    def _refreshed(self, cluster: Any, *, event: signals.TopologyRefreshed, **_: Any) -> None:
        self._begin(event.cluster_name)
        self._refreshes.labels(event.cluster_name, "read").inc()
        self._pools.update()

    def _nodes_changed(self, cluster_name: str, counts: Mapping[str, int]) -> None:
        for state, count in counts.items():
            self._nodes.labels(cluster_name, state).set(count)


def _has_several_processes() -> bool:
    """Whether prometheus_client is in its multi-process mode, as it decides that itself."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ


def _bounds_of(buckets: Any) -> tuple[float, ...]:
    """The upper bounds of buckets, of which the last may be infinite. Raises `ConfigurationError`."""
    bounds = tuple(buckets) if isinstance(buckets, Sequence) and not isinstance(buckets, str | bytes) else ()
    finite = bounds[:-1] if bounds and bounds[-1] == float("inf") else bounds
    rises = all(map(checks.is_number, finite)) and all(low < high for low, high in pairwise((0, *finite)))
    if not finite or not rises:
        raise ConfigurationError(
            "prometheus.instrument(): buckets must be seconds greater than 0 in ascending order, such as (0.001, 0.01, "
            f"0.1, 1) (got {checks.shown(buckets)})."
        )
    return bounds


def instrument(
    registry: CollectorRegistry | None = None,
    node_label: bool = False,
    *,
    table_label: bool = True,
    buckets: Sequence[float] = BUCKETS,
    own_requests: bool = False,
) -> Prometheus:
    """Count the requests and states of all clusters from now on, in `registry` (by default prometheus_client's own).

    `node_label`: add a label for the node to requests, durations, retries and connections, which multiplies the series
    by the number of nodes. `table_label`: add a label for the table, for the first hundred tables. `buckets`: the
    buckets of the durations, in seconds, in ascending order. `own_requests`: also count the requests that the library
    makes for itself. Then requests and durations have the label `own` (true, false).

    A second call with the same settings returns the same handle. Raises `ConfigurationError` for other settings on a
    registry that is already instrumented.
    """
    if registry is None:
        registry = REGISTRY
    if not isinstance(registry, CollectorRegistry):
        raise ConfigurationError(
            "prometheus.instrument(): registry must be a prometheus_client.CollectorRegistry, or None for the default "
            f"one (got {type(registry).__name__})."
        )
    checks.flag("prometheus.instrument(): node_label", node_label)
    checks.flag("prometheus.instrument(): table_label", table_label)
    checks.flag("prometheus.instrument(): own_requests", own_requests)
    bounds = _bounds_of(buckets)
    settings = (node_label, table_label, bounds, own_requests)
    with _lock:
        handle = _active.get(registry)
        if handle is None:
            handle = _active[registry] = Prometheus(
                registry,
                node_label=node_label,
                table_label=table_label,
                buckets=bounds,
                own_requests=own_requests,
            )
        elif handle.settings != settings:
            raise ConfigurationError(
                "prometheus.instrument(): this registry is instrumented already, with other settings. Call "
                "uninstrument() on the handle of the first call, or give another registry."
            )
        return handle
