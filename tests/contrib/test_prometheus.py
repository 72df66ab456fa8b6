from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from blinker import NamedSignal
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from pynamodb_alternator import Cluster, signals
from pynamodb_alternator.contrib import prometheus
from pynamodb_alternator.errors import (
    ConfigurationError,
    ConnectionLostError,
    NodeUnreachableError,
    ReadTimeoutError,
    ServerFailureError,
)
from pynamodb_alternator.local import LocalCluster

from ..transport.servers import until
from .conftest import User
from .support import Once, run_python


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def handle(registry: CollectorRegistry) -> Iterator[prometheus.Prometheus]:
    with prometheus.instrument(registry) as handle:
        yield handle


def completed(**changes: Any) -> None:
    payload = {
        "cluster_name": "c",
        "operation": "GetItem",
        "table_name": "t",
        "node": "10.0.0.1:8000",
        "attempts": 1,
        "status": 200,
        "error": None,
        "duration": 0.002,
        "policy": "round_robin",
        "hedge": None,
        "on_replica": None,
        "reason": "read",
        "request_id": "1-1",
        "own": False,
    }
    signals.emit(signals.request_completed, object(), **{**payload, **changes})


@pytest.mark.usefixtures("handle")
def test_requests_of_a_model_are_counted(registry: CollectorRegistry, user: type[User]) -> None:
    user("alice").save()
    assert user.get("alice").visits == 0
    with pytest.raises(User.DoesNotExist):
        user.get("bob")
    labels = {"cluster_name": "default", "operation": "GetItem", "table_name": "users"}
    labels_of_requests = {**labels, "status": "200", "error": ""}
    assert registry.get_sample_value("alternator_client_requests_total", labels_of_requests) == 2
    assert registry.get_sample_value("alternator_client_request_duration_seconds_count", labels) == 2
    seconds = registry.get_sample_value("alternator_client_request_duration_seconds_sum", labels)
    assert seconds is not None
    assert 0 < seconds < 10


@pytest.mark.usefixtures("handle")
def test_writes_of_unknown_outcome_are_counted(registry: CollectorRegistry) -> None:
    silent, closed = ReadTimeoutError("it is silent"), ConnectionLostError("it is gone")
    completed(operation="PutItem", status=None, error=silent)
    completed(operation="PutItem", status=None, error=silent)
    completed(operation="PutItem", status=None, error=closed)
    completed(operation="PutItem", status=503, error=ServerFailureError("a proxy says so"))
    completed(operation="PutItem", status=None, error=NodeUnreachableError("nothing was sent"))
    completed(operation="GetItem", status=None, error=silent)

    def counted(operation: str, may_still_execute: str) -> float | None:
        labels = {
            "cluster_name": "c",
            "operation": operation,
            "table_name": "t",
            "may_still_execute": may_still_execute,
        }
        return registry.get_sample_value("alternator_client_outcome_unknown_total", labels)

    assert (counted("PutItem", "true"), counted("PutItem", "false")) == (3, 1)
    assert counted("GetItem", "true") is None


@pytest.mark.usefixtures("handle")
def test_affinity_is_counted(registry: CollectorRegistry, user: type[User]) -> None:
    user("alice").save(condition=user.name.does_not_exist())
    value = registry.get_sample_value(
        "alternator_client_affinity_total", {"cluster_name": "default", "outcome": "used", "reason": ""}
    )
    assert value == 1
    signals.emit(
        signals.affinity_fallback,
        object(),
        cluster_name="default",
        operation="PutItem",
        table_name="t",
        reason="no_key_value",
        request_id="1-1",
        own=False,
    )
    fallback = {"cluster_name": "default", "outcome": "fallback", "reason": "no_key_value"}
    assert registry.get_sample_value("alternator_client_affinity_total", fallback) == 1


