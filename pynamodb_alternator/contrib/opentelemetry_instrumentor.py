"""The instrumentor that ``opentelemetry-instrument`` finds by the entry point of this package.

It calls `contrib.opentelemetry.instrument`. ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=pynamodb_alternator`` keeps it from
that.
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
    """`opentelemetry.instrument` as the instrumentors of OpenTelemetry are called.

    `instrument` takes what that function takes, as keyword arguments. There is one instrumentor in a process.
    """

    _handle: opentelemetry.OpenTelemetry | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Which versions of what is instrumented: whichever this module comes with."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        known = ("meter_provider", "tracer_provider", "spans", "node_attributes", "own_requests")
        # opentelemetry-instrument gives all instrumentors what one of them takes.
        self._handle = opentelemetry.instrument(**{name: kwargs[name] for name in known if name in kwargs})

    def _uninstrument(self, **kwargs: Any) -> None:
        if self._handle is not None:
            self._handle.uninstrument()
            self._handle = None
