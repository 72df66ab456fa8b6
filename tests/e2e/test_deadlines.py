"""`Timeouts.total` is a deadline for the whole call, retries included, and the error's class tells what may be done."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import UpdateError

from pynamodb_alternator import Cluster, ClusterConfig, Discovery, Health, Model, Retries, Timeouts
from pynamodb_alternator.errors import (
    DeadlineAfterSendError,
    DeadlineBeforeSendError,
    NoNodesAvailableError,
    NotSentError,
    OutcomeUnknownError,
    ReadTimeoutError,
)
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.settings.options import RequestOptions, model_options
from tests.chaos.support import UNHURRIED, all_active, create_table, get, increment, put, put_if_absent, until

NEVER_SUSPECT = Health(suspect_after=1000.0, active_failure_threshold=1000)
"""So that nothing but the deadline ends a request."""
MUCH_LESS = 7.0
"""Seconds: far more than the deadline of half a second, and far less than the read timeout of 15."""


@contextmanager
def ends_soon() -> Iterator[None]:
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert 0.45 <= took < MUCH_LESS


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[Cluster]:
    config = ClusterConfig(
        [local.nodes[0].host],
        port=local.port,
        timeouts=Timeouts(connect=15.0, read=15.0, total=0.5),
        health=NEVER_SUSPECT,
    )
    with Cluster(config) as cluster:
        with cluster.options(timeouts=UNHURRIED):
            create_table(cluster.client)
            put(cluster.client, "k")
            until(lambda: all_active(cluster, local))
        yield cluster


def hang_all(local: LocalCluster, seconds: float = 60.0) -> None:
    """Requests hang, and probes do not: otherwise the nodes would soon be found out, and requests cut."""
    for node in local.nodes:
        node.delay(seconds)


@pytest.mark.parametrize("request_", [get, put, increment, put_if_absent])
def test_the_deadline_ends_requests_to_hung_nodes(
    local: LocalCluster, cluster: Cluster, request_: Callable[[Any, str], Any]
) -> None:
    hang_all(local)
    with ends_soon(), pytest.raises(DeadlineAfterSendError, match=r"total timeout of 0\.5 s") as raised:
        request_(cluster.client, "k")
    assert isinstance(raised.value, OutcomeUnknownError)
    assert not isinstance(raised.value, NotSentError)
    assert len(raised.value.nodes_tried) == 1


def test_retries_are_within_the_deadline(local: LocalCluster, cluster: Cluster) -> None:
    """Each attempt fails after a while; not attempt by attempt, but altogether they take half a second."""
    with Cluster(cluster.config.replace(timeouts=Timeouts(15.0, 0.2, 0.5))) as quick:
        get(quick.client, "k")
        hang_all(local)
        with ends_soon(), pytest.raises(DeadlineAfterSendError) as raised:
            get(quick.client, "k")
    assert len(raised.value.nodes_tried) == 3


def test_backoff_is_within_the_deadline(local: LocalCluster, cluster: Cluster) -> None:
    config = cluster.config.replace(retries=Retries(100, 10.0, 10.0))
    with Cluster(config) as patient:
        get(patient.client, "k")
        for node in local.nodes:
            node.kill(still_listed=True)
        started = time.monotonic()
        with pytest.raises(DeadlineBeforeSendError) as raised:
            get(patient.client, "k")
        # It does not even wait for a moment that is after the deadline.
        assert time.monotonic() - started < MUCH_LESS
    assert isinstance(raised.value, NotSentError)
    assert not isinstance(raised.value, OutcomeUnknownError)


def test_waiting_for_a_connection_is_within_the_deadline(local: LocalCluster, cluster: Cluster) -> None:
    config = cluster.config.replace(max_pool_connections=1, timeouts=Timeouts(15.0, 15.0))
    total = RequestOptions(total_timeout=0.5)
    with Cluster(config) as narrow, ThreadPoolExecutor(3) as threads:
        get(narrow.client, "k")
        for node in local.nodes:
            node.forget()
        hang_all(local, 3.0)
        busy = [threads.submit(get, narrow.client, "k") for _ in range(3)]
        until(lambda: all(node.operations["GetItem"] for node in local.nodes))
        token = model_options.set((narrow.core.key, total, None))
        try:
            with ends_soon(), pytest.raises(DeadlineBeforeSendError) as raised:
                increment(narrow.client, "k")
        finally:
            model_options.reset(token)
        assert isinstance(raised.value, NotSentError)
        assert [future.result(30) for future in busy] == [0, 0, 0]


def test_an_answer_that_trickles_does_not_outlive_the_deadline(local: LocalCluster, cluster: Cluster) -> None:
    for node in local.nodes:
        node.wrong_content_length(50, times=None)
    with ends_soon(), pytest.raises(DeadlineAfterSendError):
        get(cluster.client, "k")


def test_the_read_timeout_alone(local: LocalCluster, cluster: Cluster) -> None:
    config = cluster.config.replace(timeouts=Timeouts(read=0.3))
    with Cluster(config) as short:
        with short.options(timeouts=UNHURRIED):
            get(short.client, "k")
        hang_all(local)
        with pytest.raises(ReadTimeoutError, match=r"did not answer within the read timeout of 0\.3 s"):
            increment(short.client, "k")
        with pytest.raises(ReadTimeoutError) as raised:
            get(short.client, "k")
        assert len(raised.value.nodes_tried) == 3


def test_the_first_request_of_all_keeps_it_too(local: LocalCluster, cluster: Cluster) -> None:
    """With seeds that do not answer, and without a monitor as well: then it is the request that reads the list."""
    for node in local.nodes:
        node.hang()
    for monitor in (True, False):
        config = cluster.config.replace(monitor=monitor)
        started = time.monotonic()
        with Cluster(config) as fresh, pytest.raises((DeadlineAfterSendError, DeadlineBeforeSendError)):
            get(fresh.client, "k")
        assert time.monotonic() - started < MUCH_LESS


def test_as_a_model_sees_it(local: LocalCluster, cluster: Cluster) -> None:
    class Counter(Model):
        class Meta:
            table_name = "counters"
            billing_mode = "PAY_PER_REQUEST"

        id = UnicodeAttribute(hash_key=True)
        value = NumberAttribute(default=0)

    Counter.Meta.cluster = cluster  # type: ignore[attr-defined]
    Counter.create_table()
    counter = Counter("one")
    counter.save()
    hang_all(local)
    with ends_soon(), pytest.raises(UpdateError) as raised:
        counter.update(actions=[Counter.value.add(1)])
    assert isinstance(raised.value.cause, DeadlineAfterSendError)


# ---- a resolver that hangs ---------------------------------------------------------------------------------------

NAME = "nodes.example"
STILL_RESOLVING = r"the names of the seeds are still being resolved \(nodes.example\)"


class SlowResolver:
    """Stands where the machine's resolver does. Questions about NAME wait while `go_on` is not set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked = False
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, *more: Any, **settings: Any) -> Any:
        if host == NAME:
            self.asked = True
            self.go_on.wait(MUCH_LESS * 2)
            host = "127.0.0.1"
        return self._real(host, *more, **settings)


