"""Writes whose node went silent, and answers that leave the outcome of a write open; as an application meets them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import PutError, UpdateError

from pynamodb_alternator import AlternatorConnection, Cluster, ClusterConfig, Health, Model, Retries, Timeouts
from pynamodb_alternator.errors import ConfigurationError, NotSentError, OutcomeUnknownError, ServerFailureError
from pynamodb_alternator.local import LocalCluster
from tests.chaos.support import TABLE, all_active, create_table, get, put, states, until

Way = Literal["raise", "wait", "repeat"]
QUICK = Health(suspect_after=0.2, probe_timeout=0.3, probe_interval=0.1)


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3) as local:
        yield local


def connect(local: LocalCluster, silent_writes: Way = "raise", **settings: Any) -> Cluster:
    config = ClusterConfig(
        [node.host for node in local.nodes],
        port=local.port,
        key_route_affinity="none",  # type: ignore[arg-type]
        health=QUICK,
        timeouts=Timeouts(read=60.0),
        retries=Retries(silent_writes=silent_writes),
        **settings,
    )
    cluster = Cluster(config)
    create_table(cluster.client)
    put(cluster.client, "k")
    until(lambda: all_active(cluster, local))
    return cluster


def outcome(cluster: Cluster, number: int) -> str:
    try:
        put(cluster.client, f"k{number}", number)
    except OutcomeUnknownError as error:
        return "may still be executed" if error.may_still_execute else "unknown"
    return "ok"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"ok", "may still be executed"}),
        ({"silent_writes": "repeat"}, {"ok"}),
        ({"retry_ambiguous_writes": True}, {"ok"}),
    ],
)
def test_plain_writes_to_a_node_that_hangs(local: LocalCluster, settings: Any, expected: set[str]) -> None:
    with connect(local, **settings) as cluster, ThreadPoolExecutor(12) as threads:
        local.nodes[1].hang()
        outcomes = list(threads.map(lambda number: outcome(cluster, number), range(12)))
        assert set(outcomes) == expected
        assert states(cluster)[local.nodes[1].address] == "down"
        # Reads move on as usual, and so do requests that have not been sent yet.
        assert [get(cluster.client, "k") for _ in range(6)] == [0] * 6


def test_writes_that_wait_get_the_answer_of_their_own_node(local: LocalCluster) -> None:
    with connect(local, "wait") as cluster, ThreadPoolExecutor(12) as threads:
        node = local.nodes[1]
        node.hang()
        running: list[Future[str]] = [threads.submit(outcome, cluster, number) for number in range(12)]
        until(lambda: states(cluster)[node.address] == "down")
        until(lambda: sum(future.done() for future in running) >= 6)
        assert not all(future.done() for future in running), "nobody waits for the node that hangs"
        node.resume()
        assert {future.result(30) for future in running} == {"ok"}
        until(lambda: all_active(cluster, local))
        assert [get(cluster.client, f"k{number}") for number in range(12)] == list(range(12))
        assert sum(pool.in_use for pool in cluster.core.pools.stats().values()) == 0


def test_a_killed_process_costs_no_error(local: LocalCluster) -> None:
    with connect(local) as cluster, ThreadPoolExecutor(8) as threads:
        running = [threads.submit(outcome, cluster, number) for number in range(400)]
        until(lambda: sum(future.done() for future in running) > 50)
        local.nodes[1].kill(still_listed=True)
        assert {future.result(30) for future in running} == {"ok"}


def test_settings_of_a_block_and_of_a_model(local: LocalCluster) -> None:
    with connect(local) as cluster:

        class Item(Model):
            class Meta:
                table_name = TABLE
                silent_writes = "repeat"

            id = UnicodeAttribute(hash_key=True)
            value = NumberAttribute(default=0)

        Item.Meta.cluster = cluster  # type: ignore[attr-defined]
        for node in local.nodes[:2]:
            node.fail_with("ServiceUnavailable", status=503, operation="PutItem")
        for number in range(6):
            Item(f"m{number}").save()
            with cluster.options(silent_writes="repeat"):
                assert outcome(cluster, number) == "ok"
        assert {outcome(cluster, number) for number in range(6)} == {"ok", "may still be executed"}
        local.nodes[2].fail_with("ServiceUnavailable", status=503, operation="PutItem")
        with cluster.options(silent_writes="raise"), pytest.raises(PutError) as raised:
            Item("m").save()
        assert isinstance(raised.value.cause, OutcomeUnknownError)
        with pytest.raises(ConfigurationError, match=r"Cluster.options: silent_writes must be one of 'raise'"):
            cluster.options(silent_writes="never")  # type: ignore[arg-type]
        connection = AlternatorConnection(cluster=cluster, silent_writes="never")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"AlternatorConnection: silent_writes must be one of 'raise'"):
            connection.list_tables()


@pytest.fixture(params=["short", "compatible"])
def cluster(local: LocalCluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with connect(local) as cluster:
        if request.param == "compatible":
            cluster.client.meta.events.register("before-send.dynamodb", lambda **_: None)
        yield cluster


def make_model(of: Cluster) -> Any:
    class Item(Model):
        class Meta:
            table_name = TABLE
            cluster = of

        id = UnicodeAttribute(hash_key=True)
        value = NumberAttribute(default=0)

    return Item


@pytest.mark.parametrize(
    ("kind", "status", "may_still_execute"),
    [("InternalServerError", 500, False), ("", 500, True), ("BadGateway", 502, True), ("Slow", 504, True)],
)
def test_an_answer_that_leaves_the_outcome_of_a_write_open(
    local: LocalCluster, cluster: Cluster, kind: str, status: int, may_still_execute: bool
) -> None:
    model = make_model(cluster)
    model("k").save()
    for node in local.nodes:
        node.fail_with(kind, status=status, executed=True)
    seen: list[Any] = []
    cluster.client.meta.events.register("after-call.dynamodb", lambda **payload: seen.append(payload["parsed"]))
    with pytest.raises(ClientError) as direct:
        cluster.client.update_item(
            TableName=TABLE,
            Key={"id": {"S": "k"}},
            UpdateExpression="ADD #v :one",
            ExpressionAttributeNames={"#v": "value"},
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
    error = direct.value
    assert isinstance(error, ServerFailureError)
    assert isinstance(error, BotoCoreError)
    assert not isinstance(error, NotSentError)
    assert error.response is seen[-1]
    code = error.response["Error"]["Code"]
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert isinstance(error, cluster.client.exceptions.from_code(code))
    assert (error.operation_name, error.may_still_execute) == ("UpdateItem", may_still_execute)
    assert len(error.nodes_tried) == 1
    assert str(error).startswith(f"An error occurred ({code}) when calling the UpdateItem operation: ")
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.response, twin.may_still_execute) == (str(error), error.response, may_still_execute)

    with pytest.raises(UpdateError) as wrapped:
        model("k").update(actions=[model.value.add(1)])
    assert isinstance(wrapped.value.cause, OutcomeUnknownError)
    assert isinstance(wrapped.value.cause, ClientError)
    assert wrapped.value.cause_response_code == code
    # It was executed once each time, and a read that fails so is botocore's own error.
    with pytest.raises(ClientError) as read:
        get(cluster.client, "k")
    assert not isinstance(read.value, OutcomeUnknownError)
    for node in local.nodes:
        node.clear_faults()
    assert get(cluster.client, "k") == 2


def test_a_refusal_that_follows_an_attempt_which_was_executed(local: LocalCluster, cluster: Cluster) -> None:
    model = make_model(cluster)
    first, *others = local.nodes
    executed = first.fail_with("InternalServerError", executed=True, operation="PutItem")
    for node in others:
        node.fail_with("ValidationException", message="not today", operation="PutItem")
    seen = set()
    for number in range(30):
        before = executed.hits
        with pytest.raises(PutError) as raised:
            model(f"r{number}", value=number).save()
        cause = raised.value.cause
        was_executed = executed.hits > before
        seen.add(was_executed)
        assert raised.value.cause_response_code == "ValidationException"
        assert isinstance(cause, ClientError)
        assert isinstance(cause, OutcomeUnknownError) is was_executed
        assert get(cluster.client, f"r{number}") == (number if was_executed else None)
        if isinstance(cause, ServerFailureError):
            assert cause.response["Error"]["Message"] == "not today"
            assert not cause.may_still_execute
    assert seen == {True, False}


def test_a_failed_batch_is_kept(local: LocalCluster) -> None:
    with connect(local) as cluster:
        model = make_model(cluster)
        for node in local.nodes:
            node.fail_with("", status=503, executed=True, operation="BatchWriteItem")
        batch = model.batch_write()
        for number in range(25):
            batch.save(model(f"b{number}", value=number))
        with pytest.raises(PutError) as raised:
            batch.save(model("one more"))
        assert isinstance(raised.value.cause, OutcomeUnknownError)
        assert batch.failed_operations == [
            {"PutRequest": {"Item": {"id": {"S": f"b{number}"}, "value": {"N": str(number)}}}} for number in range(25)
        ]
        batch.delete(model("b1"))
        with pytest.raises(PutError):
            batch.commit()
        assert batch.failed_operations[25:] == [{"DeleteRequest": {"Key": {"id": {"S": "b1"}}}}]
        for node in local.nodes:
            node.clear_faults()
        with model.batch_write() as good:
            good.save(model("b2", value=7))
        assert good.failed_operations == []
        assert get(cluster.client, "b2") == 7