@pytest.mark.usefixtures("handle")
def test_requests_to_replicas_are_counted(registry: CollectorRegistry, local: LocalCluster) -> None:
    with Cluster(local.url + "/?token_aware=true&name=c") as cluster:
        cluster.client.create_table(
            TableName="people",
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        cluster.register_table("people", "k")

        def read() -> None:
            cluster.client.get_item(TableName="people", Key={"k": {"S": "alice"}})

        read()  # the ring is not there yet
        cluster.route("people", "alice")  # which reads it
        read()
        read()

    def counted(policy: str, reason: str) -> float | None:
        labels = {"cluster_name": "c", "operation": "GetItem", "policy": policy, "reason": reason}
        return registry.get_sample_value("alternator_client_routed_total", labels)

    labels = {"cluster_name": "c", "operation": "GetItem", "outcome": "hit"}
    assert registry.get_sample_value("alternator_client_replica_hits_total", labels) == 2
    assert counted("replica", "") == 2
    assert counted("round_robin", "no_token_ring") == 1


@pytest.mark.usefixtures("handle")
def test_nodes_that_are_set_aside(registry: CollectorRegistry) -> None:
    def nodes(state: str) -> float | None:
        return registry.get_sample_value("alternator_client_nodes", {"cluster_name": "c", "state": state})

    def emit(signal: NamedSignal, **payload: Any) -> None:
        signals.emit(signal, object(), cluster_name="c", node="10.0.0.1:8000", **payload)

    emit(signals.node_up, down_for=0.0)
    emit(signals.node_set_aside, error="status 503", answers=20, failed=20, period=5.0, times=1)
    assert (nodes("active"), nodes("set_aside")) == (0, 1)
    emit(signals.node_up, down_for=1.0)  # which says nothing of its answers
    assert (nodes("active"), nodes("set_aside")) == (0, 1)
    emit(signals.node_restored, set_aside_for=5.0)
    assert (nodes("active"), nodes("set_aside")) == (1, 0)
    emit(signals.node_set_aside, error="status 503", answers=20, failed=20, period=10.0, times=2)
    emit(signals.node_down, failures=10, error=None)
    assert (nodes("down"), nodes("set_aside")) == (1, 0)
    assert registry.get_sample_value("alternator_client_set_aside_total", {"cluster_name": "c"}) == 2


@pytest.mark.usefixtures("handle")
def test_nodes_by_state_retries_and_the_age_of_the_topology(
    registry: CollectorRegistry, local: LocalCluster, user: type[User], cluster: Cluster
) -> None:
    def nodes(state: str) -> float | None:
        return registry.get_sample_value("alternator_client_nodes", {"cluster_name": "default", "state": state})

    cluster.refresh()
    assert (nodes("active") or 0) + (nodes("quarantined") or 0) == 3
    with Once(signals.node_down) as down:
        local.nodes[1].kill(still_listed=True)
        for _ in range(12):
            user("alice").save()
        down.wait()
    assert nodes("down") == 1
    retries = [
        sample
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "alternator_client_retries_total"
    ]
    assert sum(sample.value for sample in retries) >= 1
    counted = {sample.labels["error"] for sample in retries if sample.value}
    assert counted <= {"NodeUnreachableError", "ConnectionLostError"}
    age = registry.get_sample_value("alternator_client_topology_age_seconds", {"cluster_name": "default"})
    assert age is not None
    assert 0 <= age < 10
    read = {"cluster_name": "default", "result": "read"}
    assert (registry.get_sample_value("alternator_client_topology_refreshes_total", read) or 0) >= 1


def test_a_late_subscriber_knows_the_nodes(registry: CollectorRegistry, user: type[User], cluster: Cluster) -> None:
    assert cluster.refresh()
    with prometheus.instrument(registry):
        assert cluster.refresh()
        shown = [
            registry.get_sample_value("alternator_client_nodes", {"cluster_name": "default", "state": state})
            for state in ("active", "quarantined", "down")
        ]
    states = [node.state.value for node in cluster.nodes()]
    assert sum(value or 0 for value in shown) == len(states) == 3


@pytest.mark.usefixtures("handle")
def test_labels_take_few_values(registry: CollectorRegistry) -> None:
    for number in range(150):
        completed(table_name=f"t{number}")
    completed(table_name="a,b", status=None, error=RuntimeError("alice"))
    tables = {
        sample.labels["table_name"]
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "alternator_client_requests_total"
    }
    assert len(tables) == 101
    text = generate_latest(registry).decode()
    assert 'status="none"' in text
    assert 'error="RuntimeError"' in text
    assert "alice" not in text
    assert "node=" not in text


def test_metrics_have_the_node_if_that_is_asked_for(registry: CollectorRegistry) -> None:
    with prometheus.instrument(registry, node_label=True, table_label=False):
        completed()
        labels = {
            "cluster_name": "c",
            "operation": "GetItem",
            "status": "200",
            "error": "",
            "node": "10.0.0.1:8000",
        }
        assert registry.get_sample_value("alternator_client_requests_total", labels) == 1


def test_it_counts_once_and_several_clusters_apart(registry: CollectorRegistry) -> None:
    first = prometheus.instrument(registry)
    assert prometheus.instrument(registry) is first
    completed()
    completed(cluster_name="d")
    text = generate_latest(registry).decode()
    assert text.count("alternator_client_requests_total{") == 2
    assert "} 2.0" not in [line for line in text.splitlines() if "requests_total{" in line]
    with pytest.raises(ConfigurationError, match=r"other settings. Call uninstrument\(\)"):
        prometheus.instrument(registry, node_label=True)
    first.uninstrument()
    first.uninstrument()
    completed()
    assert generate_latest(registry) == b""
    prometheus.instrument(registry, node_label=True).uninstrument()


def test_mistakes_are_answered(registry: CollectorRegistry) -> None:
    with pytest.raises(ConfigurationError, match="CollectorRegistry"):
        prometheus.instrument("default")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="node_label must be True or False"):
        prometheus.instrument(registry, node_label="yes")  # type: ignore[arg-type]
    Counter("alternator_client_retries_total", "Somebody else's.", registry=registry)
    with pytest.raises(ConfigurationError, match="Give another registry"):
        prometheus.instrument(registry)
    assert b"alternator_client_requests_total" not in generate_latest(registry)


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        None,
        "0.1,1",
        (),
        (float("inf"),),
        (1, 0.5),
        (1, 1),
        ("1", 2),
        (True, 2),
        (0.1, float("nan")),
        (0, 1),
        (-1, 1),
    ],
)
def test_buckets_that_are_none_are_named(registry: CollectorRegistry, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"buckets must be seconds.*in ascending order.*\(got "):
        prometheus.instrument(registry, buckets=wrong)
    assert generate_latest(registry) == b""


