"""The instrumentor that ``opentelemetry-instrument`` finds by this package's entry point.

It calls `contrib.opentelemetry.instrument`. ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=pynamodb_alternator`` switches it
off.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from . import opentelemetry
from ._watch import missing

try:
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
except ImportError as _cause:
    missing("opentelemetry", "opentelemetry-instrumentation", _cause)

__all__ = ["AlternatorInstrumentor"]


class AlternatorInstrumentor(BaseInstrumentor):
    """`opentelemetry.instrument` with the interface of OpenTelemetry's instrumentors.

    `instrument` has the arguments of that function, as keyword arguments. A process has only one instrumentor.
    """

    _handle: opentelemetry.OpenTelemetry | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Empty: this module always fits the package to which it belongs."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        known = ("meter_provider", "tracer_provider", "spans", "node_attributes", "own_requests")
        # opentelemetry-instrument passes all instrumentors the arguments that one of them accepts.
        self._handle = opentelemetry.instrument(**{name: kwargs[name] for name in known if name in kwargs})

    def _uninstrument(self, **kwargs: Any) -> None:
        if self._handle is not None:
            self._handle.uninstrument()
            self._handle = None
