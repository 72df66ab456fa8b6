"""Token rings: whether they are whole, and which nodes hold a token."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.replicas import ANY_PORT, Replicas, TokenRange, TokenRing, make_ring
from pynamodb_alternator.topology.view import Topology, ring_order

FIRST, LAST = -(2**63), 2**63 - 1
NODES = ring_order(Node("http", f"10.0.0.{number}", 8000) for number in range(1, 7))
TOPOLOGY = Topology(NODES, NODES, NODES)
A, B, C = (("10.0.0.1", 8000), ("10.0.0.2", 8000), ("10.0.0.3", 8000))


def ring_of(*ranges: tuple[int | None, int | None, tuple[str, int]]) -> TokenRing | None:
    return make_ring([TokenRange(*each) for each in ranges], 1.0)


def whole(*ranges: tuple[int | None, int | None, tuple[str, int]]) -> TokenRing:
    ring = ring_of(*ranges)
    assert ring is not None
    return ring


def holders(ring: TokenRing, token: int, topology: Topology = TOPOLOGY) -> list[str]:
    return [node.host for node in ring.nodes(token, topology)]


TABLETS = ((FIRST, -5, A), (FIRST, -5, B), (-5, 7, B), (-5, 7, C), (7, LAST, A), (7, LAST, C))


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (FIRST, "12"),
        (FIRST + 1, "12"),
        (-5, "12"),
        (-4, "23"),
        (7, "23"),
        (8, "13"),
        (LAST, "13"),
    ],
)
def test_a_range_ends_with_its_end(token: int, expected: str) -> None:
    ring = whole(*TABLETS)
    assert holders(ring, token) == [f"10.0.0.{last}" for last in expected]
    assert (len(ring), ring.rows, ring.read_at) == (3, 6, 1.0)


def test_nodes_of_one_host_are_distinguished_by_their_ports() -> None:
    nodes = ring_order(Node("http", "10.0.0.1", port) for port in (8000, 8001, 8002))
    topology = Topology(nodes, nodes, nodes)
    ring = whole((None, 0, ("10.0.0.1", 8001)), (None, 0, ("10.0.0.9", 8000)), (0, None, ("10.0.0.1", ANY_PORT)))
    assert [node.port for node in ring.nodes(-1, topology)] == [8001]
    assert [node.port for node in ring.nodes(1, topology)] == [8000, 8001, 8002]
    assert ring.all_nodes(1, topology) == ring.nodes(1, topology) == nodes


def test_a_range_that_wraps() -> None:
    ring = whole((-5, 7, B), (7, -5, A))
    assert [holders(ring, token)[0][-1] for token in (FIRST, -5, -4, 7, 8, LAST)] == list("112211")


def test_ranges_with_open_ends() -> None:
    ring = whole((None, -5, A), (-5, 7, B), (7, None, C))
    assert [holders(ring, token)[0][-1] for token in (FIRST, -5, 0, 8, LAST)] == list("11233")


def test_one_range_is_a_ring_too() -> None:
    assert holders(whole((FIRST, LAST, A)), 0) == ["10.0.0.1"]
    assert holders(whole((None, None, A)), 0) == ["10.0.0.1"]
    assert holders(whole((5, 5, A)), 5) == holders(whole((5, 5, A)), 6) == ["10.0.0.1"]


@pytest.mark.parametrize(
    "ranges",
    [
        (),
        TABLETS[:4],
        TABLETS[2:],
        (*TABLETS[:2], *TABLETS[4:]),
        ((FIRST, -5, A), (-6, LAST, A)),
        ((FIRST, LAST, A), (3, 4, B)),
        ((FIRST, 7, A), (FIRST, LAST, B)),
        ((-5, 7, A), (8, -5, A)),
        ((-5, 7, A), (7, -6, A)),
        ((-5, 7, A), (7, -5, A), (7, -6, B)),
    ],
)
def test_a_ring_with_gaps_or_contradictions_is_refused(ranges: tuple[tuple[int, int, tuple[str, int]], ...]) -> None:
    assert ring_of(*ranges) is None


@given(st.sets(st.integers(FIRST + 1, LAST - 1), max_size=20), st.data())
def test_any_ring_finds_the_replicas_of_a_token(inner: set[int], data: st.DataObject) -> None:
    ends = [FIRST, *sorted(inner), LAST]
    replicas = st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=3, unique=True)
    ranges = [(start, end, data.draw(replicas)) for start, end in pairwise(ends)]
    rows = data.draw(st.permutations([(start, end, of) for start, end, many in ranges for of in many]))
    ring = whole(*rows)
    token = data.draw(st.integers(FIRST, LAST) | st.sampled_from(ends))
    expected = next(many for start, end, many in ranges if start < token <= end or (token == FIRST == start))
    assert set(holders(ring, token)) == {host for host, _ in expected}


def test_the_nodes_are_those_of_the_scope_in_canonical_order() -> None:
    ring = whole(*((FIRST, LAST, (f"10.0.0.{last}", 8000)) for last in (5, 3, 1)))
    rack = Topology(NODES, NODES[2:5], NODES)
    assert holders(ring, 0) == ["10.0.0.1", "10.0.0.3", "10.0.0.5"]
    assert holders(ring, 0, rack) == ["10.0.0.3", "10.0.0.5"]
    assert [node.host for node in ring.all_nodes(0, rack)] == ["10.0.0.1", "10.0.0.3", "10.0.0.5"]
    assert holders(ring, 0, rack._replace(nodes=NODES[5:])) == []
    # And again, in whatever turn the topologies come.
    for _ in range(3):
        assert holders(ring, 0, rack) == ["10.0.0.3", "10.0.0.5"]
        assert len(holders(ring, 0)) == 3
        for start in range(6):
            assert len(holders(ring, 0, Topology(NODES, NODES[start:], NODES))) == (3, 2, 2, 1, 1, 0)[start]


def test_the_ring_uses_the_ports_of_its_rows() -> None:
    ring = whole((FIRST, 0, ("10.0.0.1", ANY_PORT)), (0, LAST, ("10.0.0.1", 8001)))
    assert holders(ring, 0) == ["10.0.0.1"]
    assert holders(ring, 1) == []


def test_equal_rings_are_alike() -> None:
    ring = whole(*TABLETS)
    assert ring.alike(whole(*reversed(TABLETS)))
    assert not ring.alike(whole(*TABLETS, (7, LAST, B)))
    assert not ring.alike(whole((FIRST, LAST, A)))


class Wishes:
    def __init__(self, after: int) -> None:
        self.told: list[tuple[str, bool]] = []
        self.replicas = Replicas(after, lambda name, always: self.told.append((name, always)))


def test_a_ring_is_wanted_after_so_many_requests() -> None:
    wishes = Wishes(3)
    assert [wishes.replicas.used("t", always=False) for _ in range(4)] == [False, False, True, True]
    assert not wishes.replicas.used("u", always=False)
    assert wishes.told == [("t", False)]
    assert (wishes.replicas.is_wanted("t"), wishes.replicas.is_wanted("u")) == (True, False)


def test_a_ring_that_is_wanted_in_any_case() -> None:
    wishes = Wishes(1)
    assert wishes.replicas.used("t", always=False)
    assert wishes.replicas.used("t", always=True)
    assert wishes.replicas.used("t", always=True)
    assert wishes.replicas.used("t", always=False)
    assert wishes.told == [("t", False), ("t", True)]


def test_what_is_published() -> None:
    replicas = Replicas(1)
    ring = whole(*TABLETS)
    replicas.publish("t", ring)
    assert (replicas.ring("t"), replicas.ring("u"), replicas.names()) == (ring, None, ("t",))
    replicas.drop("t")
    replicas.drop("u")
    assert replicas.ring("t") is None
