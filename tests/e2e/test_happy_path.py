"""Which calls take the happy path: those without a listener. Tools may be added and removed at run time."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import botocore.client
import pytest
import wrapt
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ParamValidationError
from botocore.stub import Stubber

from pynamodb_alternator import Cluster, ClusterConfig, Credentials, Hedge, Timeouts, signals
from pynamodb_alternator.errors import (
    DeadlineBeforeSendError,
    MalformedAnswerError,
    NodeUnreachableError,
    OutcomeUnknownError,
    PoolTimeoutError,
)
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.transport.happy_path import HappyPath
from tests.transport.servers import until

from .support import TABLE

KEY = {"key": {"S": "a"}}


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[Cluster]:
    with Cluster(ClusterConfig.of(local.url, partition_keys={"items": "key"})) as cluster:
        cluster.client.create_table(**TABLE)
        yield cluster


def get(cluster: Cluster) -> Any:
    return cluster.client.get_item(TableName="items", Key=KEY)


def is_happy(cluster: Cluster) -> bool:
    """Whether a call takes the happy path and stays on it."""
    handed_over: list[Any] = []
    endpoint = cluster.client._endpoint
    path = endpoint._happy_path
    before = path._hand_over
    path._hand_over = lambda *of_request: handed_over.append(of_request) or before(*of_request)
    called: list[bool] = []
    original = HappyPath.__call__

    def call(self: HappyPath, *of_request: Any) -> Any:
        called.append(True)
        return original(self, *of_request)

    try:
        with mock.patch.object(HappyPath, "__call__", call):
            get(cluster)
    finally:
        path._hand_over = before
    return bool(called) and not handed_over


def as_it_was(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


def replaced(name: str) -> Callable[[Cluster], AbstractContextManager[Any]]:
    """A tool that sets another function in the place of one of botocore's methods."""

    def come(cluster: Cluster) -> AbstractContextManager[Any]:
        original = vars(BaseClient)[name]

        @functools.wraps(original)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            return original(self, *args, **kwargs)

        return mock.patch.object(BaseClient, name, wrapper)

    return come


def wrapped(name: str) -> Callable[[Cluster], AbstractContextManager[Any]]:
    """A tool that wraps the method with wrapt, as ddtrace, OpenTelemetry and X-Ray do."""

    @contextmanager
    def come(cluster: Cluster) -> Iterator[None]:
        original = vars(BaseClient)[name]
        wrapt.wrap_function_wrapper("botocore.client", f"BaseClient.{name}", as_it_was)
        try:
            yield
        finally:
            setattr(BaseClient, name, original)

    return come


def listening(event: str) -> Callable[[Cluster], AbstractContextManager[Any]]:
    @contextmanager
    def come(cluster: Cluster) -> Iterator[None]:
        events = cluster.client.meta.events
        handler = functools.partial(ignore)
        events.register(event, handler)
        yield
        events.unregister(event, handler)

    return come


def ignore(**_: Any) -> None:
    return None


@contextmanager
def recording(cluster: Cluster) -> Iterator[None]:
    recorder: Any = botocore.client.history_recorder  # type: ignore[attr-defined]
    recorder.enable()
    yield
    recorder.disable()


@contextmanager
def of_another_class(cluster: Cluster) -> Iterator[None]:
    client, before = cluster.client, type(cluster.client)
    client.__class__ = type(
        "Client", (before,), {"_make_request": lambda *of_request: before._make_request(*of_request)}
    )
    yield
    client.__class__ = before


METHODS = (
    "_make_api_call",
    "_make_request",
    "_emit_api_params",
    "_convert_to_request_dict",
    "_resolve_endpoint_ruleset",
)
EVENTS = (
    *("provide-client-params", "before-parameter-build", "before-call", "after-call", "after-call-error"),
    *("request-created", "choose-signer", "before-sign", "before-send", "before-parse", "response-received"),
)
TOOLS: dict[str, Callable[[Cluster], AbstractContextManager[Any]]] = {
    **{f"replaced {name}": replaced(name) for name in METHODS},
    **{f"wrapped {name}": wrapped(name) for name in METHODS},
    "mock of _make_api_call": lambda cluster: mock.patch("botocore.client.BaseClient._make_api_call", return_value={}),
    "mock in the client": lambda cluster: mock.patch.object(cluster.client, "_make_api_call", return_value={}),
    "mock in its class": lambda cluster: mock.patch.object(type(cluster.client), "_make_api_call", return_value={}),
    "another class of the client": lambda cluster: of_another_class(cluster),
    **{
        f"{name} of the client's class": lambda cluster, name=name: mock.patch.object(
            type(cluster.client), name, getattr(BaseClient, name)
        )
        for name in METHODS[1:]
    },
    **{
        f"{name} of the client": lambda cluster, name=name: mock.patch.object(
            cluster.client, name, getattr(cluster.client, name)
        )
        for name in METHODS[1:]
    },
    **{event: listening(f"{event}.dynamodb") for event in EVENTS},
    "all events": listening("*"),
    "of the operation": listening("before-call.dynamodb.GetItem"),
    "stubber": lambda cluster: _stubbed(cluster),
    "history recorder": recording,
    "hedged reads": lambda cluster: cluster.options(hedge=Hedge(after=0.05)),
    "compression": lambda cluster: cluster.options(response_compression=True),
}


