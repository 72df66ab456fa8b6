"""OpenTelemetry with its SDK in memory: what was measured, and which spans have ended."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pynamodb_alternator.contrib import opentelemetry


class Telemetry:
    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.exporter = InMemorySpanExporter()
        self.traces = TracerProvider(shutdown_on_exit=False)
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.traces.get_tracer("test")

    def instrument(self, **settings: Any) -> opentelemetry.OpenTelemetry:
        return opentelemetry.instrument(self.meters, tracer_provider=self.traces, **settings)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Those that have ended and are called so, or all, in the order in which they ended."""
        return [span for span in self.exporter.get_finished_spans() if name in ("", span.name)]

    def span(self, name: str = "") -> ReadableSpan:
        """The only one of this name."""
        (span,) = self.spans(name)
        return span

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def shutdown(self) -> None:
        self.meters.shutdown()
        self.traces.shutdown()


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
