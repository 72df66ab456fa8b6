"""The nodes that one process of a fleet uses: evenly over all processes, few changes with a node, never none."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.topology import subset as module
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.subset import Subset, rendezvous, subset_of
from pynamodb_alternator.topology.view import ring_order

NONE: frozenset[Node] = frozenset()


def nodes(count: int) -> tuple[Node, ...]:
    return ring_order(Node("http", f"10.0.{number // 250}.{number % 250 + 1}", 8000) for number in range(count))


ORDERS = st.permutations(nodes(12))
SOME = st.sets(st.sampled_from(nodes(12)))


@given(ORDERS, st.integers(1, 14), SOME, SOME)
def test_a_subset_is_never_empty_and_has_so_many_usable_nodes_as_there_are(
    order: Sequence[Node], size: int, down: set[Node], unsettled: set[Node]
) -> None:
    chosen = subset_of(order, size, down=down, unsettled=unsettled)
    up = set(order) - down
    settled = up - unsettled
    assert min(size, 12) <= len(chosen) <= 2 * size or len(chosen) == len(up)
    if up:
        assert not chosen & down
        assert len(chosen & settled) >= min(size, len(settled))
        assert {node for node in order if node in up} - chosen or chosen == up


@given(ORDERS, st.integers(1, 12), SOME)
def test_without_trouble_it_is_the_first_nodes_and_with_it_the_next_ones_take_their_places(
    order: Sequence[Node], size: int, down: set[Node]
) -> None:
    assert subset_of(order, size, down=NONE, unsettled=NONE) == frozenset(order[:size])
    up = [node for node in order if node not in down]
    assert subset_of(order, size, down=down, unsettled=NONE) == frozenset((up or order)[:size])


def test_the_subset_has_a_starting_node_and_its_replacement() -> None:
    order = nodes(10)
    assert subset_of(order, 1, down=NONE, unsettled={order[0]}) == {order[0], order[1]}
    assert subset_of(order, 3, down={order[4]}, unsettled=set(order[:3])) == {*order[:4], *order[5:7]}
    assert subset_of(order, 3, down=NONE, unsettled=set(order)) == set(order[:3])


def test_ten_thousand_processes_use_a_hundred_nodes_evenly() -> None:
    everyone = nodes(100)
    uses = Counter(node for process in range(10_000) for node in rendezvous(everyone, str(process))[:8])
    # 800 on average, with a standard deviation of 27: each process has drawn 8 of 100.
    assert len(uses) == 100
    assert 690 < min(uses.values()) <= max(uses.values()) < 910


def test_a_node_that_leaves_or_joins_changes_one_node_of_the_subsets_that_it_is_in() -> None:
    everyone = nodes(100)
    gone = everyone[37]
    others = tuple(node for node in everyone if node != gone)
    changed = 0
    for process in range(1_000):
        before, after = (set(rendezvous(some, str(process))[:8]) for some in (everyone, others))
        assert before - after == ({gone} if gone in before else set())
        assert len(after - before) == (gone in before)
        changed += before != after
    assert 40 < changed < 130  # 80 on average


def test_what_a_node_loses_that_goes_down_the_others_get_evenly() -> None:
    everyone = nodes(30)
    uses: Counter[Node] = Counter()
    for process in range(6_000):
        uses.update(subset_of(rendezvous(everyone, str(process)), 5, down={everyone[0]}, unsettled=NONE))
    assert everyone[0] not in uses
    fair = 6_000 * 5 / 29
    assert 0.9 * fair < min(uses.values()) <= max(uses.values()) < 1.1 * fair


class TestTheSubsetOfThisProcess:
    def test_it_is_that_of_its_number(self) -> None:
        everyone = nodes(50)
        of_number = [Subset(8, 7, random.Random(seed)).among(everyone, NONE, NONE) for seed in (1, 2)]
        assert of_number[0] == of_number[1] == ring_order(rendezvous(everyone, "7")[:8])
        assert Subset(8, 8, random.Random(1)).among(everyone, NONE, NONE) != of_number[0]

    def test_it_is_at_random_without_one(self) -> None:
        everyone = nodes(50)
        assert len({Subset(8, None, random.Random(seed)).among(everyone, NONE, NONE) for seed in range(5)}) == 5

    @pytest.mark.parametrize("size", [None, 6, 7, 100])
    def test_it_is_empty_where_all_nodes_are_used(self, size: int | None) -> None:
        assert Subset(size, None, random.Random(1)).among(nodes(6), NONE, NONE) == ()

    def test_a_forked_child_has_another_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        everyone = nodes(50)
        parent = Subset(8, 7, random.Random(1))
        before = parent.among(everyone, NONE, NONE)
        parent.after_fork()
        assert parent.among(everyone, NONE, NONE) == before  # it is not a child
        of_children = set()
        for pid in (101, 102):
            monkeypatch.setattr(module.os, "getpid", lambda pid=pid: pid)
            parent.after_fork()
            of_children.add(parent.among(everyone, NONE, NONE))
        assert len(of_children | {before}) == 3

    def test_the_order_is_made_once_for_a_topology(self, monkeypatch: pytest.MonkeyPatch) -> None:
        everyone, made = nodes(50), []
        monkeypatch.setattr(module, "rendezvous", lambda *args: made.append(1) or rendezvous(*args))
        subset = Subset(8, 7, random.Random(1))
        for down in (NONE, {everyone[0]}):
            subset.among(everyone, down, NONE)
        subset.among(nodes(50), NONE, NONE)
        assert len(made) == 2
