"""Whose answers fail far more often than those of the others, and for how long that node goes last. Values only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.set_aside import (
    LONGEST,
    PERIOD,
    TRIAL,
    Aside,
    Tally,
    fails_far_more,
    in_excess,
    next_aside,
)

NODES = [Node("http", f"10.0.0.{number}", 8000) for number in range(1, 9)]
BAD = Tally(20, 20)
WELL = Tally(100, 0)


@pytest.mark.parametrize(
    ("tally", "others", "is_set_aside"),
    [
        (BAD, [WELL, WELL], True),
        (Tally(20, 10), [WELL, WELL], True),
        (Tally(19, 19), [WELL, WELL], False),  # too few answers
        (Tally(100, 49), [WELL, WELL], False),  # less than half
        (BAD, [WELL], True),  # of two nodes
        (BAD, [], False),  # nobody to compare with
        (BAD, [Tally(), Tally()], False),  # nobody that has answered
        (BAD, [Tally(), WELL], True),
        (BAD, [BAD, BAD], False),  # a storm of all
        (BAD, [BAD, WELL, WELL], True),  # two of four
        (BAD, [BAD, BAD, WELL], False),  # three of four: it is the cluster
        (Tally(100, 100), [Tally(100, 20)] * 2, True),  # exactly five times
        (Tally(100, 100), [Tally(100, 21)] * 2, False),
        (Tally(100, 50), [Tally(100, 10)] * 2, True),
        (Tally(100, 50), [Tally(100, 11)] * 2, False),
    ],
)
def test_who_fails_far_more_than_the_others(tally: Tally, others: list[Tally], is_set_aside: bool) -> None:
    assert fails_far_more(tally, others) is is_set_aside


tallies = st.integers(0, 200).flatmap(lambda answers: st.builds(Tally, st.just(answers), st.integers(0, answers)))


@given(st.lists(tallies, min_size=1, max_size=8), st.integers(0, 100))
def test_when_all_fail_alike_none_is_set_aside(others: list[Tally], percent: int) -> None:
    alike = [Tally(100 * max(1, tally.answers), percent * max(1, tally.answers)) for tally in others]
    assert percent == 0 or not fails_far_more(alike[0], alike[1:])


@given(tallies, st.lists(tallies, max_size=8))
def test_a_node_without_a_failure_is_never_set_aside(tally: Tally, others: list[Tally]) -> None:
    assert not fails_far_more(Tally(tally.answers, 0), others)


# ---- for how long -----------------------------------------------------------------------------------------------


def test_each_time_in_a_row_takes_longer_and_none_takes_longer_than_a_minute() -> None:
    aside, now, periods = None, 100.0, []
    for _ in range(15):
        aside = next_aside(aside, BAD, "status 503", now)
        assert aside.since == now
        periods.append(aside.until - aside.since)
        now = aside.until + TRIAL
    assert periods == [min(PERIOD * times, LONGEST) for times in range(1, 16)]
    assert periods[-1] == LONGEST


def test_a_node_that_was_well_for_a_minute_starts_with_the_shortest_time() -> None:
    first = next_aside(None, BAD, "", 0.0)
    again = next_aside(first, BAD, "", first.until + 60.0)
    later = next_aside(again, BAD, "", again.until + 60.5)
    assert (first.times, again.times, later.times) == (1, 2, 1)


def test_the_reason_has_numbers_and_what_was_said() -> None:
    reason = next_aside(None, Tally(40, 30), "status 502", 0.0).reason
    assert reason == "30 of its last 40 answers failed: status 502"


# ---- never more than half ---------------------------------------------------------------------------------------


def asides(*nodes: Node) -> dict[Node, Aside]:
    """The first one was set aside first."""
    return {node: next_aside(None, BAD, "", float(moment)) for moment, node in enumerate(nodes)}


@pytest.mark.parametrize(
    ("aside", "groups", "excess"),
    [
        ([0], [[0, 1, 2]], []),
        ([0, 1], [[0, 1, 2]], [1]),
        ([0, 1], [[0, 1, 2, 3]], []),
        ([0, 1], [[0, 1, 2, 3], [0, 1]], [1]),
        ([0], [[0, 1, 2, 3], [0]], [0]),
        ([0], [[0]], [0]),
        ([0, 1, 2], [[0, 1, 2, 3], [2, 3]], [2]),
        ([0, 1, 2], [[0, 1, 2]], [2, 1]),
        ([], [[0, 1]], []),
        ([0], [], []),
    ],
)
def test_which_are_too_many(aside: list[int], groups: list[list[int]], excess: list[int]) -> None:
    too_many = in_excess(
        asides(*(NODES[index] for index in aside)), [[NODES[index] for index in group] for group in groups]
    )
    assert too_many == {NODES[index] for index in excess}


@given(
    st.lists(st.sampled_from(NODES), unique=True),
    st.lists(st.frozensets(st.sampled_from(NODES), min_size=1), max_size=4),
)
def test_at_least_half_of_each_group_is_left(aside: list[Node], groups: list[frozenset[Node]]) -> None:
    left = set(aside) - in_excess(asides(*aside), groups)
    for group in groups:
        assert 2 * len(left & group) <= len(group)
