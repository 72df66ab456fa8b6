"""Plans while nodes start slowly, and over a subset of the nodes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.routing.easing import eased, takes_turn
from pynamodb_alternator.routing.plan import (
    AFFINITY,
    BATCH_AFFINITY,
    CONSISTENT_NODE,
    RANDOM,
    REPLICA,
    ROUND_ROBIN,
    QueryPlan,
)
from pynamodb_alternator.routing.router import Router
from pynamodb_alternator.routing.tables import Tables
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.selection import spread
from pynamodb_alternator.topology.view import Topology, View, ring_order
from tests.topology.fakes import FakeNetwork, World

NODES = ring_order(Node("http", f"10.0.0.{number}", 8000) for number in range(1, 11))
TURNS = 11_000
SHARES = st.floats(0.01, 1.0)


def view(shares: dict[Node, float] | None = None, subset: tuple[Node, ...] = (), **state: Any) -> View:
    return spread(View(Topology(NODES, NODES, NODES), **state), MappingProxyType(shares or {}), lambda *_: subset)


def round_robin(turn: int) -> QueryPlan:
    return QueryPlan(ROUND_ROBIN, "read", False, (turn,))


def firsts(seen: View, plan: Callable[[int], QueryPlan] = round_robin, count: int = TURNS) -> Counter[Node]:
    """How often each node is the first one, which `first` and `order` tell alike."""
    counts: Counter[Node] = Counter()
    for turn in range(count):
        made = plan(turn)
        first = made.first(seen)
        assert first is not None
        assert first == next(made.order(seen))
        counts[first] += 1
    return counts


@given(SHARES, st.integers(0, 2**40), st.integers(1, 50))
def test_a_node_takes_its_share_of_any_successive_turns_or_of_each_nth(share: float, start: int, step: int) -> None:
    taken = sum(takes_turn(share, start + step * number) for number in range(2_000))
    assert taken == pytest.approx(2_000 * share, abs=200)


@pytest.mark.parametrize("share", [1 / 11, 0.3, 0.5, 10 / 11, 1.0])
def test_a_node_that_starts_gets_so_much_of_its_share_and_the_others_the_rest_evenly(share: float) -> None:
    counts = firsts(view({NODES[3]: share}))
    fair = TURNS / 10
    assert counts.pop(NODES[3]) == pytest.approx(fair * share, rel=0.03)
    assert min(counts.values()) == pytest.approx(fair * (1 + (1 - share) / 9), rel=0.03)
    assert max(counts.values()) == pytest.approx(fair * (1 + (1 - share) / 9), rel=0.03)


@pytest.mark.parametrize("starting", [NODES[:5], NODES[::2], NODES[1:9], NODES[:9]])
def test_many_that_start_and_never_more_than_its_share_for_one_of_them(starting: tuple[Node, ...]) -> None:
    counts = firsts(view(dict.fromkeys(starting, 0.25)))
    settled = [counts[node] for node in NODES if node not in starting]
    for node in starting:
        assert counts[node] == pytest.approx(TURNS / 10 * 0.25, rel=0.05)
    assert min(settled) == pytest.approx(max(settled), rel=0.05)


@pytest.mark.parametrize("policy", [ROUND_ROBIN, RANDOM])
def test_a_starting_node_gets_no_more_while_others_are_down(policy: str) -> None:
    source = random.Random(3)
    seeds = [source.getrandbits(31) if policy == RANDOM else turn for turn in range(TURNS)]
    seen = view({NODES[0]: 0.2}, down=frozenset(NODES[1:4]), quarantined=frozenset(NODES[4:5]))
    counts = firsts(seen, lambda turn: QueryPlan(policy, "read", False, (seeds[turn],)))
    assert counts.keys() == {NODES[0], *NODES[5:]}
    assert 0 < counts[NODES[0]] < 1.2 * 0.2 * TURNS / 6
    settled = [counts[node] for node in NODES[5:]]
    assert min(settled) > 0.8 * max(settled)


@pytest.mark.parametrize("down", [NODES[:3], NODES[4:9], NODES[::2]])
def test_what_a_whole_rack_leaves_the_others_get_evenly(down: tuple[Node, ...]) -> None:
    """The nodes of a rack often stand side by side in the order."""
    counts = firsts(view(down=frozenset(down)))
    assert counts.keys() == set(NODES) - set(down)
    assert max(counts.values()) < 1.15 * TURNS / len(counts)
    assert min(counts.values()) > 0.85 * TURNS / len(counts)


def test_in_random_order_it_gets_so_much_of_its_share_too() -> None:
    source = random.Random(11)
    seeds = [source.getrandbits(31) for _ in range(TURNS)]
    counts = firsts(view({NODES[3]: 0.3}), lambda turn: QueryPlan(RANDOM, "read", False, (seeds[turn],)))
    assert counts.pop(NODES[3]) == pytest.approx(TURNS / 10 * 0.3, rel=0.15)
    assert min(counts.values()) > 0.85 * max(counts.values())


def test_all_nodes_have_their_share_if_all_of_them_start() -> None:
    assert set(firsts(view(dict.fromkeys(NODES, 0.1)), count=100).values()) == {10}
    two_up = view(dict.fromkeys(NODES[:2], 0.1), down=frozenset(NODES[2:]))
    assert not two_up.starting
    assert firsts(two_up, count=1_000).keys() == set(NODES[:2])


@given(
    st.integers(0, 2**31),
    st.dictionaries(st.sampled_from(NODES), SHARES),
    st.sets(st.sampled_from(NODES)),
    st.sets(st.sampled_from(NODES), min_size=1),
    st.sampled_from([ROUND_ROBIN, RANDOM, CONSISTENT_NODE, REPLICA]),
)
def test_a_plan_always_has_each_usable_node_once(
    seed: int, shares: dict[Node, float], down: set[Node], chosen: set[Node], policy: str
) -> None:
    subset = ring_order(chosen)
    seen = view(shares, subset if len(subset) < len(NODES) else (), down=frozenset(down))
    replicas = NODES[2:5] if policy == REPLICA else ()
    plan = QueryPlan(policy, None, False, (seed,), replicas=replicas, topology=seen.topology)
    order = list(plan.order(seen))
    assert sorted(order, key=str) == sorted(set(NODES) - down, key=str)
    assert plan.first(seen) == next(iter(order), None)
    used = [node for node in (*replicas, *subset) if node not in down]
    if used and policy != REPLICA:
        assert set(order[: len(used)]) == set(used)


@pytest.mark.parametrize("event", ["returns", "joins"])
@pytest.mark.parametrize("balancing", ["round_robin", "random"])
def test_second_by_second_a_node_comes_to_its_share_and_never_has_more(event: str, balancing: Any) -> None:
    """A process with a thousand requests a second, on a clock that the test sets."""
    hosts = [f"10.0.0.{number}" for number in range(1, 11)]
    network = FakeNetwork(**dict.fromkeys(hosts[:9], ("dc1", "r1")))
    world = World(network, load_balancing=balancing)
    world.start()
    network.places[hosts[9]] = ("dc1", "r1")
    if event == "joins":
        world.membership.refresh()
        world.prove_all()
    else:
        world.clock.now += 60.0
        world.membership.refresh()
        world.prove_all()
        world.clock.now += 60.0
        world.membership.review(world.clock())
        world.down(hosts[9])
        world.up(hosts[9])
    router = Router(world.config, Tables(world.config, lambda table, what: None), random.Random(5))
    parts = []
    for _ in range(13):
        counts: Counter[str] = Counter()
        for _ in range(1_000):
            seen = world.membership.view
            first = router.plan("Scan", {"TableName": "t"}, seen).first(seen)
            assert first is not None
            counts[first.host] += 1
            world.clock.now += 0.001
            world.membership.review(world.clock())
        parts.append(counts[hosts[9]] / 100)
    slack = 0.05 if balancing == "round_robin" else 0.35  # about three standard deviations of a share
    assert parts == pytest.approx([min(1.0, (second + 1) / 11) for second in range(13)], abs=slack)
    assert max(parts) < 1.2 or balancing == "random"


class TestReplicas:
    HOLDERS = NODES[:3]

    def plan(self, turn: int, **fields: Any) -> QueryPlan:
        return QueryPlan(REPLICA, None, False, (turn,), replicas=self.HOLDERS, topology=self.seen.topology, **fields)

    seen = view({NODES[1]: 0.25})

    def test_reads_of_its_keys_come_to_a_node_as_its_other_requests_do(self) -> None:
        counts = firsts(self.seen, self.plan, 3_000)
        assert counts[NODES[1]] == pytest.approx(250, rel=0.05)
        assert counts[NODES[0]] == pytest.approx(counts[NODES[2]], rel=0.05)

    def test_all_writers_of_a_key_take_the_same_one_however_new_it_is(self) -> None:
        counts = firsts(self.seen, lambda turn: self.plan(turn, takes_turns=False), 300)
        assert dict(counts) == dict.fromkeys(self.HOLDERS, 100)

    def test_where_no_other_replica_is_settled_it_has_all_of_its_share(self) -> None:
        seen = view(dict.fromkeys(self.HOLDERS, 0.1))
        assert seen.settled == NODES[3:]
        assert dict(firsts(seen, self.plan, 300)) == dict.fromkeys(self.HOLDERS, 100)


@pytest.mark.parametrize("policy", [AFFINITY, BATCH_AFFINITY])
def test_affinity_is_not_bound(policy: str) -> None:
    plain = View(Topology(NODES, NODES, NODES))
    bound = view(dict.fromkeys(NODES[:5], 0.1), NODES[7:9])
    for seed in range(100):
        plan = QueryPlan(policy, None, True, (seed, seed + 1) if policy == BATCH_AFFINITY else (seed,))
        assert plan.first(bound) == plan.first(plain)
        assert list(plan.order(bound)) == list(plan.order(plain))


def test_a_block_that_prefers_one_node_keeps_it_while_it_starts_and_while_the_subset_gets_another_node() -> None:
    plans = [QueryPlan(CONSISTENT_NODE, None, False, (seed,)) for seed in range(200)]
    before = [plan.first(view({NODES[2]: 0.1}, NODES[:4])) for plan in plans]
    after = [plan.first(view(None, NODES[:5])) for plan in plans]
    assert set(before) == set(NODES[:4])
    assert all(new in (old, NODES[4]) for old, new in zip(before, after, strict=True))


def test_the_subset_takes_turns_and_the_others_follow() -> None:
    seen = view(None, NODES[2:5])
    assert dict(firsts(seen, count=300)) == dict.fromkeys(NODES[2:5], 100)
    order = list(round_robin(1).order(seen))
    assert order[:3] == [NODES[3], NODES[4], NODES[2]]
    assert set(order[3:]) == set(NODES) - set(NODES[2:5])


def test_replicas_are_followed_by_the_subset() -> None:
    seen = view(None, NODES[2:5])
    plan = QueryPlan(REPLICA, None, False, (1,), replicas=NODES[4:5], topology=seen.topology)
    assert set(list(plan.order(seen))[:3]) == set(NODES[2:5])
    assert plan.first(seen) == NODES[4]


def test_eased_takes_what_it_is_given() -> None:
    assert list(eased(iter(()), {}, (), 0, 1)) == []
    equal = replace(NODES[0])
    assert list(eased(iter(NODES[:3]), {equal: 0.0}, (NODES[2],), 5, 3)) == [NODES[2], NODES[0], NODES[1]]
