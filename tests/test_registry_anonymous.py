"""Which cluster is meant, and how long one lives that no alias names."""

from __future__ import annotations

import gc
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynamodb.attributes import UnicodeAttribute

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Cluster, ClusterConfig, Credentials, Model
from pynamodb_alternator.core import processes
from pynamodb_alternator.local import LocalCluster

PATIENCE = 20.0
"""Seconds after which a condition is not waited for any longer."""
MANY = 30
FILES = Path("/proc/self/fd")
TENANTS = itertools.count()


@pytest.fixture(scope="module")
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=1) as cluster:
        with Cluster(cluster.url) as made:
            made.client.create_table(
                TableName="things",
                KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        yield cluster


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    pynamodb_alternator.close_all()


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        gc.collect()
        pause.wait(0.01)
    return True


def open_files() -> int:
    """How many descriptors this process has, where the kernel tells it. Those of the nodes are among them."""
    return len(list(FILES.iterdir())) if FILES.exists() else 0


def get(connection: AlternatorConnection) -> None:
    connection.client.get_item(TableName="things", Key={"k": {"S": "a"}})


def fresh_config(local: LocalCluster) -> ClusterConfig:
    """A configuration that equals no other: its callable is its own."""
    return ClusterConfig(
        [node.host for node in local.nodes], port=local.port, credentials=lambda: Credentials("role", "hash")
    )


def with_fresh_configs(local: LocalCluster) -> None:
    get(AlternatorConnection(cluster=fresh_config(local)))


def with_equal_configs(local: LocalCluster) -> None:
    get(AlternatorConnection(cluster=ClusterConfig([node.host for node in local.nodes], port=local.port)))


def with_a_host(local: LocalCluster) -> None:
    get(AlternatorConnection(host=local.url, aws_access_key_id="tenant", aws_secret_access_key="hash"))


def with_a_model(local: LocalCluster) -> None:
    class Short(Model):
        class Meta:
            table_name = "things"
            cluster = fresh_config(local)

        k = UnicodeAttribute(hash_key=True)

    with pytest.raises(Short.DoesNotExist):
        Short.get("a")


def with_a_model_of_a_host(local: LocalCluster) -> None:
    class Short(Model):
        class Meta:
            table_name = "things"
            host = local.url

        k = UnicodeAttribute(hash_key=True)

    with pytest.raises(Short.DoesNotExist):
        Short.get("a")


def with_keys_of_each_tenant(local: LocalCluster) -> None:
    key = f"tenant{next(TENANTS)}"
    get(AlternatorConnection(host=local.url, aws_access_key_id=key, aws_secret_access_key="hash"))


def with_a_cluster_that_is_closed(local: LocalCluster) -> None:
    with Cluster(fresh_config(local)) as cluster:
        cluster.client.get_item(TableName="things", Key={"k": {"S": "a"}})


def with_a_cluster(local: LocalCluster) -> None:
    Cluster(fresh_config(local)).client.get_item(TableName="things", Key={"k": {"S": "a"}})


@pytest.mark.parametrize(
    "use",
    [
        with_fresh_configs,
        with_equal_configs,
        with_a_host,
        with_a_model,
        with_a_model_of_a_host,
        with_keys_of_each_tenant,
        with_a_cluster_that_is_closed,
        with_a_cluster,
    ],
    ids=lambda use: use.__name__,
)
def test_a_cluster_that_nothing_uses_any_more_is_closed(
    use: Callable[[LocalCluster], None], local: LocalCluster
) -> None:
    use(local)
    assert wait_for(lambda: all(core.closed for core in processes.kept()))
    threads, cores, files = threading.active_count(), len(processes.kept()), open_files()
    for _ in range(MANY):
        use(local)
    assert wait_for(lambda: threading.active_count() <= threads)
    assert wait_for(lambda: len(processes.kept()) <= cores)
    assert wait_for(lambda: open_files() <= files + MANY // 3)


def user_by_connection(local: LocalCluster, config: Any) -> Any:
    return AlternatorConnection(cluster=config)


def user_by_client(local: LocalCluster, config: Any) -> Any:
    return AlternatorConnection(cluster=config).client


def user_by_model(local: LocalCluster, config: Any) -> Any:
    class Long(Model):
        class Meta:
            table_name = "things"
            cluster = config

        k = UnicodeAttribute(hash_key=True)

    return Long


def use(user: Any) -> None:
    if isinstance(user, type):
        with pytest.raises(user.DoesNotExist):
            user.get("a")
    else:
        getattr(user, "client", user).get_item(TableName="things", Key={"k": {"S": "a"}})


@pytest.mark.parametrize("kind", [user_by_connection, user_by_client, user_by_model], ids=lambda kind: kind.__name__)
def test_what_uses_a_cluster_keeps_it(kind: Callable[[LocalCluster, Any], Any], local: LocalCluster) -> None:
    config = fresh_config(local)
    user = kind(local, config)
    use(user)
    cluster = AlternatorConnection(cluster=config).cluster
    is_there = weakref.ref(cluster)
    del cluster
    gc.collect()
    kept = is_there()
    assert kept is not None
    assert not kept.closed
    assert AlternatorConnection(cluster=config).cluster is kept
    core = kept.core
    del kept
    use(user)
    assert not core.closed
    del user
    assert wait_for(lambda: core.closed)


def test_equal_configurations_share_a_cluster_while_it_is_used(local: LocalCluster) -> None:
    first = AlternatorConnection(cluster=ClusterConfig(["127.0.0.1"], port=local.port))
    second = AlternatorConnection(cluster=ClusterConfig(["127.0.0.1"], port=local.port))
    assert first.cluster is second.cluster
    assert AlternatorConnection(host=local.url).cluster is AlternatorConnection(host=local.url).cluster
    assert first.cluster is not AlternatorConnection(host=local.url).cluster
    closed = first.cluster
    closed.close()
    assert first.cluster is not closed
    assert first.cluster is second.cluster


def test_a_named_cluster_needs_no_user(local: LocalCluster) -> None:
    pynamodb_alternator.configure(default=fresh_config(local))
    get(AlternatorConnection())
    core = pynamodb_alternator.get_cluster().core
    gc.collect()
    assert pynamodb_alternator.get_cluster().core is core
    assert not core.closed
