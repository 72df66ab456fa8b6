"""The spans of requests: our own, and those of botocore's instrumentation, which are completed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, use_span

from pynamodb_alternator import Cluster, signals
from pynamodb_alternator.local import LocalCluster

from .conftest import User
from .telemetry import Telemetry, attributes_of
from .test_prometheus import completed

ASYNC = "aiobotocore is not installed: pip install 'pynamodb-alternator[async]'"


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.shutdown()


@pytest.fixture
def instrumented(telemetry: Telemetry) -> Iterator[None]:
    with telemetry.instrument():
        yield


@contextlib.contextmanager
def botocores(telemetry: Telemetry, name: str = "BotocoreInstrumentor") -> Iterator[None]:
    """botocore's instrumentation is active, as its users turn it on."""
    module = pytest.importorskip("opentelemetry.instrumentation.botocore")
    if not hasattr(module, name):
        pytest.skip(f"this version has no {name}")
    instrumentor = getattr(module, name)()
    instrumentor.instrument(tracer_provider=telemetry.traces, meter_provider=telemetry.meters)
    try:
        yield
    finally:
        instrumentor.uninstrument()


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


# ---- our own -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("instrumented")
def test_a_request_is_a_child_of_the_span_in_which_it_is_made(
    telemetry: Telemetry, user: type[User], local: LocalCluster
) -> None:
    user("alice").save()
    telemetry.exporter.clear()
    with telemetry.tracer.start_as_current_span("GET /", kind=SpanKind.SERVER, attributes={"server.address": "shop"}):
        user.get("alice")
    page, span = telemetry.span("GET /"), telemetry.span("DynamoDB.GetItem")
    assert len(telemetry.spans()) == 2
    assert span.kind is SpanKind.CLIENT
    assert parent_of(span) == id_of(page)
    assert span.start_time is not None
    assert span.end_time is not None
    assert (page.start_time or 0) <= span.start_time <= span.end_time <= (page.end_time or 0)
    assert span.status.status_code is StatusCode.UNSET
    attributes = attributes_of(span)
    port, address = attributes.pop("server.port"), attributes.pop("server.address")
    assert f"{address}:{port}" in local.addresses
    assert attributes == {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "GetItem",
        "db.collection.name": "users",
        "aws.dynamodb.table_names": ("users",),
        "rpc.system.name": "aws-api",
        "alternator.cluster.name": "default",
        "alternator.attempts": 1,
        "alternator.routing.policy": "round_robin",
        "alternator.routing.reason": "read",
    }
    assert attributes_of(page) == {"server.address": "shop"}
    assert "alice" not in span.to_json()


@pytest.mark.usefixtures("instrumented")
def test_a_span_has_only_the_kind_of_an_error(telemetry: Telemetry, user: type[User]) -> None:
    with pytest.raises(Exception, match="onditional"):
        user("alice").save(condition=user.name.exists())
    completed(status=None, error=RuntimeError("alice is not there"), request_id="2-2")
    refused, failed = telemetry.span("DynamoDB.PutItem"), telemetry.span("DynamoDB.GetItem")
    for span in (refused, failed):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert "alice" not in span.to_json()
    assert attributes_of(refused)["db.response.status_code"] == attributes_of(refused)["error.type"] == "400"
    assert attributes_of(failed)["error.type"] == "RuntimeError"
    assert "db.response.status_code" not in attributes_of(failed)


@pytest.mark.usefixtures("instrumented")
def test_retries_are_events_of_their_request(telemetry: Telemetry, user: type[User], local: LocalCluster) -> None:
    local.nodes[0].drop_request(times=None, operation="GetItem")
    for _ in range(3):
        with pytest.raises(User.DoesNotExist):
            user.get("alice")
    spans = telemetry.spans("DynamoDB.GetItem")
    assert len(spans) == 3
    retried = [span for span in spans if span.events]
    assert retried
    for span in retried:
        (event,) = span.events
        assert event.name == "alternator.retry"
        assert (span.start_time or 0) <= event.timestamp <= (span.end_time or 0)
        attributes = dict(event.attributes or {})
        assert attributes["alternator.from_node"] == local.nodes[0].address
        assert attributes["alternator.to_node"] in local.addresses
        assert attributes["alternator.attempt"] == attributes_of(span)["alternator.attempts"] == 2
        assert attributes["error.type"] == "ConnectionLostError"
        assert span.status.status_code is StatusCode.UNSET