@contextmanager
def _stubbed(cluster: Cluster) -> Iterator[None]:
    with Stubber(cluster.client) as stubber:
        for _ in range(2):
            stubber.add_response("get_item", {})
        yield


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_that_come_and_go(tool: str, cluster: Cluster) -> None:
    assert is_happy(cluster)
    for _ in range(2):
        with TOOLS[tool](cluster):
            assert not is_happy(cluster)
        assert is_happy(cluster)


def test_a_mock_is_called_as_botocore_calls_it(cluster: Cluster) -> None:
    """Without the client: a mock is not a method."""
    with mock.patch("botocore.client.BaseClient._make_api_call", return_value={}) as call:
        cluster.client.get_item(TableName="users", Key={"name": {"S": "alice"}})
    call.assert_called_once_with("GetItem", {"TableName": "users", "Key": {"name": {"S": "alice"}}})


def test_a_listener_to_other_operations_changes_nothing(cluster: Cluster) -> None:
    with listening("before-call.dynamodb.PutItem")(cluster), listening("before-send.s3")(cluster):
        assert is_happy(cluster)


@pytest.mark.parametrize(
    "settings",
    [
        {"request_compression": "gzip"},
        {"response_compression": True},
        {"hedge": Hedge(after=0.05)},
    ],
)
def test_settings_that_need_more(settings: dict[str, Any], local: LocalCluster, cluster: Cluster) -> None:
    with Cluster(cluster.config.replace(**settings)) as other:
        get(other)
        assert not is_happy(other)


def test_a_node_that_is_down_costs_no_happiness(local: LocalCluster, cluster: Cluster) -> None:
    local[0].kill(still_listed=True)  # else it is down for a moment only
    until(lambda: get(cluster) and any(node.state.name == "DOWN" for node in cluster.nodes()))
    for _ in range(3):
        assert is_happy(cluster)


def test_trouble_goes_on_from_the_attempt_that_has_begun(local: LocalCluster, cluster: Cluster) -> None:
    """One request, one look at the plan, and no node twice while others are left."""
    for _ in local.nodes:
        get(cluster)
    for node in local.nodes:
        node.forget()
    for node in local.nodes[:2]:
        node.fail_with("InternalServerError", operation="GetItem")
    for _ in range(3):
        assert get(cluster)["ResponseMetadata"]["HTTPStatusCode"] == 200
    served = sum(len(node.requests) for node in local.nodes)
    failed = sum(len(node.requests) for node in local.nodes[:2])
    assert served == 3 + failed
    counts = cluster.core.counts
    assert sum(counts[node.address].answers for node in local.nodes) >= served


def test_errors_are_those_of_botocore(cluster: Cluster) -> None:
    client = cluster.client
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.get_item(TableName="none", Key=KEY)
    assert caught.value.operation_name == "GetItem"
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(
            TableName="items",
            Item=KEY,
            ConditionExpression="attribute_exists(#k)",
            ExpressionAttributeNames={"#k": "key"},
        )
    with pytest.raises(ParamValidationError):
        client.get_item(TableName="items", Kex=KEY)


def test_a_failed_increment_has_an_unknown_outcome(local: LocalCluster, cluster: Cluster) -> None:
    for node in local.nodes:
        node.fail_with("InternalServerError", operation="UpdateItem")
    update = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    with pytest.raises(OutcomeUnknownError) as caught:
        cluster.client.update_item(TableName="items", Key=KEY, **update)
    assert isinstance(caught.value, ClientError)


def test_a_cluster_that_does_not_exist_any_more_raises_an_error(local: LocalCluster, cluster: Cluster) -> None:
    for node in local.nodes:
        node.kill()
    with pytest.raises(NodeUnreachableError) as caught:
        get(cluster)
    # A probe may have found a node to be down before.
    assert 1 <= len(caught.value.nodes_tried) <= 3


def test_garbage_is_a_failed_attempt(local: LocalCluster, cluster: Cluster) -> None:
    for node in local.nodes:
        node.garbage_answer(times=None, operation="GetItem")
    with pytest.raises(MalformedAnswerError) as caught:
        get(cluster)
    assert len(caught.value.nodes_tried) == 3


def test_it_is_signed_and_asked_for_credentials_each_time(local: LocalCluster, cluster: Cluster) -> None:
    asked: list[int] = []

    def credentials() -> Credentials:
        asked.append(1)
        return Credentials("alice", "s3cr3t")

    with Cluster(cluster.config.replace(credentials=credentials)) as signed:
        get(signed)
        before = len(asked)
        assert is_happy(signed)
        assert len(asked) == before + 1


