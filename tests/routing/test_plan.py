"""Hash, generator, ring and query plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.routing._go_constants import COOKED
from pynamodb_alternator.routing.generator import first_below, generator
from pynamodb_alternator.routing.hashing import key_hash
from pynamodb_alternator.routing.plan import (
    AFFINITY,
    BATCH_AFFINITY,
    CONSISTENT_NODE,
    RANDOM,
    REPLICA,
    ROUND_ROBIN,
    QueryPlan,
    pick_and_remove,
)
from pynamodb_alternator.routing.ring import AffinityRing, canonical_order
from pynamodb_alternator.topology.node import Node, canonical_endpoint
from pynamodb_alternator.topology.view import Topology, View, ring_order

VECTORS = Path(__file__).parent.parent / "vectors"
HASHES = st.integers(-(2**63), 2**63 - 1)


def rows(name: str) -> list[list[str]]:
    lines = (VECTORS / name).read_text("utf-8").splitlines()
    vectors = [line.split("\t") for line in lines if line and not line.startswith("#")]
    assert vectors
    return vectors


def node(number: int, **where: str) -> Node:
    return Node("http", f"10.0.{number // 200}.{number % 200 + 1}", 8000, **where)


def nodes(count: int) -> tuple[Node, ...]:
    return ring_order(node(number) for number in range(count))


def view_of(ring: tuple[Node, ...], **state: frozenset[Node]) -> View:
    return View(Topology(ring, ring, ring), **state)


def affinity_plan(seed: int) -> QueryPlan:
    return QueryPlan(AFFINITY, None, True, (seed,))


# ---- the vectors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "encoding", "payload", "expected"), rows("affinity-hash.tsv"))
def test_hashes_equal_the_published_vectors(kind: str, encoding: str, payload: str, expected: str) -> None:
    value = bytes.fromhex(payload) if encoding == "hex" else payload
    assert key_hash(kind, value) == int(expected)


@pytest.mark.parametrize(("seed", "count", "expected"), rows("query-plan.tsv"))
def test_query_plans_equal_the_published_vectors(seed: str, count: str, expected: str) -> None:
    # The labels are sorted as endpoints are: bytewise, so that 10 comes after 1.
    labels = sorted(str(number) for number in range(1, int(count) + 1))
    ring = tuple(Node("http", label, 8000) for label in labels)
    assert ",".join(node.host for node in pick_and_remove(ring, int(seed))) == expected
    assert [node.host for node in affinity_plan(int(seed)).order(view_of(ring))] == expected.split(",")


def test_the_generator_has_the_published_constants() -> None:
    expected = [int(value) % 2**64 for _, value in rows("query-plan-rng-cooked.tsv")]
    assert list(COOKED) == expected


@pytest.mark.parametrize(("case", "urls", "canonical", "representatives"), rows("endpoint-order.tsv"))
def test_the_order_equals_the_published_vectors(case: str, urls: str, canonical: str, representatives: str) -> None:
    order = canonical_order(urls.split(","))
    assert list(order) == canonical.split(","), case
    assert list(order.values()) == representatives.split(","), case
    assert [canonical_endpoint(endpoint) for endpoint in order.values()] == list(order), case


# ---- hash and generator ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SS", "BOOL", "", "s"])
def test_hash_refuses_other_kinds(kind: str) -> None:
    with pytest.raises(KeyError):
        key_hash(kind, "x")


def test_the_hash_distinguishes_types() -> None:
    assert len({key_hash("S", "1"), key_hash("N", "1"), key_hash("B", b"1"), key_hash("N", "1.0")}) == 4


@given(HASHES, st.integers(1, 2**31 - 1))
@settings(deadline=None)
def test_first_below_is_the_first_number_of_the_generator(seed: int, n: int) -> None:
    assert first_below(seed, n) == (generator(seed)(n) if n > 1 else 0)


@given(HASHES)
@settings(deadline=None, max_examples=20)
def test_generator_wraps_around_its_slots(seed: int) -> None:
    """More draws than there are slots, so that each is written and read again."""
    state = whole_state(seed)
    below = generator(seed)
    for _ in range(1300):
        assert below(2**30) == next(state) & (2**30 - 1)


def whole_state(seed: int) -> Iterator[int]:
    """The generator as it is specified, with all of its state computed first."""
    modulus = 2**31 - 1
    x = seed % modulus or 89482311

    def step() -> int:
        nonlocal x
        x = x * 48271 % modulus
        return x

    for _ in range(20):
        step()
    slots = [(step() << 40) ^ (step() << 20) ^ step() ^ cooked for cooked in COOKED]
    tap, feed = 0, 334
    while True:
        tap, feed = (tap - 1) % 607, (feed - 1) % 607
        slots[feed] = (slots[feed] + slots[tap]) % 2**64
        yield slots[feed] % 2**63 >> 32


# ---- the plan --------------------------------------------------------------------------------------------------------


def eager(ring: tuple[Node, ...], seed: int) -> list[Node]:
    """Pick-and-remove over a copy of the whole ring."""
    left, below, order = list(ring), generator(seed), []
    while left:
        location_of = below(len(left)) if len(left) > 1 else 0
        order.append(left[location_of])
        left[location_of] = left[-1]
        left.pop()
    return order


def by_health(order: list[Node], view: View) -> list[Node]:
    usable = [node for node in order if node not in view.down]
    return sorted(usable, key=lambda node: rank(node, view))


def rank(node: Node, view: View) -> int:
    return 2 if node in view.set_aside else 1 if node in view.quarantined else 0


@st.composite
def views(draw: st.DrawFn) -> View:
    """A topology with or without a rack scope, one or several datacenters, and nodes of any health."""
    ring = nodes(draw(st.integers(0, 40)))
    states = draw(st.lists(st.sampled_from("AQD"), min_size=len(ring), max_size=len(ring)))
    down = frozenset(node for node, state in zip(ring, states, strict=True) if state == "D")
    quarantined = frozenset(node for node, state in zip(ring, states, strict=True) if state == "Q")
    split = draw(st.integers(1, 4))
    placed = draw(st.lists(st.integers(0, split), min_size=len(ring), max_size=len(ring)))
    # Number `split` is a node of which no datacenter is known.
    groups = [frozenset(node for node, dc in zip(ring, placed, strict=True) if dc == number) for number in range(split)]
    datacenters = tuple(group for group in groups if group)
    scope = draw(st.sampled_from(["all", "rack", "disjoint"]))
    in_scope, affinity_ring = ring, ring
    if scope == "rack":
        in_scope = ring[::2]
    elif scope == "disjoint":
        in_scope, affinity_ring = ring[::2], ring[1:]
    topology = Topology(ring, in_scope, affinity_ring, datacenters if len(datacenters) > 1 else ())
    set_aside = draw(st.frozensets(st.sampled_from(ring), max_size=3)) if ring else frozenset[Node]()
    return View(topology, down, quarantined, set_aside)


@st.composite
def plans(draw: st.DrawFn) -> QueryPlan:
    policy = draw(st.sampled_from([AFFINITY, BATCH_AFFINITY, RANDOM, ROUND_ROBIN]))
    if policy == BATCH_AFFINITY:
        return QueryPlan(policy, None, True, tuple(draw(st.lists(HASHES, min_size=1, max_size=30))))
    return QueryPlan(policy, None, True, (abs(draw(HASHES)),))


@given(st.integers(0, 60), HASHES)
@settings(deadline=None)
def test_lazy_picks_equal_eager_ones(count: int, seed: int) -> None:
    ring = nodes(count)
    assert list(pick_and_remove(ring, seed)) == eager(ring, seed)


@given(views(), plans())
@settings(deadline=None, max_examples=200)
def test_each_usable_node_once_and_no_other(view: View, plan: QueryPlan) -> None:
    order = list(plan.order(view))
    reachable = set(view.topology.nodes)
    if plan.policy in (AFFINITY, BATCH_AFFINITY):
        reachable |= set(view.topology.affinity_ring)
    assert Counter(order) == Counter(reachable - view.down)
    assert list(plan.order(view)) == order


@given(views(), st.data())
@settings(deadline=None, max_examples=300)
def test_the_first_node_is_that_of_the_order(view: View, data: st.DataObject) -> None:
    if data.draw(st.booleans(), label="all are well"):
        view = View(view.topology)
    policy = data.draw(st.sampled_from([AFFINITY, BATCH_AFFINITY, RANDOM, ROUND_ROBIN, CONSISTENT_NODE, REPLICA]))
    replicas: tuple[Node, ...] = ()
    if policy == REPLICA and view.topology.ring:
        # Of the topology that the plan was made with, which may be another one by now.
        replicas = ring_order(data.draw(st.frozensets(st.sampled_from(view.topology.ring), max_size=5)))
    topology = data.draw(st.sampled_from([view.topology, None])) if set(replicas) <= set(view.topology.nodes) else None
    plan = QueryPlan(policy, None, True, (data.draw(HASHES),), replicas=replicas, topology=topology)
    assert plan.first(view) == next(plan.order(view), None)


@given(views(), plans())
@settings(deadline=None, max_examples=200)
def test_active_before_quarantined_before_set_aside(view: View, plan: QueryPlan) -> None:
    """Within each of the groups that come one after the other: home, and the other datacenters, first in the ring and
    then in the rest of the scope."""
    order = list(plan.order(view))
    ring = set(view.topology.affinity_ring)
    for group in groups_of(plan, view, ring):
        states = [rank(node, view) for node in order if node in group]
        assert states == sorted(states)


def groups_of(plan: QueryPlan, view: View, ring: set[Node]) -> list[set[Node]]:
    if plan.policy in (RANDOM, ROUND_ROBIN):
        return [set(view.topology.nodes)]
    everyone = list(plan.order(View(view.topology)))
    groups = []
    for part in (ring, set(view.topology.nodes) - ring):
        first = next((node for node in everyone if node in part), None)
        home = part if first is None or not view.topology.datacenters else home_of(first, view.topology) & part
        groups += [home, part - home]
    return groups


def home_of(first: Node, topology: Topology) -> set[Node]:
    for members in topology.datacenters:
        if first in members:
            return set(members)
    return set(topology.ring) - set().union(*topology.datacenters)


@given(views(), HASHES)
@settings(deadline=None, max_examples=200)
def test_lazy_plan_equals_eager_plan(view: View, seed: int) -> None:
    topology = view.topology
    expected = []
    rest = tuple(node for node in topology.nodes if node not in topology.affinity_ring)
    for order in (eager(topology.affinity_ring, seed), eager(rest, seed)):
        home = home_of(order[0], topology) if topology.datacenters and order else set(order)
        expected += by_health([node for node in order if node in home], view)
        expected += by_health([node for node in order if node not in home], view)
    assert list(affinity_plan(seed).order(view)) == expected


@given(views(), HASHES)
@settings(deadline=None, max_examples=200)
def test_one_datacenter_while_it_has_usable_nodes(view: View, seed: int) -> None:
    topology = view.topology
    first = next(iter(eager(topology.affinity_ring, seed)), None)
    if first is None or not topology.datacenters:
        return
    home = home_of(first, topology)
    usable_at_home = {node for node in topology.affinity_ring if node in home and node not in view.down}
    order = list(affinity_plan(seed).order(view))
    assert set(order[: len(usable_at_home)]) == usable_at_home


@given(views(), HASHES)
@settings(deadline=None)
def test_health_moves_no_other_key(view: View, seed: int) -> None:
    """A key whose node is active stays there, whatever state the others are in (same datacenter or not)."""
    everyone = list(affinity_plan(seed).order(View(view.topology)))
    ring = set(view.topology.affinity_ring)
    if everyone and everyone[0] in ring and everyone[0] not in view.down | view.quarantined | view.set_aside:
        assert next(affinity_plan(seed).order(view)) == everyone[0]


def test_round_robin_rotates() -> None:
    ring = nodes(5)
    view = view_of(ring)
    for turn in range(12):
        plan = QueryPlan(ROUND_ROBIN, "read", False, (turn,))
        assert list(plan.order(view)) == [ring[(turn + location_of) % 5] for location_of in range(5)]


@pytest.mark.parametrize("state", ["down", "quarantined", "set_aside"])
def test_round_robin_spreads_the_share_of_a_node_that_is_out(state: str) -> None:
    ring = nodes(4)
    view = view_of(ring, **{state: frozenset({ring[1]})})
    firsts = Counter(next(QueryPlan(ROUND_ROBIN, "read", False, (turn,)).order(view)) for turn in range(4 * 3 * 10))
    assert firsts == {ring[0]: 40, ring[2]: 40, ring[3]: 40}


def test_a_write_with_affinity_takes_the_next_node_of_its_key_and_no_other_key_moves() -> None:
    ring = nodes(5)
    out = view_of(ring, set_aside=frozenset({ring[2]}))
    for seed in range(200):
        order = list(affinity_plan(seed).order(view_of(ring)))
        now = list(affinity_plan(seed).order(out))
        assert now == [node for node in order if node != ring[2]] + [ring[2]]


def test_a_request_that_cannot_be_sent_again_tests_no_node_that_returns() -> None:
    ring = nodes(3)
    view = view_of(ring, set_aside=frozenset({ring[0]}), returning=frozenset({ring[1]}))
    for turn in range(12):
        plan = QueryPlan(ROUND_ROBIN, "read", False, (turn,))
        assert next(plan.order(view.seen_by(is_read=True, may_repeat=False))) == ring[2]
        assert next(plan.order(view)) in ring[1:]


def test_random_reaches_every_node_first() -> None:
    ring = nodes(7)
    firsts = {next(QueryPlan(RANDOM, "read", False, (seed,)).order(view_of(ring))) for seed in range(300)}
    assert firsts == set(ring)


class CountedRing(tuple[Node, ...]):
    """A ring that counts how many of its nodes were looked at."""

    looked_at = 0

    def __getitem__(self, location_of: object) -> Node:  # type: ignore[override]
        type(self).looked_at += 1
        return super().__getitem__(location_of)  # type: ignore[index, no-any-return]

    def __iter__(self) -> Iterator[Node]:
        raise AssertionError("the whole ring was read")


@pytest.mark.parametrize("policy", [AFFINITY, RANDOM, ROUND_ROBIN])
@pytest.mark.parametrize("count", [1, 3])
def test_only_what_is_used_is_ordered(policy: str, count: int) -> None:
    ring = CountedRing(nodes(1000))
    view = View(Topology(ring, ring, ring))
    CountedRing.looked_at = 0
    assert len(list(islice(QueryPlan(policy, None, True, (42,)).order(view), count))) == count
    assert CountedRing.looked_at == count


def test_votes_of_a_batch() -> None:
    ring = nodes(5)
    by_place: dict[int, list[int]] = {location_of: [] for location_of in range(5)}
    for seed in range(1000):
        by_place[first_below(seed, 5)].append(seed)
    # One vote for node 4, two for nodes 3 and 1, which are equal and so stand in ring order.
    seeds = (by_place[4][0], by_place[3][0], by_place[1][0], by_place[3][1], by_place[1][1])
    order = list(QueryPlan(BATCH_AFFINITY, None, True, seeds).order(view_of(ring)))
    assert order == [ring[1], ring[3], ring[4], ring[0], ring[2]]


@given(st.integers(1, 20), HASHES)
@settings(deadline=None)
def test_a_vote_is_for_the_first_node_of_the_plan(count: int, seed: int) -> None:
    view = view_of(nodes(count))
    assert next(QueryPlan(BATCH_AFFINITY, None, True, (seed,)).order(view)) == next(affinity_plan(seed).order(view))


def test_empty_topology_has_an_empty_plan() -> None:
    for policy in (AFFINITY, BATCH_AFFINITY, RANDOM, ROUND_ROBIN):
        assert list(QueryPlan(policy, None, True, (1,)).order(View(Topology()))) == []


# ---- the ring --------------------------------------------------------------------------------------------------------


def test_orders_of_the_ring() -> None:
    ring = ring_order(Node("http", host, 8000) for host in ("10.0.0.11", "10.0.0.1", "10.0.0.10"))
    topology = Topology(ring, ring, ring)
    assert [node.host for node in AffinityRing()(topology)] == ["10.0.0.10", "10.0.0.11", "10.0.0.1"]
    by_host = AffinityRing("host")
    assert [node.host for node in by_host(topology)] == ["10.0.0.1", "10.0.0.10", "10.0.0.11"]
    assert by_host(topology) is by_host(topology)
    smaller = Topology(ring[1:], ring[1:], ring[1:])
    assert [node.host for node in by_host(smaller)] == ["10.0.0.1", "10.0.0.11"]
