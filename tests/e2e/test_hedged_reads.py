"""Reads that wait for long are sent to a second node as well, in threads: which one answers, and what is left."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pynamodb.attributes import UnicodeAttribute

from pynamodb_alternator import Cluster, ClusterConfig, Health, Hedge, Model, Retries, Timeouts, Tls
from pynamodb_alternator.errors import ConfigurationError, TransportError
from pynamodb_alternator.local import LocalCluster, LocalNode
from pynamodb_alternator.settings.values import KeyRouteAffinity
from tests.chaos.support import UNHURRIED, all_active, until
from tests.e2e.conftest import Recorder
from tests.e2e.support import TABLE, forget, received, take_lane

KEY = {"key": {"S": "k"}}
READS: dict[str, Callable[..., Any]] = {
    "GetItem": lambda client, **more: client.get_item(TableName="items", Key=KEY, **more),
    "Query": lambda client, **more: client.query(
        TableName="items",
        KeyConditionExpression="#k = :k",
        ExpressionAttributeNames={"#k": "key"},
        ExpressionAttributeValues={":k": {"S": "k"}},
        **more,
    ),
    "BatchGetItem": lambda client, **more: client.batch_get_item(RequestItems={"items": {"Keys": [KEY], **more}}),
}
SLOW = 30.0
"""Seconds: an answer that no test waits for."""


def get(cluster: Cluster, **more: Any) -> Any:
    return READS["GetItem"](cluster.client, **more)["Item"]


@contextlib.contextmanager
def connected(local: LocalCluster, lane: str = "short", **settings: Any) -> Iterator[Cluster]:
    """A cluster with one connection to each node, all of which are active."""
    settings.setdefault("hedge", Hedge(after=0.1))
    settings.setdefault("health", Health(suspect_after=SLOW, probe_timeout=0.5, probe_interval=0.1))
    config = ClusterConfig(
        [node.host for node in local.nodes],
        port=local.port,
        scheme=local.scheme,
        tls=Tls(ca=local.tls.ca_file) if local.scheme == "https" else None,
        key_route_affinity=KeyRouteAffinity.NONE,
        **settings,
    )
    with Cluster(config) as cluster:
        take_lane(cluster.client, lane)
        with cluster.options(timeouts=UNHURRIED):
            cluster.client.create_table(**TABLE)
            cluster.client.put_item(TableName="items", Item=KEY)
            until(lambda: all_active(cluster, local))
            for _ in local.nodes:
                get(cluster, ConsistentRead=True)
        forget(local)
        yield cluster


def in_use(cluster: Cluster) -> int:
    return sum(pool.in_use for pool in cluster.core.pools.stats().values())


def hedges(recorder: Recorder) -> list[str | None]:
    return [event["hedge"] for event in recorder.of("request_completed")]


def nodes_of(recorder: Recorder) -> list[str]:
    return [event["node"] for event in recorder.of("request_routed")]


def next_node(cluster: Cluster, local: LocalCluster, recorder: Recorder) -> LocalNode:
    """The node that the next read goes to, by its turn."""
    recorder.clear()
    for _ in range(len(local.nodes)):
        get(cluster, ConsistentRead=True)
    (first, *_), by_address = nodes_of(recorder), {node.address: node for node in local.nodes}
    recorder.clear()
    forget(local)
    return by_address[first]


# ---- a node that hangs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", READS)
def test_another_node_answers(local: LocalCluster, lane: str, operation: str, recorder: Recorder) -> None:
    with connected(local, lane) as cluster:
        first = next_node(cluster, local, recorder)
        opened = cluster.core.pools.stats()[first.address].opened
        polled = first.polls["/"]
        first.delay(SLOW, operation=operation)
        began = time.monotonic()
        READS[operation](cluster.client)
        assert 0.1 <= time.monotonic() - began < SLOW / 2
        asked = recorder.of("request_routed")
        assert [(event["attempt"], event["hedge"]) for event in asked] == [(1, False), (2, True)]
        assert asked[0]["node"] == first.address != asked[1]["node"]
        (done,) = recorder.of("request_completed")
        assert (done["hedge"], done["attempts"], done["status"]) == ("won", 2, 200)
        assert done["node"] == asked[1]["node"]
        assert recorder.of("request_retried") == []
        # The connection of the loser is closed, and its slot is free.
        stats = cluster.core.pools.stats()[first.address]
        assert (stats.open, stats.in_use, stats.opened) == (0, 0, opened)
        assert in_use(cluster) == 0
        # It neither answered nor failed; but it is probed at once, though it would not be suspected for long.
        assert cluster.stats()[first.address].failures == 0
        until(lambda: first.polls["/"] > polled)
        until(lambda: not cluster.core.membership.view.hedged)


def test_a_node_that_hangs_comes_last_for_reads_until_its_probe_has_ended(
    local: LocalCluster, recorder: Recorder
) -> None:
    with connected(local, health=Health(suspect_after=SLOW, probe_timeout=2.0)) as cluster:
        first = next_node(cluster, local, recorder)
        first.hang()
        for _ in range(9):
            get(cluster)
        assert hedges(recorder).count("won") == 1
        assert nodes_of(recorder).count(first.address) == 1
        recorder.wait_for("node_down", node=first.address)
        first.resume()
        until(lambda: all_active(cluster, local))
        until(lambda: get(cluster) and nodes_of(recorder).count(first.address) > 1)
        assert in_use(cluster) == 0


@pytest.mark.parametrize("secure", [False, True])
def test_from_a_cold_pool(lane: str, secure: bool, recorder: Recorder) -> None:
    """Both connections are opened in steps. The node whose process is frozen accepts one, and says no more."""
    with LocalCluster(nodes=3, processes=True, tls=secure) as local, connected(local, lane) as cluster:
        first = next_node(cluster, local, recorder)
        cluster.core.pools.keep_only(())
        cluster.core.pools.keep_only(cluster.topology.ring)
        assert sum(pool.open for pool in cluster.core.pools.stats().values()) == 0
        first.freeze()  # type: ignore[attr-defined]
        get(cluster)
        first.thaw()  # type: ignore[attr-defined]
        assert nodes_of(recorder)[0] == first.address
        assert hedges(recorder) == ["won"]
        assert in_use(cluster) == 0


def test_an_idle_connection_over_tls(lane: str, recorder: Recorder) -> None:
    with LocalCluster(nodes=3, tls=True) as local, connected(local, lane) as cluster:
        for _ in range(6):
            get(cluster)
        next_node(cluster, local, recorder).delay(SLOW, operation="GetItem")
        get(cluster)
        assert hedges(recorder) == ["won"]
        assert in_use(cluster) == 0


# ---- the first answer wins -----------------------------------------------------------------------------------------


def test_the_first_attempt_wins_if_it_is_merely_slow(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    with connected(local, lane) as cluster:
        first = next_node(cluster, local, recorder)
        for node in local.nodes:
            node.delay(0.5 if node is first else SLOW, operation="GetItem")
        assert get(cluster) == KEY
        (done,) = recorder.of("request_completed")
        assert (done["hedge"], done["attempts"], done["node"]) == ("lost", 2, first.address)
        hedge = nodes_of(recorder)[1]
        assert cluster.core.pools.stats()[hedge].open == 0
        assert in_use(cluster) == 0
        assert all(node.failures == 0 for node in cluster.stats().values())


def test_the_hedge_goes_on_if_the_first_attempt_fails(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    with connected(local, lane) as cluster:
        first = next_node(cluster, local, recorder)
        for node in local.nodes:
            node.delay(0.3 if node is first else 0.9, operation="GetItem")
        first.drop_request(operation="GetItem")
        assert get(cluster) == KEY
        (done,) = recorder.of("request_completed")
        assert (done["hedge"], done["attempts"]) == ("won", 2)
        (retried,) = recorder.of("request_retried")
        assert (retried["from_node"], retried["to_node"], retried["attempt"]) == (first.address, done["node"], 2)
        assert cluster.stats()[first.address].failures == 1
        assert in_use(cluster) == 0


@pytest.mark.parametrize("ends", ["drop_request", "fail_with"])
def test_the_first_attempt_goes_on_if_the_hedge_fails(
    local: LocalCluster, lane: str, recorder: Recorder, ends: str
) -> None:
    with connected(local, lane) as cluster:
        first = next_node(cluster, local, recorder)
        first.delay(0.9, operation="GetItem")
        for node in local.nodes:
            if node is not first and ends == "drop_request":
                node.drop_request(operation="GetItem")
            elif node is not first:
                node.fail_with("ServiceUnavailable", status=503, operation="GetItem")
        assert get(cluster) == KEY
        (done,) = recorder.of("request_completed")
        assert (done["hedge"], done["attempts"], done["node"]) == ("lost", 2, first.address)
        assert recorder.of("request_retried") == []
        assert in_use(cluster) == 0


def test_a_third_node_is_asked_if_both_fail(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    with connected(local, lane) as cluster:
        first = next_node(cluster, local, recorder)
        first.delay(0.3, operation="GetItem")
        good = local.nodes[(local.nodes.index(first) + 2) % 3]
        for node in local.nodes:
            if node is not good:
                node.drop_request(operation="GetItem")
        assert get(cluster) == KEY
        (done,) = recorder.of("request_completed")
        assert (done["hedge"], done["attempts"], done["node"]) == ("lost", 3, good.address)
        assert in_use(cluster) == 0


def test_the_deadline_ends_both(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    with connected(local, lane, timeouts=Timeouts(total=0.5)) as cluster:
        recorder.clear()
        for node in local.nodes:
            node.delay(SLOW, operation="GetItem")
        with pytest.raises(TransportError, match=r"longer than its total timeout of 0\.5 s"):
            get(cluster)
        assert hedges(recorder) == ["lost"]
        assert len(nodes_of(recorder)) == 2
        assert in_use(cluster) == 0


def test_the_read_timeout_ends_each(local: LocalCluster, recorder: Recorder) -> None:
    with connected(local, timeouts=Timeouts(read=0.4), retries=Retries(max_attempts=2)) as cluster:
        recorder.clear()
        for node in local.nodes:
            node.delay(SLOW, operation="GetItem")
        with pytest.raises(TransportError, match="did not answer within the read timeout"):
            get(cluster)
        assert hedges(recorder) == ["lost"]
        assert len(nodes_of(recorder)) == 2


def test_a_node_that_goes_down_meanwhile_is_cut(local: LocalCluster, recorder: Recorder) -> None:
    with connected(local) as cluster:
        first = next_node(cluster, local, recorder)
        for node in local.nodes:
            node.delay(SLOW if node is first else 3.0, operation="GetItem")
        first.hang()
        assert get(cluster) == KEY
        recorder.wait_for("node_down", node=first.address)
        (retried,) = recorder.of("request_retried")
        assert "declared down" in str(retried["error"])
        assert hedges(recorder) == ["won"]


# ---- what is never hedged ------------------------------------------------------------------------------------------


def test_consistent_reads_scans_and_writes_are_not(local: LocalCluster, lane: str, recorder: Recorder) -> None:
    with connected(local, lane, hedge=Hedge(after=0.01)) as cluster:
        recorder.clear()
        for node in local.nodes:
            node.delay(0.15)
        for read in READS.values():
            read(cluster.client, ConsistentRead=True)
        cluster.client.scan(TableName="items")
        cluster.client.describe_table(TableName="items")
        cluster.client.put_item(TableName="items", Item=KEY)
        with cluster.options(consistent_node="n"):
            get(cluster)
        assert set(hedges(recorder)) == {None}
        assert not cluster.core.membership.view.hedged


@pytest.mark.parametrize("settings", [{"retries": Retries(max_attempts=1)}, {"hedge": None}, {"hedge": Hedge("p99")}])
def test_settings_without_a_hedge(local: LocalCluster, settings: Any, recorder: Recorder) -> None:
    with connected(local, **{"hedge": Hedge(after=0.01), **settings}) as cluster:
        recorder.clear()
        for node in local.nodes:
            node.delay(0.15, operation="GetItem")
        get(cluster)
        assert hedges(recorder) == [None]
        assert len(received(local, "GetItem")) == 1


def test_nothing_is_left_of_the_budget(local: LocalCluster, recorder: Recorder) -> None:
    with connected(local, hedge=Hedge(after=0.01, max_extra=0.0)) as cluster:
        hedging = cluster.core.environment.hedging
        while hedging.may_hedge(Hedge(max_extra=0.0), time.monotonic()):
            pass
        recorder.clear()
        for node in local.nodes:
            node.delay(0.15, operation="GetItem")
        get(cluster)
        assert hedges(recorder) == [None]
        assert not cluster.core.membership.view.hedged


def test_p99_is_learnt_from_the_answers(local: LocalCluster, recorder: Recorder) -> None:
    with connected(local, hedge=Hedge("p99")) as cluster:
        for _ in range(120):
            get(cluster)
        next_node(cluster, local, recorder).delay(SLOW, operation="GetItem")
        get(cluster)
        assert hedges(recorder) == ["won"]


def test_settings_of_a_block_and_of_a_model(local: LocalCluster, recorder: Recorder) -> None:
    with connected(local, hedge=None) as cluster:

        class Item(Model):
            class Meta:
                table_name = "items"
                hedge = Hedge(after=0.1)

            key = UnicodeAttribute(hash_key=True)

        class Plain(Model):
            class Meta:
                table_name = "items"
                hedge = False

            key = UnicodeAttribute(hash_key=True)

        Item.Meta.cluster = Plain.Meta.cluster = cluster  # type: ignore[attr-defined]
        for node in local.nodes:
            node.delay(0.4, operation="GetItem")

        def said(read: Callable[[], object]) -> str | None:
            recorder.clear()
            until(lambda: not cluster.core.membership.view.hedged)
            read()
            (hedge,) = hedges(recorder)
            return hedge

        assert said(lambda: Item.get("k")) is not None
        assert said(lambda: Item.get("k", consistent_read=True)) is None
        assert said(lambda: get(cluster)) is None
        with cluster.options(hedge=Hedge(after=0.1)):
            assert said(lambda: get(cluster)) is not None
            assert said(lambda: Plain.get("k")) is not None, "a block wins over a model"
            with cluster.options(hedge=None):
                assert said(lambda: Item.get("k")) is None
            with cluster.options(consistent_node=False):
                assert said(lambda: get(cluster)) is not None, "what a block does not name stays"
        assert said(lambda: Plain.get("k")) is None
        Item.Meta.hedge = 0.05  # type: ignore[assignment]
        Item._connection = None
        with pytest.raises(ConfigurationError, match=r"of the table items: hedge must be Hedge\("):
            Item.get("k")


# ---- many at once --------------------------------------------------------------------------------------------------


def test_one_frozen_node_of_three_costs_each_thread_one_hedge(recorder: Recorder) -> None:
    """The bound is generous; docs/reliability.md has the figures."""
    after = 0.4
    with LocalCluster(nodes=3, processes=True) as local, connected(local, hedge=Hedge(after=after)) as cluster:
        seconds: list[float] = []
        end = threading.Event()

        def work(_: int) -> None:
            while not end.is_set():
                began = time.monotonic()
                get(cluster)
                seconds.append(time.monotonic() - began)

        with ThreadPoolExecutor(8) as threads:
            running = threads.map(work, range(8))
            try:
                until(lambda: len(seconds) > 100)
                recorder.clear()
                seconds.clear()
                local.nodes[1].freeze()  # type: ignore[attr-defined]
                recorder.wait_for("node_down", node=local.nodes[1].address)
                until(lambda: len(seconds) > 1000)
            finally:
                end.set()
                local.nodes[1].thaw()  # type: ignore[attr-defined]
            list(running)
        won = hedges(recorder).count("won")
        assert 1 <= won <= 16, "each thread is hedged once, and perhaps once more, as it had just sent its request"
        assert sorted(seconds)[-3] <= 3 * after
        assert in_use(cluster) == 0


GREEN = """
    from gevent import monkey
    monkey.patch_all()
    import gevent, sys, time
    from pynamodb_alternator import Cluster, ClusterConfig, Hedge, signals

    host, port, slow = sys.argv[1:]
    cluster = Cluster(ClusterConfig(host.split(","), port=int(port), hedge=Hedge(after=0.1)))
    won, ticks = [], []

    def completed(_, *, event, **extra):
        if event.hedge == "won":
            won.append(event.node)

    signals.request_completed.connect(completed)

    def tick():
        while True:
            ticks.append(1)
            gevent.sleep(0.01)

    def read():
        for _ in range(5):
            cluster.client.get_item(TableName="items", Key={"key": {"S": "k"}})

    ticker = gevent.spawn(tick)
    gevent.joinall([gevent.spawn(read) for _ in range(8)], timeout=40, raise_error=True)
    ticker.kill()
    assert won and slow not in won, won
    assert len(ticks) > 3, "other greenlets did not run"
    try:
        with gevent.Timeout(0.05):
            while True:
                read()
    except gevent.Timeout:
        pass
    read()
    end = time.monotonic() + 10
    while sum(pool.in_use for pool in cluster.core.pools.stats().values()):
        assert time.monotonic() < end, "a slot is lost"
        gevent.sleep(0.01)
    cluster.close()
    print("fine")
"""


def test_a_hedged_read_works_under_gevent(local: LocalCluster) -> None:
    pytest.importorskip("gevent")
    with connected(local):
        local.nodes[1].delay(SLOW, operation="GetItem")
        hosts = ",".join(node.host for node in local.nodes)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(GREEN), hosts, str(local.port), local.nodes[1].address],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[2],
        )
    assert done.stdout == "fine\n", done.stderr
