"""Placement of replicas: pure rules, with nodes that are values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.local.members import Member
from pynamodb_alternator.local.replicas import BEFORE_ALL, Ring, tablet_ring, vnode_ring

LAST = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class Node:
    """A member of a topology."""

    host: str
    datacenter: str = "dc1"
    rack: str = "r1"
    up: bool = True
    joined: bool = True
    listed: bool = True

    def __repr__(self) -> str:
        return f"{self.host}@{self.datacenter}/{self.rack}"


def nodes(*racks: str) -> list[Node]:
    """A node for each rack, which is named as ``"dc1/r1"``."""
    return [Node(f"127.0.0.{number}", *rack.split("/")) for number, rack in enumerate(racks, start=1)]


TOPOLOGIES = st.lists(st.sampled_from(["dc1/r1", "dc1/r2", "dc1/r3", "dc2/r1", "dc2/r2"]), min_size=1, max_size=12).map(
    lambda racks: nodes(*racks)
)
COUNTS = st.sampled_from([1, 2, 8, 32])
FACTORS = st.integers(1, 4)


def check_cover(ring: Ring) -> None:
    """Each token is in exactly one range."""
    starts = ring.starts()
    assert list(ring.ends) == sorted(set(ring.ends))
    assert len(ring.replicas) == len(ring.ends) == len(starts)
    assert list(starts[1:]) == list(ring.ends[:-1])
    if ring.wraps:
        assert starts[0] == ring.ends[-1]
    else:
        assert (starts[0], ring.ends[-1]) == (BEFORE_ALL, LAST)


def check_replicas(ring: Ring, members: Sequence[Member], factor: int) -> None:
    """Each range has its replicas in each datacenter, on different nodes, in as many racks as possible."""
    for replicas in ring.replicas:
        assert len(set(replicas)) == len(replicas)
        for datacenter in {member.datacenter for member in members}:
            group = [member for member in members if member.datacenter == datacenter]
            own = [member for member in replicas if member.datacenter == datacenter]
            assert set(own) <= set(group)
            assert len(own) == min(factor, len(group))
            assert len({member.rack for member in own}) == min(factor, len({member.rack for member in group}))


def check_even(ring: Ring, members: Sequence[Member]) -> None:
    """The nodes of one rack have equally many replicas, or one more or less."""
    load = Counter(member for replicas in ring.replicas for member in replicas)
    for place in {(member.datacenter, member.rack) for member in members}:
        loads = [load[member] for member in members if (member.datacenter, member.rack) == place]
        assert max(loads) - min(loads) <= 1


@given(TOPOLOGIES, COUNTS, FACTORS, st.sampled_from(["a", "b:index"]))
def test_tablets_cover_the_ring(members: list[Node], count: int, factor: int, seed: str) -> None:
    ring = tablet_ring(count, members, factor, seed=seed)
    assert len(ring.ends) == count
    check_cover(ring)
    check_replicas(ring, members, factor)
    check_even(ring, members)
    assert tablet_ring(count, members, factor, seed=seed) == ring


@given(TOPOLOGIES, COUNTS, FACTORS, st.data())
def test_tablets_stay_complete_after_nodes_join_and_leave(
    members: list[Node], count: int, factor: int, data: st.DataObject
) -> None:
    present = data.draw(st.lists(st.sampled_from(members), min_size=1, unique=True))
    ring = tablet_ring(count, members, factor, seed="t")
    for topology in (present, members):
        ring = tablet_ring(count, topology, factor, seed="t", before=ring)
        check_cover(ring)
        check_replicas(ring, topology, factor)
        check_even(ring, topology)


@given(TOPOLOGIES, FACTORS)
def test_vnodes_cover_the_ring(members: list[Node], factor: int) -> None:
    ring = vnode_ring(members, 4, factor)
    assert len(ring.ends) == 4 * len(members)
    check_cover(ring)
    check_replicas(ring, members, factor)
    assert vnode_ring(members, 4, factor) == ring


def test_a_topology_that_stays_moves_nothing() -> None:
    members = nodes("dc1/r1", "dc1/r2", "dc1/r3", "dc1/r1", "dc1/r2")
    ring = tablet_ring(16, members, 3, seed="t")
    assert tablet_ring(16, members, 3, seed="t", before=ring) == ring


def test_a_node_that_joins_gets_its_part_and_no_more_moves() -> None:
    members = nodes(*["dc1/r1"] * 4)
    before = tablet_ring(64, members[:3], 2, seed="t")
    after = tablet_ring(64, members, 2, seed="t", before=before)
    came = sum(members[3] in replicas for replicas in after.replicas)
    assert came == 64 * 2 // 4
    moved = [len({*old} - {*new}) for old, new in zip(before.replicas, after.replicas, strict=True)]
    assert sum(moved) == came


def test_a_rack_that_joins_is_used_at_once() -> None:
    members = nodes("dc1/r1", "dc1/r1", "dc1/r1", "dc1/r2")
    before = tablet_ring(8, members[:3], 3, seed="t")
    after = tablet_ring(8, members, 3, seed="t", before=before)
    assert all(members[3] in replicas for replicas in after.replicas)


def test_tables_have_placements_of_their_own() -> None:
    members = nodes(*["dc1/r1"] * 6)
    placements = {tablet_ring(16, members, 2, seed=seed).replicas for seed in ("a", "b", "a:index", "a!:index")}
    assert len(placements) == 4


def test_the_ends_of_tablets_are_those_of_the_server() -> None:
    def ends(count: int) -> tuple[int, ...]:
        return tablet_ring(count, nodes("dc1/r1"), 1, seed="t").ends

    assert ends(1) == (9223372036854775807,)
    assert ends(4) == (-4611686018427387905, -1, 4611686018427387903, 9223372036854775807)


@pytest.mark.parametrize(
    ("token", "tablet"),
    [(BEFORE_ALL + 1, 0), (-4611686018427387905, 0), (-4611686018427387904, 1), (-1, 1), (0, 2), (LAST, 3)],
)
def test_the_tablet_of_a_token(token: int, tablet: int) -> None:
    """The start is not part of a range, the end is."""
    ring = tablet_ring(4, nodes("dc1/r1"), 1, seed="t")
    assert ring.range_of(token) == tablet
    assert ring.starts()[tablet] < token <= ring.ends[tablet]


def test_the_first_vnode_has_what_comes_after_the_last() -> None:
    ring = vnode_ring(nodes("dc1/r1", "dc1/r1"), 4, 1)
    assert ring.range_of(ring.ends[-1]) == 7
    assert ring.range_of(ring.ends[-1] + 1) == ring.range_of(BEFORE_ALL + 1) == ring.range_of(ring.ends[0]) == 0
    assert ring.range_of(ring.ends[0] + 1) == 1


def test_vnodes_walk_the_ring_and_prefer_other_racks() -> None:
    members = nodes("dc1/r1", "dc1/r1", "dc1/r2", "dc2/r1")
    ring = vnode_ring(members, 8, 2)
    owners = vnode_ring(members, 8, 1)
    for number, replicas in enumerate(ring.replicas):
        own = [member for member in replicas if member.datacenter == "dc1"]
        assert own[0] in owners.replicas[number]
        assert members[2] in own  # the only node of its rack
        assert members[3] in replicas


def test_a_range_moves_from_one_node_to_another() -> None:
    a, b, c = members = nodes(*["dc1/r1"] * 3)
    ring = tablet_ring(1, members[:2], 2, seed="t")
    moved = ring.moved(0, b, c)
    assert {*moved.replicas[0]} == {a, c}
    assert moved.ends == ring.ends


@pytest.mark.parametrize("ring", [tablet_ring(4, [], 3, seed="t"), vnode_ring([], 16, 3)])
def test_without_nodes_there_are_no_replicas(ring: Ring) -> None:
    assert ring.replicas_of(0) == ()
