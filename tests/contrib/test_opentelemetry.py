"""OpenTelemetry's metrics, and how it is turned on and off."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from pynamodb_alternator import Cluster, signals
from pynamodb_alternator.contrib import opentelemetry
from pynamodb_alternator.errors import ConfigurationError

from ..transport.servers import until
from .conftest import User
from .support import ROOT, run_python
from .telemetry import Telemetry, attributes_of
from .test_prometheus import completed


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    with telemetry.instrument():
        yield telemetry
    telemetry.shutdown()


def test_requests_are_measured(telemetry: Telemetry, user: type[User], cluster: Cluster) -> None:
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


def test_it_is_done_once_and_can_be_taken_back(user: type[User]) -> None:
    telemetry = Telemetry()
    handle = telemetry.instrument()
    assert telemetry.instrument() is handle
    for other in ({"spans": False}, {"own_requests": True}, {"node_attributes": True}):
        with pytest.raises(ConfigurationError, match=r"uninstrument\(\)"):
            telemetry.instrument(**other)
    handle.uninstrument()
    handle.uninstrument()
    with telemetry.tracer.start_as_current_span("page"):
        user.count()
    assert not telemetry.span().attributes
    assert telemetry.points() == {}
    telemetry.shutdown()


@pytest.mark.parametrize("settings", [{}, {"node_attributes": True}])
def test_what_was_taken_back_can_be_done_again(user: type[User], cluster: Cluster, settings: dict[str, Any]) -> None:
    """The SDK keeps the first callbacks of an instrument, and drops those of a second one with its name."""
    telemetry, other = Telemetry(), Telemetry()

    def observed(handle: opentelemetry.OpenTelemetry, asked: Telemetry = telemetry) -> set[str]:
        with handle:
            cluster.refresh()
            user.count()
            return set(asked.points())

    first = observed(telemetry.instrument())
    gauges = {"alternator.client.nodes", "alternator.client.topology.age", "db.client.connection.count"}
    assert gauges | {"db.client.connection.pending_requests"} <= first
    assert first <= observed(telemetry.instrument(**settings))
    # What measures with another provider says nothing to this one.
    assert not gauges & observed(other.instrument())
    assert first <= observed(telemetry.instrument())
    assert first <= observed(other.instrument(), other)
    telemetry.shutdown()
    other.shutdown()


def test_the_gauges_are_those_of_the_handle_that_measures_with_the_global_provider() -> None:
    """Also where the provider is set after `instrument`, and where it is given in one call and not in the other."""
    said = run_python(
        textwrap.dedent("""
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from pynamodb_alternator import Cluster
        from pynamodb_alternator.contrib import opentelemetry
        from pynamodb_alternator.local import LocalCluster

        reader = InMemoryMetricReader()
        opentelemetry.instrument(node_attributes=True).uninstrument()
        handle = opentelemetry.instrument()
        metrics.set_meter_provider(MeterProvider([reader]))

        with LocalCluster(nodes=1) as local, Cluster(local.url) as cluster:
            for again in (None, metrics.get_meter_provider(), None):
                with handle:
                    cluster.refresh()
                    (resource,) = reader.get_metrics_data().resource_metrics
                    names = [metric.name for scope in resource.scope_metrics for metric in scope.metrics]
                    print(names.count("alternator.client.nodes"))
                handle = opentelemetry.instrument(again)
        """)
    )
    assert said.split() == ["1", "1", "1"]


def test_mistakes_are_answered() -> None:
    with pytest.raises(ConfigurationError, match="meter_provider must be an OpenTelemetry MeterProvider"):
        opentelemetry.instrument(object())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="tracer_provider must be an OpenTelemetry TracerProvider"):
        opentelemetry.instrument(tracer_provider=object())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="spans must be True or False"):
        opentelemetry.instrument(spans="no")  # type: ignore[arg-type]


def test_hedges_replicas_retries_and_fallbacks_are_counted(telemetry: Telemetry) -> None:
    completed(attempts=2, hedge="lost")
    completed(attempts=2, hedge="won")
    completed(policy="replica", on_replica=True)
    completed(policy="replica", on_replica=False)
    completed(policy="replica", on_replica=True)
    request = {"cluster_name": "c", "operation": "GetItem", "table_name": "t", "request_id": "1-1", "own": False}
    retry = {"from_node": "10.0.0.1:8000", "to_node": "10.0.0.2:8000", "attempt": 2}
    signals.emit(signals.request_retried, object(), **request, **retry, error="status 500")
    signals.emit(signals.affinity_fallback, object(), **request, reason="no_key_value")

    def counted(metric: str, attribute: str) -> list[tuple[Any, int]]:
        points = telemetry.points()[f"alternator.client.{metric}"]
        return sorted((point.attributes[attribute], point.value) for point in points)

    assert counted("hedges", "alternator.hedge.outcome") == [("lost", 1), ("won", 1)]
    assert counted("replica.hits", "alternator.routing.on_replica") == [(False, 1), (True, 2)]
    assert counted("retries", "error.type") == [("status 500", 1)]
    assert counted("affinity", "alternator.affinity.fallback_reason") == [("no_key_value", 1)]


def test_connections_are_counted(telemetry: Telemetry, user: type[User], cluster: Cluster) -> None:
    user("alice").save()
    cluster.refresh()

    def count(state: str) -> int:
        points = telemetry.points()["db.client.connection.count"]
        return sum(point.value for point in points if point.attributes["db.client.connection.state"] == state)

    # The library may be asking something for itself.
    until(lambda: count("used") == 0)
    assert count("idle") >= 1
    (waiting,) = telemetry.points()["db.client.connection.pending_requests"]
    assert waiting.value == 0
    assert dict(waiting.attributes) == {"db.client.connection.pool.name": "default"}
    cluster.close()
    assert "db.client.connection.count" not in telemetry.points()


def test_metrics_have_the_node_if_that_is_asked_for(user: type[User], cluster: Cluster) -> None:
    telemetry = Telemetry()
    with telemetry.instrument(node_attributes=True):
        for _ in range(3):
            user("alice").save()
        cluster.refresh()
        points = telemetry.points()
    telemetry.shutdown()
    assert all("server.port" in point.attributes for point in points["db.client.operation.duration"])
    addresses = {point.attributes["server.address"] for point in points["db.client.connection.count"]}
    assert addresses <= {node.address.rpartition(":")[0] for node in cluster.nodes()}
    assert len(addresses) >= 1


def test_the_instrumentor_of_the_entry_point(user: type[User]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"]["opentelemetry_instrumentor"].items()
    instrumentor = EntryPoint(name, value, "opentelemetry_instrumentor").load()()
    telemetry = Telemetry()
    # As opentelemetry-instrument calls it, which passes on what some other instrumentor may take.
    instrumentor.instrument(
        skip_dep_check=True, meter_provider=telemetry.meters, tracer_provider=telemetry.traces, request_hook=None
    )
    try:
        assert instrumentor.is_instrumented_by_opentelemetry
        user("alice").save()
    finally:
        instrumentor.uninstrument()
    user("bob").save()
    assert attributes_of(telemetry.span())["db.operation.name"] == "PutItem"
    with telemetry.instrument(spans=False):
        pass  # the instrumentor has taken its own back
    telemetry.shutdown()
