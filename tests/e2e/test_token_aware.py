"""Requests go to the replicas of their key, over real sockets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from pynamodb_alternator import Cluster, ClusterConfig, KeyRouteAffinity, Model, RackScope
from pynamodb_alternator.local import LocalCluster
from tests.transport.servers import until

from .conftest import Recorder

KEYS = [f"user-{number}" for number in range(20)]


class ByTown(GlobalSecondaryIndex["Person"]):
    class Meta:
        index_name = "by_town"
        projection = AllProjection()

    town = UnicodeAttribute(hash_key=True)
    age = NumberAttribute(range_key=True)


class Person(Model):
    class Meta:
        table_name = "people"
        billing_mode = "PAY_PER_REQUEST"
        token_aware = True

    name = UnicodeAttribute(hash_key=True)
    town = UnicodeAttribute()
    age = NumberAttribute(default=1)
    by_town = ByTown()


@pytest.fixture(params=[16, None], ids=["tablets", "vnodes"])
def local(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(nodes=6, replication_factor=2, tablets=request.param) as cluster:
        yield cluster


@pytest.fixture
def people(local: LocalCluster) -> Iterator[type[Person]]:
    with Cluster(local.url) as cluster:
        yield people_on(cluster)


def people_on(cluster: Cluster) -> type[Person]:
    """The table, made and with people in it, and its ring known."""
    Person.Meta.cluster = cluster
    Person.create_table(wait=True)
    for key in KEYS:
        Person(key, town=f"town-{key}").save()
    until(lambda: cluster.core.replicas.ring("people") is not None)
    return Person


def cluster_of(model: type[Person]) -> Cluster:
    return model.Meta.cluster


def misses(local: LocalCluster, act: Callable[[], Any]) -> int:
    """How many requests came to a node that is not a replica. At least one must come to a replica."""
    for node in local.nodes:
        node.forget()
    act()
    assert sum(node.replica_hits for node in local.nodes) > 0
    return sum(node.replica_misses for node in local.nodes)


def test_reads_and_writes_go_to_replicas(local: LocalCluster, people: type[Person]) -> None:
    def act() -> None:
        for key in KEYS:
            person = people.get(key)
            person.age += 1
            person.save()
            people.get(key, consistent_read=True)
            assert [other.name for other in people.query(key)] == [key]
            assert people.get(key).age == 2

    assert misses(local, act) == 0


def test_queries_of_an_index_go_to_replicas(local: LocalCluster, people: type[Person]) -> None:
    next(people.by_town.query("nowhere"), None)
    until(lambda: cluster_of(people).core.replicas.ring("people:by_town") is not None)

    def act() -> None:
        for key in KEYS:
            assert [person.name for person in people.by_town.query(f"town-{key}", Person.age >= 0)] == [key]
            assert [person.name for person in people.by_town.query(f"town-{key}", Person.age == 1)] == [key]

    assert misses(local, act) == 0


def test_the_replicas_of_a_key_take_turns_and_its_writers_share_one(local: LocalCluster, people: type[Person]) -> None:
    for key in KEYS[:5]:
        holders = {node.address for node in local.replicas("people", key)}
        for node in local.nodes:
            node.forget()
        for _ in range(10):
            people.get(key)
        read = Counter({node.address: node.replica_hits for node in local.nodes if node.replica_hits})
        assert dict(read) == dict.fromkeys(holders, 5)
        for node in local.nodes:
            node.forget()
        for _ in range(6):
            Person(key, town="x").save()
        assert sorted(node.replica_hits for node in local.nodes) == [0, 0, 0, 0, 0, 6]


def test_what_signals_say(local: LocalCluster, recorder: Recorder) -> None:
    with Cluster(local.url) as cluster:
        model = people_on(cluster)
        recorder.clear()
        model.get(KEYS[0])
        routed = recorder.of("request_routed")[-1]["event"]
        assert (routed.policy, routed.reason) == ("replica", None)
        with cluster.options(token_aware=False):
            model.get(KEYS[0])
        routed = recorder.of("request_routed")[-1]["event"]
        assert (routed.policy, routed.reason) == ("round_robin", "read")


def test_reads_avoid_a_dead_replica(local: LocalCluster, people: type[Person]) -> None:
    key = KEYS[0]
    first, second = local.replicas("people", key)
    first.kill()
    for _ in range(10):
        assert people.get(key).name == key
        Person(key, town="x").save()
    second.kill()
    assert people.get(key).name == key, "other nodes of the scope serve as well"


def test_auto_reads_the_ring_of_a_table_in_use(local: LocalCluster) -> None:
    with Cluster(ClusterConfig.of(local.url, token_aware_after=30, partition_keys={"people": "name"})) as cluster:
        client = cluster.client
        Person.Meta.cluster = cluster
        Person.create_table(wait=True)
        for _ in range(29):
            client.get_item(TableName="people", Key={"name": {"S": "x"}})
        assert not cluster.core.replicas.is_wanted("people")
        client.get_item(TableName="people", Key={"name": {"S": "x"}})
        until(lambda: cluster.core.replicas.ring("people") is not None)


@pytest.mark.parametrize("trouble", ["denied", "no such table", "old"])
def test_servers_without_a_ring_for_us(trouble: str) -> None:
    settings: dict[str, dict[str, Any]] = {
        "denied": {"deny_virtual_tables": True},
        "no such table": {"token_ring": False},
        "old": {"version": "2024.1"},
    }
    with LocalCluster(nodes=6, replication_factor=2, **settings[trouble]) as local, Cluster(local.url) as cluster:
        Person.Meta.cluster = cluster
        Person.create_table(wait=True)
        Person("a", town="x").save()
        rings = cluster.core.questions.token_rings
        if trouble == "old":
            until(lambda: cluster.core.replicas.ring("people") is not None)
            assert misses(local, lambda: Person.get("a")) == 0
        else:
            until(lambda: rings.trouble("people") is not None)
            assert Person.get("a").town == "x"


def test_addresses_inside_the_cluster() -> None:
    with (
        LocalCluster(nodes=6, replication_factor=2, internal_addresses=True) as local,
        Cluster(local.url) as cluster,
    ):
        model = people_on(cluster)
        assert misses(local, lambda: [model.get(key) for key in KEYS]) == 0


def test_a_tablet_that_moves() -> None:
    with LocalCluster(nodes=6, replication_factor=2) as local, Cluster(local.url) as cluster:
        model = people_on(cluster)
        key = KEYS[0]
        source, stays = local.replicas("people", key)
        target = next(node for node in local.nodes if node not in (source, stays))
        local.move_tablet("people", local.tablet_of("people", key), source, target)
        for _ in range(4):
            assert model.get(key).name == key, "a map out of date costs a hop, and no answer"
        cluster.core.questions.token_rings.read_now("people")
        assert misses(local, lambda: [model.get(key) for _ in range(6)]) == 0


def test_a_node_that_joins_is_used(local: LocalCluster, people: type[Person]) -> None:
    joined = local.add_node()
    cluster = cluster_of(people)

    def is_active() -> bool:
        cluster.client.list_tables()  # which any node takes: the new one is probed when such a request names it
        return joined.address in {node.address for node in cluster.nodes() if node.state.name == "ACTIVE"}

    until(is_active)
    cluster.core.questions.token_rings.read_now("people")
    assert misses(local, lambda: [people.get(key) for key in KEYS for _ in range(2)]) == 0
    until(lambda: [people.get(key) for key in KEYS] and joined.replica_hits)  # few at first


def test_a_rack_that_is_strict_stays_strict() -> None:
    with LocalCluster(racks={"r1": 3, "r2": 3, "r3": 3}, replication_factor=3) as local:
        config = ClusterConfig.of(local.url, routing_scope=RackScope("datacenter1", "r2"), token_aware=True)
        with Cluster(config) as cluster:
            model = people_on(cluster)
            in_rack = [node for node in local.nodes if node.rack == "r2"]
            assert misses(local, lambda: [(model.get(key), Person(key, town="x").save()) for key in KEYS]) == 0
            assert sum(node.replica_hits for node in in_rack) == 2 * len(KEYS)


def test_conditional_writes_keep_their_coordinator(local: LocalCluster, recorder: Recorder) -> None:
    with Cluster(ClusterConfig.of(local.url, key_route_affinity=KeyRouteAffinity.RMW)) as cluster:
        model = people_on(cluster)
        recorder.clear()
        model(KEYS[0], town="y").save(condition=Person.name.exists())
        assert recorder.of("request_routed")[-1]["event"].policy == "affinity"


@pytest.mark.parametrize("monitor", [False])
def test_requests_go_to_replicas_without_threads(local: LocalCluster, monitor: bool) -> None:
    with Cluster(ClusterConfig.of(local.url, monitor=monitor)) as cluster:
        Person.Meta.cluster = cluster
        Person.create_table(wait=True)
        Person("a", town="x").save()
        Person.get("a")
        assert misses(local, lambda: Person.get("a")) == 0


def test_in_an_event_loop(local: LocalCluster) -> None:
    from pynamodb_alternator.aio import AsyncCluster

    async def main() -> None:
        config = ClusterConfig.of(local.url, token_aware=True, partition_keys={"people": "name"})
        async with AsyncCluster(config) as cluster:
            client = await cluster.client()
            await client.get_item(TableName="people", Key={"name": {"S": "x"}})
            for _ in range(1000):
                if cluster.core.replicas.ring("people") is not None:
                    break
                await asyncio.sleep(0.01)
            for node in local.nodes:
                node.forget()
            for key in KEYS:
                await client.get_item(TableName="people", Key={"name": {"S": key}})

    with Cluster(local.url) as cluster:
        Person.Meta.cluster = cluster
        Person.create_table(wait=True)
    asyncio.run(main())
    assert sum(node.replica_hits for node in local.nodes) == len(KEYS)
    assert sum(node.replica_misses for node in local.nodes) == 0
