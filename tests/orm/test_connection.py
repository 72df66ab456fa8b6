"""What PynamoDB does around each request happens, where somebody gets something of it."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pynamodb.settings
import pytest
from pynamodb.connection.base import Connection
from pynamodb.signals import post_dynamodb_send, pre_dynamodb_send

from pynamodb_alternator import AlternatorConnection, Cluster, Credentials
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.settings.options import NO_OPTIONS, RequestOptions, current


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
def test_signals_report_each_request(signals: list[Any]) -> None:
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
    assert all(payload["sender"] is connection and isinstance(payload["req_uuid"], uuid.UUID) for payload in seen)
    # The two of a request have the same, and no two requests have.
    assert len({payload["req_uuid"] for payload in seen}) == len(CALLS)
    assert [(payload["operation_name"], payload["table_name"]) for payload in seen[:: len(signals)]] == [
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


# ---- how often a request may be sent -----------------------------------------------------------------------------

KNOWS_RETRY_CONFIGURATION = "retry_configuration" in pynamodb.settings.default_settings_dict
"""PynamoDB 6.0 does not."""


class Asking(AlternatorConnection):
    """Notes how often each of its requests may be sent; None where the cluster says it."""

    attempts: list[int | None]

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        self.attempts.append(current(self.cluster.core.key).max_attempts)
        return {}


def attempts_of(**settings: Any) -> int | None:
    with Cluster("http://127.0.0.1:1") as cluster:
        connection = Asking(cluster=cluster, **settings)
        connection.attempts = []
        connection.dispatch("ListTables", {})
        return connection.attempts[0]


COUNTS: list[tuple[dict[str, Any], int | None]] = [
    ({}, None),
    ({"max_retry_attempts": 0}, 1),
    ({"max_retry_attempts": 3}, None),  # PynamoDB's default counts as not given
    ({"max_retry_attempts": 5}, 6),
    ({"retry_configuration": "LEGACY", "max_retry_attempts": 5}, 6),
    ({"retry_configuration": {"total_max_attempts": 1, "mode": "standard"}}, 1),
    ({"retry_configuration": {"total_max_attempts": 4}}, 4),
    ({"retry_configuration": {"max_attempts": 0}}, 1),
    ({"retry_configuration": {"max_attempts": 2, "mode": "standard"}}, 3),
    ({"retry_configuration": {"total_max_attempts": 2, "max_attempts": 9}}, 2),
    ({"retry_configuration": {"total_max_attempts": 2}, "max_retry_attempts": 7}, 2),
]
LEFT_TO_THE_CLUSTER: list[dict[str, Any]] = [
    {"retry_configuration": "UNSET"},
    {"retry_configuration": "UNSET", "max_retry_attempts": 7},
    {"retry_configuration": {}},
    {"retry_configuration": {"mode": "standard"}, "max_retry_attempts": 7},
]


@pytest.mark.parametrize(("settings", "attempts"), COUNTS)
def test_a_request_is_sent_as_often_as_with_pynamodb(
    settings: dict[str, Any], attempts: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attempts_of(**settings) == attempts
    if KNOWS_RETRY_CONFIGURATION or "retry_configuration" not in settings:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stock")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "stock")
        stock = Connection(region="eu-west-1", host="http://127.0.0.1:1", **settings).client.meta.config.retries
        assert stock["total_max_attempts"] == (attempts or 4)


@pytest.mark.parametrize("settings", LEFT_TO_THE_CLUSTER)
def test_where_pynamodb_leaves_it_to_botocore_the_cluster_says_how_often(settings: dict[str, Any]) -> None:
    assert attempts_of(**settings) is None


def test_pynamodbs_settings_file_says_it_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    if not KNOWS_RETRY_CONFIGURATION:
        pytest.skip("PynamoDB 6.0 has no such setting")

    class Settings:
        retry_configuration: Any = {"max_attempts": 1}  # noqa: RUF012

    monkeypatch.setattr(pynamodb.settings, "override_settings", Settings)
    assert attempts_of() == 2
    assert attempts_of(retry_configuration={"total_max_attempts": 9}) == 9
    assert attempts_of(retry_configuration="LEGACY") is None
    Settings.retry_configuration = None
    assert attempts_of(max_retry_attempts=7) is None


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        ({"mode": "adaptive"}, "mode 'adaptive'.*'standard'"),
        ({"mode": "legacy", "max_attempts": 1}, "mode 'legacy'.*'standard'"),
        ({"mode": None}, "mode None"),
        ({"total_max_attempts": 0}, "total_max_attempts must be a whole number from 1 to 100"),
        ({"max_attempts": -1}, "max_attempts must be a whole number from 0 to 99"),
        ({"max_attempts": "3"}, "max_attempts must be a whole number"),
        ({"total_max_attempts": None}, "total_max_attempts must be a whole number"),
        ({"max_atempts": 1}, "does not take 'max_atempts'. Did you mean 'max_attempts'"),
        ("legacy", "must be a mapping such as.*'LEGACY' or 'UNSET'"),
        (5, "must be a mapping"),
    ],
)
def test_what_cannot_be_honoured_is_refused(configuration: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Asking: retry_configuration.*{says}"):
        attempts_of(retry_configuration=configuration)


@pytest.mark.parametrize("connections", ["20", 2.5, -1, True])
def test_a_wrong_number_of_connections_is_refused(connections: Any) -> None:
    with pytest.raises(ConfigurationError, match="Asking: max_pool_connections must be a whole number"):
        attempts_of(max_pool_connections=connections)


# ---- settings of a connection --------------------------------------------------------------------------------------


def test_the_settings_of_a_connection_do_not_reach_another_cluster() -> None:
    """A receiver of a signal makes a request of its own, to another cluster, inside of ours."""
    with Cluster("http://127.0.0.1:1") as ours, Cluster("http://127.0.0.1:1") as other:
        seen: list[tuple[RequestOptions, RequestOptions]] = []

        class Nested(AlternatorConnection):
            def _make_api_call(self, operation_name: str, operation_kwargs: Any) -> dict[str, Any]:
                seen.append((current(ours.core.key), current(other.core.key)))
                return {}

        Nested(cluster=ours, extra_headers={"X-Token": "secret"}).dispatch("ListTables", {})
        (here, there) = seen[0]
        assert here.extra_headers == {"X-Token": "secret"}
        assert there is NO_OPTIONS


@pytest.mark.parametrize(("region", "own"), [(None, None), ("us-east-1", None), ("eu-west-1", "eu-west-1")])
def test_the_region_of_the_cluster_needs_no_own_settings(region: str | None, own: str | None) -> None:
    """Requests without settings of their own take the shortest way, and most models name a region."""
    seen: list[RequestOptions] = []

    class Looking(Recording):
        def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
            seen.append(current(self.cluster.core.key))
            return super()._make_api_call(operation_name, operation_kwargs)

    with Cluster("http://127.0.0.1:1") as cluster:
        Looking(cluster, region=region).dispatch("GetItem", {"TableName": "t"})
    assert seen[0].region == own
    assert (seen[0] is NO_OPTIONS) == (own is None)


class Seeing:
    """A client that notes what would hold for its requests."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.seen: list[RequestOptions] = []

    def __getattr__(self, name: str) -> Any:
        def call(**_: Any) -> dict[str, Any]:
            self.seen.append(current(self.cluster.core.key))
            return {"Tags": [{"Key": "system:write_isolation", "Value": "always"}]}

        return call


@pytest.mark.parametrize("new", [None, "always"])
def test_write_isolation_is_asked_with_the_settings_of_the_connection(
    new: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cluster("http://127.0.0.1:1") as cluster:
        client = Seeing(cluster)
        monkeypatch.setattr(Cluster, "client", client)
        connection = AlternatorConnection(cluster=cluster, aws_access_key_id="alice", aws_secret_access_key="salted")
        assert connection.write_isolation("t", new) == "always"
        assert client.seen
        assert {options.credentials for options in client.seen} == {Credentials("alice", "salted")}
        assert current(cluster.core.key) is NO_OPTIONS
