"""An application's models as mypy and pyright see them. Checked by `make types`, never run."""

from __future__ import annotations

from typing import assert_type

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from pynamodb_alternator import (
    AlternatorConnection,
    Cluster,
    ClusterConfig,
    Credentials,
    DatacenterScope,
    KeyRouteAffinity,
    Model,
    RackScope,
    configure,
    get_cluster,
    signals,
)
from pynamodb_alternator.errors import OutcomeUnknownError

assert_type(ClusterConfig(["10.0.0.1"]).port, int | None)
assert_type(ClusterConfig("10.0.0.1", port=8043, scheme="https", max_connection_idle=30).node_port, int)

configure(
    default=ClusterConfig(
        ["10.0.0.1"],
        routing_scope=RackScope("dc1", "r1", fallback=DatacenterScope("dc1")),
        credentials=Credentials("role", "hash"),
    ),
    analytics="http://10.0.0.2:8000",
    other={"seeds": ["10.0.0.3"]},
)


class User(Model):
    class Meta:
        table_name = "users"
        cluster = "analytics"
        connection_class = AlternatorConnection
        key_route_affinity = KeyRouteAffinity.RMW

    name = UnicodeAttribute(hash_key=True)
    visits = NumberAttribute(default=0)


def visit(name: str) -> float:
    user = User.get(name)
    assert_type(user, User)
    assert_type(user.name, str)
    try:
        user.update(actions=[User.visits.add(1)])
    except OutcomeUnknownError as error:
        assert_type(error.nodes_tried, tuple[str, ...])
    return user.visits


def look() -> list[str]:
    cluster = get_cluster()
    assert_type(cluster, Cluster)
    with cluster.options(key_route_affinity=KeyRouteAffinity.NONE):
        visit("alice")
    return [node.address for node in cluster.nodes() if node.datacenter == "dc1"]


@signals.request_completed.connect
def on_completed(sender: Cluster, *, node: str | None, duration: float, **extra: object) -> None:
    print(sender.name, node, duration)


@signals.request_completed.connect
def on_event(sender: Cluster, *, event: signals.RequestCompleted, **extra: object) -> None:
    assert_type(event.cluster_name, str)
    assert_type(event.table_name, str | None)
    assert_type(event.node, str | None)
    assert_type(event.status, int | None)
    assert_type(event.error, BaseException | None)
    assert_type(event.duration, float)
    event.duration = 0.0  # type: ignore[misc]  # events do not change


def on_trouble(sender: Cluster, *, event: signals.NodeDown | signals.NodeQuarantined, **extra: object) -> None:
    assert_type(event.node, str)
    assert_type(event.failures, int)
    assert_type(event.error, str | None)


signals.node_down.connect(on_trouble)
signals.node_quarantined.connect(on_trouble)
