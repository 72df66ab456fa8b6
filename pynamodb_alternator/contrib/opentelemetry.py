"""OpenTelemetry: a span for each request, and metrics. A subscriber of the signals.

>>> from pynamodb_alternator.contrib import opentelemetry
>>> handle = opentelemetry.instrument()

If opentelemetry-instrumentation-botocore is active, the missing attributes are added to its client span, and no second
span is made: see `_spans`. The names are those of OpenTelemetry's semantic conventions, if these have one
(`_conventions`). Our own names begin with ``alternator.``.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from .. import signals
from .._version import __version__
from ..core.own_requests import surround
from ..errors import ConfigurationError
from ..settings import checks
from ._watch import NO_CONNECTIONS, Clusters, Handle, Subscription, missing

try:
    from opentelemetry import metrics
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
    from opentelemetry.trace import TracerProvider

    from ._spans import Spans, suppressed  # needs the second package
except ImportError as _cause:
    missing("opentelemetry", "opentelemetry-api and opentelemetry-instrumentation", _cause)

from ._conventions import BUCKETS, SCHEMA_URL, described, error_of_retry, ours, routed, server

__all__ = ["OpenTelemetry", "instrument"]

_lock = threading.Lock()
_active: OpenTelemetry | None = None
_observed: weakref.WeakSet[Meter] = weakref.WeakSet()
"""Meters that have the instruments that are asked at each collection. A provider gives the same meter again."""


class OpenTelemetry(Handle):
    """The subscription and the instruments of `instrument`."""

    def __init__(
        self,
        meter_provider: MeterProvider | None,
        tracer_provider: TracerProvider | None,
        *,
        spans: bool,
        node_attributes: bool,
        own_requests: bool,
    ) -> None:
        self.meter_provider = meter_provider
        self.settings: tuple[object, ...] = (meter_provider, tracer_provider, spans, node_attributes, own_requests)
        self._spans = Spans(tracer_provider) if spans else None
        self._node_attributes, self._own_requests = node_attributes, own_requests
        self._clusters = Clusters()
        meter = metrics.get_meter("pynamodb_alternator", __version__, meter_provider, SCHEMA_URL)
        self._durations = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._retries = meter.create_counter(
            "alternator.client.retries",
            unit="{retry}",
            description="Attempts that failed, after which another node took over.",
        )
        self._hedges = meter.create_counter(
            "alternator.client.hedges",
            unit="{hedge}",
            description="Reads that were sent to a second node as well: whether its answer came first.",
        )
        self._affinity = meter.create_counter(
            "alternator.client.affinity",
            unit="{request}",
            description="Requests for which key route affinity was wanted: used, or not, and why not.",
        )
        self._routed = meter.create_counter(
            "alternator.client.routed",
            unit="{request}",
            description="Requests by how their nodes were chosen, and why neither by affinity nor by replicas.",
        )
        self._replica_hits = meter.create_counter(
            "alternator.client.replica.hits",
            unit="{request}",
            description="Requests whose replicas were known: whether one of them was the last node.",
        )
        self._refreshes = meter.create_counter(
            "alternator.client.topology.refreshes", unit="{refresh}", description="Readings of the node list."
        )
        if meter not in _observed:
            _observed.add(meter)
            _create_observed(meter, meter_provider)
        self._subscription = Subscription(
            [
                (signals.request_completed, self._completed),
                (signals.request_retried, self._retried),
                (signals.affinity_fallback, self._fell_back),
                (signals.topology_refreshed, self._refreshed),
                (signals.discovery_failed, self._discovery_failed),
                *self._clusters.receivers(),
            ]
        )
        self._look_again = None if own_requests else surround(suppressed)

    def uninstrument(self) -> None:
        """Stop measuring, and no longer make or change spans. May be called again."""
        global _active
        with _lock:
            if _active is self:
                _active = None
            self._subscription.close()
            if self._look_again is not None:
                self._look_again()

    # ---- receivers of the signals ------------------------------------------------------------------------------

    def _completed(self, cluster: Any, *, event: signals.RequestCompleted, **_: Any) -> None:
        if event.own and not self._own_requests:
            return
        whose, operation = ours(event), {"db.operation.name": event.operation}
        node = server(event.node) if self._node_attributes else {}
        self._durations.record(event.duration, {**described(event), **whose, **node})
        if event.hedge is not None:
            self._hedges.add(1, {**whose, **operation, "alternator.hedge.outcome": event.hedge})
        self._routed.add(1, {**whose, **routed(event), **operation})
        if event.on_replica is not None:
            self._replica_hits.add(1, {**whose, **operation, "alternator.routing.on_replica": event.on_replica})
        if event.policy.endswith("affinity"):
            self._affinity.add(1, {**whose, "alternator.affinity.outcome": "used"})
        if self._spans is not None:
            self._spans.completed(event)

    def _retried(self, cluster: Any, *, event: signals.RequestRetried, **_: Any) -> None:
        if event.own and not self._own_requests:
            return
        operation = {"db.operation.name": event.operation}
        self._retries.add(1, {**ours(event), **operation, "error.type": error_of_retry(event)})
        if self._spans is not None:
            self._spans.retried(event)

    def _fell_back(self, cluster: Any, *, event: signals.AffinityFallback, **_: Any) -> None:
        if event.own and not self._own_requests:
            return
        outcome = {"alternator.affinity.outcome": "fallback", "alternator.affinity.fallback_reason": event.reason}
        self._affinity.add(1, {**ours(event), **outcome})
        if self._spans is not None:
            self._spans.fell_back(event)

    def _refreshed(self, cluster: Any, *, event: signals.TopologyRefreshed, **_: Any) -> None:
        self._count_refresh(event, "read")
        if self._spans is not None and self._own_requests:
            self._spans.list_was_read(event)

    def _discovery_failed(self, cluster: Any, *, event: signals.DiscoveryFailed, **_: Any) -> None:
        self._count_refresh(event, "failed")

    def _count_refresh(self, event: signals.Event, result: str) -> None:
        self._refreshes.add(1, {**ours(event), "alternator.refresh.result": result})

    # ---- values that are read at each collection ---------------------------------------------------------------

    def observe_nodes(self) -> Iterable[Observation]:
        for cluster_name, counts in self._clusters.nodes().items():
            for state, count in counts.items():
                yield Observation(count, {"alternator.cluster.name": cluster_name, "alternator.node.state": state})

    def observe_ages(self) -> Iterable[Observation]:
        for cluster_name, age in self._clusters.ages().items():
            yield Observation(age, {"alternator.cluster.name": cluster_name})

    def observe_connections(self) -> Iterable[Observation]:
        for pool, open_now, in_use, _ in self._pools():
            for state, count in (("used", in_use), ("idle", open_now - in_use)):
                yield Observation(count, {**pool, "db.client.connection.state": state})

    def observe_waiting(self) -> Iterable[Observation]:
        for pool, _, _, waiting in self._pools():
            yield Observation(waiting, pool)

    def _pools(self) -> Iterable[tuple[dict[str, str | int | bool], int, int, int]]:
        """For each cluster, or each of its nodes: labels, connections open and in use, and requests that wait."""
        for cluster_name, nodes in self._clusters.pools().items():
            if not self._node_attributes:
                total = NO_CONNECTIONS
                for stats in nodes.values():
                    total = total.plus(stats)
                nodes = {"": total}
            for node, stats in nodes.items():
                yield {"db.client.connection.pool.name": cluster_name, **server(node or None)}, *stats[1:]


def _create_observed(meter: Meter, meter_provider: MeterProvider | None) -> None:
    """The instruments that are asked at each collection.

    They outlive their handle: for an instrument of the same name the SDK keeps the first callbacks, and drops later
    ones. So the callbacks ask the handle that measures with this provider then.
    """

    def asked(ask: Callable[[OpenTelemetry], Iterable[Observation]]) -> list[Any]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            handle = _active
            # Which provider is the global one may be settled after instrument().
            if handle is None or _settled(handle.meter_provider) is not _settled(meter_provider):
                return ()
            return ask(handle)

        return [observe]

    meter.create_observable_gauge(
        "alternator.client.nodes",
        asked(OpenTelemetry.observe_nodes),
        unit="{node}",
        description="Nodes of the cluster by their state.",
    )
    meter.create_observable_gauge(
        "alternator.client.topology.age",
        asked(OpenTelemetry.observe_ages),
        unit="s",
        description="Time since the node list was read.",
    )
    meter.create_observable_up_down_counter(
        "db.client.connection.count",
        asked(OpenTelemetry.observe_connections),
        unit="{connection}",
        description="The number of connections that are currently in state described by the state attribute.",
    )
    meter.create_observable_up_down_counter(
        "db.client.connection.pending_requests",
        asked(OpenTelemetry.observe_waiting),
        unit="{request}",
        description="The number of current pending requests for an open connection.",
    )


def _settled(meter_provider: MeterProvider | None) -> MeterProvider:
    return metrics.get_meter_provider() if meter_provider is None else meter_provider


def instrument(
    meter_provider: MeterProvider | None = None,
    *,
    tracer_provider: TracerProvider | None = None,
    spans: bool = True,
    node_attributes: bool = False,
    own_requests: bool = False,
) -> OpenTelemetry:
    """Measure all clusters from now on, and make a span for each request.

    `meter_provider`, `tracer_provider`: the global ones by default. `spans`: False makes no spans, and does not change
    those of botocore's instrumentation. `node_attributes`: add ``server.address`` and ``server.port`` to the metrics
    too, which multiplies the series by the number of nodes; spans always have them. `own_requests`: include the
    requests that the library makes for itself, with ``alternator.own_request``: look-ups of tables, readings of system
    tables, and in spans readings of the node list.

    A second call with the same settings returns the same handle. Raises `ConfigurationError` for other settings.
    """
    global _active
    checks.flag("opentelemetry.instrument(): spans", spans)
    checks.flag("opentelemetry.instrument(): node_attributes", node_attributes)
    checks.flag("opentelemetry.instrument(): own_requests", own_requests)
    _check_provider("meter_provider", meter_provider, MeterProvider)
    _check_provider("tracer_provider", tracer_provider, TracerProvider)
    settings = (meter_provider, tracer_provider, spans, node_attributes, own_requests)
    with _lock:
        if _active is None:
            _active = OpenTelemetry(
                meter_provider,
                tracer_provider,
                spans=spans,
                node_attributes=node_attributes,
                own_requests=own_requests,
            )
        elif _active.settings != settings:
            raise ConfigurationError(
                "opentelemetry.instrument() was called before, with other settings. Call uninstrument() on the handle "
                "of that call first."
            )
        return _active


def _check_provider(name: str, provider: object, kind: type) -> None:
    if provider is not None and not isinstance(provider, kind):
        raise ConfigurationError(
            f"opentelemetry.instrument(): {name} must be an OpenTelemetry {kind.__name__}, or None for the global one "
            f"(got {type(provider).__name__})."
        )
