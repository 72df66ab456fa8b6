"""The error of a request that was sent as often as it may be says so, where botocore's says it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from pynamodb.exceptions import GetError

from pynamodb_alternator import Cluster, ClusterConfig, Retries
from pynamodb_alternator.errors import ServerFailureError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.transport.budget import RetryBudget

from .support import TABLE, take_lane
from .test_models import simple_model

GET: Any = {"TableName": "items", "Key": {"key": {"S": "a"}}}


def config(local: LocalCluster, most: int) -> ClusterConfig:
    return ClusterConfig(
        [node.host for node in local.nodes],
        port=local.nodes[0].port,
        retries=Retries(max_attempts=most, backoff_base=0.001, backoff_max=0.001),
    )


def fail(local: LocalCluster, kind: str, operation: str) -> None:
    for node in local.nodes:
        node.fail_with(kind, operation=operation)


@pytest.mark.parametrize("kind", ["InternalServerError", "RequestLimitExceeded"])
def test_a_read_that_was_sent_as_often_as_it_may_be(local: LocalCluster, lane: str, kind: str) -> None:
    with Cluster(config(local, 3)) as cluster:
        cluster.client.create_table(**TABLE)
        take_lane(cluster.client, lane)
        fail(local, kind, "GetItem")
        with pytest.raises(ClientError, match=r"\(reached max retries: 2\)") as caught:
            cluster.client.get_item(**GET)
    metadata = caught.value.response["ResponseMetadata"]
    assert metadata["MaxAttemptsReached"] is True
    assert metadata["RetryAttempts"] == 2


def test_answers_that_end_a_call_earlier_do_not_say_it(
    local: LocalCluster, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cluster(config(local, 3)) as cluster:
        take_lane(cluster.client, lane)
        with pytest.raises(ClientError) as caught:
            cluster.client.get_item(**GET)  # there is no such table
        assert "MaxAttemptsReached" not in caught.value.response["ResponseMetadata"]
        cluster.client.create_table(**TABLE)
        assert "MaxAttemptsReached" not in cluster.client.get_item(**GET)["ResponseMetadata"]
        fail(local, "InternalServerError", "GetItem")
        with monkeypatch.context() as patch:
            patch.setattr(RetryBudget, "withdraw", lambda _: False)
            with pytest.raises(ClientError) as caught:
                cluster.client.get_item(**GET)
        assert "MaxAttemptsReached" not in caught.value.response["ResponseMetadata"]
        # A write that may not be repeated is sent once, whatever the most is.
        fail(local, "InternalServerError", "UpdateItem")
        with pytest.raises(ServerFailureError) as failed:
            cluster.client.update_item(**GET, UpdateExpression="ADD n :1", ExpressionAttributeValues={":1": {"N": "1"}})
        assert "MaxAttemptsReached" not in failed.value.response["ResponseMetadata"]


def test_a_write_that_was_repeated_as_often_as_it_may_be(local: LocalCluster, lane: str) -> None:
    with Cluster(config(local, 2)) as cluster:
        cluster.client.create_table(**TABLE)
        take_lane(cluster.client, lane)
        fail(local, "InternalServerError", "PutItem")
        with pytest.raises(ServerFailureError) as caught:
            cluster.client.put_item(TableName="items", Item={"key": {"S": "a"}})
    assert caught.value.response["ResponseMetadata"]["MaxAttemptsReached"] is True
    assert "PutItem operation (reached max retries: 1): " in str(caught.value)


def test_a_model_gets_the_error_of_the_last_attempt(local: LocalCluster) -> None:
    with Cluster(config(local, 2)) as cluster:
        thing = simple_model(cluster=cluster, name="items")
        thing.create_table()
        fail(local, "InternalServerError", "GetItem")
        with pytest.raises(GetError) as caught:
            thing.get("a")
    cause: Any = caught.value.__context__.__cause__ if caught.value.__context__ else None
    assert cause.response["ResponseMetadata"]["MaxAttemptsReached"] is True
