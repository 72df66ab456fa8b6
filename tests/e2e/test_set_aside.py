"""A node that answers its probes and fails its requests: reads go round it, and it is left alone until it is well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pynamodb_alternator import AsyncCluster, Cluster, ClusterConfig
from pynamodb_alternator.errors import OutcomeUnknownError, ServerFailureError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.node import LocalNode
from tests.chaos.support import TABLE, all_active, create_table, get, increment, put, put_if_absent, until

from .conftest import Recorder
from .support import take_lane


def page(status: str, body: bytes = b"<html>no healthy upstream</html>") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def answers(data: bytes) -> Callable[[LocalNode], Any]:
    return lambda node: node.garbage_answer(None, data=data)


FAULTS: dict[str, Callable[[LocalNode], Any]] = {
    "a proxy's 503": answers(page("503 Service Unavailable")),
    "404 of a stranger": answers(page("404 Not Found")),
    "404 without a body": answers(page("404 Not Found", b"")),
    "too many requests": answers(page("429 Too Many Requests", b"slow down")),
    "a redirect to a login": answers(page("302 Found", b"")),
    "a page with 200": answers(page("200 OK")),
    "its own 500": lambda node: node.fail_with("InternalServerError"),
}


def connect(local: LocalCluster, **settings: Any) -> Cluster:
    cluster = Cluster(ClusterConfig([local.nodes[0].host], port=local.port, key_route_affinity="none", **settings))
    create_table(cluster.client)
    put(cluster.client, "k")
    until(lambda: all_active(cluster, local), "all nodes active")
    return cluster


@pytest.mark.parametrize("monitor", [True, False])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_reads_go_round_it_and_then_it_is_left_alone(
    local: LocalCluster, recorder: Recorder, fault: Callable[[LocalNode], Any], monitor: bool
) -> None:
    with connect(local, monitor=monitor) as cluster:
        sick = local.nodes[1]
        with fault(sick) as struck:
            for _ in range(90):
                assert get(cluster.client, "k") == 0
            assert [event["node"] for event in recorder.of("node_set_aside")] == [sick.address]
            info = {node.address: node for node in cluster.nodes()}[sick.address]
            assert (info.state.value, info.condition) == ("active", "set_aside")
            stats = cluster.stats()[sick.address]
            assert stats.set_aside_for is not None
            assert 0 < stats.set_aside_for <= 5
            hits = struck.hits
            assert hits <= 25
            # What cannot be sent again is the better for it.
            for number in range(30):
                put_if_absent(cluster.client, f"new{number}")
                increment(cluster.client, "k")
                put(cluster.client, f"plain{number}")
            assert struck.hits == hits
        assert recorder.of("node_down") == []


def test_it_gets_traffic_again(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local) as cluster:
        sick = local.nodes[1]
        with sick.fail_with("InternalServerError") as struck:
            until(lambda: get(cluster.client, "k") == 0 and recorder.of("node_set_aside"), "set aside")
            hits = struck.hits
        until(lambda: get(cluster.client, "k") == 0 and recorder.of("node_restored"), "restored")
        (event,) = recorder.of("node_restored")
        assert event["node"] == sick.address
        assert 5 <= event["set_aside_for"] < 15
        assert struck.hits == hits
        before = cluster.stats()[sick.address].requests
        for _ in range(30):
            get(cluster.client, "k")
        assert cluster.stats()[sick.address].requests > before


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_failures_of_all_nodes_set_no_node_aside(
    local: LocalCluster, recorder: Recorder, fault: Callable[[LocalNode], Any]
) -> None:
    with connect(local) as cluster:
        for node in local.nodes:
            fault(node)
        for _ in range(60):
            with pytest.raises(Exception):  # noqa: B017, PT011 (each fault has an error of its own)
                get(cluster.client, "k")
        assert recorder.of("node_set_aside") == []
        assert recorder.of("node_down") == []


@pytest.mark.parametrize("status", ["404 Not Found", "413 Content Too Large", "429 Too Many Requests", "302 Found"])
def test_the_outcome_of_a_write_that_a_stranger_answers_is_unknown(local: LocalCluster, status: str, lane: str) -> None:
    with connect(local) as cluster:
        client = cluster.client
        take_lane(client, lane)
        for node in local.nodes:
            node.garbage_answer(None, data=page(status))
        with pytest.raises(ServerFailureError) as raised:
            increment(client, "k")
        assert raised.value.may_still_execute
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == int(status[:3])
        assert raised.value.response["Error"]["Code"] == status[:3]
        with pytest.raises(OutcomeUnknownError):
            put(client, "k")
        for node in local.nodes:
            node.clear_faults()
        assert get(client, "k") in (0, 1)


def test_refusals_of_alternator_are_answers(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local) as cluster:
        for node in local.nodes:
            node.fail_with("PayloadTooLarge", status=413, operation="PutItem")
        for _ in range(30):
            with pytest.raises(cluster.client.exceptions.ClientError, match="PayloadTooLarge") as raised:
                put(cluster.client, "k")
            assert not isinstance(raised.value, OutcomeUnknownError)
        assert recorder.of("request_retried") == []
        assert recorder.of("node_set_aside") == []


def test_conditional_writes_that_fail_with_500_set_no_node_aside(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local) as cluster:
        local.nodes[1].fail_with("InternalServerError", operation="UpdateItem")
        unknown = 0
        for _ in range(90):
            try:
                increment(cluster.client, "k")
            except OutcomeUnknownError:
                unknown += 1
        assert unknown == 30
        assert recorder.of("node_set_aside") == []


def test_an_event_loop_follows_the_same_rule(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local):
        pass

    async def run() -> None:
        config = ClusterConfig([local.nodes[0].host], port=local.port, key_route_affinity="none")
        async with AsyncCluster(config) as cluster:
            client = await cluster.client()
            key = {"TableName": TABLE, "Key": {"id": {"S": "k"}}}
            await client.get_item(**key)
            with local.nodes[1].garbage_answer(None, data=page("404 Not Found")):
                for _ in range(90):
                    assert (await client.get_item(**key))["Item"]
            assert recorder.of("node_set_aside")

    asyncio.run(run())
