"""What PynamoDB does around each request happens, where somebody gets something of it."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest
from pynamodb.connection.base import Connection
from pynamodb.signals import post_dynamodb_send, pre_dynamodb_send

from pynamodb_alternator import AlternatorConnection, Cluster


class Recording(AlternatorConnection):
    """Keeps the requests instead of making them."""

    def __init__(self, cluster: Cluster, **settings: Any) -> None:
        super().__init__(cluster=cluster, **settings)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        self.requests.append((operation_name, dict(operation_kwargs)))
        return {"ConsumedCapacity": {"CapacityUnits": 1.0}}


CALLS = [
    ("GetItem", {"TableName": "t"}),
    ("BatchGetItem", {"RequestItems": {}}),
    ("PutItem", {"TableName": "t", "ReturnConsumedCapacity": "NONE"}),
    ("DescribeTable", {"TableName": "t"}),
    ("UpdateTimeToLive", {"TableName": "t"}),
    ("DescribeTimeToLive", {"TableName": "t"}),
    ("ListTables", {}),
]


def made(connection: Recording) -> list[tuple[str, dict[str, Any]]]:
    for operation, parameters in CALLS:
        assert connection.dispatch(operation, dict(parameters)) == {"ConsumedCapacity": {"CapacityUnits": 1.0}}
    return connection.requests


def test_requests_are_the_same_whether_somebody_watches_or_not(caplog: pytest.LogCaptureFixture) -> None:
    with Cluster("http://127.0.0.1:1") as cluster:
        unwatched = made(Recording(cluster))
        assert made(Recording(cluster, read_timeout_seconds=3.5)) == unwatched
        assert unwatched[0] == ("GetItem", {"TableName": "t", "ReturnConsumedCapacity": "TOTAL"})
        with caplog.at_level(logging.DEBUG, Connection.__module__):
            assert made(Recording(cluster)) == unwatched
        assert "Calling GetItem with arguments" in caplog.text
        assert "GetItem consumed 1.0 units" in caplog.text
        with pre_dynamodb_send.connected_to(lambda *_, **__: None):
            assert made(Recording(cluster)) == unwatched


@pytest.mark.parametrize(
    "signals", [[pre_dynamodb_send], [post_dynamodb_send], [pre_dynamodb_send, post_dynamodb_send]]
)
def test_signals_tell_of_each_request(signals: list[Any]) -> None:
    seen: list[dict[str, Any]] = []

    def receive(sender: Any, **payload: Any) -> None:
        seen.append({"sender": sender, **payload})

    for signal in signals:
        signal.connect(receive)
    try:
        with Cluster("http://127.0.0.1:1") as cluster:
            connection = Recording(cluster)
            made(connection)
    finally:
        for signal in signals:
            signal.disconnect(receive)
    assert len(seen) == len(signals) * len(CALLS)
    assert all(one["sender"] is connection and isinstance(one["req_uuid"], uuid.UUID) for one in seen)
    # The two of a request have the same, and no two requests have.
    assert len({one["req_uuid"] for one in seen}) == len(CALLS)
    assert [(one["operation_name"], one["table_name"]) for one in seen[:: len(signals)]] == [
        (operation, parameters.get("TableName")) for operation, parameters in CALLS
    ]


def test_callbacks_of_a_subclass_are_called() -> None:
    called = []

    class Own(Recording):
        def send_pre_boto_callback(self, operation_name: str, req_uuid: Any, table_name: Any) -> None:
            called.append((operation_name, table_name, type(req_uuid)))

    with Cluster("http://127.0.0.1:1") as cluster:
        Own(cluster).dispatch("GetItem", {"TableName": "t"})
    assert called == [("GetItem", "t", uuid.UUID)]


def test_a_tool_that_wraps_pynamodbs_method_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called, original = [], Connection.dispatch

    def wrapped(self: Any, operation_name: str, operation_kwargs: Any) -> Any:
        called.append(operation_name)
        return original(self, operation_name, operation_kwargs)

    monkeypatch.setattr(Connection, "dispatch", wrapped)
    with Cluster("http://127.0.0.1:1") as cluster:
        Recording(cluster).dispatch("GetItem", {"TableName": "t"})
    assert called == ["GetItem"]