def test_buckets_may_be_those_of_the_client_library(registry: CollectorRegistry) -> None:
    prometheus.instrument(registry, buckets=list(Histogram.DEFAULT_BUCKETS)).uninstrument()


def test_a_forgotten_registry_is_collected() -> None:
    registry = CollectorRegistry()
    gone = weakref.ref(registry)
    prometheus.instrument(registry).uninstrument()
    del registry
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("handle")
def test_hedges_are_counted(registry: CollectorRegistry) -> None:
    completed()
    for outcome in ("won", "won", "lost"):
        completed(attempts=2, hedge=outcome)
    labels = {"cluster_name": "c", "operation": "GetItem"}
    counted = [
        registry.get_sample_value("alternator_client_hedges_total", {**labels, "outcome": outcome})
        for outcome in ("won", "lost")
    ]
    assert counted == [2, 1]


@pytest.mark.usefixtures("handle")
def test_the_connections_of_a_cluster(
    registry: CollectorRegistry, local: LocalCluster, cluster: Cluster, user: type[User]
) -> None:
    def gauge(name: str) -> float | None:
        return registry.get_sample_value(f"alternator_client_{name}", {"cluster_name": "default"})

    user("alice").save()
    cluster.refresh()
    until(lambda: gauge("connections_in_use") == 0)  # the library may be asking something for itself
    assert (gauge("connections_open") or 0) >= 1
    assert gauge("requests_waiting") == 0
    for node in local.nodes:
        node.delay(0.5, times=None, operation="GetItem")
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(user.get, "alice")
        until(lambda: gauge("connections_in_use") == 1)
        reading.result()
    cluster.close()
    assert gauge("connections_open") == gauge("connections_in_use") == 0


