"""Spans of requests for OpenTelemetry: our own for each request, or missing attributes for botocore's instrumentation.

opentelemetry-instrumentation-botocore, if it is active, makes a client span for each call of a client. It knows the
operation and the table, and records the client's address as that of the server. Then we make no second span: its span
gets the node that has answered, the retries, and how the request was routed.

If it is not active, a request gets a client span of ours. The span is made when the request has ended, with the time at
which the request began. Only then is everything known, and so samplers see all attributes. Its parent is the span in
which the request was made. Earlier events, above all retries, are kept until then by the number of the request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, suppress_instrumentation
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

from .. import signals
from .._version import __version__
from ._conventions import SCHEMA_URL, Attributes, described, error_of_retry, failed, ours, routed, server

__all__ = ["Spans", "suppressed"]

suppressed: Callable[[], AbstractContextManager[object]] = suppress_instrumentation
"""Opens a block in which instrumentations make no spans."""

_BOTOCORE = ("opentelemetry.instrumentation.botocore", "opentelemetry.instrumentation.aiobotocore")
"""Beginnings of the names of tracers that make spans for botocore's and aiobotocore's clients."""
_MOST_KEPT = 1000
"""The most requests whose events are kept until they end. Every request ends; this limits memory if an end is not
reported."""


class _Told(NamedTuple):
    """Events of a request before its end: attributes of its span, and retries, each with its time in ns."""

    attributes: dict[str, str | int | bool]
    retries: list[tuple[int, Attributes]]


class Spans:
    """Makes spans from the signals. `tracer_provider`: None for the global one."""

    def __init__(self, tracer_provider: TracerProvider | None) -> None:
        self._tracer = trace.get_tracer("pynamodb_alternator", __version__, tracer_provider, SCHEMA_URL)
        self._told: dict[str, _Told] = {}

    def fell_back(self, event: signals.AffinityFallback) -> None:
        reason: dict[str, str | int | bool] = {"alternator.affinity.fallback_reason": event.reason}
        span = trace.get_current_span()
        if _is_botocores(span, event.operation):
            span.set_attributes(reason)
        else:
            self._keep(event).attributes.update(reason)

    def retried(self, event: signals.RequestRetried) -> None:
        attributes: Attributes = {
            "alternator.from_node": event.from_node,
            "alternator.to_node": event.to_node,
            "alternator.attempt": event.attempt,
            "error.type": error_of_retry(event),
        }
        span = trace.get_current_span()
        if _is_botocores(span, event.operation):
            span.add_event("alternator.retry", attributes)
        else:
            self._keep(event).retries.append((time.time_ns(), attributes))

    def completed(self, event: signals.RequestCompleted) -> None:
        told = self._told.pop(event.request_id, None)
        span = trace.get_current_span()
        if _is_botocores(span, event.operation):
            span.set_attributes(_beside_botocores(span, event))
        elif is_instrumentation_enabled():
            self._make(event, told)

    def list_was_read(self, event: signals.TopologyRefreshed) -> None:
        """The span of a reading of the node list, which the library makes for itself."""
        if not is_instrumentation_enabled():
            return
        end = time.time_ns()
        attributes: Attributes = {
            "http.request.method": "GET",
            "url.path": "/localnodes",
            **server(event.source),
            **ours(event),
            "alternator.own_request": True,
        }
        start = end - int(event.duration * 1e9)
        self._tracer.start_span("GET /localnodes", None, SpanKind.CLIENT, attributes, start_time=start).end(end)

    def _keep(self, event: signals.RequestEvent) -> _Told:
        told = self._told.get(event.request_id)
        if told is None:
            if len(self._told) >= _MOST_KEPT:
                self._told.clear()
            told = self._told[event.request_id] = _Told({}, [])
        return told

    def _make(self, event: signals.RequestCompleted, told: _Told | None) -> None:
        end = time.time_ns()
        attributes: dict[str, Any] = {
            **described(event),
            **_tables(event),
            "rpc.system.name": "aws-api",
            **server(event.node),
            **_of_request(event),
            **(told.attributes if told else {}),
        }
        start = end - int(event.duration * 1e9)
        span = self._tracer.start_span(
            f"DynamoDB.{event.operation}", None, SpanKind.CLIENT, attributes, start_time=start
        )
        for moment, retry in told.retries if told else ():
            span.add_event("alternator.retry", retry, moment)
        if failed(event):
            # Without a description: the text of an error may contain keys. The kind of the error is an attribute.
            span.set_status(StatusCode.ERROR)
        span.end(end)


def _of_request(event: signals.RequestCompleted) -> dict[str, str | int | bool]:
    """The attributes of a request that only this library knows."""
    attributes = {**ours(event), "alternator.attempts": event.attempts, **routed(event)}
    if event.on_replica is not None:
        attributes["alternator.routing.on_replica"] = event.on_replica
    if event.hedge is not None:
        attributes["alternator.hedge.outcome"] = event.hedge
    return attributes


def _tables(event: signals.RequestCompleted) -> Attributes:
    return {"aws.dynamodb.table_names": event.table_name.split(",")} if event.table_name else {}


def _is_botocores(span: Span, operation: str) -> bool:
    """Whether this is a span of botocore's instrumentation for a request with this operation."""
    if not span.is_recording():
        return False
    scope: Any = getattr(span, "instrumentation_scope", None)
    return str(getattr(scope, "name", "")).startswith(_BOTOCORE) and str(getattr(span, "name", "")).endswith(operation)


def _beside_botocores(span: Span, event: signals.RequestCompleted) -> dict[str, str | int | bool]:
    """The attributes that botocore's instrumentation lacks, or has under other names of older conventions."""
    said: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    attributes = {**described(event), **server(event.node), **_of_request(event)}
    del attributes["db.system.name"], attributes["db.operation.name"]
    if "aws.dynamodb.table_names" in said:
        attributes.pop("db.collection.name", None)
    # It adds the status of an answer later, as http.status_code.
    attributes.pop("db.response.status_code", None)
    return attributes
