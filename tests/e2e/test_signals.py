"""Every signal of a real cluster has its event, and each field of it has the type that it is declared with."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
import types
import typing
from collections.abc import Callable, Iterator, Sequence

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from pynamodb_alternator import Cluster, ClusterConfig, KeyRouteAffinity, RackScope, signals
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.settings.values import Discovery, Health

ENOUGH = 15.0
"""Seconds after which a test gives up."""


class Events:
    """Keeps the events of all signals."""

    def __init__(self) -> None:
        self._events: list[signals.Event] = []
        self._lock = threading.Lock()

    def receive(self, sender: Cluster, *, event: signals.Event, **extra: object) -> None:
        assert vars(event) == extra, "the keyword arguments of before are the fields"
        with self._lock:
            self._events.append(event)

    def all(self) -> list[signals.Event]:
        with self._lock:
            return list(self._events)

    def of(self, kind: type[signals.Event]) -> list[signals.Event]:
        return [event for event in self.all() if type(event) is kind]


@pytest.fixture
def events() -> Iterator[Events]:
    events = Events()
    for signal in signals.namespace.values():
        signal.connect(events.receive)
    yield events
    for signal in signals.namespace.values():
        signal.disconnect(events.receive)


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    """Nodes 0 and 1 in rack r1, 2 and 3 in r2."""
    with LocalCluster(racks={"dc1": {"r1": 2, "r2": 2}}) as cluster:
        yield cluster


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[Cluster]:
    config = ClusterConfig(
        [node.host for node in local.nodes],
        port=local.port,
        routing_scope=RackScope("dc1", "r1", fallback=RackScope("dc1", "r2")),
        key_route_affinity=KeyRouteAffinity.RMW,
        discovery=Discovery(interval=0.05, timeout=1.0, scope_restore_after=0.0),
        health=Health(probe_interval=0.05, probe_timeout=0.5),
    )
    with Cluster(config) as cluster:
        yield cluster


def has_type(value: object, hint: object) -> bool:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return any(has_type(value, part) for part in typing.get_args(hint))
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(has_type(part, *typing.get_args(hint)) for part in value)
    assert isinstance(hint, type), hint
    return type(value) is hint if hint in (str, int, float) else isinstance(value, hint)


def mistakes(event: signals.Event) -> list[str]:
    hints = typing.get_type_hints(type(event))
    return [
        f"{type(event).__name__}.{field.name} is {value!r}"
        for field in dataclasses.fields(event)
        if not has_type(value := getattr(event, field.name), hints[field.name])
    ]


def test_the_check_of_types_finds_mistakes() -> None:
    right = {"cluster_name": "c", "tried": ("a:1",), "error": "refused", "consecutive": 1, "stale_for": None}
    assert mistakes(signals.DiscoveryFailed(**right)) == []  # type: ignore[arg-type]
    for wrong in ({"tried": "a:1"}, {"tried": [1]}, {"error": None}, {"consecutive": 1.0}, {"stale_for": 1}):
        assert len(mistakes(signals.DiscoveryFailed(**{**right, **wrong}))) == 1  # type: ignore[arg-type]


def test_each_signal_of_a_cluster_has_its_event(
    local: LocalCluster, cluster: Cluster, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "pynamodb_alternator")

    def until(*kinds: type[signals.Event], request: Callable[[], object] = cluster.client.list_tables) -> None:
        """Make requests until there are events of these kinds."""
        deadline = time.monotonic() + ENOUGH
        while missing := [kind.__name__ for kind in kinds if not events.of(kind)]:
            assert time.monotonic() < deadline, missing
            with contextlib.suppress(BotoCoreError, ClientError):
                request()

    def increment() -> object:
        return cluster.client.update_item(
            TableName="unknown",
            Key={"key": {"S": "k"}},
            UpdateExpression="ADD n :n",
            ExpressionAttributeValues={":n": {"N": "1"}},
        )

    until(signals.RequestRouted, signals.RequestCompleted, signals.TopologyRefreshed)
    until(signals.AffinityFallback, request=increment)
    local.nodes[0].kill(still_listed=True)
    until(signals.RequestRetried, signals.NodeDown)
    local.nodes[0].revive()
    until(signals.NodeQuarantined, signals.NodeUp)
    with local.nodes[1].fail_with("InternalServerError"):
        until(signals.NodeSetAside)
    until(signals.NodeRestored)
    for node in local.nodes[:2]:
        node.kill()
    until(signals.NodeRemoved, signals.ScopeFallback)
    for node in local.nodes[:2]:
        node.revive()
    until(signals.NodeAdded, signals.ScopeRestored)
    for node in local.nodes:
        node.kill(still_listed=True)
    until(signals.DiscoveryFailed, signals.NoNodesAvailable)
    kinds = {type(event) for event in events.all()}
    assert kinds == set(signals.EVENTS.values()) - {signals.ClientForked}
    assert [line for event in events.all() for line in mistakes(event)] == []
    assert caplog.records == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_process_has_the_event_of_a_fork(cluster: Cluster, events: Events) -> None:
    cluster.client.list_tables()
    parent = os.getpid()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = b"nothing"
        with contextlib.suppress(BaseException):
            cluster.client.list_tables()
            seen = set(events.of(signals.ClientForked))
            right = signals.ClientForked(cluster_name=cluster.name, old_pid=parent, new_pid=os.getpid())
            said = b"right" if seen == {right} and not mistakes(right) else repr(seen).encode()
        os.write(writing, said)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read() == b"right"
    os.waitpid(pid, 0)
