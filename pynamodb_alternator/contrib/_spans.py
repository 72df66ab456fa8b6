"""Spans of requests for OpenTelemetry: one of our own for each request, or what botocore's instrumentation leaves out.

opentelemetry-instrumentation-botocore makes a client span for each call of a client, if it is active. It knows the
operation and the table, and takes the address of the client for that of the server. Then there is no second span: this
one gets the node that has answered, the retries, and how the request was routed.

Where it is not active, a request has a client span of ours. It is made when the request has ended, with the time at
which it began, because only then all is known of it; so samplers see all of its attributes. Its parent is the span in
which the request was made. What is told before, retries above all, is kept until then by the number of the request.
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
"""Makes a block in which instrumentations make no spans."""

_BOTOCORE = ("opentelemetry.instrumentation.botocore", "opentelemetry.instrumentation.aiobotocore")
"""What the names of the tracers begin with that make spans of botocore's and aiobotocore's clients."""
_MOST_KEPT = 1000
"""Requests that have told something, and have not ended yet. Each one ends; this is against the case that one does not
say so."""


class _Told(NamedTuple):
    """What a request has told before its end: attributes of its span, and retries, each with its time in ns."""

    attributes: dict[str, str | int | bool]
    retries: list[tuple[int, Attributes]]


class Spans:
    """What the signals make of spans. `tracer_provider`: the global one, if none is given."""

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
        """The reading of a node list, which is a request of the library's own."""
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
            # Without a description: the text of an error may have keys in it, and its kind is an attribute.
            span.set_status(StatusCode.ERROR)
        span.end(end)


def _of_request(event: signals.RequestCompleted) -> dict[str, str | int | bool]:
    """What is ours to say of a request."""
    attributes = {**ours(event), "alternator.attempts": event.attempts, **routed(event)}
    if event.on_replica is not None:
        attributes["alternator.routing.on_replica"] = event.on_replica
    if event.hedge is not None:
        attributes["alternator.hedge.outcome"] = event.hedge
    return attributes


def _tables(event: signals.RequestCompleted) -> Attributes:
    return {"aws.dynamodb.table_names": event.table_name.split(",")} if event.table_name else {}


def _is_botocores(span: Span, operation: str) -> bool:
    """Whether this is the span of botocore's instrumentation for a request of this operation."""
    if not span.is_recording():
        return False
    scope: Any = getattr(span, "instrumentation_scope", None)
    return str(getattr(scope, "name", "")).startswith(_BOTOCORE) and str(getattr(span, "name", "")).endswith(operation)


def _beside_botocores(span: Span, event: signals.RequestCompleted) -> dict[str, str | int | bool]:
    """What botocore's instrumentation does not say by a name of its own: the older conventions have other ones."""
    said: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    attributes = {**described(event), **server(event.node), **_of_request(event)}
    del attributes["db.system.name"], attributes["db.operation.name"]
    if "aws.dynamodb.table_names" in said:
        attributes.pop("db.collection.name", None)
    # It says the status of an answer as http.status_code, after this.
    attributes.pop("db.response.status_code", None)
    return attributes
