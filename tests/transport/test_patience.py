"""What counts as waiting: time in which the thread could not check counts as one part."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.transport.patience import Patience, SharedPatience

START = 100.0


def test_looks_in_time_count_in_full() -> None:
    patience, now = Patience(2.0, START, parts=4), START
    looks = 0
    while left := patience.left(now):
        now += left
        looks += 1
    assert (looks, now) == (4, START + 2.0)


def test_a_late_look_counts_as_one_part() -> None:
    patience = Patience(2.0, START, parts=4)
    assert patience.left(START + 5.0) == 0.5
    assert patience.left(START + 100.0) == 0.5
    assert patience.left(START + 200.0) == pytest.approx(0.47)
    assert patience.left(START + 300.0) == 0.0


def test_progress_begins_the_wait_again() -> None:
    patience = Patience(2.0, START, parts=4)
    for number in range(1, 100):
        assert patience.left(START + number * 0.5, progress=START + number * 0.5 - 0.25) == 0.5
    # Of the part in which there was progress, what came after it counts.
    now = START + 49.5
    for left in (0.5, 0.5, 0.25, 0.0):
        now += 0.5
        assert patience.left(now, progress=START + 49.25) == left


def test_patience_may_have_no_limit() -> None:
    assert Patience(math.inf, START, parts=4).left(START + 1e6) == math.inf


def test_patience_may_be_zero() -> None:
    assert Patience(0.0, START, parts=4).left(START) == 0.0


# ---- many who wait for the same ----------------------------------------------------------------------------------


def test_each_wait_counts_from_its_own_begin() -> None:
    shared = SharedPatience(START)
    shared.look(START, START + 0.25, progress=0.0)
    first = shared.shows(START)
    second = shared.shows(START + 0.125)
    shared.look(START + 0.25, START + 0.5, progress=0.0)
    assert shared.left(2.0, first) == 1.75
    assert shared.left(2.0, second) == 1.875
    assert shared.left(0.25, first) == 0.0
    assert shared.left(math.inf, first) == math.inf


def test_a_late_look_at_all_counts_as_one_interval() -> None:
    shared = SharedPatience(START)
    shared.look(START, START + 0.25, progress=0.0)
    began = shared.shows(START)
    shared.look(START + 60.0, START + 60.25, progress=0.0)
    assert shared.left(2.0, began) == pytest.approx(2.0 - 0.26)
    # Of a wait that began just before the late look, nothing was waited yet that would count.
    assert shared.left(2.0, began + 0.26) == pytest.approx(2.0)


def test_progress_begins_all_waits_again() -> None:
    shared, now = SharedPatience(START), START
    shared.look(now, now + 0.25, progress=0.0)
    began = shared.shows(now)
    for _ in range(100):
        now += 0.25
        shared.look(now, now + 0.25, progress=now - 0.125)
        assert shared.left(2.0, began) == 1.875
    late = shared.shows(now)
    for looks in range(1, 4):
        now += 0.25
        shared.look(now, now + 0.25, progress=0.0)
        assert shared.left(2.0, began) == 1.875 - looks * 0.25
        assert shared.left(2.0, late) == 2.0 - looks * 0.25


def test_a_clock_that_nobody_looked_at_for_long() -> None:
    """While nobody waits there are no looks."""
    shared = SharedPatience(START)
    now = START + 1e6
    shared.look(now, now + 0.25, progress=START + 10.0)
    began = shared.shows(now)
    shared.look(now + 0.25, now + 0.5, progress=START + 10.0)
    assert shared.left(2.0, began) == 1.75


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 40),
    st.booleans(),
)
def test_it_counts_no_more_than_a_wait_of_its_own(
    steps: list[tuple[float, float, bool]], parts: int, is_late: bool
) -> None:
    """`steps`: how late each look is, and where in the time since the last one there was progress, if there was."""
    interval, now, last = 0.25, START, 0.0
    shared, own = SharedPatience(now), Patience(interval * parts, now, parts=parts)
    shared.look(now, now + interval, progress=0.0)
    began = shared.shows(now)
    for late, part, progresses in steps:
        before, now = now, now + interval + late * is_late
        if progresses:
            last = before + part * interval
        left = own.left(now, last)
        shared.look(now, now + interval, progress=last)
        left_of_all = max(0.0, min(interval, shared.left(interval * parts, began)))
        assert left_of_all >= left - 1e-6
        if not is_late:
            assert left_of_all == pytest.approx(left, abs=1e-6)
