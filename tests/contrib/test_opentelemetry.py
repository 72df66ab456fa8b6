from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from pynamodb_alternator import Cluster, signals
from pynamodb_alternator.contrib import opentelemetry
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .conftest import User
from .support import run_python
from .test_prometheus import completed


class Telemetry:
    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.exporter = InMemorySpanExporter()
        self.traces = TracerProvider(shutdown_on_exit=False)
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.traces.get_tracer("test")

    def span(self) -> ReadableSpan:
        (span,) = self.exporter.get_finished_spans()
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


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    with opentelemetry.instrument(telemetry.meters):
        yield telemetry
    telemetry.meters.shutdown()
    telemetry.traces.shutdown()


def test_the_current_span_says_what_was_asked_and_which_node_answered(
    telemetry: Telemetry, user: type[User], local: LocalCluster
) -> None:
    user("alice").save()
    with telemetry.tracer.start_as_current_span("page"):
        user.get("alice")
    attributes = dict(telemetry.span().attributes or {})
    port, address = attributes.pop("server.port"), attributes.pop("server.address")
    assert f"{address}:{port}" in local.addresses
    assert attributes == {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "GetItem",
        "db.collection.name": "users",
        "alternator.cluster.name": "default",
        "alternator.attempts": 1,
        "alternator.routing.policy": "round_robin",
        "alternator.routing.reason": "read",
    }
    assert "alice" not in telemetry.span().to_json()


def test_each_task_of_an_event_loop_has_its_own_span(telemetry: Telemetry, user: type[User]) -> None:
    pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

    async def work(number: int) -> None:
        with telemetry.tracer.start_as_current_span(str(number)):
            if number % 2:
                await user(str(number)).aio.save()
            else:
                await user.aio.count(str(number))

    async def main() -> None:
        await asyncio.gather(*map(work, range(20)))

    asyncio.run(main())
    spans = telemetry.exporter.get_finished_spans()
    assert {span.name: (span.attributes or {}).get("db.operation.name") for span in spans} == {
        str(number): "PutItem" if number % 2 else "Query" for number in range(20)
    }


def test_an_error_answer_has_its_status(telemetry: Telemetry, user: type[User]) -> None:
    with telemetry.tracer.start_as_current_span("page"), pytest.raises(Exception, match="onditional"):
        user("alice").save(condition=user.name.exists())
    attributes = telemetry.span().attributes or {}
    assert attributes["db.response.status_code"] == "400"
    assert attributes["error.type"] == "400"


def test_the_span_of_a_served_request_keeps_its_own_address(telemetry: Telemetry, user: type[User]) -> None:
    with telemetry.tracer.start_as_current_span("GET /", kind=SpanKind.SERVER, attributes={"server.address": "shop"}):
        user.describe_table()
    attributes = telemetry.span().attributes or {}
    assert attributes["server.address"] == "shop"
    assert attributes["db.operation.name"] == "DescribeTable"


def test_a_retry_is_an_event(telemetry: Telemetry, user: type[User], local: LocalCluster) -> None:
    local.nodes[0].drop_request(times=None, operation="GetItem")
    with telemetry.tracer.start_as_current_span("page"):
        for _ in range(3):
            user.count()
            with pytest.raises(User.DoesNotExist):
                user.get("alice")
    events = telemetry.span().events
    assert events
    assert {event.name for event in events} == {"alternator.retry"}
    attributes = dict(events[0].attributes or {})
    assert attributes["alternator.from_node"] == local.nodes[0].address
    assert attributes["alternator.to_node"] in local.addresses
    assert attributes["error.type"] == "ConnectionLostError"
    (retries,) = telemetry.points()["alternator.client.retries"]
    assert retries.value == len(events)


def test_metrics(telemetry: Telemetry, user: type[User], cluster: Cluster) -> None:
    cluster.refresh()
    user("alice").save(condition=user.name.does_not_exist())
    user.get("alice")
    points = telemetry.points()
    (get,) = [
        point for point in points["db.client.operation.duration"] if point.attributes["db.operation.name"] == "GetItem"
    ]
    assert get.count == 1
    assert get.explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
    assert dict(get.attributes) == {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "GetItem",
        "db.collection.name": "users",
        "alternator.cluster.name": "default",
    }
    assert sum(point.value for point in points["alternator.client.nodes"]) == 3
    assert points["alternator.client.topology.age"][0].value < 10
    assert points["alternator.client.topology.refreshes"][0].value >= 1
    routed = points["alternator.client.routed"]
    assert {point.attributes["alternator.routing.policy"] for point in routed} >= {"affinity", "round_robin"}
    (used,) = points["alternator.client.affinity"]
    assert used.attributes["alternator.affinity.outcome"] == "used"


def test_a_fallback_of_affinity_has_its_reason(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("page"):
        signals.emit(
            signals.affinity_fallback,
            object(),
            cluster_name="c",
            operation="PutItem",
            table_name="t",
            request_id="1-1",
            own=False,
            reason="no_key_value",
        )
    assert (telemetry.span().attributes or {})["alternator.affinity.fallback_reason"] == "no_key_value"
    (point,) = telemetry.points()["alternator.client.affinity"]
    assert point.attributes["alternator.affinity.outcome"] == "fallback"


def test_it_is_done_once_and_can_be_taken_back(user: type[User]) -> None:
    telemetry = Telemetry()
    handle = opentelemetry.instrument(telemetry.meters)
    assert opentelemetry.instrument(telemetry.meters) is handle
    with pytest.raises(ConfigurationError, match=r"uninstrument\(\)"):
        opentelemetry.instrument(telemetry.meters, spans=False)
    handle.uninstrument()
    handle.uninstrument()
    with telemetry.tracer.start_as_current_span("page"):
        user.count()
    assert not telemetry.span().attributes
    assert telemetry.points() == {}
    telemetry.meters.shutdown()


def test_the_client_span_of_the_botocore_instrumentation_gets_the_attributes(
    telemetry: Telemetry, cluster: Cluster
) -> None:
    botocore = pytest.importorskip("opentelemetry.instrumentation.botocore")
    instrumentor = botocore.BotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.traces, meter_provider=telemetry.meters)
    try:
        cluster.client.list_tables()
    finally:
        instrumentor.uninstrument()
    span = telemetry.span()
    assert span.kind is SpanKind.CLIENT
    assert (span.attributes or {})["db.operation.name"] == "ListTables"


def test_mistakes_are_answered() -> None:
    with pytest.raises(ConfigurationError, match="meter_provider must be an OpenTelemetry MeterProvider"):
        opentelemetry.instrument(object())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="spans must be True or False"):
        opentelemetry.instrument(spans="no")  # type: ignore[arg-type]


def test_without_the_library_the_import_names_the_extra() -> None:
    said = run_python(
        "try:\n    import pynamodb_alternator.contrib.opentelemetry\nexcept ImportError as wrong:\n    print(wrong)",
        without=("opentelemetry",),
    )
    assert "pip install 'pynamodb-alternator[opentelemetry]'" in said


def test_a_hedged_read_is_counted_and_said_on_its_span(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("page"):
        completed(attempts=2, hedge="lost")
        completed(attempts=2, hedge="won")
    assert (telemetry.span().attributes or {})["alternator.hedge.outcome"] == "won"
    points = telemetry.points()["alternator.client.hedges"]
    assert sorted((point.attributes["alternator.hedge.outcome"], point.value) for point in points) == [
        ("lost", 1),
        ("won", 1),
    ]
