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
| ``alternator_client_nodes`` | cluster_name, state (active, quarantined, set_aside, down) |
| ``alternator_client_topology_age_seconds`` | cluster_name |
| ``alternator_client_topology_refreshes_total`` | cluster_name, result (read, failed) |
| ``alternator_client_no_nodes_available_total`` | cluster_name |

Labels take few values: `status` is that of HTTP, or ``none``; `error` the class of an error, or empty; a batch over
more than one table has the table ``several``.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from .. import signals
from ..errors import ConfigurationError, OutcomeUnknownError
from ..routing.idempotence import is_read
from ..settings import checks
from ._watch import Clusters, Handle, Subscription, error_name, missing, table_of

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as _cause:
    missing("prometheus", "prometheus_client", _cause)

__all__ = ["BUCKETS", "Prometheus", "instrument"]

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. A request takes about a millisecond; the server gives up after ten seconds."""

_MOST_TABLES = 100
"""Table names that become labels; later ones count as ``other``."""

_lock = threading.Lock()
_active: weakref.WeakKeyDictionary[CollectorRegistry, Prometheus] = weakref.WeakKeyDictionary()


class Prometheus(Handle):
    """The subscription and the metrics of `instrument`."""

    def __init__(
        self, registry: CollectorRegistry, *, node_label: bool, table_label: bool, buckets: tuple[float, ...]
    ) -> None:
        # Not the registry itself: it would never be collected, being the key of a weak dictionary.
        self._registry = weakref.ref(registry)
        self.settings: tuple[bool, bool, tuple[float, ...]] = (node_label, table_label, buckets)
        self._node_label, self._table_label = node_label, table_label
        self._tables: set[str] = set()
        self._clusters = Clusters()
        self._clusters.changed = self._nodes_changed
        node = ("node",) if node_label else ()
        table = ("table_name",) if table_label else ()
        self._metrics: list[Counter | Gauge | Histogram] = []

        def add(kind: Any, name: str, text: str, labels: Sequence[str], **more: Any) -> Any:
            try:
                metric = kind(f"alternator_client_{name}", text, labels, registry=registry, **more)
            except ValueError as wrong:
                self._unregister()
                raise ConfigurationError(
                    f"prometheus.instrument(): the registry has a metric of this name already: {wrong}. "
                    "Give another registry: instrument(registry=CollectorRegistry())."
                ) from None
            self._metrics.append(metric)
            return metric

        self._requests = add(
            Counter,
            "requests_total",
            "Requests that got an answer or an error.",
            ("cluster_name", "operation", *table, "status", "error", *node),
        )
        self._durations = add(
            Histogram,
            "request_duration_seconds",
            "Time from a request to its answer or error, retries included.",
            ("cluster_name", "operation", *table, *node),
            buckets=buckets,
        )
        self._unknown = add(
            Counter,
            "outcome_unknown_total",
            "Writes of which the caller was told that their outcome is unknown.",
            ("cluster_name", "operation", *table, "may_still_execute"),
        )
        self._retries = add(
            Counter,
            "retries_total",
            "Attempts that failed, after which another node took over.",
            ("cluster_name", "operation", "error", *node),
        )
        self._hedges = add(
            Counter,
            "hedges_total",
            "Reads that were sent to a second node as well: whether its answer came first.",
            ("cluster_name", "operation", "outcome"),
        )
        self._affinity = add(
            Counter,
            "affinity_total",
            "Requests for which key route affinity was wanted: used, or not, and why not.",
            ("cluster_name", "outcome", "reason"),
        )
        self._routed = add(
            Counter,
            "routed_total",
            "Requests by how their nodes were chosen, and why neither by affinity nor by replicas.",
            ("cluster_name", "operation", "policy", "reason"),
        )
        self._nodes = add(
            Gauge,
            "nodes",
            "Nodes of the cluster by their state.",
            ("cluster_name", "state"),
            multiprocess_mode="livemax",
        )
        self._age = add(
            Gauge,
            "topology_age_seconds",
            "Time since the node list was read.",
            ("cluster_name",),
            multiprocess_mode="livemax",
        )
        self._refreshes = add(
            Counter, "topology_refreshes_total", "Readings of the node list.", ("cluster_name", "result")
        )
        self._no_nodes = add(
            Counter, "no_nodes_available_total", "Requests that found no node to go to.", ("cluster_name",)
        )
        self._aged: set[str] = set()
        self._subscription = Subscription(
            [
                (signals.request_completed, self._completed),
                (signals.request_retried, self._retried),
                (signals.affinity_fallback, self._fell_back),
                (signals.no_nodes_available, self._found_no_node),
                (signals.discovery_failed, self._discovery_failed),
                (signals.topology_refreshed, self._refreshed),
                *self._clusters.receivers(),
            ]
        )

    def uninstrument(self) -> None:
        """Count no more, and take the metrics out of the registry. May be called again."""
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

    # ---- what the signals say ----------------------------------------------------------------------------------

    def _completed(self, cluster: Any, *, event: signals.RequestCompleted, **_: Any) -> None:
        # Values in the order of the names above: by name, prometheus_client would sort them for each request.
        table = (self._table(event.table_name),) if self._table_label else ()
        node = (event.node or "",) if self._node_label else ()
        request = (event.cluster_name, event.operation, *table)
        self._durations.labels(*request, *node).observe(event.duration)
        status = "none" if event.status is None else str(event.status)
        self._requests.labels(*request, status, error_name(event.error), *node).inc()
        if isinstance(event.error, OutcomeUnknownError) and not is_read(event.operation):
            self._unknown.labels(*request, str(event.error.may_still_execute).lower()).inc()
        if event.hedge is not None:
            self._hedges.labels(event.cluster_name, event.operation, event.hedge).inc()
        self._routed.labels(event.cluster_name, event.operation, event.policy, event.reason or "").inc()
        if event.policy.endswith("affinity"):
            self._affinity.labels(event.cluster_name, "used", "").inc()

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
        self._affinity.labels(event.cluster_name, "fallback", event.reason).inc()

    def _found_no_node(self, cluster: Any, *, event: signals.NoNodesAvailable, **_: Any) -> None:
        self._no_nodes.labels(event.cluster_name).inc()

    def _discovery_failed(self, cluster: Any, *, event: signals.DiscoveryFailed, **_: Any) -> None:
        self._refreshes.labels(event.cluster_name, "failed").inc()

    def _refreshed(self, cluster: Any, *, event: signals.TopologyRefreshed, **_: Any) -> None:
        cluster_name = event.cluster_name
        self._refreshes.labels(cluster_name, "read").inc()
        if cluster_name not in self._aged:
            self._aged.add(cluster_name)
            clusters = self._clusters
            self._age.labels(cluster_name).set_function(lambda: clusters.age(cluster_name))

    def _nodes_changed(self, cluster_name: str, counts: Mapping[str, int]) -> None:
        for state, count in counts.items():
            self._nodes.labels(cluster_name, state).set(count)


def instrument(
    registry: CollectorRegistry | None = None,
    node_label: bool = False,
    *,
    table_label: bool = True,
    buckets: Sequence[float] = BUCKETS,
) -> Prometheus:
    """Count from now on what all clusters do, in `registry` (prometheus_client's own, if none is given).

    `node_label`: tell the nodes apart in requests, durations and retries; as many series more as there are nodes.
    `table_label`: tell the tables apart, the first hundred. `buckets`: of the durations, in seconds.

    Called again with the same settings it gives back the same handle. Raises `ConfigurationError` for other settings
    on a registry that is instrumented already.
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
    settings = (node_label, table_label, tuple(buckets))
    with _lock:
        handle = _active.get(registry)
        if handle is None:
            handle = _active[registry] = Prometheus(
                registry, node_label=node_label, table_label=table_label, buckets=settings[2]
            )
        elif handle.settings != settings:
            raise ConfigurationError(
                "prometheus.instrument(): this registry is instrumented already, with other settings. Call "
                "uninstrument() on the handle of the first call, or give another registry."
            )
        return handle
