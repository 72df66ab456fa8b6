"""One node of three dies in the middle of the traffic, and the application does not notice."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from pynamodb_alternator import Cluster, ClusterConfig, Model
from pynamodb_alternator.errors import OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster

THREADS, REQUESTS = 8, 2_000


def test_nothing_fails_and_nothing_is_lost_when_a_node_is_killed(local: LocalCluster, cluster: Cluster) -> None:
    class Item(Model):
        class Meta:
            table_name = "items"
            billing_mode = "PAY_PER_REQUEST"
            cluster: Cluster

        key = UnicodeAttribute(hash_key=True)
        value = NumberAttribute()

    class Counters(Model):
        class Meta:
            table_name = "counters"
            billing_mode = "PAY_PER_REQUEST"
            cluster: Cluster

        key = UnicodeAttribute(hash_key=True)
        count = NumberAttribute(default=0)

    for model in (Item, Counters):
        model.Meta.cluster = cluster
        model.create_table()
    Counters("one").save()

    done = Counter[str]()
    half_way = threading.Event()
    unknown: list[BaseException] = []
    lock = threading.Lock()
    numbers = iter(range(REQUESTS))

    def work(_: int) -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            if number == REQUESTS // 4:
                half_way.set()
            kind = ("put", "get", "increment", "query")[number % 4]
            if kind == "put":
                Item(f"k{number}", value=number).save()
            elif kind == "get":
                assert Item.get("k0").value == 0 if done["put0"] else True
            elif kind == "query":
                list(Item.query(f"k{number}"))
            else:
                try:
                    Counters("one").update(actions=[Counters.count.add(1)])
                except Exception as error:
                    if not isinstance(error.__cause__, OutcomeUnknownError):
                        raise
                    with lock:
                        unknown.append(error)
                    continue
            with lock:
                done[kind] += 1
                done["put0"] += number == 0

    def kill() -> None:
        assert half_way.wait(30)
        local.nodes[1].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(work, number) for number in range(THREADS)]:
            future.result(60)
    killer.join()

    # An increment that was on its way to the node at the moment of its death may have been applied or not: that is
    # said, and not guessed at. At most one per thread can have been.
    assert len(unknown) <= THREADS
    assert sum(done[kind] for kind in ("put", "get", "query", "increment")) + len(unknown) == REQUESTS
    assert {item.key for item in Item.scan()} == {f"k{number}" for number in range(0, REQUESTS, 4)}
    count = Counters.get("one").count
    assert done["increment"] <= count <= done["increment"] + len(unknown)


def test_a_dead_seed_does_not_delay_the_first_request(local: LocalCluster) -> None:
    local.nodes[0].kill(still_listed=True)
    with Cluster(ClusterConfig([node.host for node in local.nodes], port=local.port)) as cluster:
        assert cluster.client.list_tables()["TableNames"] == []
        assert {node.address for node in cluster.nodes()} == {node.address for node in local.nodes}
