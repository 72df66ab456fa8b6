"""Names in a model's `Meta` that are not settings, and look as if they were."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pynamodb.attributes import UnicodeAttribute
from pynamodb.connection.base import Connection

from pynamodb_alternator import AlternatorConnection, Cluster, Model, RackScope, Timeouts
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.orm.model_connection import model_connection


def model(connection_class: type[Connection] | None = AlternatorConnection, **settings: Any) -> Any:
    class Thing(Model):
        class Meta:
            table_name = "things"

        id = UnicodeAttribute(hash_key=True)

    for name, value in settings.items():
        setattr(Thing.Meta, name, value)
    if connection_class is not None:
        Thing.Meta.connection_class = connection_class  # type: ignore[attr-defined]
    return Thing


def connect(thing: Any) -> None:
    assert model_connection(thing, AlternatorConnection).table_name == "things"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("load_balancing", "least_busy", [r"ClusterConfig\(load_balancing=\.\.\.\)", r"Meta\.cluster"]),
        (
            "routing_scope",
            RackScope("dc1", "r1"),
            [r"ClusterConfig\(routing_scope", r"cluster\.options\(routing_scope"],
        ),
        ("consistent_node", True, [r"cluster\.options\(consistent_node"]),
        ("timeouts", Timeouts(read=3), [r"cluster\.options\(timeouts", r"Meta\.read_timeout_seconds"]),
        ("token_aware_after", 10, [r"ClusterConfig\(token_aware_after"]),
    ],
)
def test_a_setting_that_meta_does_not_take(name: str, value: Any, says: list[str]) -> None:
    for connection_class in (AlternatorConnection, None):
        with pytest.raises(ConfigurationError, match=rf"Thing: Meta does not take {name}\. Write") as raised:
            connect(model(connection_class, **{name: value}))
        for part in says:
            raised.match(part)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("token_awar", True, "Meta.token_awar is not a setting of this library. Did you mean 'token_aware'?"),
        ("hegde", 0.05, "Did you mean 'hedge'?"),
        ("Cluster", "analytics", "Did you mean 'cluster'?"),
        ("connection_cls", AlternatorConnection, "Did you mean 'connection_class'?"),
        (
            "timeouts",
            {"read": 3},
            "Meta does not take timeouts. Write it where it is taken: ClusterConfig(timeouts=...)",
        ),
        ("port", 8000, "ClusterConfig(port=...)"),
    ],
)
def test_an_ambiguous_name_causes_one_warning(
    name: str, value: Any, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    thing = model(**{name: value})
    with Cluster("http://127.0.0.1:1") as cluster, caplog.at_level(logging.WARNING, "pynamodb_alternator.orm"):
        connect(thing)
        connect(thing)
        thing.Meta.cluster = cluster
        connect(thing)
    (record,) = caplog.records
    assert says in record.getMessage()
    assert "test_meta_names" in record.getMessage()


def test_what_pynamodb_and_applications_have_is_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    settings = {
        "region": "eu-central-1",
        "host": "http://127.0.0.1:1",
        "billing_mode": "PAY_PER_REQUEST",
        "read_capacity_units": 1,
        "write_capacity_units": 1,
        "stream_view_type": "NEW_IMAGE",
        "tags": {"a": "b"},
        "max_retry_attempts": 2,
        "extra_headers": {"X-A": "b"},
        "retry_configuration": "LEGACY",
        "write_isolation": "always",
        "silent_writes": "raise",
        "abstract": True,
        "verbose_name": "thing",
        "ordering": ("id",),
        "owner": "a team",
        "schema_version": 3,
        "name": "thing",
        "_load_balancing": "least_busy",
    }
    with caplog.at_level(logging.WARNING, "pynamodb_alternator"):
        connect(model(**settings))
        connect(model())
    assert caplog.records == []


def test_a_connection_that_is_not_ours_takes_what_it_likes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pynamodb_alternator"):
        connect(model(Connection, load_balancing="least_busy", token_awar=True))
    assert caplog.records == []
