"""The rules of calm: values in, values out; clock and random source are the test's own."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.settings.values import Discovery, Health
from pynamodb_alternator.topology.calm import (
    SPARES,
    UNASKED,
    Pace,
    Wave,
    after_reading,
    beside,
    in_trouble,
    jittered,
    next_in_wave,
    share_of_unasked,
    sources_in_order,
    unasked,
    until_next_probe,
)
from pynamodb_alternator.topology.node import Node

NODES = [Node("http", f"10.0.{number // 250}.{number % 250 + 1}", 8000) for number in range(1000)]
GROWING = Discovery(interval=1.0, active_interval_max=10.0)


class Middle(Random):
    """Gives the middle of each range."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


# ---- probes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "others_serve", "pause"),
    [
        *((0, True, 0.1), (0, False, 0.1)),
        *((1, True, 1.0), (2, True, 2.0), (3, True, 5.5), (4, True, 5.5), (1000, True, 5.5)),
        *((1, False, 1.0), (2, False, 1.0), (3, False, 1.0), (1000, False, 1.0)),
    ],
)
@pytest.mark.parametrize("interval", [1.0, 0.3])
def test_the_pause_before_the_next_probe(failures: int, others_serve: bool, pause: float, interval: float) -> None:
    policy = Health(probe_interval=interval)
    waits = until_next_probe(policy, failures=failures, others_serve=others_serve, random=Middle())
    assert waits == pytest.approx(pause * interval)


@given(st.integers(), st.floats(0.001, 1000))
def test_jitter_is_half_at_most(seed: int, seconds: float) -> None:
    assert 0.49 * seconds <= jittered(seconds, Random(seed)) <= 1.51 * seconds


def test_probes_of_a_dead_node_by_ten_thousand_clients_are_spread_and_few() -> None:
    random, policy, per_second = Random(1), Health(), Counter[int]()
    for _ in range(10_000):
        now, failures = 0.0, 0
        while now < 60:
            failures += 1
            now += until_next_probe(policy, failures=failures, others_serve=True, random=random)
            per_second[int(now)] += 1
    late = [per_second[second] for second in range(30, 60)]
    mean = sum(late) / len(late)
    assert mean < 1_900
    assert max(late) < 1.2 * mean


@pytest.mark.parametrize(
    ("near", "far", "picked"),
    [(0, 0, (0, 0)), (3, 20, (3, 5)), (20, 20, (8, 0)), (2, 2, (2, 2))],
)
def test_nodes_of_its_rack_are_probed_first_when_one_goes_silent(near: int, far: int, picked: tuple[int, int]) -> None:
    racks = ["r1"] * (near + 1) + ["r2"] * far
    node, *others = [Node("http", f"n{number}", 8000, datacenter="dc1", rack=rack) for number, rack in enumerate(racks)]
    chosen = beside(node, others, Random(1))
    assert (sum(other.rack == "r1" for other in chosen), sum(other.rack == "r2" for other in chosen)) == picked
    assert len(set(chosen)) == len(chosen)


# ---- new nodes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "shares"),
    [(1, (8,)), (2, (6, 2)), (3, (4, 2, 2)), (4, (2, 2, 2, 2)), (5, (2, 2, 2, 2, 0))],
)
def test_how_the_unasked_probes_are_shared(scopes: int, shares: tuple[int, ...]) -> None:
    assert share_of_unasked(scopes) == shares
    assert sum(shares) == UNASKED


@given(
    st.lists(st.sets(st.integers(0, 60)), min_size=1, max_size=4),
    st.sets(st.integers(0, 60)),
    st.sets(st.integers(0, 60)),
    st.booleans(),
    st.integers(),
)
def test_few_nodes_are_probed_unasked(
    lists: list[set[int]], tried: set[int], serving: set[int], starts: bool, seed: int
) -> None:
    scopes = [[NODES[number] for number in sorted(numbers)] for numbers in lists]
    known, well = {NODES[number] for number in tried | serving}, {NODES[number] for number in serving}
    picked = unasked(
        scopes,
        NODES[:61],
        starts=starts,
        is_tried=known.__contains__,
        serves=well.__contains__,
        random=Random(seed),
    )
    assert len(picked) == len(set(picked)) <= UNASKED
    assert known.isdisjoint(picked)
    if starts:
        assert len(picked) + len(known) >= UNASKED, "all eight are used, where there are so many"
    better: set[Node] = set()
    for nodes in scopes:
        own = set(nodes) - better
        better |= own
        if not starts and well.isdisjoint(own) and not own <= known and len(picked) < UNASKED:
            assert own.intersection(picked), "a scope that may be needed has some node looked at"
    if not starts:
        assert better.issuperset(picked)
        assert len(picked) <= SPARES * len(scopes)