@pytest.fixture
def hanging_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowResolver]:
    resolver = SlowResolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.go_on.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "pynamodb_alternator-resolver"])


@pytest.mark.parametrize("monitor", [None, False])
def test_seeds_by_name_and_a_resolver_that_hangs(
    local: LocalCluster, hanging_resolver: SlowResolver, monitor: bool | None
) -> None:
    config = ClusterConfig([NAME], port=local.port, timeouts=Timeouts(total=0.5), monitor=monitor)
    with Cluster(config) as cluster:
        started = time.monotonic()
        with pytest.raises(NotSentError, match=STILL_RESOLVING):
            put(cluster.client, "k")
        assert time.monotonic() - started < MUCH_LESS
        hanging_resolver.go_on.set()
        with cluster.options(timeouts=Timeouts(total=MUCH_LESS)):
            until(lambda: cluster.refresh())
            assert cluster.client.list_tables()["TableNames"] == []


@pytest.mark.parametrize("monitor", [None, False])
@pytest.mark.parametrize("total", [None, 60.0])
def test_the_first_request_waits_for_a_slow_resolver(
    local: LocalCluster, hanging_resolver: SlowResolver, monitor: bool | None, total: float | None
) -> None:
    """Seen: it failed after `startup_wait`, though the resolver was still being asked."""
    config = ClusterConfig(
        [NAME], port=local.port, monitor=monitor, timeouts=Timeouts(total=total), discovery=Discovery(startup_wait=0.05)
    )
    with Cluster(config) as cluster, ThreadPoolExecutor(1) as pool:
        request = pool.submit(cluster.client.list_tables)
        until(lambda: hanging_resolver.asked)
        # Longer than a request took to fail: `startup_wait`, and all cycles with their pauses.
        assert not wait([request], 0.5).done
        hanging_resolver.go_on.set()
        assert request.result()["TableNames"] == []


@pytest.mark.parametrize("monitor", [None, False])
def test_without_a_total_the_first_request_waits_for_the_resolver_as_long_as_for_an_answer(
    local: LocalCluster, hanging_resolver: SlowResolver, monitor: bool | None
) -> None:
    config = ClusterConfig([NAME], port=local.port, monitor=monitor, timeouts=Timeouts(read=0.6))
    with Cluster(config) as cluster, ends_soon(), pytest.raises(NoNodesAvailableError, match=STILL_RESOLVING):
        cluster.client.list_tables()


def test_nodes_by_name_and_a_resolver_that_hangs(local: LocalCluster, hanging_resolver: SlowResolver) -> None:
    hanging_resolver.go_on.set()
    config = ClusterConfig(
        [local.nodes[0].host],
        port=local.port,
        address_translator=lambda address: NAME,
        timeouts=Timeouts(connect=15.0, total=0.5),
        health=NEVER_SUSPECT,
    )
    with Cluster(config) as cluster:
        assert cluster.refresh()
        # Not `cluster.nodes()`: it asks where the nodes are, and that leaves an open connection behind.
        until(lambda: [str(node) for node in cluster.core.membership.view.topology.ring] == [f"{NAME}:{local.port}"])
        hanging_resolver.go_on.clear()
        with ends_soon(), pytest.raises(DeadlineBeforeSendError, match="the resolver did not answer for"):
            put(cluster.client, "k")
        hanging_resolver.go_on.set()
        until(lambda: cluster.client.list_tables()["TableNames"] == [])


# ---- before the first node is known ----------------------------------------------------------------------------------


@pytest.mark.parametrize("monitor", [None, False])
@pytest.mark.parametrize("listens", [False, True])
def test_a_resolver_that_hangs_takes_the_total_timeout_once(
    monitor: bool | None, listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        release.wait(30)
        raise socket.gaierror(-2, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    config = ClusterConfig(["nowhere.invalid"], port=8000, timeouts=Timeouts(total=2.0), monitor=monitor)
    with Cluster(config) as cluster:
        if listens:
            cluster.client.meta.events.register("before-call.dynamodb", lambda **_: None)
        started = time.monotonic()
        with pytest.raises(DeadlineBeforeSendError):
            cluster.client.get_item(TableName="t", Key={"id": {"S": "k"}})
        assert time.monotonic() - started < 3.5
        release.set()