@pytest.mark.usefixtures("instrumented")
def test_what_is_told_before_the_end_is_of_the_same_request(telemetry: Telemetry) -> None:
    request = {"cluster_name": "c", "operation": "PutItem", "table_name": "t", "own": False}
    signals.emit(signals.affinity_fallback, object(), **request, request_id="3-1", reason="no_key_value")
    completed(request_id="3-2")
    completed(request_id="3-1", operation="PutItem", hedge="won", on_replica=True)
    other, span = telemetry.spans()
    assert "alternator.affinity.fallback_reason" not in attributes_of(other)
    assert attributes_of(span)["alternator.affinity.fallback_reason"] == "no_key_value"
    assert attributes_of(span)["alternator.hedge.outcome"] == "won"
    assert attributes_of(span)["alternator.routing.on_replica"] is True


@pytest.mark.usefixtures("instrumented")
def test_a_batch_has_all_of_its_tables(telemetry: Telemetry) -> None:
    completed(operation="BatchGetItem", table_name="cats,users")
    attributes = attributes_of(telemetry.span("DynamoDB.BatchGetItem"))
    assert attributes["aws.dynamodb.table_names"] == ("cats", "users")
    assert "db.collection.name" not in attributes


@pytest.mark.usefixtures("instrumented")
def test_no_span_is_made_if_spans_are_switched_off(telemetry: Telemetry, user: type[User]) -> None:
    telemetry.exporter.clear()
    with suppress_instrumentation():
        user("alice").save()
    not_sampled = SpanContext(trace_id=1, span_id=2, is_remote=True)
    with use_span(NonRecordingSpan(not_sampled)):
        user("alice").save()
    assert telemetry.spans() == []
    user("alice").save()
    assert telemetry.span().name == "DynamoDB.PutItem"


@pytest.mark.parametrize("way", ["aio", "run", "client"])
@pytest.mark.usefixtures("instrumented")
def test_each_task_of_an_event_loop_has_its_own_spans(telemetry: Telemetry, user: type[User], way: str) -> None:
    pytest.importorskip("aiobotocore", reason=ASYNC)
    from pynamodb_alternator import aio

    async def save(name: str) -> None:
        if way == "aio":
            await user(name).aio.save()
        elif way == "run":
            await aio.run(user(name).save)
        else:
            client: Any = await aio.get_client()
            await client.put_item(TableName="users", Item={"name": {"S": name}, "visits": {"N": "0"}})

    async def work(number: int) -> None:
        with telemetry.tracer.start_as_current_span(f"task {number}"):
            await save(str(number))

    async def main() -> None:
        await asyncio.gather(*map(work, range(20)))

    telemetry.exporter.clear()
    asyncio.run(main())
    tasks = {id_of(span) for span in telemetry.spans() if span.name.startswith("task")}
    requests = telemetry.spans("DynamoDB.PutItem")
    assert len(requests) == 20
    assert {parent_of(span) for span in requests} == tasks


@pytest.mark.usefixtures("instrumented")
def test_a_request_that_is_cancelled_has_its_span(telemetry: Telemetry, user: type[User], local: LocalCluster) -> None:
    pytest.importorskip("aiobotocore", reason=ASYNC)
    for node in local.nodes:
        node.delay(60, operation="GetItem")

    async def main() -> None:
        with telemetry.tracer.start_as_current_span("page"):
            task = asyncio.create_task(user.aio.get("alice"))
            while not any(node.operations.get("GetItem") for node in local.nodes):  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    span = telemetry.span("DynamoDB.GetItem")
    assert attributes_of(span)["error.type"] == "CancelledError"
    assert span.status.status_code is StatusCode.ERROR
    assert parent_of(span) == id_of(telemetry.span("page"))


# ---- beside botocore's instrumentation -----------------------------------------------------------------------------

SAID_BY_BOTOCORE = {"db.system.name", "db.operation.name", "db.collection.name", "db.response.status_code"}
"""Names of the newer conventions for what its span says by older ones."""