def test_a_fallback_has_spares_at_the_start_and_a_large_scope_is_not_probed_whole() -> None:
    picked = unasked(
        [NODES[:500], NODES],
        NODES,
        starts=True,
        is_tried=lambda node: False,
        serves=lambda node: False,
        random=Random(3),
    )
    assert [sum(node in NODES[:500] for node in picked), len(picked)] == [6, 8]


@pytest.mark.parametrize("seed", range(5))
def test_the_subset_of_this_process_is_probed_first_at_the_start(seed: int) -> None:
    own = NODES[90:93]
    picked = unasked(
        [NODES[:100], NODES],
        NODES,
        own=own,
        starts=True,
        is_tried=NODES[:1].__contains__,
        serves=NODES[:1].__contains__,
        random=Random(seed),
    )
    assert set(own) <= set(picked)


def test_nothing_is_probed_unasked_later_while_each_scope_serves() -> None:
    assert (
        unasked(
            [NODES],
            NODES,
            starts=False,
            is_tried=NODES[:1].__contains__,
            serves=NODES[:1].__contains__,
            random=Random(3),
        )
        == []
    )


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 3), (1.0, 3), (5.0, 8), (10.0, 23), (22.1, 100), (70.7, 1002)])
def test_how_many_new_nodes_are_probed_because_they_are_named(seconds: float, most: int) -> None:
    wave: Wave | None = Wave(100.0)
    count = 0
    while (wave := next_in_wave(wave, 100.0 + seconds)) is not None:
        count += 1
    assert count == most


# ---- readings ----------------------------------------------------------------------------------------------------


def test_the_interval_grows_while_nothing_changes() -> None:
    pace, intervals = Pace(1.0), []
    for _ in range(8):
        pace = after_reading(pace, GROWING, is_calm=True)
        intervals.append(pace.interval)
    assert intervals == pytest.approx([1.5, 2.25, 3.375, 5.0625, 7.59375, 10, 10, 10])
    assert after_reading(pace, GROWING, is_calm=False) == Pace(1.0)


def test_by_default_it_does_not_grow() -> None:
    pace = Pace(1.0)
    for _ in range(10):
        pace = after_reading(pace, Discovery(), is_calm=True)
    assert pace == Pace(1.0)


@given(st.floats(0, 20), st.floats(1, 10), st.integers())
def test_trouble_has_the_list_read_within_an_interval(since: float, interval: float, seed: int) -> None:
    after = in_trouble(Pace(interval), GROWING, since_reading=since, random=Random(seed))
    assert after.interval <= interval, "it is never later than before"
    assert after.interval - since <= 1.0
    assert in_trouble(after, GROWING, since_reading=since, random=Random(seed)) is after, "once for each reading"
    assert after_reading(after, GROWING, is_calm=True) == Pace(1.0), "it does not grow from there"


def test_clients_that_see_the_same_trouble_do_not_read_at_once() -> None:
    random, dues = Random(5), Counter[int]()
    for _ in range(10_000):
        since = random.uniform(0, 10)
        pace = in_trouble(Pace(10.0), GROWING, since_reading=since, random=random)
        dues[int(10 * max(0.0, pace.interval - since))] += 1
    assert max(dues.values()) < 3_500


def test_all_nodes_are_asked_for_the_list_equally_often() -> None:
    """Each client knows the seeds, and eight nodes of its own."""
    random, sources = Random(7), Counter[Node]()
    seeds, members = set(NODES[:3]), NODES[:100]
    for _ in range(20_000):
        active = [*seeds, *random.sample(members[3:], 8)]
        sources[sources_in_order(active, members, seeds.__contains__, random)[0]] += 1
    assert max(sources.values()) < 1.5 * 200
    assert min(sources[node] for node in members) > 0.5 * 200


def test_where_only_seeds_are_active_they_are_asked() -> None:
    assert sources_in_order(NODES[:1], NODES[:100], NODES[:1].__contains__, Random(1)) == NODES[:1]
    assert sources_in_order([], [], NODES[:1].__contains__, Random(1)) == []
