"""OpenTelemetry: attributes and retry events on the current span, and metrics. A subscriber of the signals.

>>> from pynamodb_alternator.contrib import opentelemetry
>>> handle = opentelemetry.instrument()

It makes no spans of its own. Where opentelemetry-instrumentation-botocore is installed and active, the current span is
its client span of the request; else it is the one that the application has opened.

The names are those of OpenTelemetry's semantic conventions for database clients, as far as these have one; ours begin
with ``alternator.``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from .. import signals
from .._version import __version__
from ..errors import ConfigurationError
from ..settings import checks
from ..settings.addresses import without_brackets
from ._watch import Clusters, Handle, Subscription, error_name, missing, table_of

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
except ImportError as _cause:
    missing("opentelemetry", "opentelemetry-api", _cause)

__all__ = ["OpenTelemetry", "instrument"]

SYSTEM = "aws.dynamodb"
"""What the conventions call the protocol that Alternator speaks."""

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
"""Seconds, as the conventions advise them."""

_lock = threading.Lock()
_active: OpenTelemetry | None = None

Attributes = dict[str, str | int]


class OpenTelemetry(Handle):
    """The subscription and the instruments of `instrument`."""

    def __init__(self, meter_provider: MeterProvider | None, *, spans: bool, node_attributes: bool) -> None:
        self.settings: tuple[MeterProvider | None, bool, bool] = (meter_provider, spans, node_attributes)
        self._spans, self._node_attributes = spans, node_attributes
        self._clusters = Clusters()
        self._over = False
        meter = metrics.get_meter("pynamodb_alternator", __version__, meter_provider)
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
        self._refreshes = meter.create_counter(
            "alternator.client.topology.refreshes", unit="{refresh}", description="Readings of the node list."
        )
        meter.create_observable_gauge(
            "alternator.client.nodes",
            [self._observe_nodes],
            unit="{node}",
            description="Nodes of the cluster by their state.",
        )
        meter.create_observable_gauge(
            "alternator.client.topology.age",
            [self._observe_ages],
            unit="s",
            description="Time since the node list was read.",
        )
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

    def uninstrument(self) -> None:
        """Measure no more, and leave spans alone. May be called again."""
        global _active
        with _lock:
            if _active is self:
                _active = None
            self._over = True
            self._subscription.close()

    # ---- what the signals say ----------------------------------------------------------------------------------

    def _completed(self, cluster: Any, *, event: signals.RequestCompleted, **_: Any) -> None:
        common: Attributes = {"db.system.name": SYSTEM, "db.operation.name": event.operation}
        table = table_of(event.table_name)
        if table and table != "several":
            common["db.collection.name"] = table
        status = event.status
        failed = event.error is not None or status is None or status >= 400
        if failed:
            common["error.type"] = error_name(event.error) or str(status)
            if status is not None:
                common["db.response.status_code"] = str(status)
        ours: Attributes = {"alternator.cluster.name": event.cluster_name}
        measured = {**common, **ours, **_server(event.node)} if self._node_attributes else {**common, **ours}
        self._durations.record(event.duration, measured)
        if event.hedge is not None:
            outcome: Attributes = {"alternator.hedge.outcome": event.hedge}
            self._hedges.add(1, {**ours, "db.operation.name": event.operation, **outcome})
            common.update(outcome)
        routed: Attributes = {"alternator.routing.policy": event.policy}
        if event.reason is not None:
            routed["alternator.routing.reason"] = event.reason
        self._routed.add(1, {**ours, **routed, "db.operation.name": event.operation})
        if event.policy.endswith("affinity"):
            self._affinity.add(1, {**ours, "alternator.affinity.outcome": "used"})
        if not self._spans:
            return
        span = trace.get_current_span()
        if not span.is_recording():
            return
        # On the span of a request to this program, server.address means this program.
        serves = getattr(span, "kind", None) in (trace.SpanKind.SERVER, trace.SpanKind.CONSUMER)
        if serves:
            common.pop("error.type", None)
        span.set_attributes(
            {
                **common,
                **({} if serves else _server(event.node)),
                **ours,
                "alternator.attempts": event.attempts,
                **routed,
            }
        )

    def _retried(self, cluster: Any, *, event: signals.RequestRetried, **_: Any) -> None:
        kind = error_name(event.error) or "_OTHER"
        self._retries.add(
            1, {"alternator.cluster.name": event.cluster_name, "db.operation.name": event.operation, "error.type": kind}
        )
        if self._spans:
            attributes: Attributes = {
                "alternator.from_node": event.from_node,
                "alternator.to_node": event.to_node,
                "alternator.attempt": event.attempt,
                "error.type": kind,
            }
            trace.get_current_span().add_event("alternator.retry", attributes)

    def _fell_back(self, cluster: Any, *, event: signals.AffinityFallback, **_: Any) -> None:
        self._affinity.add(
            1,
            {
                "alternator.cluster.name": event.cluster_name,
                "alternator.affinity.outcome": "fallback",
                "alternator.affinity.fallback_reason": event.reason,
            },
        )
        if self._spans:
            trace.get_current_span().set_attribute("alternator.affinity.fallback_reason", event.reason)

    def _refreshed(self, cluster: Any, *, event: signals.TopologyRefreshed, **_: Any) -> None:
        self._count_refresh(event, "read")

    def _discovery_failed(self, cluster: Any, *, event: signals.DiscoveryFailed, **_: Any) -> None:
        self._count_refresh(event, "failed")

    def _count_refresh(self, event: signals.Event, result: str) -> None:
        self._refreshes.add(1, {"alternator.cluster.name": event.cluster_name, "alternator.refresh.result": result})

    def _observe_nodes(self, options: CallbackOptions) -> Iterable[Observation]:
        if self._over:
            return
        for cluster_name, counts in self._clusters.nodes().items():
            for state, count in counts.items():
                yield Observation(count, {"alternator.cluster.name": cluster_name, "alternator.node.state": state})

    def _observe_ages(self, options: CallbackOptions) -> Iterable[Observation]:
        if self._over:
            return
        for cluster_name, age in self._clusters.ages().items():
            yield Observation(age, {"alternator.cluster.name": cluster_name})


def _server(node: str | None) -> Attributes:
    if node is None:
        return {}
    host, _, port = node.rpartition(":")
    return {"server.address": without_brackets(host), "server.port": int(port)}


def instrument(
    meter_provider: MeterProvider | None = None, *, spans: bool = True, node_attributes: bool = False
) -> OpenTelemetry:
    """Measure from now on what all clusters do, and describe requests on the spans in which they are made.

    `meter_provider`: the global one, if none is given. `spans`: False leaves spans alone. `node_attributes`: put
    ``server.address`` and ``server.port`` on the durations too, which makes as many series more as there are nodes;
    spans have them always.

    Called again with the same settings it gives back the same handle. Raises `ConfigurationError` for other ones.
    """
    global _active
    checks.flag("opentelemetry.instrument(): spans", spans)
    checks.flag("opentelemetry.instrument(): node_attributes", node_attributes)
    if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
        raise ConfigurationError(
            "opentelemetry.instrument(): meter_provider must be an OpenTelemetry MeterProvider, or None for the "
            f"global one (got {type(meter_provider).__name__})."
        )
    with _lock:
        if _active is None:
            _active = OpenTelemetry(meter_provider, spans=spans, node_attributes=node_attributes)
        elif _active.settings != (meter_provider, spans, node_attributes):
            raise ConfigurationError(
                "opentelemetry.instrument() was called before, with other settings. Call uninstrument() on the handle "
                "of that call first."
            )
        return _active