@pytest.mark.usefixtures("instrumented")
def test_a_span_of_botocore_is_completed_and_there_is_no_other(
    telemetry: Telemetry, user: type[User], local: LocalCluster
) -> None:
    local.nodes[0].drop_request(times=None, operation="GetItem")
    telemetry.exporter.clear()
    with botocores(telemetry):
        for _ in range(3):
            with pytest.raises(User.DoesNotExist):
                user.get("alice")
    spans = telemetry.spans("DynamoDB.GetItem")
    assert spans == telemetry.spans()
    assert len(spans) == 3
    assert any(span.events for span in spans)
    for span in spans:
        attributes = attributes_of(span)
        assert f"{attributes['server.address']}:{attributes['server.port']}" in local.addresses[1:]
        assert attributes["alternator.attempts"] == 1 + len(span.events)
        assert attributes["alternator.routing.policy"] == "round_robin"
        assert attributes["http.status_code"] == 200
        assert attributes["aws.dynamodb.table_names"] == ("users",)
        assert not attributes.keys() & SAID_BY_BOTOCORE
        assert {event.name for event in span.events} <= {"alternator.retry"}
        assert "alice" not in span.to_json()


@pytest.mark.usefixtures("instrumented")
def test_a_span_of_aiobotocore_is_completed_and_there_is_no_other(telemetry: Telemetry, user: type[User]) -> None:
    pytest.importorskip("aiobotocore", reason=ASYNC)

    async def main() -> None:
        await asyncio.gather(*(user(str(number)).aio.save() for number in range(5)))

    telemetry.exporter.clear()
    with botocores(telemetry, "AiobotocoreInstrumentor"):
        asyncio.run(main())
    assert [span.name for span in telemetry.spans()] == ["DynamoDB.PutItem"] * 5
    assert all(attributes_of(span)["alternator.attempts"] == 1 for span in telemetry.spans())


@pytest.mark.usefixtures("instrumented")
def test_an_event_loop_has_our_spans_where_botocore_alone_is_instrumented(
    telemetry: Telemetry, user: type[User]
) -> None:
    pytest.importorskip("aiobotocore", reason=ASYNC)
    telemetry.exporter.clear()
    with botocores(telemetry):
        asyncio.run(user("alice").aio.save())
    assert "rpc.system.name" in attributes_of(telemetry.span("DynamoDB.PutItem"))


def test_spans_of_botocore_are_left_alone_where_that_is_wanted(telemetry: Telemetry, cluster: Cluster) -> None:
    with telemetry.instrument(spans=False), botocores(telemetry):
        cluster.client.list_tables()
    assert not [name for name in attributes_of(telemetry.span()) if name.startswith("alternator")]


# ---- the library's own requests ------------------------------------------------------------------------------------


def test_a_reading_of_the_node_list_has_no_span_by_default(telemetry: Telemetry, local: LocalCluster) -> None:
    # Without a monitor the caller's thread reads it.
    with telemetry.instrument(own_requests=True), Cluster(f"{local.url}/?monitor=false") as cluster:
        with suppress_instrumentation():
            cluster.refresh()
        assert telemetry.spans("GET /localnodes") == []
        cluster.refresh()
        assert len(telemetry.spans("GET /localnodes")) == 1


def make_own_requests(cluster: Cluster) -> None:
    cluster.client.list_tables()
    cluster.nodes()  # which reads system tables for where the nodes stand
    cluster.refresh()


@pytest.mark.parametrize("instrumentation", [contextlib.nullcontext, botocores])
def test_own_requests_are_left_out(
    telemetry: Telemetry, cluster: Cluster, instrumentation: Callable[[Any], Any]
) -> None:
    with telemetry.instrument(), instrumentation(telemetry):
        make_own_requests(cluster)
        points = telemetry.points()
    assert [span.name for span in telemetry.spans()] == ["DynamoDB.ListTables"]
    (duration,) = points["db.client.operation.duration"]
    assert duration.attributes["db.operation.name"] == "ListTables"
    assert len(points["alternator.client.routed"]) == 1


@pytest.mark.parametrize("instrumentation", [contextlib.nullcontext, botocores])
def test_own_requests_are_marked_where_they_are_wanted(
    telemetry: Telemetry, cluster: Cluster, instrumentation: Callable[[Any], Any]
) -> None:
    with telemetry.instrument(own_requests=True), instrumentation(telemetry):
        make_own_requests(cluster)
        points = telemetry.points()["db.client.operation.duration"]
    marked = {span.name for span in telemetry.spans() if attributes_of(span).get("alternator.own_request")}
    others = {span.name for span in telemetry.spans()} - marked
    assert others == {"DynamoDB.ListTables"}
    assert "GET /localnodes" in marked
    assert marked & {"DynamoDB.Scan", "DynamoDB.Query"}
    own = {point.attributes["db.operation.name"]: point.attributes.get("alternator.own_request") for point in points}
    assert own.pop("ListTables") is None
    assert set(own.values()) == {True}
