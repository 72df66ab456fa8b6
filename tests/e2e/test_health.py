"""A node in trouble costs the application next to nothing: it is found out, left out, and taken in again."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pynamodb_alternator import (
    Cluster,
    ClusterConfig,
    Discovery,
    Health,
    KeyRouteAffinity,
    Retries,
    Timeouts,
    signals,
)
from pynamodb_alternator.errors import NoNodesAvailableError, NotSentError, OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster
from tests.chaos.support import (
    TABLE,
    all_active,
    create_table,
    get,
    increment,
    put,
    states,
    until,
)

from .conftest import Recorder

LONG = Timeouts(read=60.0)
"""A read timeout that no test lives to see: what ends earlier was ended by something else."""


def configured(local: LocalCluster, **settings: Any) -> Cluster:
    settings.setdefault("health", Health(suspect_after=0.2, probe_timeout=0.3, probe_interval=0.2))
    settings.setdefault("timeouts", LONG)
    return Cluster(ClusterConfig([local.nodes[0].host], port=local.port, **settings))


@pytest.fixture
def prompt(local: LocalCluster) -> Iterator[Cluster]:
    """A cluster that is quick to suspect, with a table and all nodes active."""
    with configured(local) as cluster:
        create_table(cluster.client)
        put(cluster.client, "k")
        until(lambda: all_active(cluster, local), "all nodes active")
        yield cluster


def traffic_of(local: LocalCluster) -> list[int]:
    return [node.operations.total() for node in local.nodes]


# ---- going down --------------------------------------------------------------------------------------------------


def test_the_first_refused_connection_takes_the_node_out_for_everybody(
    local: LocalCluster, prompt: Cluster, recorder: Recorder
) -> None:
    local.nodes[1].kill(still_listed=True)
    attempts = 0
    while not recorder.of("node_down"):
        get(prompt.client, "k")
        attempts += 1
        assert attempts < 1000
    down = recorder.of("node_down")[0]
    assert down["node"] == local.nodes[1].address
    assert down["error"]
    # The probe has decided, and not the failures: on a loaded machine some more come before it.
    assert 1 <= down["failures"] < prompt.config.health.active_failure_threshold
    recorder.clear()
    for _ in range(30):
        get(prompt.client, "k")
    assert recorder.of("request_retried") == []
    assert {event["node"] for event in recorder.of("request_routed")} == {
        local.nodes[0].address,
        local.nodes[2].address,
    }


def test_the_ring_does_not_change_with_health(local: LocalCluster, prompt: Cluster, recorder: Recorder) -> None:
    before = prompt.topology
    local.nodes[1].kill(still_listed=True)
    until(lambda: get(prompt.client, "k") == 0 and recorder.of("node_down"))
    assert prompt.topology.ring == before.ring
    assert prompt.topology.affinity_ring == before.affinity_ring
    assert states(prompt)[local.nodes[1].address] == "down"


def test_waiting_requests_are_cut_when_their_node_is_found_hung(local: LocalCluster, prompt: Cluster) -> None:
    """Reads fail over, and a write tells that its outcome is unknown; all of them long before the read timeout of a
    minute."""
    node = local.nodes[1]
    node.hang()
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()

    def work(number: int) -> None:
        kind = ("get", "put", "increment")[number % 3]
        try:
            if kind == "get":
                get(prompt.client, "k")
            elif kind == "put":
                put(prompt.client, f"p{number}")
            else:
                increment(prompt.client, f"c{number}")
            result = "ok"
        except OutcomeUnknownError as error:
            result = "unknown" if node.address in error.nodes_tried else "unknown elsewhere"
        with lock:
            outcomes[f"{kind} {result}"] += 1

    started = time.monotonic()
    with ThreadPoolExecutor(24) as threads:
        # The increments first: some of the 24 that are under way together go to the hung node.
        for future in [threads.submit(work, number) for number in sorted(range(72), key=lambda n: -(n % 3))]:
            future.result(40)
    assert time.monotonic() - started < 30
    assert outcomes["get ok"] == 24
    assert outcomes["put ok"] + outcomes["put unknown"] == 24
    assert outcomes["increment ok"] + outcomes["increment unknown"] == 24
    assert outcomes["increment unknown"] > 0
    assert states(prompt)[node.address] == "down"
    assert local.failures == []


@pytest.mark.slow
def test_a_frozen_process_costs_each_thread_at_most_one_slow_request() -> None:
    with LocalCluster(nodes=3, processes=True) as local, configured(local) as cluster:
        create_table(cluster.client)
        put(cluster.client, "k")
        until(lambda: all_active(cluster, local), "all nodes active")
        slow: Counter[int] = Counter()
        stop = threading.Event()
        failures: list[BaseException] = []

        def moved_on(sender: Any, from_node: str, **_: Any) -> None:
            # In the thread of the request, which has waited for the frozen node until it was cut.
            slow[threading.get_ident()] += from_node == local.nodes[1].address

        signals.request_retried.connect(moved_on, sender=cluster)

        def work(_: int) -> None:
            while not stop.is_set():
                try:
                    get(cluster.client, "k")
                except Exception as error:
                    failures.append(error)
                    return

        with ThreadPoolExecutor(8) as threads:
            futures = [threads.submit(work, number) for number in range(8)]
            local.nodes[1].freeze()  # type: ignore[attr-defined]
            try:
                until(lambda: states(cluster)[local.nodes[1].address] == "down", "the frozen node down")
                done = sum(node.operations.total() for node in local.nodes)
                until(lambda: sum(node.operations.total() for node in local.nodes) > done + 200, "further traffic")
                assert states(cluster)[local.nodes[1].address] == "down"
            finally:
                stop.set()
                local.nodes[1].thaw()  # type: ignore[attr-defined]
            for future in futures:
                future.result(30)
        assert failures == []
        assert slow
        assert max(slow.values()) <= 1, slow
        until(lambda: all_active(cluster, local), "the node is thawed, and active again")


def test_a_slow_node_that_lives_is_not_taken_out(local: LocalCluster, prompt: Cluster, recorder: Recorder) -> None:
    """Its requests are suspected over and over, and each probe says that it lives."""
    polls = local.nodes[1].polls["/"]
    with local.nodes[1].delay(0.8), ThreadPoolExecutor(6) as threads:
        for future in [threads.submit(get, prompt.client, "k") for _ in range(18)]:
            assert future.result(30) == 0
    assert local.nodes[1].polls["/"] > polls
    assert recorder.of("node_down") == []
    assert recorder.of("request_retried") == []


def test_one_lost_connection_does_not_take_a_node_out(local: LocalCluster, prompt: Cluster, recorder: Recorder) -> None:
    fault = local.nodes[1].reset_mid_answer(times=1)
    polls = local.nodes[1].polls["/"]
    until(lambda: get(prompt.client, "k") == 0 and fault.hits)
    until(lambda: local.nodes[1].polls["/"] > polls, "a probe at once")
    for _ in range(12):
        get(prompt.client, "k")
    assert recorder.of("node_down") == []


def test_error_answers_do_not_make_a_node_sick(local: LocalCluster, prompt: Cluster, recorder: Recorder) -> None:
    with local.nodes[1].fail_with("InternalServerError"):
        for _ in range(30):
            assert get(prompt.client, "k") == 0
    assert recorder.of("node_down") == recorder.of("node_quarantined") == []


# ---- coming back -------------------------------------------------------------------------------------------------


def test_a_revived_node_gets_traffic_again(local: LocalCluster, prompt: Cluster, recorder: Recorder) -> None:
    node = local.nodes[1]
    node.kill(still_listed=True)
    until(lambda: get(prompt.client, "k") == 0 and recorder.of("node_down"))
    node.revive()
    up = recorder.wait_for("node_up", node=node.address)
    assert up["down_for"] > 0
    node.forget()
    until(lambda: get(prompt.client, "k") == 0 and node.operations.total() >= 3, "traffic, slowly at first")


def test_a_node_that_flaps_costs_no_request(local: LocalCluster, prompt: Cluster, recorder: Recorder) -> None:
    stop = threading.Event()

    def read() -> int:
        done = 0
        while not stop.is_set():
            assert get(prompt.client, "k") == 0
            done += 1
        return done

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        try:
            for _ in range(3):
                recorder.clear()
                local.nodes[1].kill(still_listed=True)
                recorder.wait_for("node_down")
                local.nodes[1].revive()
                recorder.wait_for("node_up")
        finally:
            stop.set()
        assert all(reader.result(30) > 0 for reader in readers)


def test_all_nodes_down_and_back(local: LocalCluster, prompt: Cluster, recorder: Recorder) -> None:
    for node in local.nodes:
        node.kill(still_listed=True)
    with pytest.raises(NotSentError):
        increment(prompt.client, "k")
    until(lambda: set(states(prompt).values()) == {"down"}, "all nodes down")
    with pytest.raises(NoNodesAvailableError, match=r"is usable"):
        get(prompt.client, "k")
    recorder.wait_for("no_nodes_available", operation="GetItem", table_name=TABLE)
    for node in local.nodes:
        node.revive()
    until(lambda: all_active(prompt, local), "all nodes active")
    assert get(prompt.client, "k") == 0


# ---- discovery ---------------------------------------------------------------------------------------------------

QUICK = Discovery(interval=0.1, timeout=1.0)


def test_the_list_is_refreshed_when_all_seeds_are_gone(local: LocalCluster, recorder: Recorder) -> None:
    with configured(local, discovery=QUICK) as cluster:
        create_table(cluster.client)
        until(lambda: all_active(cluster, local))
        local.nodes[0].kill()  # the only seed; its peers have noticed
        recorder.wait_for("node_removed", node=local.nodes[0].address)
        local.nodes[2].leave()
        recorder.wait_for("node_removed", node=local.nodes[2].address)
        assert list(states(cluster)) == [local.nodes[1].address]
        local.nodes[2].join()
        recorder.wait_for("node_added", node=local.nodes[2].address)
        put(cluster.client, "k")


def test_a_list_that_shrinks_to_nothing_is_not_believed(
    local: LocalCluster, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(local, discovery=QUICK) as cluster:
        create_table(cluster.client)
        until(lambda: all_active(cluster, local))
        caplog.set_level(logging.INFO, "pynamodb_alternator")
        for node in local.nodes:
            node.lie([])
        failed = recorder.wait_for("discovery_failed", consecutive=3)
        assert "lists no node" in failed["error"]
        assert failed["tried"]
        assert len(cluster.nodes()) == 3
        put(cluster.client, "k")
        # A line when something changes, and never one per poll.
        lines = [record for record in caplog.records if "cannot be read" in record.message]
        assert len(lines) == 1
        assert lines[0].name == "pynamodb_alternator.cluster"
        recorder.clear()
        for node in local.nodes:
            node.lie(None)
        recorder.wait_for("topology_refreshed")
        until(lambda: any("readable again" in record.message for record in caplog.records))


def test_lies_are_refused(local: LocalCluster, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    lies = ["0.0.0.0", "::", "not a host!", "", None, 7, {"a": 1}, "127.0.0.2", "127.0.0.2", "127.0.0.1"]
    for node in local.nodes:
        node.lie(lies)
    with configured(local, discovery=QUICK) as cluster:
        create_table(cluster.client)
        until(lambda: states(cluster) == dict.fromkeys([n.address for n in local.nodes[:2]], "active"))
        number = len(recorder.of("topology_refreshed"))
        until(lambda: len(recorder.of("topology_refreshed")) > number + 2)
        dropped = [record.getMessage() for record in caplog.records if "was dropped" in record.getMessage()]
        assert len(dropped) == len(set(dropped)) > 0
        for node in local.nodes:
            node.lie(b"<html>")
        recorder.wait_for("discovery_failed")
        assert len(cluster.nodes()) == 2


def test_nodes_that_do_not_exist_are_forgotten_when_no_node_lists_them(local: LocalCluster) -> None:
    """A list whose nodes all are dead looks like another datacenter that is unreachable. Nobody has seen it alive."""
    with configured(local, discovery=QUICK) as cluster:
        create_table(cluster.client)
        until(lambda: all_active(cluster, local))
        for node in local.nodes:
            node.lie(["127.0.0.251"])
        until(lambda: f"127.0.0.251:{local.port}" in states(cluster), "the lie is believed")
        for node in local.nodes:
            node.lie(None)
        until(lambda: all_active(cluster, local), "the truth is believed again")


def test_only_nodes_of_allowed_networks_are_used(local: LocalCluster) -> None:
    with configured(local, discovery=QUICK, allowed_networks=["127.0.0.1/32", "127.0.0.3/32"]) as cluster:
        create_table(cluster.client)
        until(lambda: set(states(cluster)) == {local.nodes[0].address, local.nodes[2].address})
        for _ in range(8):
            get(cluster.client, "k")
        assert local.nodes[1].operations.total() == 0


def test_addresses_are_translated(local: LocalCluster) -> None:
    """The nodes list addresses behind a NAT; the translator knows the way."""
    outside = {"10.7.0.1": local.nodes[0].address, "10.7.0.2": local.nodes[1].host, "10.7.0.3": None}
    for node in local.nodes:
        node.lie(list(outside))
    with configured(local, discovery=QUICK, address_translator=lambda address: outside.get(address)) as cluster:
        create_table(cluster.client)
        until(lambda: states(cluster) == dict.fromkeys([n.address for n in local.nodes[:2]], "active"))
        put(cluster.client, "k")


def test_requests_to_a_node_that_leaves_end_well_and_its_connections_are_closed(
    local: LocalCluster, recorder: Recorder
) -> None:
    leaving = local.nodes[1]
    none = KeyRouteAffinity.NONE  # so that the requests are spread evenly
    with configured(local, discovery=QUICK, key_route_affinity=none) as cluster, ThreadPoolExecutor(9) as threads:
        create_table(cluster.client)
        put(cluster.client, "k")
        until(lambda: all_active(cluster, local))
        with leaving.delay(1.0, times=3):
            leaving.forget()
            requests = [threads.submit(put, cluster.client, f"c{number}", 1) for number in range(9)]
            until(lambda: leaving.operations["PutItem"] == 3, "requests under way")
            leaving.leave()
            recorder.wait_for("node_removed", node=leaving.address)
            for request in requests:
                request.result(30)
        assert [get(cluster.client, f"c{number}") for number in range(9)] == [1] * 9
        assert recorder.of("request_retried") == []
        until(lambda: cluster.core.pools.stats()[leaving.address].open == 0, "connections closed")


def test_a_seed_that_cannot_be_resolved_and_later_can(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    known: dict[str, str] = {}
    real = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(host, str) and host.endswith(".invalid"):
            if host not in known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = known[host]
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    config = ClusterConfig(["seed.invalid"], port=local.port, discovery=QUICK, retries=Retries(1))
    with Cluster(config) as cluster:
        with pytest.raises(NoNodesAvailableError, match=r"seed\.invalid"):
            cluster.client.list_tables()
        known["seed.invalid"] = local.nodes[0].host
        until(lambda: all_active(cluster, local), "discovery has found its seed")
        known.clear()  # and the names are gone again: the nodes are known
        assert cluster.client.list_tables()["TableNames"] == []
