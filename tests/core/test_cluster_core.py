"""`core.cluster_core`: what the core itself promises, and what it tells its connections."""

from __future__ import annotations

import json
import weakref
from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.core import cluster_core
from pynamodb_alternator.core.cluster_core import ClusterCore
from pynamodb_alternator.errors import NodeUnreachableError, NoNodesAvailableError
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.values import Health, Retries, Timeouts
from pynamodb_alternator.transport.attempts import Attempts, Wait
from tests.topology.fakes import FakeNetwork

from .support import Owner

ONE = "127.0.0.1"
EAGER = Health(
    active_failure_threshold=1,
    quarantine_failure_threshold=1,
    quarantine_promotion_threshold=1,
    down_recovery_threshold=1,
)


def core_over(network: FakeNetwork, **settings: Any) -> ClusterCore:
    owner = Owner()
    core = ClusterCore(ClusterConfig([ONE], monitor=False, **settings), weakref.ref(owner), network=network)
    core.membership.begin()
    assert core.membership.refresh()
    for node in core.membership.view.unproven:
        core.membership.probe(node, 1.0)
    return core


def attempts_of(core: ClusterCore) -> Attempts:
    started = core.environment.clock()
    return Attempts(
        core.environment, "GetItem", {"TableName": "t"}, started=started, timeouts=Timeouts(), retries=Retries()
    )


def test_a_node_that_goes_down_many_times_says_why_once(monkeypatch: pytest.MonkeyPatch) -> None:
    core = core_over(FakeNetwork(**{ONE: ("dc1", "r1")}), health=EAGER)
    (node,) = core.membership.view.topology.ring
    cuts: list[str] = []
    monkeypatch.setattr(core.all_pools, "cut", lambda node, reason: cuts.append(reason))

    def fail(error: NodeUnreachableError) -> None:
        attempts = attempts_of(core)
        assert attempts.next() == node
        attempts.failed(error)

    def recover() -> None:
        while core.membership.is_down(node):
            core.membership.probe(node, 1.0)

    for _ in range(18):
        fail(NodeUnreachableError(f"Node {node} cannot be reached: Connection refused", node=node.address))
        assert core.membership.is_down(node)
        recover()
        # A task whose event loop was held up meanwhile is cut only now, with the reason of then.
        fail(NodeUnreachableError(f"Node {node} cannot be reached: {cuts[-1]}", node=node.address, was_cut=True))
        assert not core.membership.is_down(node)
    assert cuts == ["the node was declared down (cannot be reached: Connection refused)"] * 18


def test_the_reason_of_a_trouble_has_a_bound() -> None:
    core = core_over(FakeNetwork(**{ONE: ("dc1", "r1")}), health=EAGER)
    (node,) = core.membership.view.topology.ring
    core.membership.failed(node, core.membership.generation(node), NodeUnreachableError("x" * 5_000))
    trouble = core.membership.trouble_with(node)
    assert trouble == "x" * 299 + "…"


UNREACHABLE = ["10.9.0.1", "10.9.0.2"]


def with_listed(network: FakeNetwork, listed: list[str]) -> ClusterCore:
    network.answers[ONE] = json.dumps(listed).encode()
    return with_listed_down(core_over(network, health=EAGER), network)


def with_listed_down(core: ClusterCore, network: FakeNetwork) -> ClusterCore:
    network.dead.update(UNREACHABLE)
    for node in core.membership.view.topology.ring:
        core.membership.failed(node, core.membership.generation(node), NodeUnreachableError("no route"))
    return core


def give_up(attempts: Attempts) -> None:
    while True:
        assert isinstance(attempts.next(), Wait)


def why(core: ClusterCore) -> str:
    with pytest.raises(NoNodesAvailableError) as raised:
        give_up(attempts_of(core))
    return str(raised.value)


def test_a_seed_that_lists_addresses_that_cannot_be_reached_names_the_setting() -> None:
    core = with_listed(FakeNetwork(**{ONE: ("dc1", "r1")}), UNREACHABLE)
    text = why(core)
    assert f"Node {ONE}:8000 answers" in text
    assert "ClusterConfig(address_translator=" in text


def test_nodes_that_were_reached_before_are_not_behind_a_translator() -> None:
    core = with_listed(FakeNetwork(**{ONE: ("dc1", "r1")}), UNREACHABLE)
    core.counts[core.membership.view.topology.ring[0].address].answers += 1
    assert "address_translator" not in why(core)


def test_nodes_that_have_answered_are_not_called_unreachable() -> None:
    network = FakeNetwork(**{ONE: ("dc1", "r1"), **dict.fromkeys(UNREACHABLE, ("dc1", "r1"))})
    network.answers[ONE] = json.dumps(UNREACHABLE).encode()
    core = core_over(network, health=EAGER)
    core.membership.refresh()
    core.membership.refresh()  # through the listed nodes, which can still be reached
    assert "address_translator" not in why(with_listed_down(core, network))


def test_a_seed_that_fails_as_well_does_not_blame_the_addresses() -> None:
    network = FakeNetwork(**{ONE: ("dc1", "r1")})
    core = with_listed(network, UNREACHABLE)
    network.dead.add(ONE)
    core.membership.refresh()
    assert "address_translator" not in why(core)


def test_a_list_with_the_seed_in_it_does_not_blame_the_addresses() -> None:
    core = with_listed(FakeNetwork(**{ONE: ("dc1", "r1")}), [ONE, *UNREACHABLE])
    assert "address_translator" not in why(core)


def test_the_end_waits_for_all_threads_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor's threads may use all of the time; the look-ups get what they have left."""
    cluster = Cluster("http://127.0.0.1:8000")
    core, now, limits = cluster.core, 100.0, list[float]()

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now

    def slow_monitor(timeout: float) -> None:
        nonlocal now
        now += timeout - 0.5

    monkeypatch.setattr(cluster_core, "time", Time)
    monkeypatch.setattr(core.monitor, "close", slow_monitor)
    monkeypatch.setattr(core.questions.lookups, "close", limits.append)
    core.shut_down()
    assert limits == [0.0, pytest.approx(0.5)]
    monkeypatch.undo()
    cluster.close()
