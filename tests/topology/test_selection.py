"""Which scope of the chain is in use, and the topology that follows from it."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope, Scope, chain
from pynamodb_alternator.topology.discovery import Reading, location_of
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.selection import ScopeChoice, choose_scope, make_topology, spread, view_of
from pynamodb_alternator.topology.view import Topology, View

from .fakes import hosts

RACK = RackScope("dc1", "r1", DatacenterScope("dc1", ClusterScope()))
NODES = {name: Node("http", name, 8000) for name in ("a1", "a2", "a3", "b1", "b2")}
MEMBERS = {
    ("dc1", "r1"): (NODES["a1"],),
    ("dc1", None): (NODES["a1"], NODES["a2"], NODES["a3"]),
    (None, None): tuple(NODES.values()),
}
GROUPS = (frozenset(MEMBERS["dc1", None]), frozenset({NODES["b1"], NODES["b2"]}))
READING = Reading(MEMBERS, GROUPS, "a1:8000")


class Chooser:
    """Keeps the choice from one moment to the next."""

    def __init__(self, scope: Scope = RACK, reading: Reading = READING, restore_after: float = 3.0) -> None:
        self.scope, self.reading, self.restore_after = scope, reading, restore_after
        self.choice = ScopeChoice()

    def at(self, now: float, active: str, quarantined: str = "") -> int:
        well, trial = set(active.split()), set(quarantined.split())
        self.choice = choose_scope(
            self.scope,
            self.reading,
            self.choice,
            usable=lambda node: node.host in well | trial,
            active=lambda node: node.host in well,
            now=now,
            restore_after=self.restore_after,
        )
        return self.choice.chosen


def test_the_preferred_scope_while_it_has_a_usable_node() -> None:
    chooser = Chooser()
    assert chooser.at(0, "a1 a2 b1") == 0
    assert chooser.at(1, "b1", "a1") == 0


def test_down_the_chain_at_once() -> None:
    chooser = Chooser()
    assert chooser.at(0, "a2 b1") == 1
    assert chooser.at(0, "b1") == 2


def test_past_a_scope_that_has_nothing_to_offer() -> None:
    assert Chooser().at(0, "b1") == 2


def test_up_again_only_after_a_while() -> None:
    chooser = Chooser()
    assert chooser.at(0, "a2") == 1
    assert chooser.at(10, "a1 a2") == 1
    assert chooser.at(12.9, "a1 a2") == 1
    assert chooser.at(13, "a1 a2") == 0


def test_a_node_on_trial_brings_nothing_back() -> None:
    chooser = Chooser()
    chooser.at(0, "a2")
    for now in range(1, 20):
        assert chooser.at(now, "a2", "a1") == 1


def test_a_flapping_node_starts_the_wait_again() -> None:
    chooser = Chooser()
    chooser.at(0, "a2")
    assert chooser.at(1, "a1 a2") == 1
    assert chooser.at(3, "a2") == 1
    assert chooser.at(4, "a1 a2") == 1
    assert chooser.at(6.9, "a1 a2") == 1
    assert chooser.at(7, "a1 a2") == 0


def test_each_better_scope_waits_for_itself() -> None:
    """Seen: a rack that had been back for a moment was used, because its datacenter had been back for long."""
    chooser = Chooser()
    assert chooser.at(0, "b1") == 2
    assert chooser.at(1, "a2 b1") == 2
    assert chooser.at(3.9, "a1 a2 b1") == 2
    assert chooser.at(4, "a1 a2 b1") == 1
    assert chooser.at(6.8, "a1 a2 b1") == 1
    assert chooser.at(6.9, "a1 a2 b1") == 0


def test_no_wait_if_there_is_no_other_choice() -> None:
    members = {("dc1", None): (NODES["a1"],), ("dc2", None): (NODES["b1"],)}
    chooser = Chooser(DatacenterScope("dc1", DatacenterScope("dc2")), Reading(members))
    assert chooser.at(0, "b1") == 1
    assert chooser.at(1, "a1") == 0


def test_at_once_if_so_wanted() -> None:
    chooser = Chooser(restore_after=0)
    chooser.at(0, "b1")
    assert chooser.at(0, "a1 b1") == 0


def test_the_choice_stays_when_nothing_is_usable() -> None:
    chooser = Chooser()
    chooser.at(0, "b1")
    assert chooser.at(1, "") == 2
    assert chooser.choice == ScopeChoice(2)


def test_a_moment_without_any_node_starts_the_wait_again() -> None:
    chooser = Chooser()
    chooser.at(0, "a2")
    chooser.at(0, "a1 a2")
    chooser.at(1, "")
    assert chooser.at(3, "a1 a2") == 1


def test_a_strict_scope_falls_to_nothing() -> None:
    chooser = Chooser(RackScope("dc1", "r1"))
    assert chooser.at(0, "a2 b1") == 0


def test_a_scope_of_which_nothing_was_heard() -> None:
    assert Chooser(RackScope("dc9", "r1", ClusterScope())).at(0, "a1") == 1


names = st.sets(st.sampled_from(sorted(NODES))).map(" ".join)
moments = st.lists(st.tuples(st.integers(0, 5), names, names), max_size=15)


@settings(deadline=None, max_examples=150)
@given(moments, st.integers(0, 4))
def test_the_scope_in_use_follows_the_rule(steps: list[tuple[int, str, str]], restore_after: int) -> None:
    chooser, now = Chooser(restore_after=restore_after), 0
    scopes = list(chain(RACK))
    good_since: dict[int, int] = {}
    for pause, active, quarantined in steps:
        now += pause
        before = chooser.choice.chosen
        index = chooser.at(now, active, quarantined)
        usable = {*active.split(), *quarantined.split()}

        def can(which: int, names: set[str]) -> bool:
            return any(node.host in names for node in MEMBERS[location_of(scopes[which])])

        if any(can(which, usable) for which in range(len(scopes))):
            assert can(index, usable), "the scope in use has somebody to answer, if any scope has"
        else:
            assert index == before
        for which in range(len(scopes)):
            if can(which, set(active.split())):
                good_since.setdefault(which, now)
            else:
                good_since.pop(which, None)
        if index < before and can(before, usable):
            assert now - good_since[index] >= restore_after, "nothing comes back before its time"


def test_topology_of_a_rack() -> None:
    topology = make_topology(RACK, READING, 0, 7)
    assert hosts(topology.nodes) == ["a1"]
    assert hosts(topology.affinity_ring) == ["a1", "a2", "a3"], "transactions are serial within the datacenter"
    assert hosts(topology.ring) == sorted(NODES)
    assert topology.datacenters == ()
    assert (topology.scope, topology.version) == (RACK, 7)


def test_topology_of_a_datacenter() -> None:
    topology = make_topology(RACK, READING, 1, 0)
    assert hosts(topology.nodes) == hosts(topology.affinity_ring) == ["a1", "a2", "a3"]
    assert topology.datacenters == ()


def test_topology_of_the_cluster_knows_its_datacenters() -> None:
    topology = make_topology(ClusterScope(), READING, 0, 0)
    assert hosts(topology.nodes) == hosts(topology.affinity_ring) == sorted(NODES)
    assert topology.datacenters == GROUPS
    alone = Reading({(None, None): MEMBERS["dc1", None]}, GROUPS[:1])
    assert make_topology(ClusterScope(), alone, 0, 0).datacenters == ()


@pytest.mark.parametrize(
    ("index", "datacenter_ring", "scope_ring"),
    [
        (0, ("datacenter dc1", "a1 a2 a3"), ("rack r1 of datacenter dc1", "a1")),
        (1, ("datacenter dc1", "a1 a2 a3"), ("datacenter dc1", "a1 a2 a3")),
        (2, ("cluster", "a1 a2 a3 b1 b2"), ("cluster", "a1 a2 a3 b1 b2")),
    ],
)
def test_the_ring_of_the_datacenter_and_that_of_the_scope(
    index: int, datacenter_ring: tuple[str, str], scope_ring: tuple[str, str]
) -> None:
    assert ring_of(make_topology(RACK, READING, index, 0, "datacenter")) == datacenter_ring
    assert ring_of(make_topology(RACK, READING, index, 0, "scope")) == scope_ring


def ring_of(topology: Topology) -> tuple[str, str]:
    return str(topology.affinity_scope), " ".join(hosts(topology.affinity_ring))


def test_a_rack_that_was_left_for_another_datacenter() -> None:
    """The datacenter keeps its lightweight transactions; the ring of a scope is that of the scope in use."""
    scope = RackScope("dc1", "r1", DatacenterScope("dc2"))
    reading = Reading({**MEMBERS, ("dc2", None): (NODES["b1"], NODES["b2"])})
    assert ring_of(make_topology(scope, reading, 1, 0, "datacenter")) == ("datacenter dc1", "a1 a2 a3")
    assert ring_of(make_topology(scope, reading, 1, 0, "scope")) == ("datacenter dc2", "b1 b2")


def test_a_chain_that_came_back_to_the_datacenter_of_its_first_rack() -> None:
    """Seen: a rack of another datacenter, which stood between the two in the chain, took the ring there."""
    scope = RackScope("dc1", "r9", RackScope("dc2", "r9", DatacenterScope("dc1")))
    reading = Reading({**MEMBERS, ("dc2", None): (NODES["b1"], NODES["b2"])})
    assert ring_of(make_topology(scope, reading, 2, 0)) == ("datacenter dc1", "a1 a2 a3")


def test_a_request_with_a_scope_of_its_own_has_the_configured_kind_of_ring() -> None:
    view = View(make_topology(ClusterScope(), READING, 0, 0))
    assert ring_of(view_of(RACK, READING, view, "datacenter").topology) == ("datacenter dc1", "a1 a2 a3")
    assert ring_of(view_of(RACK, READING, view, "scope").topology) == ("rack r1 of datacenter dc1", "a1")


def test_a_ring_without_news_of_the_datacenter_is_the_rack() -> None:
    topology = make_topology(RackScope("dc1", "r1"), Reading({("dc1", "r1"): (NODES["a1"],)}), 0, 0)
    assert hosts(topology.affinity_ring) == ["a1"]


def test_an_empty_reading_makes_an_empty_topology() -> None:
    topology = make_topology(RACK, Reading(), 0, 0)
    assert topology.ring == topology.nodes == topology.affinity_ring == ()


@pytest.mark.parametrize("index", [0, 1, 2])
@given(st.randoms())
def test_the_order_of_the_lists_does_not_matter(index: int, random: object) -> None:
    shuffled = {where: list(nodes) for where, nodes in MEMBERS.items()}
    for nodes in shuffled.values():
        random.shuffle(nodes)  # type: ignore[attr-defined]
    reading = Reading({where: tuple(nodes) for where, nodes in shuffled.items()}, GROUPS)
    topology = make_topology(RACK, reading, index, 0)
    assert topology == make_topology(RACK, READING, index, 0)
    assert set(topology.nodes) <= set(topology.affinity_ring) <= set(topology.ring)
    narrow = make_topology(RACK, reading, index, 0, "scope")
    assert narrow.affinity_ring is narrow.nodes, "a plan need not look for nodes outside of the ring"
    assert (narrow.scope, narrow.affinity_scope, narrow.nodes) == (topology.scope, topology.scope, topology.nodes)
    assert [node.endpoint for node in topology.ring] == sorted(node.endpoint for node in topology.ring)


SPREAD = tuple(Node("http", f"n{number}", 8000) for number in range(20))


@pytest.mark.parametrize(
    ("proven", "subset", "shares"),
    [
        (8, (), {"n0": 0.4, "n1": 0.4}),  # and the others take what falls to the two beside that
        (14, (), {"n0": 0.7, "n1": 0.7}),
        (15, (), {}),  # nearly all are proven
        (20, (), {}),
        (2, (), {}),  # there is nobody else
        (8, SPREAD[3:6], {}),  # the seeds are in the subsets of few processes
    ],
)
def test_seeds_take_no_more_than_their_share_while_other_nodes_are_unproven(
    proven: int, subset: tuple[Node, ...], shares: dict[str, float]
) -> None:
    unproven = frozenset(SPREAD[proven:])
    view = View(Topology(ring=SPREAD, nodes=SPREAD), down=unproven, unproven=unproven)
    after = spread(view, {}, lambda nodes, down, unsettled: subset, SPREAD[:2])
    assert {node.host: share for node, share in after.starting.items()} == shares
    assert after.settled == (SPREAD[2:proven] if shares else ())


def test_unproven_nodes_of_a_subset_have_no_stand_ins() -> None:
    unproven = frozenset(SPREAD[3:])
    view = View(Topology(ring=SPREAD, nodes=SPREAD), down=unproven, unproven=unproven)
    asked: list[tuple[Collection[Node], Collection[Node]]] = []

    def among(nodes: tuple[Node, ...], down: Collection[Node], unsettled: Collection[Node]) -> tuple[Node, ...]:
        asked.append((down, unsettled))
        return SPREAD[10:14]

    assert spread(view, {}, among, SPREAD[:3]).subset == SPREAD[10:14]
    assert [(set(down), set(unsettled)) for down, unsettled in asked] == [(set(), set())]
