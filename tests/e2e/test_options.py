"""Settings for some requests: ``with cluster.options(...)``, in both lanes, in threads, in tasks, and nested."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from pynamodb_alternator import (
    Cluster,
    ClusterConfig,
    ClusterScope,
    Credentials,
    DatacenterScope,
    Deflate,
    Gzip,
    Model,
    RackScope,
    Retries,
    Timeouts,
)
from pynamodb_alternator.errors import ConfigurationError, NoNodesAvailableError, ReadTimeoutError
from pynamodb_alternator.local import LocalCluster

from ..transport.servers import until
from .conftest import Recorder
from .support import SESSION, TABLE, forget, received, take_lane

TEXT = "words that compress well, " * 400


@pytest.fixture(scope="module")
def place() -> Iterator[LocalCluster]:
    """Two datacenters, the first with two racks."""
    racks = {"dc1": {"r1": 1, "r2": 2}, "dc2": {"r1": 2}}
    with LocalCluster(racks=racks, response_compression=True, compression_threshold=100) as local:
        with on(local) as cluster:
            cluster.client.create_table(**TABLE)
        yield local


def on(local: LocalCluster, lane: str = "short", **settings: Any) -> Cluster:
    settings.setdefault("key_route_affinity", "none")
    cluster = Cluster(ClusterConfig([node.host for node in local.nodes], port=local.port, **settings))
    cluster.core._session = SESSION
    take_lane(cluster.client, lane)
    return cluster


def put(cluster: Cluster, key: str = "a") -> None:
    cluster.client.put_item(TableName="items", Item={"key": {"S": key}, "text": {"S": TEXT}})


def get(cluster: Cluster, key: str = "a") -> Any:
    return cluster.client.get_item(TableName="items", Key={"key": {"S": key}}, ConsistentRead=True).get("Item")


def codings(local: LocalCluster, operation: str = "PutItem") -> list[str | None]:
    return [request.headers.get("content-encoding") for request in received(local, operation)]


# ---- what holds where ----------------------------------------------------------------------------------------------


def test_compression_of_one_block_and_of_blocks_in_it(place: LocalCluster, lane: str) -> None:
    with on(place, lane, request_compression=Gzip()) as cluster:
        sent = []

        def look() -> None:
            forget(place)
            put(cluster)
            sent.extend(codings(place))

        look()
        with cluster.options(request_compression=None):
            look()
            with cluster.options(request_compression=Deflate()):
                look()
                with cluster.options(timeouts={"read": 9}):
                    look()
            look()
        with pytest.raises(ZeroDivisionError), cluster.options(request_compression=None):
            _ = 1 / 0
        look()
    assert sent == ["gzip", None, "deflate", "deflate", None, "gzip"]


def test_answers_and_headers(place: LocalCluster, lane: str) -> None:
    with on(place, lane, extra_headers={"X-Team": "cluster"}) as cluster:
        put(cluster)
        forget(place)
        with cluster.options(response_compression=("deflate",), extra_headers={"x-team": "block", "X-Why": "test"}):
            assert get(cluster)["text"]["S"] == TEXT
            with cluster.options(response_compression=False):
                assert get(cluster)["text"]["S"] == TEXT
    requests = received(place, "GetItem")
    assert sorted(request.headers.get("accept-encoding", "") for request in requests) == ["", "deflate"]
    assert {(request.headers["x-team"], request.headers["x-why"]) for request in requests} == {("block", "test")}


def test_a_block_wins_over_a_model_and_keeps_what_it_does_not_name(place: LocalCluster, lane: str) -> None:
    class Item(Model):
        class Meta:
            table_name = "items"
            cluster: Cluster
            extra_headers = {"X-Team": "model", "X-Model": "yes"}  # noqa: RUF012
            aws_access_key_id = "alice"
            aws_secret_access_key = "s3cret"
            read_timeout_seconds = 7

        key = UnicodeAttribute(hash_key=True)

    with on(place, lane) as cluster:
        Item.Meta.cluster = cluster
        forget(place)
        with cluster.options(extra_headers={"x-team": "block"}):
            Item("b").save()
    (request,) = received(place, "PutItem")
    assert (request.headers["x-team"], request.headers["x-model"]) == ("block", "yes")
    assert "Credential=alice/" in request.headers["authorization"]


def test_a_block_changes_the_timeouts(place: LocalCluster, lane: str) -> None:
    node = place.nodes[0]
    settings: Any = {"routing_scope": RackScope("dc1", "r1"), "retries": Retries(max_attempts=1)}
    with on(place, lane, **settings) as cluster:
        until(lambda: [node.state.value for node in cluster.nodes() if node.in_scope] == ["active"])
        with node.delay(0.5, operation="GetItem"):
            for timeouts in (Timeouts(read=0.05), {"read": 0.05}):
                with cluster.options(timeouts=timeouts), pytest.raises(ReadTimeoutError, match=r"timeout of 0\.05 s"):
                    get(cluster)
            get(cluster)  # takes its half second


def test_a_block_changes_the_affinity(place: LocalCluster, lane: str, recorder: Recorder) -> None:
    class Counter(Model):
        class Meta:
            table_name = "items"
            cluster: Cluster

        key = UnicodeAttribute(hash_key=True)
        count = NumberAttribute(default=0)

    with on(place, lane, key_route_affinity="none") as cluster:
        Counter.Meta.cluster = cluster
        counter = Counter("c")
        counter.save()
        recorder.clear()
        with cluster.options(key_route_affinity="rmw"):
            for _ in range(4):
                counter.update(actions=[Counter.count.add(1)])
        counter.update(actions=[Counter.count.add(1)])
    updates = [event for event in recorder.of("request_routed") if event["operation"] == "UpdateItem"]
    assert [event["policy"] for event in updates] == ["affinity"] * 4 + ["round_robin"]
    assert len({event["node"] for event in updates[:4]}) == 1


def test_a_block_applies_only_to_its_cluster(place: LocalCluster) -> None:
    with on(place) as changed, on(place) as other, changed.options(request_compression=Gzip()):
        forget(place)
        put(other)
        assert codings(place) == [None]
        with other.options(request_compression=Deflate()):
            put(changed)
            put(other)
        put(changed)
        assert sorted(map(str, codings(place))) == ["None", "deflate", "gzip", "gzip"]


def test_threads_and_tasks_have_their_own(place: LocalCluster, lane: str) -> None:
    with on(place, lane) as cluster:
        forget(place)
        barrier = threading.Barrier(3)

        def work(how: Any) -> None:
            with cluster.options(request_compression=how):
                barrier.wait(10)
                put(cluster, f"thread-{how}")
                barrier.wait(10)

        with ThreadPoolExecutor(3) as pool:
            for future in [pool.submit(work, how) for how in (None, Gzip(), Deflate())]:
                future.result(30)
        assert sorted(map(str, codings(place))) == ["None", "deflate", "gzip"]

        async def task(how: Any, started: asyncio.Event, others: asyncio.Event) -> None:
            with cluster.options(request_compression=how):
                started.set()
                await others.wait()
                # What runs in a thread for the task has the task's settings.
                await asyncio.to_thread(put, cluster, f"task-{how}")

        async def main() -> None:
            first, second = asyncio.Event(), asyncio.Event()
            async with asyncio.timeout(30):
                await asyncio.gather(task(Gzip(), first, second), task(Deflate(), second, first))
                # A task that is started in a block has its settings as well.
                with cluster.options(request_compression=Gzip()):
                    inner = asyncio.create_task(asyncio.to_thread(put, cluster, "inner"))
                await inner

        forget(place)
        asyncio.run(main())
        assert sorted(map(str, codings(place))) == ["deflate", "gzip", "gzip"]

        # A thread has none, unless it is given a copy of the context.
        forget(place)
        with cluster.options(request_compression=Gzip()):
            for run in (put, contextvars.copy_context().run):
                thread = threading.Thread(target=run, args=(cluster,) if run is put else (put, cluster))
                thread.start()
                thread.join(10)
        assert sorted(map(str, codings(place))) in (["None", "gzip"], ["gzip", "gzip"])


def test_nodes_and_tls_belong_to_the_cluster(place: LocalCluster) -> None:
    with on(place) as cluster:
        for name in ("tls", "seeds", "scheme", "port", "credentials"):
            with pytest.raises(
                ConfigurationError, match=rf"{name} cannot be changed.*Cluster\(cluster\.config\.replace"
            ):
                cluster.options(**{name: None})
        # Which is what to do instead:
        with Cluster(cluster.config.replace(credentials=Credentials("a", "b"))) as other:
            other.client.list_tables()


# ---- routing scope -------------------------------------------------------------------------------------------------


def routed(recorder: Recorder, cluster: Cluster, times: int = 6) -> set[str]:
    recorder.clear()
    for _ in range(times):
        get(cluster)
    return {event["node"] for event in recorder.of("request_routed") if event["operation"] == "GetItem"}


def test_a_routing_scope_of_its_own(place: LocalCluster, lane: str, recorder: Recorder) -> None:
    def addresses(datacenter: str, rack: str | None = None) -> set[str]:
        return {n.address for n in place.nodes if n.datacenter == datacenter and rack in (None, n.rack)}

    chain = RackScope("dc1", "r1", fallback=DatacenterScope("dc1", fallback=ClusterScope()))
    with on(place, lane, routing_scope=chain) as cluster:
        until(lambda: [node.state.value for node in cluster.nodes()] == ["active"] * 5)
        assert routed(recorder, cluster) == addresses("dc1", "r1")
        with cluster.options(routing_scope=DatacenterScope("dc1")):
            assert routed(recorder, cluster) == addresses("dc1")
            with cluster.options(routing_scope=ClusterScope()):
                assert routed(recorder, cluster, 10) == addresses("dc1") | addresses("dc2")
            assert routed(recorder, cluster) == addresses("dc1")
        assert routed(recorder, cluster) == addresses("dc1", "r1")
        for unknown in (DatacenterScope("dc2"), RackScope("dc1", "r2")):
            with pytest.raises(ConfigurationError, match=r"not known here.*rack r1 of datacenter dc1.*routing_scope"):
                cluster.options(routing_scope=unknown)


def test_a_routing_scope_moves_on_to_its_own_fallback(lane: str, recorder: Recorder) -> None:
    with LocalCluster(racks={"dc1": {"r1": 1, "r2": 1}}) as local:
        first, second = local.nodes
        chain = DatacenterScope("dc1", fallback=RackScope("dc1", "r1"))
        with on(local, lane, routing_scope=chain) as cluster:
            cluster.client.create_table(**TABLE)
            until(lambda: [node.state.value for node in cluster.nodes()] == ["active"] * 2)
            strict, wide = RackScope("dc1", "r1"), RackScope("dc1", "r1", fallback=DatacenterScope("dc1"))
            with cluster.options(routing_scope=wide):
                assert routed(recorder, cluster) == {first.address}
            first.kill(still_listed=True)
            with cluster.options(routing_scope=wide):
                get(cluster)  # finds that out
            until(lambda: "down" in {node.state.value for node in cluster.nodes()})
            with cluster.options(routing_scope=wide):
                assert routed(recorder, cluster) == {second.address}
            with (
                cluster.options(routing_scope=strict),
                pytest.raises(NoNodesAvailableError, match=r"scope rack r1 of datacenter dc1 is usable"),
            ):
                get(cluster)
            assert routed(recorder, cluster) == {second.address}


def test_a_scope_before_the_first_reading(lane: str) -> None:
    """The seeds stand for every scope until a list was read."""
    with LocalCluster(racks={"dc1": {"r1": 1, "r2": 1}}) as local:
        for node in local.nodes:
            node.lie([])
        chain = RackScope("dc1", "r1")
        with on(local, lane, routing_scope=chain) as cluster, cluster.options(routing_scope=DatacenterScope("dc1")):
            assert cluster.client.list_tables()["TableNames"] == []


# ---- one node ------------------------------------------------------------------------------------------------------


def test_one_node_for_all_requests_of_a_block(place: LocalCluster, lane: str, recorder: Recorder) -> None:
    with on(place, lane) as cluster, on(place, lane) as other:
        for each in (cluster, other):
            until(lambda each=each: [node.state.value for node in each.nodes()] == ["active"] * 5)
        with cluster.options(consistent_node=True):
            assert len(routed(recorder, cluster)) == 1
            assert {each["policy"] for each in recorder.of("request_routed")} == {"consistent_node"}
            with cluster.options(consistent_node=False):
                assert len(routed(recorder, cluster)) > 1
        picked = {}
        for name in ("alice", "bob", "carol", "dave", "eve", "mallory"):
            with cluster.options(consistent_node=name):
                (picked[name],) = routed(recorder, cluster, 3)
            with other.options(consistent_node=name):
                # The same in every process.
                assert routed(recorder, other, 2) == {picked[name]}
        assert len(set(picked.values())) > 1
        # Writes and table operations go there too, whatever affinity says.
        recorder.clear()
        with cluster.options(consistent_node="alice", key_route_affinity="any_write"):
            put(cluster)
            cluster.client.list_tables()
            get(cluster)
        mine = [each for each in recorder.of("request_routed") if each["policy"] == "consistent_node"]
        assert [each["node"] for each in mine] == [picked["alice"]] * 3


def test_the_one_node_is_left_when_it_fails(lane: str, recorder: Recorder) -> None:
    with LocalCluster(3) as local, on(local, lane) as cluster:
        cluster.client.create_table(**TABLE)
        until(lambda: [node.state.value for node in cluster.nodes()] == ["active"] * 3)
        with cluster.options(consistent_node="alice"):
            (first,) = routed(recorder, cluster, 3)
            local.node(first).kill(still_listed=True)
            get(cluster)  # not an error
            until(lambda: "down" in {node.state.value for node in cluster.nodes()})
            (second,) = routed(recorder, cluster, 4)
            assert second != first
            local.node(first).revive()
            until(lambda: [node.state.value for node in cluster.nodes()] == ["active"] * 3)
            assert routed(recorder, cluster, 3) == {first}