# ---- settings and signals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"timeouts": Timeouts(read=3, total=5)},
        {"timeouts": {"pool": 1}},
        {"extra_headers": {"X-Mine": "1"}},
        {"key_route_affinity": "any_write"},
        {"token_aware": False},
        {"consistent_node": "mine"},
    ],
)
def test_settings_of_a_block_are_ordinary(options: dict[str, Any], local: LocalCluster, cluster: Cluster) -> None:
    with cluster.options(**options):
        assert is_happy(cluster)
        nodes = set()
        for _ in range(6):
            for node in local.nodes:
                node.forget()
            get(cluster)
            nodes |= {node.address for node in local.nodes if node.requests}
            heads = [request.headers for node in local.nodes for request in node.requests]
            assert all(("x-mine" in head) == ("extra_headers" in options) for head in heads)
        assert (len(nodes) == 1) == ("consistent_node" in options)


def test_blocks_in_turn_have_each_their_own_settings(cluster: Cluster) -> None:
    for _ in range(2):
        assert is_happy(cluster)
        with cluster.options(timeouts={"total": 5}):
            assert is_happy(cluster)
            with cluster.options(silent_writes="wait"):
                assert not is_happy(cluster)
            with cluster.options(timeouts={"total": 1e-9}), pytest.raises(DeadlineBeforeSendError):
                get(cluster)
            assert is_happy(cluster)
        with cluster.options(hedge={"after": 5.0}):
            assert not is_happy(cluster)
        with cluster.options(response_compression=True):
            assert not is_happy(cluster)


def told(cluster: Cluster, make: Callable[[], Any]) -> list[tuple[str, dict[str, Any]]]:
    """What the signals say of the requests that `make` makes, without what differs each time."""
    heard: list[tuple[str, dict[str, Any]]] = []

    def hear(name: str) -> Callable[..., None]:
        def receive(sender: Any, event: Any, **_: Any) -> None:
            if event.operation in ("GetItem", "PutItem"):  # and not a question of the library's own
                heard.append((name, vars(event)))

        return receive

    names = ("request_routed", "request_retried", "request_completed", "affinity_fallback", "no_nodes_available")
    receivers = {name: hear(name) for name in names}
    for name, receive in receivers.items():
        getattr(signals, name).connect(receive)
    try:
        make()
    finally:
        for name, receive in receivers.items():
            getattr(signals, name).disconnect(receive)
    assert len({event["request_id"] for _, event in heard}) == 1
    for _, event in heard:
        event["request_id"] = "the same"
        event["duration"] = 0.0
    return heard


def without_nodes(events: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Requests take turns among the nodes."""
    return [(name, {key: value for key, value in event.items() if "node" not in key}) for name, event in events]


@pytest.mark.parametrize("trouble", [None, "an error of the request", "a failed node", "affinity without a key"])
def test_signals_say_what_they_say_of_other_ways(trouble: str | None, local: LocalCluster, cluster: Cluster) -> None:
    def make() -> None:
        client = cluster.client
        if trouble == "an error of the request":
            with pytest.raises(client.exceptions.ResourceNotFoundException):
                client.get_item(TableName="none", Key=KEY)
        elif trouble == "affinity without a key":
            with pytest.raises(ClientError), cluster.options(key_route_affinity="any_write"):
                client.put_item(TableName="items", Item={})
        else:
            get(cluster)

    for _ in local.nodes:
        get(cluster)
    said = []
    for listens in (False, True):
        if listens:
            cluster.client.meta.events.register("before-call.dynamodb", ignore)
        if trouble == "a failed node":
            local[0].fail_with("RequestLimitExceeded", times=1)
        events = told(cluster, make)
        while trouble == "a failed node" and len(events) < 4:
            events = told(cluster, make)
        said.append(without_nodes(events))
    assert said[0] == said[1]
    assert len(said[0]) >= 2


# ---- full pools ------------------------------------------------------------------------------------------------------


def test_a_node_whose_pool_is_full_is_passed_over(local: LocalCluster, cluster: Cluster) -> None:
    with Cluster(cluster.config.replace(max_pool_connections=1)) as small:
        get(small)
        pools, ring = small.core.pools, small.core.membership.view.topology.nodes
        held = [pools.acquire(node, 5.0) for node in ring[:2]]
        for node in local.nodes:
            node.forget()
        for _ in range(4):
            assert is_happy(small)
        assert [sum(request.operation == "GetItem" for request in node.requests) for node in local.nodes] == [0, 0, 4]
        # All are full now: it waits until one of its first node comes free.
        held.append(pools.acquire(ring[2], 5.0))
        timers = [threading.Timer(0.2, pools.release, [connection]) for connection in held]
        for timer in timers:
            timer.start()
        assert is_happy(small)
        for timer in timers:
            timer.join()


def test_full_pools_that_stay_full_are_an_error(local: LocalCluster, cluster: Cluster) -> None:
    config = cluster.config.replace(max_pool_connections=1, timeouts=Timeouts(pool=0.2))
    with Cluster(config) as small:
        get(small)
        pools, ring = small.core.pools, small.core.membership.view.topology.nodes
        held = [pools.acquire(node, 5.0) for node in ring]
        with pytest.raises(PoolTimeoutError) as caught:
            get(small)
        assert "stayed in use" in str(caught.value)
        for connection in held:
            pools.release(connection)
        assert is_happy(small)