def test_the_connections_of_each_node(
    registry: CollectorRegistry, local: LocalCluster, cluster: Cluster, user: type[User]
) -> None:
    with prometheus.instrument(registry, node_label=True):
        cluster.refresh()
        for _ in range(6):
            user("alice").save()
        for node in local.addresses:
            labels = {"cluster_name": "default", "node": node}
            assert (registry.get_sample_value("alternator_client_connections_open", labels) or 0) >= 1


def test_workers_add_up_their_connections(tmp_path: Path) -> None:
    """In prometheus_client's multi-process mode, as gunicorn's workers have it."""
    said = run_python(
        """
import os
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pynamodb_alternator import Cluster
from pynamodb_alternator.contrib import prometheus
from pynamodb_alternator.local import LocalCluster

prometheus.instrument()
with LocalCluster(nodes=1) as local, Cluster(local.url + "/?name=c") as cluster:
    cluster.client.list_tables()
    cluster.refresh()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    print(generate_latest(registry).decode())
""",
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
    )
    assert re.search(r'alternator_client_connections_open{cluster_name="c"} [1-9]', said)
    # An age that stayed the same at each scrape would say that all is well.
    assert "alternator_client_topology_age_seconds{" not in said


@pytest.mark.usefixtures("handle")
def test_what_counts_troubles_begins_with_0(registry: CollectorRegistry, user: type[User], cluster: Cluster) -> None:
    """Prometheus sees the increase of a series from its second value on: an only error would not be seen."""

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"alternator_client_{name}_total", {"cluster_name": "default", **labels})

    user("alice").save()
    cluster.refresh()
    assert value("no_nodes_available") == value("set_aside") == value("topology_refreshes", result="failed") == 0
    write = {"operation": "PutItem", "table_name": "users"}
    assert value("outcome_unknown", **write, may_still_execute="true") == 0
    assert value("retries", operation="PutItem", error="NodeUnreachableError") == 0
    query = {"cluster_name": "default", "operation": "Query", "table_name": "users"}
    completed(**query, status=None, error=ReadTimeoutError("it is silent"))
    # By which all requests less those without an error are the errors, also where there was nothing else.
    assert value("requests", operation="Query", table_name="users", status="200", error="") == 0
    assert value("outcome_unknown", operation="Query", table_name="users", may_still_execute="true") is None


@pytest.mark.usefixtures("handle")
def test_hits_of_replicas_are_counted(registry: CollectorRegistry) -> None:
    for on_replica in (None, True, True, False):
        completed(policy="replica", on_replica=on_replica)
    labels = {"cluster_name": "c", "operation": "GetItem"}
    counted = [
        registry.get_sample_value("alternator_client_replica_hits_total", {**labels, "outcome": outcome})
        for outcome in ("hit", "miss")
    ]
    assert counted == [2, 1]


@pytest.mark.usefixtures("handle")
def test_own_requests_are_left_out(registry: CollectorRegistry) -> None:
    completed(own=True, operation="DescribeTable")
    completed()
    text = generate_latest(registry).decode()
    assert "DescribeTable" not in text
    assert "own=" not in text


def test_own_requests_have_a_label_if_that_is_asked_for(registry: CollectorRegistry) -> None:
    with prometheus.instrument(registry, own_requests=True):
        completed(own=True, operation="DescribeTable")
        completed()
        text = generate_latest(registry).decode()
    counted = [line for line in text.splitlines() if line.startswith("alternator_client_requests_total{")]
    assert len(counted) == 2
    assert all(('operation="DescribeTable"' in line) == ('own="true"' in line) for line in counted)
